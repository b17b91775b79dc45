"""32 bits as the 128 signs that a mark is made of, and back from 128 noisy numbers.

The code is the extended BCH code (128, 36): any two of its words differ in 32 signs or more. 32 of its 36 bits are the
payload's, 4 are constant. It has no checksum: whether what was decoded is a mark at all is decided by how well the word
that was decoded fits (`alignment`), which says more than a checksum of as many bits would.

Sources: generator polynomial of BCH (127, 36), S. Lin and D. J. Costello, Error Control Coding, table of binary BCH
codes; decoding by ordered statistics, M. Fossorier and S. Lin, 1995.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations

import numpy as np

SIGNS = 128
PAYLOAD_BITS = 32
_FORM = 0b1010  # the 4 constant bits: the form of the mark, for a form to come
_FORM_BITS = 4
_MESSAGE_BITS = _FORM_BITS + PAYLOAD_BITS
_GENERATOR = 0o3146074666522075044764574721735  # powers of x from 91 down to 0
_DEGREE = SIGNS - 1 - _MESSAGE_BITS


def encode(payload: int) -> np.ndarray:
    """The (128,) int8 of -1 and 1 that stand for `payload`, 0 .. 2**32 - 1."""
    message = _FORM << PAYLOAD_BITS | payload
    bits = np.array([message >> i & 1 for i in range(_MESSAGE_BITS)], np.uint8)
    return (1 - 2 * (bits @ _rows() % 2)).astype(np.int8)


def decode(soft: np.ndarray) -> tuple[int, np.ndarray]:
    """The payload whose word fits (128,) floats best, and this word, (128,) int8 of -1 and 1.

    The larger a number, the surer its sign. Some word always fits best, of noise too. The best is searched for among
    the words that differ in at most two of the 36 surest independent signs from what was heard there.
    """
    order = np.argsort(-np.abs(soft), kind="stable")
    rows, surest = _reduced(_rows()[:, order])
    heard = (soft[order] < 0).astype(np.uint8)
    # In float32, exactly: numpy multiplies matrices of whole numbers thirty times as slowly.
    words = ((heard[surest] ^ _flips()).astype(np.float32) @ rows.astype(np.float32)).astype(np.uint8) % 2
    back = np.empty_like(order)
    back[order] = np.arange(SIGNS)
    messages = words[:, back[_DEGREE : _DEGREE + _MESSAGE_BITS]]
    form = np.array([_FORM >> i & 1 for i in range(_FORM_BITS)], np.uint8)
    words = words[(messages[:, PAYLOAD_BITS:] == form).all(axis=1)]
    if not len(words):  # none of them is of this form: the word of what was heard, made to be
        payload = sum(int(soft[_DEGREE + i] < 0) << i for i in range(PAYLOAD_BITS))
        return payload, encode(payload)
    best = words[np.argmax((1 - 2.0 * words) @ soft[order])][back]
    payload = sum(int(bit) << i for i, bit in enumerate(best[_DEGREE : _DEGREE + PAYLOAD_BITS]))
    return payload, (1 - 2 * best.astype(np.int8)).astype(np.int8)


@cache
def _rows() -> np.ndarray:
    """(36, 128) uint8: each message bit's word. Bit i of a message stands at sign 91 + i; the last sign is parity."""
    rows = np.zeros((_MESSAGE_BITS, SIGNS), np.uint8)
    for i in range(_MESSAGE_BITS):
        rest = 1 << _DEGREE + i
        for power in range(_DEGREE + i, _DEGREE - 1, -1):
            if rest >> power & 1:
                rest ^= _GENERATOR << power - _DEGREE
        word = 1 << _DEGREE + i | rest
        rows[i, :-1] = [word >> power & 1 for power in range(SIGNS - 1)]
        rows[i, -1] = rows[i].sum() % 2
    rows.flags.writeable = False
    return rows


@cache
def _flips() -> np.ndarray:
    """(667, 36) uint8: none, each one and each two of 36 bits."""
    chosen = [which for count in range(3) for which in combinations(range(_MESSAGE_BITS), count)]
    flips = np.zeros((len(chosen), _MESSAGE_BITS), np.uint8)
    for flip, which in zip(flips, chosen, strict=True):
        flip[list(which)] = 1
    flips.flags.writeable = False
    return flips


def _reduced(rows: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The same code's rows with the unit matrix in the first independent columns, and which these are."""
    rows = rows.copy()
    pivots: list[int] = []
    for column in range(SIGNS):
        done = len(pivots)
        if done == _MESSAGE_BITS:
            break
        with_one = np.flatnonzero(rows[done:, column])
        if not len(with_one):
            continue
        rows[[done, done + with_one[0]]] = rows[[done + with_one[0], done]]
        others = rows[:, column].astype(bool)
        others[done] = False
        rows[others] ^= rows[done]
        pivots.append(column)
    return rows, pivots

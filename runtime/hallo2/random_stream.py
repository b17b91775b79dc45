"""The released program's random numbers, without torch: its CPU generator, word by word.

torch's CPU generator is MT19937 seeded with a plain 32-bit integer, which numpy's `RandomState` has too. Every number
takes one word. Uniforms come bit by bit as torch makes them, normals but for the last bits of log, sine and cosine.

Source: SPEC 6.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np

_GROUP = 16  # numbers that torch makes of as many words: 8 radii, 8 angles
_BLOCK = 1 << 24  # words skipped at once: a tenth of a second, after which Ctrl-C is heard


class TorchStream:
    """What `torch.rand` and `torch.randn` give on a CPU after `torch.manual_seed(seed)`.

    `seed` 0 to 2^32 - 1. `words`: how many were used up before; they are passed over without being kept, 300 million a
    second. The next words come from where the last draw ended.
    """

    def __init__(self, seed: int, words: int = 0) -> None:
        if not 0 <= seed < 2**32:
            raise ValueError(f"MT19937 is seeded with one number of 32 bits, got {seed}; take 0 to {2**32 - 1}")
        if words < 0:
            raise ValueError(f"words are those used up before, at least 0, got {words}")
        self._bits = np.random.MT19937()
        self._bits.state = cast(Any, np.random.RandomState(seed).get_state(legacy=False))
        for start in range(0, words, _BLOCK):
            self._bits.random_raw(min(_BLOCK, words - start), output=False)
        self._words = words

    @property
    def words(self) -> int:
        """32-bit words used up since the seed: with it, a stream can be gone on with."""
        return self._words

    def uniform(self, shape: tuple[int, ...]) -> np.ndarray:
        """Of `shape`, float32, in [0, 1) in steps of 2^-24."""
        return self._uniforms(math.prod(shape)).reshape(shape)

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Of `shape`, float32, unit normal. Raises ValueError below 16 numbers.

        torch has another rule for these: a pair of normals of four words, the second of them kept for the next call,
        which would be state that `words` does not tell. No latents are so few.
        """
        count = math.prod(shape)
        if count < _GROUP:
            raise ValueError(f"{count} normals follow another rule of torch, which is not made here; draw {_GROUP}")
        flat = self._uniforms(count)
        whole = count - count % _GROUP
        flat[:whole] = _box_muller(flat[:whole])
        if whole < count:  # the last sixteen are made anew, those among them that were made before too
            flat[-_GROUP:] = _box_muller(self._uniforms(_GROUP))
        return flat.reshape(shape)

    def _uniforms(self, count: int) -> np.ndarray:
        self._words += count
        low = self._bits.random_raw(count) & np.uint64(2**24 - 1)
        return low.astype(np.float32) * np.float32(2**-24)


def _box_muller(uniforms: np.ndarray) -> np.ndarray:
    """Normals from uniforms, sixteen by sixteen: the first eight are radii, the last eight angles."""
    u = uniforms.reshape(-1, 2, _GROUP // 2)
    radius = np.sqrt(np.float32(-2) * np.log(np.float32(1) - u[:, 0]))
    angle = np.float32(2 * math.pi) * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)

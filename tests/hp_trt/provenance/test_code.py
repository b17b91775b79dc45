"""The mark's code against the theory of BCH codes, and against what it promises to mend."""

from __future__ import annotations

import numpy as np
import pytest

from hp_trt.provenance.code import PAYLOAD_BITS, SIGNS, decode, encode

PAYLOADS = (0, 1, 2**31, 2**32 - 1, 0xDEADBEEF)


def powers() -> list[int]:
    """Those of a root of x^7 + x^3 + 1 in the field of 128 elements."""
    found = [1]
    while len(found) < 127:
        found.append(found[-1] << 1 ^ (0b10001001 if found[-1] & 64 else 0))
    return found


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_word_has_the_thirty_zeros_in_a_row_that_keep_the_words_of_this_code_apart(payload):
    alpha = powers()
    ones = np.flatnonzero(encode(payload)[:-1] < 0)
    for zero in range(1, 31):
        value = 0
        for power in ones:
            value ^= alpha[zero * power % 127]
        assert value == 0
    assert (encode(payload) < 0).sum() % 2 == 0


def test_words_of_two_payloads_differ_in_32_signs_or_more():
    rng = np.random.default_rng(0)
    one = 0xC0FFEE11
    others = [one ^ 1 << bit for bit in range(PAYLOAD_BITS)] + [int(v) for v in rng.integers(0, 2**32, 200)]
    assert min((encode(one) != encode(other)).sum() for other in others) >= 32


@pytest.mark.parametrize("payload", PAYLOADS)
def test_any_31_signs_may_be_missing(payload):
    rng = np.random.default_rng(payload)
    for _ in range(10):
        heard = encode(payload).astype(float)
        heard[rng.permutation(SIGNS)[:31]] = 0
        assert decode(heard)[0] == payload


def test_noise_as_loud_as_nine_tenths_of_the_signs_is_mended():
    rng = np.random.default_rng(1)
    for payload in rng.integers(0, 2**32, 30):
        word = encode(int(payload))
        read, best = decode(word + rng.normal(0, 0.9, SIGNS))
        assert read == payload
        assert np.array_equal(best, word)


@pytest.mark.parametrize("heard", [np.zeros(SIGNS), np.ones(SIGNS), -np.ones(SIGNS)])
def test_what_is_no_word_at_all_is_read_as_some_word(heard):
    payload, word = decode(heard)
    assert 0 <= payload < 2**32
    assert np.array_equal(word, encode(payload))

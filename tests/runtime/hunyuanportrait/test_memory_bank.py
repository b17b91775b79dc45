"""Motion grows by groups and ends padded; each row sees what it should."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from runtime.hunyuanportrait.guidance import Row
from runtime.hunyuanportrait.memory_bank import Conditions, MotionBank
from tests.fakes import FakeBackend
from tests.runtime.hunyuanportrait.fake_networks import fake_clip, identity_of


@pytest.mark.parametrize("groups", [(3,), (3, 3, 1), (1,), (1, 1)])
@pytest.mark.parametrize("pad", [0, 1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_motion_ends_with_its_faded_ends(groups, pad, dtype):
    backend = FakeBackend()
    bank = MotionBank(backend)
    tokens = np.random.default_rng(0).standard_normal((sum(groups), 2, 5)).astype(dtype)
    for group in np.split(tokens, np.cumsum(groups)[:-1]):
        bank.append(backend.upload(group))
    assert len(bank) == sum(groups)
    padded = backend.download(bank.finish(pad))
    before = [tokens[0].astype(np.float32) * np.float32(i / pad) for i in range(pad)]
    after = [tokens[-1].astype(np.float32) * np.float32(1 - i / pad) for i in range(pad)]
    expected = np.concatenate([np.array(part).astype(dtype).reshape(-1, 2, 5) for part in (before, tokens, after)])
    assert padded.dtype == dtype
    np.testing.assert_array_equal(padded, expected)
    assert len(bank) == 0


@pytest.mark.parametrize(("expected", "rooms"), [(6, [10]), (9, [13]), (0, [5, 10]), (3, [7, 14])])
def test_where_the_number_of_frames_is_known_their_room_is_taken_once(monkeypatch, expected, rooms):
    backend, made = FakeBackend(), []
    empty = backend.empty
    monkeypatch.setattr(backend, "empty", lambda shape, dtype: made.append(shape[0]) or empty(shape, dtype))
    tokens = np.random.default_rng(0).standard_normal((6, 2, 5)).astype(np.float32)
    bank = MotionBank(backend, pad_frames=2, expected=expected)
    for group in np.split(tokens, [1, 4]):
        bank.append(backend.upload(group))
    np.testing.assert_array_equal(backend.download(bank.finish(2))[2:-2], tokens)
    assert made == rooms


def test_a_clip_without_frames_is_refused():
    with pytest.raises(InputError, match="has no frames; it needs at least one"):
        MotionBank(FakeBackend()).finish(15)


def test_each_row_sees_its_part():
    backend, clip = FakeBackend(), fake_clip(6)
    conditions = Conditions(backend, identity_of(backend, clip), backend.upload(clip["motion_tokens"]), window=3)
    for indices in ([0, 1, 2], [5, 0, 0]):  # twice: what the first window left must not be seen
        seen = {n: backend.download(b) for n, b in conditions.of_window(tuple(Row), indices).items()}
        np.testing.assert_array_equal(seen["motion_tokens"][2], clip["motion_tokens"][indices])
        assert not seen["motion_tokens"][:2].any()
        for name in ("image_latents", "image_tokens"):
            assert not seen[name][0].any()
            np.testing.assert_array_equal(seen[name][1:], clip[name].repeat(2, axis=0))


def test_the_buffers_of_a_set_of_rows_are_made_once():
    backend, clip = FakeBackend(), fake_clip(6)
    conditions = Conditions(backend, identity_of(backend, clip), backend.upload(clip["motion_tokens"]), window=3)
    first = conditions.of_window((Row.CONDITIONAL,), [0, 1, 2])
    assert conditions.of_window((Row.CONDITIONAL,), [3, 4, 5]) is first

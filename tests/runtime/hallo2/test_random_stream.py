"""torch's numbers without torch: against the golden stream, and against torch where it is there."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.hallo2.random_stream import TorchStream
from tests.golden_cases import HALLO2_FOLDER, HALLO2_SHIPPED, check, discover, golden_cases, load_case

NORMALS = 1e-6  # float32's logarithm, sine and cosine differ in the last bits: 2.4e-7 was seen
HALF = 1e-3  # a last bit of float32 may move a value over the edge between two halves


def test_there_is_a_golden_stream():
    assert discover(targets=["random_stream"], folder=HALLO2_SHIPPED)


@golden_cases(targets=["random_stream"], folder=HALLO2_FOLDER)
def test_fields_and_noise_match_their_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    size, frames = case.options["size"], case.options["frames"]
    stream = TorchStream(case.options["seed"])
    fields, noise = [], []
    for _ in range(case.options["clips"]):
        fields.append(stream.uniform((size, size)))
        noise.append(stream.normal((4, frames, size // 8, size // 8)))
    float32 = {"fields_float32": np.stack(fields), "noise_float32": np.stack(noise)}
    check(case, float32, NORMALS, only=float32)
    np.testing.assert_array_equal(fields[0][[0, -1]], case.outputs["fields_float32"][0][[0, -1]])  # exact
    half = {"fields_float16": np.stack(fields), "noise_float16": np.stack(noise).astype(np.float16)}
    check(case, half, HALF, only=half)


@pytest.mark.parametrize("seed", [0, 42, 2**32 - 1])
@pytest.mark.parametrize("shape", [(16,), (3, 7), (4, 5, 9, 3), (2, 640)])
def test_the_numbers_are_those_of_torch(seed, shape):
    torch = pytest.importorskip("torch")
    generator, stream = torch.Generator().manual_seed(seed), TorchStream(seed)
    for _ in range(2):
        uniforms = torch.rand(shape, generator=generator).numpy()
        np.testing.assert_array_equal(stream.uniform(shape), uniforms)
        normals = torch.randn(shape, generator=generator).numpy()
        ours = stream.normal(shape)
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, normals, rtol=0, atol=2e-6)  # a few last bits of numbers up to 5


def test_a_stream_goes_on_where_another_one_ended():
    whole = TorchStream(7)
    whole.uniform((5, 5))
    whole.normal((3, 7))  # 21 words, and 16 more for the last sixteen
    assert whole.words == 25 + 21 + 16
    resumed = TorchStream(7, whole.words)
    np.testing.assert_array_equal(resumed.normal((32,)), whole.normal((32,)))
    assert resumed.words == whole.words


def test_words_are_passed_over_block_by_block(monkeypatch):
    monkeypatch.setattr("runtime.hallo2.random_stream._BLOCK", 1000)
    whole = TorchStream(7)
    whole.uniform((2500,))
    np.testing.assert_array_equal(TorchStream(7, 2500).uniform((9,)), whole.uniform((9,)))


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="15 normals follow another rule of torch, which is not made here; draw 16"):
        TorchStream(7).normal((3, 5))
    with pytest.raises(ValueError, match="seeded with one number of 32 bits, got 4294967296; take 0 to 4294967295"):
        TorchStream(2**32)
    with pytest.raises(ValueError, match="at least 0, got -1"):
        TorchStream(7, -1)

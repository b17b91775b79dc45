from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineMismatch, InputError
from hp_trt.faces.arcface import open_arcface, open_raw_arcface
from tests.hp_trt.faces.small_networks import DOUBLE, FLOAT, INT64, network

PICTURE, VECTOR = {"input": [1, 3, 112, 112]}, {"embedding": ([1, 512], 0.5)}


def test_a_file_that_is_missing_or_no_network_is_an_input_error(tmp_path):
    path = tmp_path / "arcface.onnx"
    with pytest.raises(InputError, match="no such file; give arcface"):
        open_arcface(path)
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="is not an ONNX network"):
        open_arcface(path)


@pytest.mark.usefixtures("no_onnx_runtime")
def test_without_onnx_runtime_it_says_how_to_install_it(tmp_path):
    path = tmp_path / "arcface.onnx"
    path.touch()
    with pytest.raises(EngineMismatch, match="onnxruntime is not installed; pip install"):
        open_arcface(path)


@pytest.mark.parametrize("inputs", [PICTURE, {"input": ["n", 3, 112, 112]}, {"input": ["n", "c", "h", "w"]}])
@pytest.mark.parametrize("said", [True, False])
def test_a_network_that_takes_a_face_and_gives_512_numbers_is_taken(tmp_path, inputs, said):
    embed = open_arcface(network(tmp_path / "arcface.onnx", inputs, VECTOR, said=said))
    vector = embed(np.zeros((3, 112, 112), np.float32))
    np.testing.assert_allclose(vector, np.full((1, 512), 512**-0.5), rtol=1e-6)


def test_a_raw_vector_is_as_long_as_the_network_makes_it(tmp_path):
    embed = open_raw_arcface(network(tmp_path / "glintr100.onnx", PICTURE, VECTOR))
    vector = embed(np.zeros((3, 112, 112), np.float32))
    assert (vector.dtype, vector.shape) == (np.float32, (1, 512))
    assert (vector == 0.5).all()


@pytest.mark.parametrize("opened", [open_arcface, open_raw_arcface])
def test_a_vector_without_a_length_says_nothing_of_anybody(tmp_path, opened):
    embed = opened(network(tmp_path / "arcface.onnx", PICTURE, {"embedding": ([1, 512], 0.0)}))
    with pytest.raises(InputError, match=r"gave a vector of length 0\.0 for the portrait"):
        embed(np.zeros((3, 112, 112), np.float32))


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind", "found"),
    [
        ({"data": [1, 3, 224, 224]}, VECTOR, FLOAT, r"takes data float\[1, 3, 224, 224\] and gives embedding"),
        ({"data": [1, 112, 112, 3]}, VECTOR, FLOAT, r"takes data float\[1, 112, 112, 3\]"),
        (PICTURE, VECTOR, DOUBLE, r"takes input double"),
        (PICTURE, VECTOR, INT64, r"takes input int64"),
        (PICTURE | {"mask": [1]}, VECTOR, FLOAT, r"takes input float\[1, 3, 112, 112\], mask float\[1\]"),
        (PICTURE, {"logits": ([1, 1000], 0.0)}, FLOAT, r"gives logits float\[1, 1000\]"),
        (PICTURE, {"number": ([1], 0.0)}, FLOAT, r"gives number float\[1\]"),
        (PICTURE, VECTOR | {"more": ([1], 0.0)}, FLOAT, r"gives embedding float\[1, 512\], more float\[1\]"),
        (PICTURE, {f"o{i}": ([1], 0.0) for i in range(300)}, FLOAT, "and 296 more"),
    ],
)
def test_another_network_is_refused_at_opening_with_what_it_takes_and_gives(tmp_path, inputs, outputs, kind, found):
    path = network(tmp_path / "other.onnx", inputs, outputs, kind=kind)
    with pytest.raises(InputError, match=f"other.onnx .*{found}.*; an ArcFace network takes floats") as told:
        open_arcface(path)
    assert "\n" not in str(told.value) and "give arcface.onnx, or leave it out" in str(told.value)


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ({"v": ([1, 256], 0.5)}, r"gave numbers of shape \[1, 256\], needed are 1 x 512"),
        ({"v": ([512], 0.5)}, r"gave numbers of shape \[512\], needed are 1 x 512"),
        ({"v": ([1, 512], np.nan)}, "gave numbers that are not finite"),
        ({"v": ([1, 512], np.inf)}, "gave numbers that are not finite"),
    ],
)
def test_what_a_network_does_not_say_is_found_by_one_trial(tmp_path, outputs, says):
    path = network(tmp_path / "other.onnx", {"x": None}, outputs, said=False)
    with pytest.raises(InputError, match=f"other.onnx, run as ArcFace, {says}; give arcface"):
        open_arcface(path)


def test_a_trial_that_fails_is_the_files_fault(tmp_path):
    path = network(tmp_path / "fails.onnx", {"x": ["n", 3, "h", "w"]}, VECTOR, fails=True)
    with pytest.raises(InputError, match=r"fails.onnx does not run as ArcFace \(.*; give arcface"):
        open_arcface(path)


def test_operators_that_nobody_has_empty_files_and_folders_are_one_line(tmp_path):
    strange = network(tmp_path / "strange.onnx", PICTURE, VECTOR, domain="com.example")
    empty = tmp_path / "empty.onnx"
    empty.touch()
    for path, says in (
        (strange, r"strange.onnx is not an ONNX network that onnxruntime can open \(.*com.example"),
        (empty, "empty.onnx is an empty file"),
        (tmp_path, "is not a file; give"),
    ):
        with pytest.raises(InputError, match=says) as told:
            open_arcface(path)
        assert "\n" not in str(told.value)


def test_a_file_that_is_too_large_is_not_opened(tmp_path):
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # it takes no room
    with pytest.raises(InputError, match=r"large.onnx has 3\.2 GB, and an ArcFace network has at most 2\.1"):
        open_arcface(path)

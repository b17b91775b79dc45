"""What every file of a model says of itself, and what is not taken for one."""

from __future__ import annotations

import os

import numpy as np
import pytest

from engines.errors import InputError, OutputError
from hp_trt import __version__
from hp_trt.encoded.encoded_file import Encoded, EncodedFile, encoded_file, write_encoded
from hp_trt.encoded.tensor_file import read_tensor_file
from tests.hp_trt.encoded.made import forged

PLAIN = Encoded(
    kind="motion",
    model="some",
    graphs={"g": "0" * 64},
    about={"x": 1},
    tensors={"t": np.arange(4.0, dtype=np.float32)},
    notes=["a note", "half a character: \udcff"],
    frames=4,
)


@pytest.fixture
def path(tmp_path):
    return write_encoded(tmp_path / "a.safetensors", PLAIN).path


def test_what_was_written_is_read(path):
    file = EncodedFile(path, "motion")
    file.check_content()
    assert (file.model, file.notes, file.about["x"].found) == ("some", ("a note", "half a character: ?"), 1)
    np.testing.assert_array_equal(file.array("t"), PLAIN.tensors["t"])
    assert f'"hp_trt":"{__version__}"' in read_tensor_file(path).about


@pytest.mark.parametrize(
    ("about", "said"),
    [
        (lambda said: said.update(schema=2), "has schema 2, this version of hp-trt reads 1; install the newer one"),
        (lambda said: said.update(schema=0), "schema must be a whole number of 1"),
        (lambda said: said.pop("schema"), "schema is missing"),
        (lambda said: said.pop("model"), "model is missing"),
        (lambda said: said.update(model=["x"]), "model must be text"),
        (lambda said: said.update(graphs={"g": "xyz"}), "must be content keys"),
        (lambda said: said.update(notes="x" * 20), "notes must be a list"),
        (lambda said: said.update(notes=["x"] * 101), "a list of 0 to 100"),
        (lambda said: said.update(of=None), "of must be an object, got null"),
    ],
)
def test_a_header_that_is_none_is_refused_with_its_field(path, tmp_path, about, said):
    with pytest.raises(InputError, match=said):
        EncodedFile(forged(path, tmp_path / "x", about=about), "motion")


def test_a_file_of_another_kind_or_program_is_refused(path, tmp_path):
    with pytest.raises(InputError, match="is a motion file, needed is one of portrait; it moves a portrait: give"):
        EncodedFile(path, "portrait")
    with pytest.raises(InputError, match="its format is 'weights', needed is 'hp-trt motion'"):
        EncodedFile(forged(path, tmp_path / "x", format="weights"), "motion")


def test_weights_of_a_network_are_no_motion(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match=r"no motion file that can be used \(__metadata__ is missing\); make it again"):
        encoded_file(tmp_path / "weights.safetensors", "motion")


def test_an_altered_or_cut_file_is_refused_before_a_number_is_used(path):
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 128]))
    with pytest.raises(InputError, match="it is cut off or altered: its sha256 is of something else"):
        EncodedFile(path, "motion").check_content()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match="it is cut off, or has more than it says"):
        EncodedFile(path, "motion")


def test_what_is_no_file_is_refused(tmp_path):
    for make in (lambda where: None, os.mkdir, os.mkfifo):
        where = tmp_path / f"{make.__name__}.safetensors".strip("<>")
        make(where)
        with pytest.raises(InputError, match=r"no such file|is not a file"):
            EncodedFile(where, "motion")
        assert encoded_file(where, "motion") is None


def test_a_picture_and_an_array_are_none_of_ours(sample):
    assert encoded_file(sample[0], "portrait") is None
    assert encoded_file(np.zeros((4, 4, 3), np.uint8), "portrait") is None


def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        write_encoded(tmp_path / "absent" / "a.safetensors", PLAIN)
    assert not list(tmp_path.iterdir())

"""Files of tensors: what is written is what the safetensors package reads, and nothing else is read."""

from __future__ import annotations

import json
import os
import resource

import numpy as np
import pytest
import safetensors.numpy

from hp_trt.encoded import tensor_file
from hp_trt.encoded.tensor_file import looks_encoded, read_tensor_file, write_tensor_file

ARRAYS = {
    "half": np.arange(6, dtype=np.float16).reshape(2, 3),
    "none": np.zeros((0, 3), np.float64),
    "bytes": np.frombuffer(b"hello", np.uint8),
    "one": np.array(3, np.float32),
    "times": np.array([-(2**63), 0, 2**63 - 1]),
}


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "a.safetensors"
    write_tensor_file(made, format="ours", about={"schema": 1, "né": [1]}, tensors=ARRAYS)
    return made


def raw(path, header, data=b"", *, length=None):
    """A file whose header is anything."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def header_of(**tensors):
    return {"__metadata__": {"format": "f", "about": "{}", "sha256": ""}, **tensors}


def entry(dtype="F32", shape=(1,), data_offsets=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(data_offsets)}


def test_what_was_written_is_read_again_whole_and_in_part(path):
    file = read_tensor_file(path)
    file.check_content()
    assert (file.format, json.loads(file.about)) == ("ours", {"schema": 1, "né": [1]})
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(file.array(name), array)
        assert (file.array(name).dtype, file.array(name).shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(file.array("half", 1, 1), ARRAYS["half"][1:])


def test_the_safetensors_package_reads_the_same(path):
    found = safetensors.numpy.load_file(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)


def test_the_size_that_is_told_is_the_files(path):
    assert write_tensor_file(path, format="f", about=1, tensors=ARRAYS) == path.stat().st_size


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        (header_of(a=entry()), b"", "its header is for"),
        (header_of(a=entry()), b"12345", "its header is for"),
        (header_of(a=entry(shape=(2,))), b"1234", r"a of \[2\] float32 has 4 bytes"),
        (header_of(a=entry(), b=entry()), b"1234", "begins at byte"),
        (header_of(a=entry(), b=entry(data_offsets=(2, 6))), b"123456", "begins at byte"),
        (header_of(a=entry(), b=entry(data_offsets=(8, 12))), b"123456789012", "begins at byte"),
        (header_of(a=entry(data_offsets=(4, 0))), b"1234", "has -4 bytes"),
        (header_of(a=entry(dtype="BF16", data_offsets=(0, 2))), b"12", "must be one of F64, F32"),
        (header_of(a=entry(shape=(-1,))), b"1234", "whole number of 0"),
        (header_of(a=entry(shape=(True,))), b"1234", "whole number of 0"),
        (header_of(a=entry(shape=(1.0,))), b"1234", "whole number of 0"),
        (header_of(a=entry(shape=(1,) * 7)), b"1234", "a list of 0 to 6"),
        (header_of(a=entry(shape=(2**40, 2**40), data_offsets=(0, 2**62))), b"", "has 4611686018427387904 bytes"),
        (header_of(a=entry(shape=(2**38,), data_offsets=(0, 2**40))), b"", "it is cut off"),
        (header_of(a={**entry(), "more": 1}), b"1234", "an object of dtype, shape and data_offsets"),
        (header_of(**{"a\n": entry()}), b"1234", "a tensor is called"),
        (header_of(a=[1]), b"", "must be an object"),
        ({"a": entry()}, b"1234", "__metadata__ is missing"),
        ({"__metadata__": {"format": "f"}}, b"", "an object of format, about and sha256"),
        ({"__metadata__": {"format": 1, "about": "", "sha256": ""}}, b"", "must be text"),
        (b'{"a":1,"a":2}', b"", "stands twice"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b"", "nested"),
        (b'{"a":NaN}', b"", "NaN is not JSON"),
        (b"[]", b"", "no JSON object"),
        (b'{"\xff"', b"", "utf-8"),
    ],
)
def test_a_header_that_does_not_hold_is_refused_with_what_is_wrong(tmp_path, header, data, said):
    with pytest.raises(ValueError, match=said):
        read_tensor_file(raw(tmp_path / "x", header, data))


@pytest.mark.parametrize("length", [0, 1, 2**20 + 1, 2**63, 2**64 - 1])
def test_a_header_of_an_absurd_length_is_not_read(tmp_path, length):
    with pytest.raises(ValueError, match="its header should have 2 to"):
        read_tensor_file(raw(tmp_path / "x", header_of(), length=length))


def test_a_claim_of_terabytes_takes_no_memory(tmp_path):
    """Whatever the claim: the address space of the process could not hold it."""
    claims = header_of(a=entry(shape=(2**38,), data_offsets=(0, 2**40)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="cut off"):
        read_tensor_file(raw(tmp_path / "x", claims, b"1234"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # KiB


def test_a_number_that_was_changed_is_found_and_so_is_a_word(path):
    content = path.read_bytes()
    for at in (content.index(b"hello"), content.index(b"schema"), content.index(b"ours")):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(ValueError, match="altered"):
            read_tensor_file(path).check_content()


def test_a_file_that_changes_under_the_reader_is_refused(path):
    file = read_tensor_file(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match="changed while it was read"):
        file.array("half")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "x.safetensors")
    assert not looks_encoded(tmp_path / "x.safetensors")
    with pytest.raises((ValueError, OSError)):
        read_tensor_file(tmp_path / "x.safetensors")


def test_a_file_is_known_by_its_content_and_a_damaged_one_by_its_name(path, tmp_path, sample):
    other = path.rename(tmp_path / "no_name")
    assert looks_encoded(other)
    assert not any(map(looks_encoded, (*sample, tmp_path / "absent.safetensors")))
    (tmp_path / "damaged.safetensors").write_bytes(b"")
    assert looks_encoded(tmp_path / "damaged.safetensors")


def test_a_good_file_stays_where_the_new_one_cannot_be_written(path, monkeypatch):
    good = path.read_bytes()
    monkeypatch.setattr(tensor_file, "_bytes", lambda array: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_tensor_file(path, format="f", about=1, tensors=ARRAYS)
    assert path.read_bytes() == good
    assert [p.name for p in path.parent.iterdir()] == [path.name]

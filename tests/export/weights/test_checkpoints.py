"""A file of tensors is read strictly, and what is something else is told in one line, and never run."""

from __future__ import annotations

import json
import os
import pickle
import struct
import tracemalloc
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError
from export.weights.checkpoints import fingerprint, module_shapes, read_checkpoint, unusable


class Code:
    """Pickled, this asks the reader to run a command."""

    def __reduce__(self):
        return os.system, ("exit 1",)


def state():
    return {"weight": torch.arange(12.0).reshape(4, 3), "bias": torch.zeros(4)}


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "unet.pth"


def failure(path: Path) -> str:
    """The one line that is said of a file, after its name."""
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["new", "old"])
def test_files_in_torchs_new_and_old_format_are_read(path, options):
    torch.save(state(), path, **options)
    read = read_checkpoint(path)
    assert read.keys() == state().keys()
    assert all(torch.equal(read[key], value) for key, value in state().items())


def test_half_precision_stays_what_it_is(path):
    torch.save({k: v.half() for k, v in state().items()}, path)
    assert read_checkpoint(path)["weight"].dtype == torch.float16


def test_a_pickle_of_code_is_named_and_not_run(path):
    for content in ("archive", "bare"):
        if content == "archive":
            torch.save({"weight": Code()}, path)
        else:
            path.write_bytes(pickle.dumps(Code()))
        said = failure(path)
        assert said.startswith("a pickle that holds code or objects (")
        assert ".system), not just tensors; it was not run" in said


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_says_so(path, suffix, kept):
    path = path.with_suffix(suffix)
    save_file(state(), path) if suffix == ".safetensors" else torch.save(state(), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    said = failure(path)
    assert "download it again" in said
    assert ("truncated" if kept else "is empty") in said


def test_a_truncated_file_in_the_old_format_says_so(path):
    torch.save(state(), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-20])
    assert "truncated" in failure(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>404 not found</html>", "not a checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_a_file_that_is_no_checkpoint_says_so(path, content, says):
    path.write_bytes(content)
    assert says in failure(path)


def test_something_else_than_a_state_dict_says_what_it_is(path):
    torch.save([torch.zeros(1)], path)
    assert failure(path).startswith("holds a list, needed a state dict")
    torch.save(torch.nn.Linear(3, 4), path)
    assert "code or objects (torch.nn.modules.linear.Linear)" in failure(path)
    torch.save({"state_dict": state(), "epoch": 3}, path)
    assert "these entries are no tensors: state_dict, epoch" in failure(path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused(path):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), path)
    assert failure(path) == "a TorchScript program, needed a state dict"


def test_the_fingerprint_follows_keys_shapes_dtypes_and_values_but_not_the_order():
    base = fingerprint(state())
    assert fingerprint(dict(reversed(state().items()))) == base
    changed = [
        {**state(), "bias": torch.ones(4)},
        {**state(), "bias": torch.zeros(4, dtype=torch.int32)},
        {**state(), "bias": torch.zeros(2, 2)},
        {"weight": state()["weight"], "bias2": state()["bias"]},
    ]
    assert len({base, *map(fingerprint, changed)}) == 5


def test_a_fingerprint_takes_scalars_and_bfloat16():
    tensors = {"steps": torch.tensor(3), "half": torch.zeros(3, dtype=torch.bfloat16)}
    assert len(fingerprint(tensors)) == 64


def test_module_shapes_come_from_the_meta_device():
    assert module_shapes(torch.nn.Linear(3, 4, device="meta")) == {"weight": (4, 3), "bias": (4,)}


def expanded():
    return torch.zeros(1).expand(30_000, 30_000)


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        (lambda: torch.eye(3).to_sparse(), "these ask for torch._utils._rebuild_sparse_tensor"),
        (lambda: torch.zeros(3, 3, device="meta"), "these ask for torch._utils._rebuild_meta_tensor_no_storage"),
        (
            lambda: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8),
            "ask for torch._utils._rebuild_qtensor",
        ),
        (expanded, "weight is (30000, 30000) of fewer values, expanded; save them dense"),
    ],
    ids=["sparse", "meta", "quantised", "expanded"],
)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_tensors_that_are_not_plain_are_refused(path, tensor, says):
    torch.save({**state(), "weight": tensor()}, path)
    assert says in failure(path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.complex64])
def test_values_of_kinds_that_no_network_has_are_refused(path, dtype):
    torch.save({"weight": torch.zeros(3).to(dtype)}, path)
    assert "needed are plain tensors, these ask for torch." in failure(path)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".pth", torch.bool),
        (".pth", torch.int64),
        *((".safetensors", t) for t in (torch.float8_e4m3fn, torch.complex64, torch.bool, torch.int64)),
    ],
)
def test_values_of_other_kinds_are_unusable(path, suffix, dtype):
    path = path.with_suffix(suffix)
    found = {"weight": torch.zeros(3).to(dtype)}
    save_file(found, path) if suffix == ".safetensors" else torch.save(found, path)
    assert unusable(read_checkpoint(path)) == [f"1 key not of a floating-point type: weight is {dtype}"]


def recompressed(path: Path, kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_file_that_unpacks_to_more_than_itself_is_refused_before_it_is_unpacked(path):
    torch.save({"weight": torch.zeros(50_000_000, dtype=torch.uint8)}, path)
    recompressed(path)
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    said = failure(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "a compressed archive, torch.save compresses nothing" in said
    assert peak < 10 << 20


def test_two_parts_of_one_name_are_refused(path):
    torch.save(state(), path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(archive.namelist()[0], b"another")
    assert "two parts of one name" in failure(path)


@pytest.mark.parametrize("value", [0, 1, 0xFFFF, 0xFFFFFFFF])
def test_a_broken_table_of_contents_is_told(path, value):
    torch.save(state(), path)
    whole = path.read_bytes()
    end = whole.rindex(b"PK\5\6")
    for at in range(4, 20, 2):  # its numbers: disks, entries, size, place
        content = bytearray(whole)
        content[end + at : end + at + 2] = struct.pack("<H", value & 0xFFFF)
        path.write_bytes(content)
        with suppress(CheckpointError):  # nothing else
            read_checkpoint(path)
    content = bytearray(whole)
    content[end : end + 4] = b"PK\6\6"  # a zip64 record in its place
    path.write_bytes(content)
    assert "download it again" in failure(path)


def test_keys_that_are_no_text_and_many_wrong_ones_are_told_in_few_words(path):
    torch.save({1: torch.zeros(1), (2, "x"): torch.zeros(1)}, path)
    assert failure(path) == "not a state dict, these keys are no text: 1, (2, 'x'); save the state dict"
    torch.save({f"key.{n}": n for n in range(20_000)}, path)
    assert "key.0, key.1, key.2 and 19997 more; save" in failure(path)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "unet.pth")
    assert failure(tmp_path / "unet.pth") == "is no regular file; give a file of tensors"
    assert "cannot be read" in failure(tmp_path / ("x" * 300 + ".pth"))


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 80]}},
        {"a": {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}},
        {"a": 1},
        [],
    ],
)
def test_a_header_that_claims_more_than_the_file_is_refused(tmp_path, header):
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    assert "truncated, or not a safetensors file" in failure(tmp_path / "w.safetensors")

"""A file of tensors is read strictly, and what is something else is told in one line, and never run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError
from export.weights.checkpoints import fingerprint, module_shapes, read_checkpoint


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

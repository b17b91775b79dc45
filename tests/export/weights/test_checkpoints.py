"""Checkpoints load strictly, and a wrong one says everything that is wrong with it at once."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError
from export.hunyuanportrait.upstream import NETWORK_FILES, find_user_files, load_checkpoints
from export.weights.checkpoints import fingerprint, module_shapes

SHAPES = {network: {"weight": (4, 3), "bias": (4,)} for network in NETWORK_FILES}


class Code:
    """Pickled, this asks the reader to run a command."""

    def __reduce__(self):
        return os.system, ("exit 1",)


def state():
    return {"weight": torch.arange(12.0).reshape(4, 3), "bias": torch.zeros(4)}


def write(path, content, **options):
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path, **options)


@pytest.fixture
def weights(tmp_path):
    root = tmp_path / "pretrained_weights"
    for names in NETWORK_FILES.values():
        path = root / names[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, state())
    return root


def failure(folder, shapes=SHAPES) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoints(folder, shapes)
    return str(caught.value)


def test_the_published_layout_loads_from_its_folder_and_from_the_folder_above(weights):
    for folder in (weights, weights.parent):
        loaded = load_checkpoints(folder, SHAPES)
        assert loaded.keys() == NETWORK_FILES.keys()
        assert all(torch.equal(entry["weight"], state()["weight"]) for entry in loaded.values())


def test_a_vae_without_fp16_in_its_name_is_found_too(weights):
    path = weights / "vae/diffusion_pytorch_model.fp16.safetensors"
    path.rename(weights / "vae/diffusion_pytorch_model.safetensors")
    assert "vae" in load_checkpoints(weights, SHAPES)


def test_files_in_torchs_old_format_load(weights):
    write(weights / "hyportrait/unet.pth", state(), _use_new_zipfile_serialization=False)
    assert torch.equal(load_checkpoints(weights, SHAPES)["unet"]["weight"], state()["weight"])


def test_half_precision_files_keep_their_dtype(weights):
    write(weights / "hyportrait/unet.pth", {k: v.half() for k, v in state().items()})
    assert load_checkpoints(weights, SHAPES)["unet"]["weight"].dtype == torch.float16


def test_one_error_lists_missing_unexpected_and_misshapen_keys_of_all_files(weights):
    write(weights / "hyportrait/unet.pth", {"weight": torch.zeros(4, 3), "extra.a": torch.zeros(1)})
    write(weights / "hyportrait/dino.pth", {"weight": torch.zeros(3, 4), "bias": torch.zeros(4)})
    (weights / "hyportrait/headpose.pth").unlink()
    (weights / "vae/diffusion_pytorch_model.fp16.safetensors").unlink()
    message = failure(weights)
    assert "(4 of 8 files)" in message.splitlines()[0]
    assert "unet.pth: 1 missing key: bias; 1 unexpected key: extra.a" in message
    assert "dino.pth: 1 misshapen key: weight is (3, 4), needs (4, 3)" in message
    assert "head_pose: no file, needed hyportrait/headpose.pth" in message
    assert "diffusion_pytorch_model.fp16.safetensors or vae/diffusion_pytorch_model.safetensors" in message
    assert len(message.splitlines()) == 5  # a headline and one line a file


def test_a_pickle_of_code_is_named_and_not_run(weights, monkeypatch):
    for content in ("archive", "bare"):
        path = weights / "hyportrait/unet.pth"
        if content == "archive":
            torch.save({"weight": Code()}, path)
        else:
            path.write_bytes(pickle.dumps(Code()))
        line = failure(weights).splitlines()[1]
        assert "unet.pth: a pickle that holds code or objects (" in line
        assert ".system), not just tensors; it was not run" in line


@pytest.mark.parametrize("name", ["hyportrait/unet.pth", "vae/diffusion_pytorch_model.fp16.safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_truncated_file_gives_one_line(weights, name, kept):
    path = weights / name
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    lines = failure(weights).splitlines()
    assert len(lines) == 2
    assert name in lines[1] and "download it again" in lines[1]
    assert ("truncated" if kept else "is empty") in lines[1]


def test_a_truncated_file_in_the_old_format_gives_one_line(weights):
    path = weights / "hyportrait/unet.pth"
    write(path, state(), _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-20])
    lines = failure(weights).splitlines()
    assert len(lines) == 2 and "truncated" in lines[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<html>404 not found</html>", "not a checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    ],
)
def test_a_file_that_is_no_checkpoint_gives_one_line(weights, content, says):
    (weights / "hyportrait/unet.pth").write_bytes(content)
    lines = failure(weights).splitlines()
    assert len(lines) == 2 and says in lines[1]


def test_something_else_than_a_state_dict_says_what_it_is(weights):
    write(weights / "hyportrait/unet.pth", [torch.zeros(1)])
    assert "unet.pth: holds a list, needed a state dict" in failure(weights)
    write(weights / "hyportrait/unet.pth", torch.nn.Linear(3, 4))
    assert "code or objects (torch.nn.modules.linear.Linear)" in failure(weights)
    write(weights / "hyportrait/unet.pth", {"state_dict": state(), "epoch": 3})
    assert "these entries are no tensors: state_dict, epoch" in failure(weights)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_is_refused(weights):
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), weights / "hyportrait/unet.pth")
    assert "a TorchScript program, needed a state dict" in failure(weights)


def test_a_folder_that_is_not_there_says_what_to_give(tmp_path):
    assert "give the one that holds hyportrait/ and vae/" in failure(tmp_path / "nowhere")


def test_the_users_optional_files_are_found(weights):
    assert find_user_files(weights) == {}
    (weights / "arcface.onnx").write_bytes(b"x")
    assert find_user_files(weights) == {"arcface": weights / "arcface.onnx"}


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
    assert module_shapes(torch.nn.Linear(3, 4, device="meta")) == SHAPES["unet"]

"""The published weights load strictly from upstream's folder, and all that is wrong with them is told at once."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError
from export.hunyuanportrait.upstream import NETWORK_FILES, find_user_files, load_checkpoints

SHAPES = {network: {"weight": (4, 3), "bias": (4,)} for network in NETWORK_FILES}


def state():
    return {"weight": torch.arange(12.0).reshape(4, 3), "bias": torch.zeros(4)}


@pytest.fixture
def weights(tmp_path):
    root = tmp_path / "pretrained_weights"
    for names in NETWORK_FILES.values():
        path = root / names[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state(), path) if path.suffix == ".safetensors" else torch.save(state(), path)
    return root


def failure(folder) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoints(folder, SHAPES)
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


def test_half_precision_files_keep_their_dtype(weights):
    torch.save({k: v.half() for k, v in state().items()}, weights / "hyportrait/unet.pth")
    assert load_checkpoints(weights, SHAPES)["unet"]["weight"].dtype == torch.float16


def test_one_error_counts_the_files_and_tells_of_the_first_and_the_last(weights):
    torch.save({"weight": torch.zeros(4, 3), "extra.a": torch.zeros(1)}, weights / "hyportrait/unet.pth")
    torch.save({"weight": torch.zeros(3, 4), "bias": torch.zeros(4)}, weights / "hyportrait/dino.pth")
    (weights / "hyportrait/headpose.pth").unlink()
    (weights / "vae/diffusion_pytorch_model.fp16.safetensors").unlink()
    message = failure(weights)
    assert "(4 of 8 files)" in message.splitlines()[0]
    assert "unet.pth: 1 missing key: bias; 1 unexpected key: extra.a" in message
    assert "diffusion_pytorch_model.fp16.safetensors or vae/diffusion_pytorch_model.safetensors" in message
    assert len(message.splitlines()) == 3  # a headline, the first and the last
    (weights / "hyportrait/unet.pth").unlink()
    torch.save(state(), weights / "hyportrait/unet.pth")
    assert "dino.pth: 1 misshapen key: weight is (3, 4), needs (4, 3)" in failure(weights)


def test_a_folder_of_other_weights_is_told_in_few_words(weights):
    torch.save({f"layer.{n}.weight": torch.zeros(1) for n in range(20_000)}, weights / "hyportrait/unet.pth")
    message = failure(weights)
    assert "20000 unexpected keys: layer.0.weight, layer.1.weight, layer.2.weight and 19997 more" in message
    assert len(message) <= 600


def test_a_file_that_cannot_be_read_is_one_line_among_those_of_the_others(weights):
    (weights / "hyportrait/unet.pth").write_bytes(b"<html>404 not found</html>")
    (weights / "hyportrait/headpose.pth").unlink()
    headline, *lines = failure(weights).splitlines()
    assert "(2 of 8 files)" in headline and len(lines) == 2
    assert any(f"{weights / 'hyportrait/unet.pth'}: not a checkpoint; download it again" in line for line in lines)


def test_a_folder_that_is_not_there_says_what_to_give(tmp_path):
    assert "give the one that holds hyportrait/ and vae/" in failure(tmp_path / "nowhere")


def test_the_users_optional_files_are_found(weights):
    assert find_user_files(weights) == {}
    (weights / "arcface.onnx").write_bytes(b"x")
    assert find_user_files(weights) == {"arcface": weights / "arcface.onnx"}

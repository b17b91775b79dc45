"""The published weights load strictly from upstream's folder, in any spelling; all that is wrong is told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError
from export.hallo2.architecture import NETWORKS, PREFIXES
from export.hallo2.upstream import FILE_OF, NET, PLACES, SPEECH, VAE, Checkpoints, find_user_files
from export.hallo2.weights import open_source
from export.weights.packed import write_weights
from export.weights.random import random_state_dict
from tests.export.hallo2.tiny import TINY_TALK

ARCHITECTURE = TINY_TALK.architecture
States = dict[str, dict[str, torch.Tensor]]


@pytest.fixture(scope="module")
def published() -> States:
    """File -> its tensors under their published keys."""
    files: States = {file: {} for file in PLACES}
    for network in NETWORKS:
        state = random_state_dict(ARCHITECTURE.build(network), PREFIXES[network])
        files[FILE_OF[network]] |= {PREFIXES[network] + key: tensor for key, tensor in state.items()}
    return files


def write(root: Path, file: str, state: dict[str, torch.Tensor], place: int = 0) -> Path:
    path = root / PLACES[file][place]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({key: tensor.contiguous() for key, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    return path


@pytest.fixture
def weights(published, tmp_path) -> Path:
    root = tmp_path / "pretrained_models"
    for file, state in published.items():
        write(root, file, state)
    return root


def is_whole(checkpoints: Checkpoints, published: States) -> bool:
    """Whether every network has its published numbers, and fits."""
    for network in NETWORKS:
        state = checkpoints.state(network)
        assert all(torch.equal(v, published[FILE_OF[network]][PREFIXES[network] + k]) for k, v in state.items())
        ARCHITECTURE.load(network, state)
    return True


def failure(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(ARCHITECTURE, folder)
    return str(caught.value)


def test_the_published_layout_loads_from_its_folder_and_from_the_folder_above(weights, published):
    for folder in (weights, weights.parent):
        assert is_whole(Checkpoints(ARCHITECTURE, folder), published)


def test_what_the_random_rule_makes_of_the_same_keys_are_the_same_networks(weights):
    """The seeds of published keys are of the whole key, with its prefix."""
    read, ruled = (open_source(ARCHITECTURE, place, preset="tiny_talk") for place in (weights, None))
    for network in NETWORKS:
        state = ruled.state(network)
        assert all(torch.equal(value, state[key]) for key, value in read.state(network).items())


def test_older_files_beside_are_read_where_the_newer_are_not(weights, published):
    for file in (VAE, SPEECH):
        (weights / PLACES[file][0]).unlink()
        write(weights, file, published[file], place=1)
    assert is_whole(Checkpoints(ARCHITECTURE, weights), published)


def older_attention(key: str) -> str:
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        key = key.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
    return key


@pytest.mark.parametrize("convolutions", [False, True])
@pytest.mark.parametrize("renamed", [False, True])
def test_the_autoencoders_attention_may_have_older_names_and_be_convolutions(weights, published, renamed, convolutions):
    def stored(key, tensor):
        return tensor[:, :, None, None] if convolutions and tensor.ndim == 2 else tensor

    state = {older_attention(k) if renamed else k: stored(k, v) for k, v in published[VAE].items()}
    assert ("encoder.mid_block.attentions.0.proj_attn.weight" in state) == renamed
    write(weights, VAE, state)
    assert is_whole(Checkpoints(ARCHITECTURE, weights), published)


def test_the_position_convolution_may_be_spelt_as_newer_libraries_do_and_a_head_is_left_out(weights, published):
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    state = dict(published[SPEECH])
    for old, new in names.items():
        state[f"wav2vec2.encoder.pos_conv_embed.conv.{new}"] = state.pop(f"wav2vec2.encoder.pos_conv_embed.conv.{old}")
    write(weights, SPEECH, state | {"lm_head.weight": torch.zeros(3, 3), "lm_head.bias": torch.zeros(3)})
    assert is_whole(Checkpoints(ARCHITECTURE, weights), published)


def test_a_key_in_both_spellings_is_one_too_many(weights, published):
    extra = {"wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0": torch.zeros(1, 1, 8)}
    write(weights, SPEECH, published[SPEECH] | extra)
    assert f"1 unexpected key: {next(iter(extra))}" in failure(weights)


def test_half_precision_is_kept_in_the_files_and_widened_in_the_networks(weights, published):
    write(weights, NET, {key: value.half() for key, value in published[NET].items()})
    checkpoints = Checkpoints(ARCHITECTURE, weights)
    assert checkpoints.state("imageproj")["proj.weight"].dtype == torch.float16
    for network in ("imageproj", "denoising_unet"):
        module = ARCHITECTURE.load(network, checkpoints.state(network))
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_all_that_is_wrong_with_all_files_is_one_error_of_a_few_lines(weights, published):
    state = dict(published[NET])
    first = next(iter(state))
    state.pop(first)
    state |= {"audio_unet.bias": torch.zeros(1), "imageproj.norm.bias": torch.zeros(3)}
    write(weights, NET, state)
    (weights / PLACES[VAE][0]).unlink()
    message = failure(weights)
    assert "(2 of 3 files)" in message
    for text in (
        f"1 missing key: {first}",
        "1 unexpected key: audio_unet.bias",
        "1 misshapen key: imageproj.norm.bias is (3,), needs (16,)",
        "no file, needed sd-vae-ft-mse/diffusion_pytorch_model.safetensors or sd-vae-ft-mse/diffusion_pytorch_model.b",
    ):
        assert text in message
    write(weights, NET, {f"unet.{n}": torch.zeros(1) for n in range(2_000)})
    assert "2000 unexpected keys" in failure(weights) and len(failure(weights)) <= 1000


def test_a_speech_encoder_without_its_prefix_says_which_keys_it_lacks(weights, published):
    write(weights, SPEECH, {key.removeprefix("wav2vec2."): value for key, value in published[SPEECH].items()})
    assert "missing keys: wav2vec2.masked_spec_embed" in failure(weights)


def test_a_position_table_that_is_another_than_the_formulas_is_refused(weights, published):
    key = next(key for key in published[NET] if key.endswith(".pe"))
    write(weights, NET, published[NET] | {key: published[NET][key] + 0.1})
    checkpoints = Checkpoints(ARCHITECTURE, weights)
    with pytest.raises(CheckpointError, match="pe"):
        ARCHITECTURE.load("denoising_unet", checkpoints.state("denoising_unet"))


def test_the_other_models_folder_is_named(tmp_path):
    (tmp_path / "pretrained_weights/hyportrait").mkdir(parents=True)
    says = "another model, hunyuanportrait; build that one: --preset hunyuanportrait"
    assert says in failure(tmp_path / "pretrained_weights")


def test_a_folder_that_is_not_there_says_what_to_give(tmp_path):
    assert "give the one that holds hallo2/net.pth, sd-vae-ft-mse/, wav2vec/" in failure(tmp_path / "nowhere")


def test_the_users_optional_files_are_found(weights):
    assert find_user_files(weights) == {}
    for place in ("face_analysis/models/glintr100.onnx", "audio_separator/Kim_Vocal_2.onnx"):
        (weights / place).parent.mkdir(parents=True)
        (weights / place).write_bytes(b"x")
    assert [path.name for path in find_user_files(weights).values()] == ["glintr100.onnx", "Kim_Vocal_2.onnx"]


def test_trained_weights_in_one_file_are_taken_for_their_preset_alone(published, tmp_path):
    states = {
        network: random_state_dict(ARCHITECTURE.build(network), PREFIXES[network], dtype=torch.float16)
        for network in NETWORKS
    }
    write_weights(tmp_path / "mine.safetensors", states, preset="tiny_talk")
    source = open_source(ARCHITECTURE, tmp_path / "mine.safetensors", preset="tiny_talk")
    for network in NETWORKS:
        ARCHITECTURE.load(network, source.state(network))
    with pytest.raises(CheckpointError, match="holds weights of preset tiny_talk, asked for is talk_pocket"):
        open_source(ARCHITECTURE, tmp_path / "mine.safetensors", preset="talk_pocket")

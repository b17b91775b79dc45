"""The published weights load strictly from upstream's folder; what may be left out may be, what is mistaken is told."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError
from export.enhancer.architecture import NETWORKS
from export.enhancer.presets import ENHANCER_POCKET, ENHANCER_TINY
from export.enhancer.upstream import PLACES, Checkpoints, networks_in
from export.enhancer.weights import networks_of, open_source
from export.hallo2.upstream import weights_root as hallo2_root
from tests.export.enhancer.tiny import TINY_PUBLISHED, state_of, write, write_all

ARCHITECTURE = TINY_PUBLISHED.architecture


@pytest.fixture
def weights(tmp_path):
    return write_all(tmp_path / "pretrained_models")


def failure(folder, networks=NETWORKS) -> str:
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(ARCHITECTURE, folder, networks)
    return str(caught.value)


def test_the_published_layout_loads_from_its_folder_and_from_the_folder_above(weights):
    for folder in (weights, weights.parent):
        checkpoints = Checkpoints(ARCHITECTURE, folder)
        for network in NETWORKS:
            state = checkpoints.state(network)
            assert all(torch.equal(state[key], value) for key, value in state_of(network).items())
            ARCHITECTURE.load(network, state)


def test_keys_may_begin_as_a_network_on_several_devices_has_them(weights):
    write(weights, "detector", {f"module.{key}": value for key, value in state_of("detector").items()})
    assert Checkpoints(ARCHITECTURE, weights).state("detector").keys() == state_of("detector").keys()


def test_a_file_without_the_averaged_entry_is_the_network_itself(weights):
    torch.save(state_of("upscaler"), weights / PLACES["upscaler"])
    assert Checkpoints(ARCHITECTURE, weights).state("upscaler").keys() == state_of("upscaler").keys()


@pytest.mark.parametrize(
    ("network", "place"), [("restorer", "upscaler"), ("upscaler", "restorer"), ("parser", "detector")]
)
def test_a_file_in_anothers_place_is_told_with_where_it_belongs(weights, network, place):
    write(weights, network, state_of(network), place=place)
    said = f"{PLACES[place]} is the {place}'s place, and the file there holds the {network}; that is {PLACES[network]}"
    assert said in failure(weights)


@pytest.mark.parametrize("left_out", [("restorer",), ("parser", "detector"), ("restorer", "parser", "detector")])
def test_all_files_but_the_upscalers_may_be_left_out(weights, left_out):
    for network in left_out:
        (weights / PLACES[network]).unlink()
    held = networks_of(TINY_PUBLISHED, weights)
    assert held == networks_in(weights) == tuple(n for n in NETWORKS if n not in left_out)
    assert open_source(TINY_PUBLISHED, weights, held).kind == "published"


def test_the_upscalers_file_may_not(weights):
    (weights / PLACES["upscaler"]).unlink()
    assert "upscaler" in networks_of(TINY_PUBLISHED, weights)
    assert "upscaler: no file, needed realesrgan/RealESRGAN_x2plus.pth" in failure(weights)


def test_a_folder_with_none_of_the_files_names_them(tmp_path):
    with pytest.raises(CheckpointError, match=r"has none of realesrgan/RealESRGAN_x2plus\.pth, hallo2/net_g\.pth"):
        networks_in(tmp_path)


def test_one_download_holds_this_model_and_hallo2(weights, tmp_path):
    (weights / "hallo2/net.pth").write_bytes(b"x")
    assert networks_in(weights) == NETWORKS
    assert hallo2_root(weights) == weights
    (weights / "hyportrait").mkdir()
    assert networks_in(weights) == NETWORKS


def test_the_folder_of_another_model_is_named(tmp_path):
    (tmp_path / "hyportrait").mkdir()
    with pytest.raises(CheckpointError, match="another model, hunyuanportrait; build that one"):
        networks_in(tmp_path)


def test_a_folder_is_of_the_published_preset_alone(weights, tmp_path):
    with pytest.raises(CheckpointError, match=r"which are of preset enhancer; enhancer_pocket takes a \.safetensors"):
        networks_of(ENHANCER_POCKET, weights)
    save_file({"x": torch.zeros(1)}, tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError, match=r"is no file of export\.train"):
        open_source(ENHANCER_TINY, tmp_path / "odd.safetensors", NETWORKS)

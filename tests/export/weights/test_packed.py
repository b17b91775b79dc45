"""The file of trained weights: what goes in comes out, and what is wrong with a file is said in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from engines.errors import CheckpointError, DiskError
from engines.manifest import OWN_SOURCE
from export.hunyuanportrait.architecture import LIVE_NETWORKS, NETWORKS
from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.weights import live_weights, packed_weights
from export.weights import packed as weights
from export.weights.packed import PackedWeights, networks_in, write_weights
from export.weights.random import random_state_dict
from tests.export.tiny import TINY


@pytest.fixture(scope="module")
def states():
    return {name: random_state_dict(TINY.architecture.build(name)) for name in NETWORKS}


@pytest.fixture
def path(states, tmp_path) -> Path:
    write_weights(tmp_path / "w.safetensors", states, preset="tiny")
    return tmp_path / "w.safetensors"


def opened(path: Path, preset=TINY) -> PackedWeights:
    return packed_weights(preset.architecture, path, preset=preset.name)


def refusal(path: Path, preset=TINY) -> str:
    with pytest.raises(CheckpointError) as caught:
        opened(path, preset)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_weights_come_back_in_half_precision(path, states):
    packed = opened(path)
    assert packed.kind == "trained" and packed.source == str(path)
    for network in NETWORKS:
        state = packed.state(network)
        assert state.keys() == states[network].keys()
        for key, value in states[network].items():
            assert torch.equal(state[key], value.half() if value.is_floating_point() else value)
        TINY.architecture.load(network, state)


def test_the_same_weights_make_the_same_bytes(path, states, tmp_path):
    for i in range(4):  # safetensors keeps its metadata in no order of its own
        write_weights(tmp_path / f"{i}.safetensors", states, preset="tiny")
        assert (tmp_path / f"{i}.safetensors").read_bytes() == path.read_bytes()


def test_only_networks_whose_weights_differ_have_other_fingerprints(path, states, tmp_path):
    changed = {**states, "vae": {k: v + 1 if v.is_floating_point() else v for k, v in states["vae"].items()}}
    write_weights(tmp_path / "other.safetensors", changed, preset="tiny")
    before, after = opened(path), opened(tmp_path / "other.safetensors")
    assert [n for n in NETWORKS if before.fingerprint(n) != after.fingerprint(n)] == ["vae"]


def test_the_packages_own_file_is_called_so(path, monkeypatch):
    monkeypatch.setattr(weights, "POCKET", path)
    assert opened(path).source == OWN_SOURCE


def test_weights_of_another_preset_are_refused(path):
    assert "holds weights of preset tiny, asked for is pocket; choose its preset" in refusal(path, POCKET)


def test_weights_of_other_sizes_are_refused_in_a_line_that_stays_short(states, tmp_path):
    write_weights(tmp_path / "w.safetensors", states, preset="pocket")
    message = refusal(tmp_path / "w.safetensors", POCKET)
    assert "is not what preset pocket needs: appearance: " in message and "missing keys" in message
    assert len(message) < 3500


def test_missing_and_unknown_entries_are_named(states, tmp_path):
    head_pose = dict(states["head_pose"])
    gone = next(iter(head_pose))
    head_pose.pop(gone)
    write_weights(tmp_path / "w.safetensors", {**states, "head_pose": head_pose, "ears": head_pose}, preset="tiny")
    message = refusal(tmp_path / "w.safetensors")
    assert f"head_pose: 1 missing key: {gone}" in message and "ears: unknown network" in message


def test_infinite_weights_are_refused(states, tmp_path):
    wild = {key: value * 1e38 for key, value in states["image_proj"].items()}
    write_weights(tmp_path / "w.safetensors", {**states, "image_proj": wild}, preset="tiny")
    assert "image_proj: 2 keys with NaN or infinity" in refusal(tmp_path / "w.safetensors")


def _flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def _save_without_metadata(path: Path) -> None:
    save_file(load_file(path), path.with_name("plain.safetensors"))
    path.with_name("plain.safetensors").replace(path)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_flip_a_bit, "is damaged: its weights are not those that were written"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "truncated, or not a safetensors file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "is a Git LFS pointer"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "truncated, or not a safetensors file"),
        (_save_without_metadata, "is no file of export.train: it does not name its preset"),
        (lambda path: path.unlink(), "cannot be read: No such file or directory"),
    ],
    ids=["bit", "cut", "empty", "pointer", "pickle", "foreign", "missing"],
)
def test_a_file_that_is_not_as_it_was_written_is_refused(path, harm, says):
    harm(path)
    assert says in refusal(path)


def test_a_write_that_fails_leaves_the_file_that_was_there(path, states, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(DiskError, match="could not be written: Input/output error; the disk fails"):
        write_weights(path, states, preset="another")
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_file_can_be_read_by_anybody(path):
    with safe_open(path, framework="pt") as file:
        assert '"preset": "tiny"' in file.metadata()["hp-trt"]


@pytest.fixture(scope="module")
def live_states():
    return {name: random_state_dict(TINY.architecture.build(name)) for name in LIVE_NETWORKS}


@pytest.mark.parametrize("held", [("live_unet",), ("tiny_decoder",), LIVE_NETWORKS])
def test_live_weights_may_hold_either_network_and_know_their_teacher(live_states, tmp_path, held):
    path = tmp_path / "live.safetensors"
    write_weights(path, {name: live_states[name] for name in held}, preset="tiny", teacher="abc")
    live = live_weights(TINY.architecture, path, preset="tiny")
    assert live.networks == networks_in(path, LIVE_NETWORKS) == held
    assert live.teacher == "abc"
    for name in held:
        TINY.architecture.load(name, live.state(name))
        assert live.fingerprint(name)


def test_all_networks_of_a_preset_are_no_live_weights_and_the_other_way_round(path, live_states, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds appearance, .*live weights are live_unet and tiny_decoder alone"):
        live_weights(TINY.architecture, path, preset="tiny")
    write_weights(tmp_path / "live.safetensors", live_states, preset="tiny")
    message = refusal(tmp_path / "live.safetensors")
    assert "live_unet: unknown network" in message and "appearance: " in message


def test_live_weights_of_another_preset_or_other_sizes_are_refused(live_states, tmp_path):
    path = tmp_path / "live.safetensors"
    write_weights(path, live_states, preset="tiny")
    with pytest.raises(CheckpointError, match="holds weights of preset tiny, asked for is pocket"):
        live_weights(POCKET.architecture, path, preset="pocket")
    write_weights(path, live_states, preset="pocket")
    with pytest.raises(CheckpointError, match="is not what preset pocket needs: live_unet: "):
        live_weights(POCKET.architecture, path, preset="pocket")


def test_a_file_that_is_no_safetensors_names_no_live_networks(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"12345678")
    for path in (tmp_path / "x.safetensors", tmp_path / "gone.safetensors"):
        with pytest.raises(CheckpointError, match=str(path)):
            networks_in(path, LIVE_NETWORKS)

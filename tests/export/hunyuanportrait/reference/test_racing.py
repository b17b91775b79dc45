"""The released program for the bench's race: which weights it takes, and which it asks for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from engines.errors import InputError
from engines.manifest import OWN_SOURCE
from export.hunyuanportrait.architecture import LIVE_NETWORKS, NETWORKS
from export.hunyuanportrait.presets import POCKET
from export.hunyuanportrait.reference import weights as reference_weights
from export.hunyuanportrait.reference.racing import ReleasedProgram
from export.hunyuanportrait.reference.weights import released_networks
from export.hunyuanportrait.weights import open_source
from export.weights.own import own_live_weights, own_weights


@pytest.fixture
def loaded(monkeypatch):
    """What would be loaded, by network, instead of loading it."""
    states = {}
    monkeypatch.setattr(reference_weights, "load_networks", lambda configs, found: states.update(found))
    return states


@pytest.fixture(scope="module")
def fingerprints():
    """Those of the demo's bundle: pocket's own weights, and live mode's."""
    source = open_source(POCKET.architecture, own_weights("pocket"), preset="pocket", live=own_live_weights("pocket"))
    return {network: source.fingerprint(network) for network in (*NETWORKS, *LIVE_NETWORKS)}


def test_a_bundle_with_live_graphs_is_raced_with_the_networks_that_were_released(loaded, fingerprints):
    released_networks("pocket", fingerprints, own_weights("pocket"))
    assert tuple(loaded) == NETWORKS


def test_weights_that_are_not_the_bundles_are_refused_by_name(loaded, fingerprints):
    with pytest.raises(InputError, match="built from other weights for unet, vae than"):
        released_networks("pocket", fingerprints | {"unet": "00", "vae": "00"}, own_weights("pocket"))
    assert not loaded


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"kind": "published", "source": "w"}, "has published weights .*; add --weights DIR"),
        ({"kind": "trained", "source": "my.safetensors"}, r"has trained weights .*; add --weights FILE\.safetensors"),
    ],
)
def test_racing_weights_that_are_not_at_hand_asks_for_them(weights, says):
    with pytest.raises(InputError, match=says):
        ReleasedProgram(SimpleNamespace(preset="pocket", weights=weights), weights=None, threads=1)


def test_racing_the_weights_that_came_with_the_package_finds_them(loaded, fingerprints):
    weights = {"kind": "trained", "source": OWN_SOURCE, "fingerprint": fingerprints}
    threads = torch.get_num_threads()
    try:
        program = ReleasedProgram(SimpleNamespace(preset="pocket", weights=weights), weights=None, threads=1)
        assert (program.threads, torch.get_num_threads()) == (1, 1)
    finally:
        torch.set_num_threads(threads)
    assert tuple(loaded) == NETWORKS

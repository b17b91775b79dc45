"""A model is found by the name of a preset of it, and answers what a build asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engines.errors import InputError
from engines.spec import QUANTIZATIONS
from export.enhancer import presets as enhancer
from export.hallo2 import presets as hallo2
from export.hunyuanportrait import presets as hunyuanportrait
from export.models import MODELS, Model, find_model
from tests.export.hallo2 import tiny as talk
from tests.export.tiny import TINY, make_known

TINIES = {
    "hunyuanportrait": TINY,
    "hallo2": talk.TINY_TALK,
    "enhancer": enhancer.ENHANCER_TINY,
}  # model -> a preset of it


@pytest.fixture(params=TINIES)
def tiny(request, monkeypatch):
    """A tiny preset of each model, which builds know."""
    make_known(monkeypatch, TINY)
    talk.make_known(monkeypatch, talk.TINY_TALK)
    return TINIES[request.param]


def test_every_preset_names_its_model():
    rooms = {
        "hunyuanportrait": hunyuanportrait.PRESETS,
        "hallo2": hallo2.PRESETS,
        "enhancer": enhancer.PRESETS,
    }
    assert set(MODELS) == {preset for presets in rooms.values() for preset in presets}
    for model, presets in rooms.items():
        for preset, known in presets.items():
            found: Model = find_model(preset)
            assert found.name == model and found.preset is known


def test_a_preset_that_there_is_not_is_refused_before_torch_is_there():
    code = """
import sys
from engines.errors import InputError
from export.models import find_model
try:
    find_model("poket")
except InputError:
    rooms = {"export.hunyuanportrait", "export.hallo2", "export.enhancer"}
    assert "torch" not in sys.modules and not rooms & set(sys.modules)
else:
    sys.exit("found")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("preset", "says"),
    [
        ("poket", "there is no preset 'poket'; did you mean pocket?"),
        ("dog", "there is no preset 'dog'; choose one of hunyuanportrait, pocket"),
    ],
)
def test_a_preset_that_there_is_not_says_which_there_are(preset, says):
    with pytest.raises(InputError, match=says.replace("?", r"\?")):
        find_model(preset)


def test_graphs_that_are_asked_for_come_beside_the_others_and_change_none(tiny_preset):
    model, sizes = find_model(tiny_preset), {"size": TINY.size, "frames": TINY.frames, "half": False}
    plain = model.graphs(**sizes)
    every = model.graphs(**sizes, reuse=True, live=model.live_networks, quantize=QUANTIZATIONS)
    assert list(every)[: len(plain)] == list(plain)
    assert all(every[name].spec == graph.spec for name, graph in plain.items())
    # What a graph shares, and what one in 8 bits is made from, is built before it.
    order = list(every)
    for name, graph in every.items():
        before = graph.shares or (graph.source if graph.quantized else "")
        assert not before or order.index(before) < order.index(name)


def test_the_networks_of_a_models_graphs_are_those_that_it_names_and_makes(tiny):
    model = find_model(tiny.name)
    beside = {"reuse": True, "live": model.live_networks} if model.live_networks else {}
    graphs = model.graphs(size=tiny.size, frames=tiny.frames, half=False, **beside)
    named = {*model.networks, *model.live_networks}
    assert {network for graph in graphs.values() for network in graph.networks} == named
    for network in named:
        assert all(parameter.is_meta for parameter in model.build(network).parameters())
        assert model.network_facts(network)


def test_only_a_graph_that_the_released_program_has_another_way_of_counts_its_arithmetic(tiny_preset):
    model, sizes = find_model(tiny_preset), {"size": TINY.size, "frames": TINY.frames}
    counted = {name: model.released_flops(name, **sizes) for name in model.graphs(**sizes, half=False)}
    assert {name for name, flops in counted.items() if flops} == {"denoiser"}

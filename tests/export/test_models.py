"""A model is found by the name of a preset of it, and answers what a build asks."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from engines.spec import QUANTIZATIONS
from export.models import ROOMS, Model, find_model
from tests.export.tiny import TINY


def test_every_preset_of_every_room_names_its_model():
    for room, models in ROOMS.items():
        for preset, model in models().items():
            found: Model = find_model(preset)
            assert (found.name, found.preset.name) == (room, preset) == (model.name, preset)


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


def test_the_networks_of_a_models_graphs_are_those_that_it_names_and_makes(tiny_preset):
    model = find_model(tiny_preset)
    graphs = model.graphs(size=TINY.size, frames=TINY.frames, half=False, reuse=True, live=model.live_networks)
    named = {*model.networks, *model.live_networks}
    assert {network for graph in graphs.values() for network in graph.networks} == named
    for network in named:
        assert all(parameter.is_meta for parameter in model.build(network).parameters())
        assert model.network_facts(network)


def test_only_a_graph_that_the_released_program_has_another_way_of_counts_its_arithmetic(tiny_preset):
    model, sizes = find_model(tiny_preset), {"size": TINY.size, "frames": TINY.frames}
    counted = {name: model.released_flops(name, **sizes) for name in model.graphs(**sizes, half=False)}
    assert {name for name, flops in counted.items() if flops} == {"denoiser"}

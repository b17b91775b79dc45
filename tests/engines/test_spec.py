"""What a graph promises of its use, and its name."""

from __future__ import annotations

import json

import pytest

from engines.spec import NetworkSpec, plain_name
from tests.fakes import spec


def decoder(**promised) -> NetworkSpec:
    return spec("pictures", {"latents": ("chunk", 4)}, {"frames": ("chunk", 3)}, **promised)


def test_a_promise_survives_its_own_json():
    promise = decoder(unit="chunk", lane="decode", repeated=True, context=2)
    assert NetworkSpec.from_json(json.loads(json.dumps(promise.to_json()))) == promise
    assert promise != decoder()


@pytest.mark.parametrize(
    ("promised", "message"),
    [
        ({"unit": "rows"}, r"pictures: work is counted by a run-time dimension, one of \['chunk'\], got 'rows'"),
        ({"lane": "copy"}, "pictures: the lane is one of denoise, decode, got 'copy'"),
        ({"context": -1}, "pictures: needs a context of at least 0 frames, got -1"),
    ],
)
def test_a_promise_that_cannot_be_kept_is_not_made(promised, message):
    with pytest.raises(ValueError, match=message):
        decoder(**promised)


def test_the_name_of_a_graph_in_8_bits_has_its_plain_one_in_it():
    assert plain_name("live_denoiser_fp8") == ("live_denoiser", "fp8")
    assert plain_name("denoiser_int8") == ("denoiser", "int8")
    assert plain_name("denoiser_inner") == ("denoiser_inner", None)


def test_outputs_that_are_wanted_are_all_or_those_that_are_named():
    promise = spec("g", {"x": ("n",)}, {"a": ("n", 2), "b": (3,)})
    assert promise.wanted(None) == promise.outputs
    assert promise.wanted({"b"}) == promise.outputs[1:] and promise.wanted(()) == ()
    with pytest.raises(ValueError, match="g has no output c, d; it has a, b"):
        promise.wanted(["d", "a", "c"])
    assert promise.output("a").shape_at({"n": 5}) == (5, 2)

"""What can be chosen, and what excludes each other."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.enhancer.networks import GRAPHS
from hp_trt.enhancer.options import Options

ALL = tuple(GRAPHS)


def test_what_is_left_out_does_not_work():
    assert Options().roles(ALL) == ALL
    assert Options(restore=False).roles(ALL) == ("upscaler",)
    assert Options(upscale=False).roles(ALL) == ("restorer", "parser", "detector")
    assert Options().roles(("upscaler",)) == Options(restore=False).roles(("upscaler",)) == ("upscaler",)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"restore": False, "upscale": False}, "there is nothing to do; leave one of them"),
        ({"restore": False, "fidelity": 0.5}, "fidelity: only where faces are restored"),
        ({"restore": False, "released": True, "face_upsample": True}, "face_upsample, released: only where faces"),
        ({"upscale": False, "face_upsample": True}, "face_upsample: only with the upscaler"),
        ({"upscale": False, "repeat": True}, "repeat: only with the upscaler"),
        ({"upscale": False, "released": True}, "released: only with the upscaler"),
        ({"released": True, "repeat": True}, "leave repeat out, or released"),
        ({"restore": "no"}, "restore must be True or False, got 'no'"),
        ({"scale": 3}, "there is no scale 3"),
        ({"fidelity": "much"}, "fidelity must be a number from 0 to 1, got 'much'"),
    ],
)
def test_what_cannot_be_is_refused(given, says):
    with pytest.raises(InputError, match=says):
        Options(**given)

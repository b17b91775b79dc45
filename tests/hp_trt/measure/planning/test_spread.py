"""Several devices, held against arithmetic by hand."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.measure.planning.plan import PredictConfig, plan
from hp_trt.measure.planning.spread import Spread


@pytest.mark.parametrize(
    ("pieces", "devices", "speedup"), [(1, 2, 1), (2, 2, 2), (3, 2, 1.5), (7, 2, 1.75), (7, 4, 3.5), (3, 8, 3)]
)
def test_w_windows_on_k_devices_take_as_many_turns_as_it_takes(pieces, devices, speedup):
    spread = Spread(devices=devices, pieces={"denoise": pieces}, between_bytes=0)
    assert spread.speedup("denoise") == speedup
    assert spread.seconds("denoise", 6.0) == 6.0 / speedup and spread.seconds("read", 6.0) == 6.0


def test_a_plan_for_two_cards_halves_the_windows_turns_and_nothing_else():
    one, two = (plan(PredictConfig(gpu="H200", devices=devices)).prediction for devices in (1, 2))
    before, after = ({stage.stage: stage.seconds for stage in made.stages} for made in (one, two))
    windows = one.work.windows
    assert after["denoise"] == pytest.approx(before["denoise"] * -(-windows // 2) / windows)
    assert {name for name in before if before[name] != after[name]} == {"denoise", "decode"}
    assert two.frames_per_s > one.frames_per_s and two.flops == one.flops


def test_what_goes_between_two_devices_is_half_of_all_windows_and_chunks():
    made = plan(PredictConfig(gpu="H200", preset="pocket", frames=30, devices=2)).prediction
    work, cells = made.work, (128 // 8) ** 2
    calls = [call for call in work.graphs["denoise"] if call.frames]
    latents = sum(call.times * call.frames for call in calls) * 2 * 4 * 4 * cells
    frames = sum(call.times * call.units for call in work.graphs["decode"])
    pixels = frames * (3 * 128 * 128 + 4 * 4 * cells)
    assert made.spread is not None and made.spread.between_bytes * 2 > latents + pixels  # and tokens
    assert made.spread.between_bytes * 2 < 3 * (latents + pixels)


def test_work_that_goes_on_from_itself_is_not_planned_for_several_devices():
    with pytest.raises(InputError, match="2 devices do not help speech"):
        plan(PredictConfig(gpu="H200", preset="talk_pocket", devices=2))
    with pytest.raises(InputError, match="do not help live mode"):
        plan(PredictConfig(gpu="H200", profile="live", devices=2))
    with pytest.raises(InputError, match="--devices must be 1 to 64, got 0"):
        PredictConfig(gpu="H200", devices=0)

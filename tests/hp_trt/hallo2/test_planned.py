"""Plans of portraits that speak, against arithmetic done by hand."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from engines.bundle import Bundle
from engines.errors import InputError
from engines.manifest import Manifest
from hp_trt.hallo2.planned import PlannedHallo2
from hp_trt.measure.planning import plan as module
from hp_trt.measure.planning.here import example, sizes_of
from hp_trt.measure.planning.plan import PredictConfig, plan
from hp_trt.measure.planning.planned_model import model_of_bundle, model_of_preset
from hp_trt.measure.planning.predict import Timed, predict
from hp_trt.measure.planning.table import show
from runtime.work import Call
from tests.hp_trt.hallo2.bundles import FRAMES, good

ROOM = PlannedHallo2()
H100_FLOPS = 0.40 * 989e12


class Known:
    """A machine on which every graph call takes a second, every piece of the host's work a tenth."""

    name, cores, memory_bytes, takes_turns = "known", 100, None, True

    def graph(self, model, call):
        return Timed(seconds=float(call.times), core_s=0.0, bound="measured")

    def host(self, stage, pieces):
        return Timed(seconds=0.1 * pieces, core_s=0.0, bound="measured")


def planned(**options):
    return plan(PredictConfig(gpu="H100", preset="hallo2", **options))


def printed(made):
    out = io.StringIO()
    show(made, Console(file=out, width=200))
    return out.getvalue()


def work_of(model, frames, profile="exact", steps=None):
    return ROOM.work(ROOM.profiles.find(profile), model, frames, steps=steps)


def test_the_released_settings_are_seven_times_too_slow_for_real_time_on_an_h100():
    made = planned(frames=160)
    # Ten clips of 40 steps of 46 TFLOP and 40 of decoding; the rest is a hundredth
    assert made.prediction.total_s == pytest.approx(10 * (40 * 46e12 + 40.2e12) / H100_FLOPS, rel=0.03)
    data = made.to_json()["prediction"]
    assert data["clips_per_s"] == pytest.approx(10 / made.prediction.total_s)
    assert data["real_time"] == pytest.approx(160 / made.prediction.total_s / 25)
    assert 7 < 1 / data["real_time"] < 8
    text = printed(made)
    assert "clips        10 of 16 frames, 0.64 s each, 40 steps, both halves of guidance" in text
    assert "of real time (25 frames/s); stages one after the other" in text and "s a clip" in text


def test_one_half_costs_a_little_more_than_half():
    both, one = planned(), planned(guidance=1.0)
    assert "one half of guidance alone" in printed(one)
    assert 0.5 < one.prediction.flops / both.prediction.flops < 0.56  # SPEC 11: 1056 of 1984


def test_the_json_of_a_plan_is_json():
    data = json.loads(json.dumps(planned(fps=25).to_json()))
    assert data["wishes"][0]["met"] is False and data["preset"] == "hallo2"


def test_in_a_clip_the_first_frame_waits_for_one_clip_of_all():
    model = model_of_preset("talk_pocket")
    prediction = predict(model, work_of(model, 24, steps=5), Known())
    # Three clips of 8: portrait 4, speech 1 + 3; a clip: motion frames 1, reference 1, steps 5, stitches 5, decoding
    # 2 chunks of 2 and 6 frames; once the steps' embeddings.
    seconds = {stage.stage: stage.seconds for stage in prediction.stages}
    assert seconds == pytest.approx(
        {
            "portrait_crop": 0.1,
            "portrait": 4,
            "speech": 4,
            "motion_frames": 3,
            "reference": 3,
            "denoise": 16,
            "stitch": 15,
            "decode": 6,
            "write": 2.4,
        }
    )
    assert prediction.window_s == pytest.approx(31 / 3)
    # All of the sound, a third of what clips take, and of 24 frames' decoding the first clip's 8: its last two, and
    # the chunk with the first.
    assert prediction.latency_s == pytest.approx(0.1 + 4 + 4 + 37 / 3 + 2)


def test_a_live_frame_waits_for_its_clip_and_two_frames_more():
    model = model_of_preset("talk_pocket")
    prediction = predict(model, work_of(model, 80, "live", steps=4), Known())
    # Ten clips: speech 2, motion frames 1, reference 1, denoise 4, stitch 4, decode 2; embeddings once
    assert prediction.latency_s == pytest.approx((8 - 1 + 2) / 25 + 14.1)
    assert prediction.clips_per_s == pytest.approx(1 / 14.1)


def test_memory_does_not_grow_with_the_sound():
    model = model_of_preset("hallo2")
    short, long = (predict(model, work_of(model, frames), Known()).memory for frames in (1500, 90_000))
    assert short == long


def test_what_a_clip_keeps_is_its_banks():
    """SPEC's sizes at 512 in half: 5 places of 4096 x 320, of 1024 x 640, of 256 x 1280, one of 64 x 1280."""
    model = model_of_preset("hallo2")
    row = 2 * (5 * (4096 * 320 + 1024 * 640 + 256 * 1280) + 64 * 1280)
    rest = 4 * (1500 * 12 * 768 + 320 * 4096 + 3 * (4096 + 1024 + 256 + 64) + 4 * 16 * 4 * 4096) + 2 * 16 * 32 * 768
    for guidance, rows in ((3.5, 4 + 4), (1.0, 4 + 2)):
        profile = module.replace(ROOM.profiles.find("exact"), sampling={"guidance": guidance})
        assert ROOM.clip_bytes(ROOM.work(profile, model, 1500), model) == rows * row + rest


def test_a_bundle_is_planned_by_its_own_records(tmp_path):
    bundle = Bundle(path=tmp_path, manifest=Manifest.from_json(good(levels=3)))
    model = model_of_bundle(bundle)
    assert (model.window, model.size, model.sampling.steps) == (FRAMES, 64, 4)
    work = work_of(model, 12)
    prediction = predict(model, work, Known())
    flops = {stage.stage: stage.flops for stage in prediction.stages}
    assert flops["denoise"] == 1000 * (4 + 3 * 4)  # the embeddings of four steps, and four calls of three clips
    assert prediction.memory.clip > 0


def test_every_call_has_the_sizes_that_its_graph_asks_for():
    from export.hallo2.graphs import bundle_graphs
    from export.hallo2.presets import TALK_POCKET

    made = bundle_graphs(TALK_POCKET.architecture, size=128, frames=8, motion_frames=2)
    model = model_of_preset("talk_pocket")
    for profile in ("exact", "live"):
        for call in (call for calls in work_of(model, 1600, profile).graphs.values() for call in calls):
            promise = made[call.graph].spec
            arrays = example(promise, found := sizes_of(call, promise, ROOM))
            assert promise.check_inputs(arrays) == found
            if call.graph == "speech_encoder":
                assert found["samples"] == 640 * call.units


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"rate": 30.0}, "hallo2 makes 25 frames of a second of sound, --rate asks for 30"),
        ({"guidance": 0.5}, "guidance can be 1 to 1000, got 0.5"),
        ({"profile": "quick"}, "there is no profile 'quick'; there are: exact, balanced, live"),
        ({"size": 100}, "multiple of 64 pixels"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_what_can(given, says):
    with pytest.raises(InputError, match=says):
        planned(**given)


def test_one_scale_of_guidance_is_not_every_models():
    with pytest.raises(InputError, match="pocket has no one scale of guidance"):
        plan(PredictConfig(gpu="H100", preset="pocket", guidance=1.0))


def test_the_speech_encoder_is_counted_by_its_piece():
    assert ROOM.counted_frames(Call(graph="speech_encoder", units=1500, times=1)) == 1500
    assert ROOM.counted_frames(Call(graph="talk_denoiser", units=1, times=1, frames=16)) == 16

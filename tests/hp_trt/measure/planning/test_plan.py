"""The plan as a whole, and the command: what it says, and what it refuses."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from engines.errors import InputError
from engines.gpu import Gpu, NoGpu
from hp_trt.hunyuanportrait.profiles import PROFILES
from hp_trt.measure.planning import plan as module
from hp_trt.measure.planning.gpus import find_card
from hp_trt.measure.planning.plan import PredictConfig, plan
from hp_trt.measure.planning.planned_model import model_of_preset
from hp_trt.measure.planning.predict import Card, predict
from hp_trt.measure.planning.table import show
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.work import clip_work

GRAPHS = ("appearance", "motion", "vae_encoder", "step_embedding", "denoiser", "vae_decoder")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    monkeypatch.setattr(module, "find_gpu", lambda index=0: NoGpu(found="none", fix="buy one"))


def printed(made):
    out = io.StringIO()
    show(made, Console(file=out, width=200))
    return out.getvalue()


def test_the_exact_profile_on_an_h200_misses_30_frames_a_second_and_says_what_would_not():
    made = plan(PredictConfig(gpu="H200", fps=30))
    # 9.96 PFLOP at 0.45 x 989 TFLOP/s are 22.4 s; the little rest is traffic and fp32
    assert made.prediction.total_s == pytest.approx(9.96e15 / (0.45 * 989e12), rel=0.01)
    (found,) = made.answers
    assert found.missed_by == pytest.approx(30 * made.prediction.total_s / 100)
    by_steps = next(choice for choice, _ in found.ways if choice.profile == "exact" and choice.size == 512)
    # 384.5 TFLOP a step, and decoding: two steps take 2.6 s, three 3.5 s, 30 frames/s are 3.3 s
    assert by_steps.steps == 2
    assert "met by 2 steps" in printed(made)


def test_the_table_says_what_is_assumed_and_what_is_missing():
    text = printed(plan(PredictConfig(gpu="rtx 4090")))
    assert "57% of the card's dense peaks are taken to be reached: an assumption" in text
    assert "the host's work is in no number (portrait_crop, first_face, read, crop, write)" in text
    assert "memory is an estimate" in text


def test_a_model_that_does_not_fit_is_told():
    assert any("it does not fit" in note for note in plan(PredictConfig(gpu="T4", precision="fp32", size=1024)).notes)
    assert not any("it does not fit" in note for note in plan(PredictConfig(gpu="H200")).notes)


def test_a_stream_slower_than_its_driver_is_told():
    made = plan(PredictConfig(gpu="T4", profile="live", rate=60, attainable=0.1))
    assert any(note.startswith("slower than a driver of 60 frames/s") for note in made.notes)


def test_live_mode_of_the_published_weights_is_planned_with_the_decoder_that_they_have():
    """Nobody has published a small decoder for them; pocket's own weights have one."""
    full, pocket = (plan(PredictConfig(gpu="H200", profile="live", preset=name)) for name in (None, "pocket"))
    decoders = [{call.graph for call in made.prediction.work.graphs["decode"]} for made in (full, pocket)]
    assert decoders == [{"vae_decoder"}, {"tiny_decoder"}]
    assert full.notes[0] == (
        "the weights of hunyuanportrait have no small decoder: the full one is planned; it comes with --live-weights "
        "FILE, which python -m export.distill makes"
    )
    assert not any("small decoder" in note for note in pocket.notes)
    # A window's eight frames: at 512 px the full decoder is 26 TFLOP of them, the small one 0.4.
    assert full.prediction.flops > 2 * 15 * 10.25e12


@pytest.mark.parametrize(
    ("card", "profile", "frames_per_s"),
    [("H100", "live-short", 187), ("H100", "live-short-4", 54), ("H100", "full", 77), ("RTX 4090", "full", 19.5)],
)
def test_windows_of_four_frames_are_as_fast_as_on_paper(tmp_path, card, profile, frames_per_s):
    """Three new frames of 1.71 TFLOP each a step, of 3.04 TFLOP each in the full decoder, of 0.05 in the small one."""
    file = tmp_path / "small.toml"
    file.write_text(f'[small]\nbase = "{profile}"\ndecoder = "tiny"\n')
    made = plan(PredictConfig(gpu=card, profile="live-short" if profile == "full" else str(file), rate=30))
    assert made.prediction.frames_per_s == pytest.approx(frames_per_s, rel=0.02)
    # A frame waits for two others, not for six.
    assert made.prediction.latency_s < 2 / 30 + 3.6 / made.prediction.frames_per_s


def test_a_wish_for_frames_a_second_is_one_for_a_driver_of_so_many():
    """Six of a window's seven new frames are waited for: 6 / 25 s are 0.240, 6 / 30 s are 0.200."""
    usual, wished, given = (
        plan(PredictConfig(gpu="H200", profile="live", preset="pocket", **options)).prediction.latency_s
        for options in ({}, {"fps": 30.0}, {"fps": 30.0, "rate": 25.0})
    )
    assert usual - wished == pytest.approx(0.040, abs=1e-4) and given == usual


def test_the_json_holds_every_number_of_the_table():
    data = json.loads(json.dumps(plan(PredictConfig(gpu="H200", latency_s=0.2)).to_json()))
    assert data["prediction"]["row_forwards"] == 300
    assert data["prediction"]["flops"] == sum(stage["flops"] for stage in data["prediction"]["stages"])
    assert data["wishes"][0]["met"] is False
    assert {way["profile"] for way in data["wishes"][0]["ways"]} <= set(PROFILES.own())


def test_here_without_a_gpu_needs_a_bundle():
    with pytest.raises(InputError, match=r"no GPU that can be used.*add --bundle shipped:pocket"):
        plan(PredictConfig(gpu="here"))


def test_here_without_a_bundle_is_the_gpu_that_the_driver_names(monkeypatch):
    gpu = Gpu(index=0, name="NVIDIA L40S", capability="8.9", total_bytes=40 * 10**9, driver_cuda=(13, 0))
    monkeypatch.setattr(module, "find_gpu", lambda index=0: gpu)
    made = plan(PredictConfig(gpu="here"))
    assert (made.device, made.memory_bytes) == ("L40S", 40 * 10**9)
    assert any("NVIDIA L40S by its data sheet" in note for note in made.notes)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"size": 500}, "multiple of 64 pixels, got 500; the nearest is 512"),
        ({"frames": 0}, "--frames must be at least 1, got 0"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"fps": 0.0}, "--fps must be above 0"),
        ({"latency_s": float("nan")}, "--latency must be above 0"),
        ({"attainable": 1.5}, "--attainable is a part of the card's peaks"),
        ({"preset": "large"}, "there is no preset 'large'; there are: hunyuanportrait, pocket"),
        ({"precision": "fp8"}, "there is no precision 'fp8'; there are: fp16, fp32"),
        ({"profile": "exakt"}, "did you mean exact"),
        ({"bundle": "x", "preset": "pocket"}, "--preset and --bundle were given"),
    ],
)
def test_what_cannot_be_planned_is_refused_with_what_can(given, says):
    with pytest.raises(InputError, match=says.replace("(", r"\(")):
        plan(PredictConfig(**{"gpu": "H200", **given}))


def test_the_command_prints_the_plan(hp_trt):
    ended = hp_trt("plan", "--gpu", "H200", "--preset", "pocket", "--json")
    assert ended.code == 0
    event = json.loads(ended.out)
    assert (event["event"], event["device"], event["preset"]) == ("result", "H200", "pocket")


def test_the_steps_that_a_profile_skips_are_among_those_that_a_wish_is_answered_with():
    made = plan(PredictConfig(gpu="H200", profile="balanced", fps=1))
    # 25 of which the last is skipped
    assert (made.choice.steps, made.prediction.work.steps) == (25, 24)
    same = plan(PredictConfig(gpu="H200", profile="balanced", steps=25))
    assert same.prediction.total_s == made.prediction.total_s
    asked = plan(PredictConfig(gpu="H200", fps=6))
    (choice, got) = next((c, g) for c, g in asked.answers[0].ways if c.profile == "exact")
    assert plan(PredictConfig(gpu="H200", steps=choice.steps)).prediction.frames_per_s == pytest.approx(got)


def test_a_clip_is_as_much_arithmetic_as_its_records_say():
    model = model_of_preset("pocket")
    flops = {name: model.cost(name).flops for name in GRAPHS} | {"stitch": 51200}  # the record of a built bundle
    for frames, sampling in ((50, model.sampling), (33, Sampling(steps=4, guidance_motion=(1.0, 3.0)))):
        work = clip_work(frames, sampling)
        stages = predict(model, work, Card(gpu=find_card("L4"))).stages
        expected = {
            stage: sum(call.times * call.units * flops[call.graph] for call in calls)
            for stage, calls in work.graphs.items()
        }
        assert {s.stage: s.flops for s in stages if s.flops} == pytest.approx(expected)

"""What an enhancement takes, a row a choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from engines.errors import InputError
from hp_trt.enhancer import enhancer as opening
from hp_trt.enhancer.memory import predicted_bytes
from hp_trt.measure.planning import enhanced
from hp_trt.measure.planning.enhanced import EnhancePlan, Graphs, offered, plan_any
from hp_trt.measure.planning.gpus import GPUS
from hp_trt.measure.planning.plan import Plan, PredictConfig
from hp_trt.measure.planning.table import show
from hp_trt.shipped import ENHANCER_POCKET_BUNDLE, bundle_folder
from tests.hp_trt.command_line import refused
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, make_bundle


def planned(**given) -> EnhancePlan:
    made = plan_any(PredictConfig(**({"gpu": "H200", "preset": "enhancer"} | given)))
    assert isinstance(made, EnhancePlan)
    return made


def by_name(plan: EnhancePlan) -> dict[str, enhanced.Row]:
    return {row.profile: row for row in plan.rows}


def test_every_choice_has_a_row_of_what_works_in_it():
    rows = by_name(planned())
    exact, alone, faces = (rows[name].flops for name in ("exact", "no-restore", "no-upscale"))
    assert exact == pytest.approx(alone + faces)
    assert rows["scale-4"].flops == exact and rows["scale-4"].result == (2048, 2048)
    # Each further pass is over four times the pixels, and a little more for what tiles see around them.
    passes = (rows["scale-8-repeat"].flops - faces) / alone
    assert 21 < passes < 23 and rows["face-upsample"].flops == pytest.approx(exact + alone)
    assert set(rows["exact"].seconds_by_graph) == {"upscaler", "restorer", "parser", "detector"}


def test_a_frame_of_480_pixels_is_worked_out_by_hand():
    """Two by two tiles; the restorer's windows of 16 give 12 frames each but for the first, the detector sees 640."""
    row = by_name(planned(size=480, frames=16))["exact"]
    tiles = (440 + 120) ** 2 / 64  # along a side one of 400 + 40 around, and one of 80 + 40
    flops = 573_825_024 * tiles + 819_374_063_616 + 468_084_326_400 + 13_832_704 * 640**2 / 64
    assert row.flops == pytest.approx(flops, rel=1e-9)
    card = GPUS["H200"]
    halves = (573_825_024 * tiles + 468_084_326_400) / card.fp16
    wholes = (819_374_063_616 + 13_832_704 * 640**2 / 64) / card.fp32
    assert 1 / row.frames_per_s == pytest.approx((halves + wholes) / card.attainable, rel=0.25)


def test_memory_is_what_the_enhancer_itself_predicts():
    plan = planned(preset="enhancer_tiny", precision="fp32", size=384)
    row = by_name(plan)["scale-4"]
    weights = 4 * (101603 + 28167 + 14267 + 48092)
    told = predicted_bytes(384, 384, result=(1536, 1536), writes=True, restores=True, weights_bytes=weights)
    assert row.memory_bytes == told
    assert by_name(plan)["no-restore"].memory_bytes < told


def test_a_bundle_without_a_restorer_has_fewer_choices():
    plan = planned(preset=None, bundle=bundle_folder(ENHANCER_POCKET_BUNDLE))
    assert set(plan.left_out) == {"no-restore", "no-upscale", "face-upsample"}
    assert plan.left_out["no-upscale"] == "there is no restorer, parser, detector"
    assert [row.profile for row in plan.rows] == ["exact", "scale-4", "scale-4-repeat", "scale-8", "scale-8-repeat"]
    with pytest.raises(InputError, match="the profile no-upscale cannot be planned: there is no restorer"):
        offered("no-upscale", ("upscaler",))
    assert [profile.name for profile in offered("scale-8", ("upscaler",))[0]] == ["exact", "scale-8"]


def test_here_is_measured_with_the_bundles_graphs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(opening, "open_backend", lambda *_: StandIn())
    monkeypatch.setattr(StandIn, "asynchronous", False, raising=False)
    monkeypatch.setattr(StandIn, "synchronize", lambda self: None, raising=False)
    bundle = make_bundle(tmp_path / "E", ALL).path
    plan = planned(gpu="here", preset=None, bundle=bundle, size=64, frames=2)
    row = by_name(plan)["exact"]
    assert row.bound == "measured" and row.card_bytes is None and plan.device == "no device"
    assert all(seconds > 0 for seconds in row.seconds_by_graph.values())
    show(plan, Console(width=200, highlight=False))
    printed = capsys.readouterr().out
    assert "restorer s" in printed and "on the card" not in printed


def test_a_graph_that_was_not_tried_is_as_slow_as_the_slowest():
    piece = enhanced.Piece(seconds=2.0, core_s=2.0, runs=1)
    graphs = Graphs(preset="enhancer_tiny", precision="fp32", roles=("upscaler", "parser"), weights={})
    call = enhanced.Call(role="parser", times=3)
    timed = enhanced._as_measured({"upscaler": (piece, 1e9)}, graphs, call)
    assert timed.seconds == pytest.approx(3 * 1_505_230_848 * 2 / 1e9)


def test_it_is_typed_and_printed(hp_trt):
    ended = hp_trt("plan", "--gpu", "RTX 3080", "--preset", "enhancer", "--fps", 10, "--size", 1024)
    assert ended.code == 0, ended.err
    assert "no-restore" in ended.out and "1024 x 1024 px, a face in each of 100" in ended.out
    assert "wish         10 frames/s: exact gives" in ended.out and "what the enhancer predicts" in ended.out
    made = json.loads(hp_trt("plan", "--gpu", "H200", "--preset", "enhancer", "--json").out.splitlines()[-1])
    assert made["rows"][0]["profile"] == "exact" and made["rows"][0]["frames_per_s"] > 0


def test_what_does_not_fit_on_a_card_is_told(hp_trt):
    out = hp_trt("plan", "--gpu", "RTX 3080", "--preset", "enhancer", "--precision", "fp32").out
    assert ("does not fit" in out) == (by_name(planned(precision="fp32"))["exact"].card_bytes > 10 * 2**30)


@pytest.mark.parametrize("words", [("--steps", 3), ("--guidance", 2), ("--latency", 1), ("--devices", 2)])
def test_what_only_a_model_that_animates_has_is_refused(hp_trt, words):
    ended = hp_trt("plan", "--gpu", "H200", "--preset", "enhancer", *words)
    refused(ended, f"{words[0]}: only of a model that animates")


def test_a_cpu_is_measured_with_a_bundle(hp_trt, monkeypatch):
    monkeypatch.setattr(enhanced, "find_gpu", lambda device: None)
    refused(hp_trt("plan", "--gpu", "here", "--preset", "enhancer"), "add --bundle shipped:enhancer_pocket")


def test_other_models_are_planned_as_ever():
    assert isinstance(plan_any(PredictConfig(gpu="H200", preset="pocket")), Plan)
    assert not enhanced.plans_enhancer(PredictConfig(gpu="H200"))
    assert Path(bundle_folder(ENHANCER_POCKET_BUNDLE)).is_dir()

"""The price list's rows, its picture, and what cannot be priced."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from rich.console import Console

from engines.errors import InputError
from hp_trt.hunyuanportrait.profiles import graphs, own_profiles
from hp_trt.measure.bench import prices
from hp_trt.measure.bench.price_table import draw_pareto, markdown, show
from hp_trt.measure.bench.prices import PriceConfig, chosen, find_room, left_out, pareto, room_of, timed
from tests.hp_trt.enhancer.stand_in import make_bundle


def row(profile: str, frames_per_s: float, psnr: float, **more):
    return {
        "profile": profile, "about": "", "mode": "clip", "steps": 3, "rows_a_step": 1, "frames_per_s": frames_per_s,
        "speedup": frames_per_s / 4, "first_frame_s": 1.5, "runs": [1.0], "psnr": psnr, "psnr_cost": 23.6 - psnr,
        "ssim": 0.82, "lmd": 1.8, "landmark_correlation": 0.85, "seam_ratio": 1.1, "flicker": 1.2,
        "psnr_to_first": 40.0, **more,
    }  # fmt: skip


ROWS = [row("exact", 4, 23.6, psnr_to_first=None), row("slow and worse", 3, 23.0), row("live", 20, 22.4)]
REPORT = {
    "machine": {"cpu": "A CPU", "cores": 2, "onnxruntime": "1.31.1"},
    "bundle": {"bundle": "out/pocket", "preset": "pocket", "precision": "fp32", "weights": "trained"},
    "clips": {"seeds": "0:4", "frames": 50},
    "left_out": {
        "deep-every-2": ["denoiser_inner", "denoiser_outer"],
        "int8": ["denoiser_int8"],
        "fp8": ["fp8 products in onnxruntime"],
    },
    "rows": ROWS,
}


def test_only_what_nothing_beats_in_both_is_worth_its_price():
    assert pareto(ROWS) == ["live", "exact"]
    assert pareto([row("a", 1, 20), row("b", 1, 21), row("c", 1, 20.5)]) == ["b"]


VIDEO = find_room("hunyuanportrait")


def chosen_of(*names: str) -> list:
    return chosen(VIDEO, PriceConfig(bundle=Path("b"), profiles=names).profiles)


def left_of(names: tuple[str, ...], has: set[str], **options) -> dict[str, list[str]]:
    config = PriceConfig(bundle=Path("b"), profiles=names, **options)
    return left_out(VIDEO, config, chosen(VIDEO, names), has)


def test_exact_comes_first_and_nothing_twice():
    names = [p.name for p in chosen_of("all", "live")]
    assert names[:3] == list(own_profiles())[:3] == ["exact", "balanced", "live"]
    assert len(set(names)) == len(names)
    assert {"tiny-decoder", "one-step", "live-windows"} <= set(names)
    assert [p.name for p in chosen_of("tiny-decoder")] == ["exact", "tiny-decoder"]


@pytest.mark.parametrize(
    ("model", "protocol"), [("hunyuanportrait", "self"), ("hallo2", "talk"), ("enhancer", "enhance")]
)
def test_a_bundles_model_says_what_is_priced(tmp_path, model, protocol):
    assert room_of(make_bundle(tmp_path / "b", model=model).path).protocol == protocol


def test_what_is_no_bundle_is_told_as_ever():
    assert room_of(Path("/none")) is VIDEO


def test_a_clip_is_timed_by_the_clock_and_by_the_cores():
    made = []

    def make():
        made.append(1)
        yield from range(5)

    found = timed(make, frames=5, runs=2)
    assert len(made) == 3, "one to warm up"
    assert len(found["runs"]) == 2 and found["frames_per_s"] > 0 <= found["core_s"]


BF16 = ("bf16", "live-bf16")


def test_all_leaves_out_what_the_bundle_has_no_graphs_for_and_a_name_does_not():
    has = {graph for p in own_profiles().values() for graph in graphs(p)}
    parts = ["denoiser_inner", "denoiser_outer"]
    every = left_of(("all",), has)
    assert every["deep-every-2"] == every["deep-every-3"] == parts
    assert "exact" not in every and "live" not in every
    named = left_of(("all", "deep-every-3"), has)
    assert set(every) - set(named) == {"deep-every-3"}
    assert every["fp8"] == ["fp8 products in onnxruntime"]
    in_int8 = {"denoiser_int8", "live_denoiser_int8"}
    whole = left_of(("all",), {*has, *parts, *in_int8})
    assert set(whole) == {"fp8", "bf16", "live-bf16"}
    assert whole["bf16"] == ["bf16 products in onnxruntime on this machine"]
    cards = left_of(("all",), {*has, *parts, *in_int8}, family="tensorrt")
    assert cards == {"fp8": ["denoiser_fp8"], **{n: ["bf16 products in tensorrt on this machine"] for n in BF16}}


@pytest.mark.parametrize("has_bf16", [True, False])
def test_bf16_is_left_out_on_a_machine_that_has_none(monkeypatch, has_bf16):
    monkeypatch.setattr(prices, "open_backend", lambda config, bundle: SimpleNamespace(has_bf16=has_bf16))
    has = {graph for p in own_profiles().values() for graph in graphs(p)}
    left = left_of(("all",), has, family="openvino")
    assert ("bf16" in left) == ("live-bf16" in left) == (not has_bf16)


def test_each_shortcut_changes_something_of_exact():
    exact, *others = chosen_of("all")
    seen = [
        (p.mode, p.denoiser, p.decoder, p.quantize, p.precision, str(p.sampling), p.windows) for p in (exact, *others)
    ]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"profiles": ()}, "no profile to price; give --profiles all"),
        ({"profiles": ("all",), "runs": 0}, "--runs must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_priced_is_told(options, says):
    with pytest.raises(InputError, match=says):
        PriceConfig(bundle=Path("b"), **options)
    with pytest.raises(InputError, match=r"there is no profile 'lives'; did you mean live\?"):
        chosen_of("lives")


def test_the_table_marks_what_is_worth_its_price_and_shows_a_missing_number_as_a_dash(capsys):
    show(REPORT, Console(width=200))
    lines = capsys.readouterr().out.splitlines()
    by_name = {line[:18].strip(): line for line in lines}
    assert "live *" in by_name["live *             "[:18].strip()]
    assert by_name["exact *"].rstrip().endswith("-")
    assert "deep-every-2: left out, there is no denoiser_inner, denoiser_outer; build with --reuse" in lines
    assert "int8: left out, there is no denoiser_int8; build with --quantize int8" in lines
    assert "fp8: left out, there is no fp8 products in onnxruntime" in lines
    assert "slow and worse" in by_name and "self-reenactment" in lines[-1]


def test_the_documents_table_has_a_line_a_profile():
    lines = markdown(REPORT).splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| exact | 3 | 4.00 | 1.00 | 1.50 | 23.60 | 0.00 |")


def test_the_picture_is_drawn(tmp_path):
    draw_pareto(REPORT, tmp_path / "p.png", ".png")
    with Image.open(tmp_path / "p.png") as picture:
        colours = {c for _, c in picture.convert("RGB").quantize(64).convert("RGB").getcolors(1 << 20)}
    assert len(colours) > 4  # points of both kinds on white


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--profiles=all", "--timeline=t.png"], "--timeline and --reference are of one profile"),
        (["--picture=p.png"], "--picture compares profiles; give --profiles all"),
        (["--profiles=nothing"], "there is no profile 'nothing'"),
        (["--profile=live", "--reference"], "the reference is what exact computes, the profile is live"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(words, says, tmp_path):
    command = [sys.executable, "-m", "runtime.bench", "--bundle=none", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[4])
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and says in ended.stderr

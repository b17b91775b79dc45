"""The price list of the enhancer's choices."""

from __future__ import annotations

import pytest
from rich.console import Console

from hp_trt.enhancer import enhancer
from hp_trt.measure.bench.price_table import draw_pareto, markdown, show
from hp_trt.measure.bench.prices import PriceConfig, chosen, find_room, judged_by, left_out, prices
from hp_trt.measure.evaluation import enlarged
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, make_bundle

ROOM = find_room("enhancer")


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """One that enlarges alone, by repeating pixels; and two looks in the place of twelve."""
    looks = tuple(enlarged.Look(side=256, varied=varied, jpeg=False) for varied in (False, True))
    monkeypatch.setattr(enlarged, "LOOKS", looks)
    monkeypatch.setattr(enhancer, "open_backend", lambda *_: StandIn())
    return make_bundle(tmp_path / "E", ALL[:1]).path


def test_every_choice_is_timed_and_measured(bundle, tmp_path, capsys):
    config = PriceConfig(bundle=bundle, profiles=("scale-4",), seeds="4:5", frames=2, runs=1)
    report = prices(config)
    assert [row["profile"] for row in report["rows"]] == ["exact", "scale-4"]
    exact, four = report["rows"]
    assert exact["speedup"] == exact["core_speedup"] == 1 and four["speedup"] > 0
    assert (exact["scale"], four["scale"]) == (2, 4) and len(exact["runs"]) == 1
    assert exact["gain_plain"] < 0, "pixels that are repeated are no picture"
    assert exact["psnr_plain_256"] > four["psnr_plain_256"] and exact["ssim_varied_256"] is not None
    assert judged_by(report) == "gain_plain"
    show(report, Console(width=220))
    printed = capsys.readouterr().out
    assert "core s a frame" in printed and "drawn people 4:5; frames/s of 2 small frames" in printed
    assert markdown(report).count("\n") == 4
    draw_pareto(report, tmp_path / "p.png", ".png")
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_of_all_only_what_the_bundle_can_do_is_priced(tmp_path):
    config = PriceConfig(bundle=tmp_path, profiles=("all",))
    missing = left_out(ROOM, config, chosen(ROOM, ("all",)), {ALL[0]})
    assert missing["no-upscale"] == missing["face-upsample"] == ["restorer", "parser", "detector"]
    assert missing["no-restore"] == ["restorer to leave out"] and set(missing) == {
        "no-upscale", "face-upsample", "no-restore",
    }  # fmt: skip
    assert not left_out(ROOM, config, chosen(ROOM, ("all",)), set(ALL))

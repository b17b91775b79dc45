"""The price list of a bundle that speech drives."""

from __future__ import annotations

import pytest
from PIL import Image
from rich.console import Console

from engines.errors import InputError
from hp_trt.measure.bench.price_table import draw_pareto, markdown, show
from hp_trt.measure.bench.prices import PriceConfig, chosen, find_room, judged_by, pareto, prices


def test_exact_comes_first_and_nothing_twice():
    room = find_room("hallo2")
    names = [profile.name for profile in chosen(room, ("all", "live", "steps-5"))]
    assert names[:3] == ["exact", "balanced", "live"] and len(set(names)) == len(names)
    assert {"one-half", "steps-20"} <= set(names)
    assert [profile.name for profile in chosen(room, ("one-half",))] == ["exact", "one-half"]
    with pytest.raises(InputError, match=r"there is no profile 'lives'; did you mean live\?"):
        chosen(room, ("lives",))


def test_every_row_is_timed_and_measured(talk_bundle, tmp_path, capsys):
    config = PriceConfig(bundle=talk_bundle, profiles=("one-half",), seeds="4:5", frames=27, runs=1, threads=1)
    report = prices(config)
    exact, short = report["rows"]
    assert (exact["profile"], exact["steps"], exact["rows_a_step"]) == ("exact", 2, 2), "of the bundle's own two steps"
    assert (short["profile"], short["rows_a_step"]) == ("one-half", 1)
    assert exact["speedup"] == 1 and short["speedup"] > 0 and len(exact["runs"]) == 1
    assert exact["psnr_to_first"] is None and short["psnr_to_first"] is not None
    assert all(row[key] is not None for row in (exact, short) for key in ("jaw_correlation", "sync_c", "seam_ratio"))
    assert judged_by(report) == "jaw_correlation" and set(pareto(report["rows"], "jaw_correlation"))
    show(report, Console(width=220))
    printed = capsys.readouterr().out
    assert "Sync-C (ours)" in printed and "random weights" in printed and "(how the jaw follows)" in printed
    assert markdown(report).count("\n") == 4
    draw_pareto(report, tmp_path / "p.png", ".png")
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width > 500

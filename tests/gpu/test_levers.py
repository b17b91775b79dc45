"""Every form of a part computes the same; on a CPU each is exported, run and compared for real."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
import torch

from engines import families
from engines.plans import PlanOptions
from engines.spec import DimRange
from export.plans.plan import build_plan
from export.plans.plan_target import plan_target
from tests.fakes import spec
from tests.gpu import part_levers, part_micro
from tests.gpu.artefacts import Artefact
from tests.gpu.examples import told
from tests.gpu.levers import LEVERS, SIZES, TimeAsPlane, inputs_of, module_of
from tests.gpu.lines import Found, Lines, NotRun
from tests.gpu.part_levers import LeversPart, tell_levers, tell_rows
from tests.gpu.part_micro import tell_micro


@pytest.mark.parametrize("name", LEVERS)
def test_the_forms_of_a_part_are_alike(name):
    lever = LEVERS[name]
    given = inputs_of(lever, "cpu", 2).values()
    first, *others = (module_of(lever, form, "cpu").double()(*(t.double() for t in given)) for form in lever.forms)
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-12, atol=1e-12)  # float64: the order of sums alone


def test_a_convolution_in_time_sees_the_frames_beside_it_and_no_others():
    module = TimeAsPlane(SIZES["cpu"])
    x = next(iter(inputs_of(LEVERS["convolution in time"], "cpu", 2).values()))
    changed = x.clone()
    changed[7] += 1
    moved = (module(changed) - module(x)).abs().amax(dim=(1, 2, 3))
    assert torch.nonzero(moved > 1e-6).flatten().tolist() == [6, 7, 8]


def test_arithmetic_is_counted_as_on_paper():
    """Of the finest level at full size: 2 x 25 frames of 4096 cells, 320 channels."""
    flops = {name: 2 * lever.flops(SIZES["cuda"]) / 1e9 for name, lever in LEVERS.items()}
    assert flops["convolution in time"] == pytest.approx(2 * 3 * 320 * 320 * 50 * 4096 / 1e9)
    assert flops["GEGLU"] == pytest.approx(2 * 320 * 2560 * 50 * 4096 / 1e9)
    assert flops["attention in space"] == pytest.approx(2 * 2 * 50 * 5 * 4096**2 * 64 / 1e9)
    assert flops["attention in time"] == pytest.approx(2 * 2 * 2 * 4096 * 5 * 25**2 * 64 / 1e9)


def test_micro_benchmarks_time_every_form(lines):
    tell_micro(lines, "cpu")
    found = told(lines)
    assert [(line.name, line.text) for line in found if line.status != "ok"] == []
    assert len(found) == sum(len(lever.forms) for lever in LEVERS.values())
    assert all(line.facts["median_s"] > 0 for line in found)


def test_a_form_that_computes_something_else_misses_its_limit(monkeypatch):
    lever = LEVERS["GEGLU"]
    monkeypatch.setattr(
        part_micro, "module_of", lambda _, form, device: module_of(lever, form, device).apply(_twice(form))
    )
    assert "needs less than 1e-05" in part_micro.time_form("GEGLU", "whole", "cpu").missed


def _twice(form):
    def change(module):
        if form == "whole" and isinstance(module, torch.nn.Linear):
            module.weight.mul_(2)

    return change


def test_onnx_runtime_runs_the_forms_and_each_is_right(tmp_path, monkeypatch):
    monkeypatch.setattr(part_levers, "LEVERS", {name: LEVERS[name] for name in ("GEGLU", "attention in time")})
    lines = Lines(tmp_path / "lines.jsonl", time.time() + 3600)
    tell_levers(lines, "onnxruntime", "mini", "cpu", tmp_path)
    found = told(lines)
    assert [(line.name, line.text) for line in found if line.status != "ok"] == []
    timed = [line for line in found if "median_s" in line.facts]
    assert len(timed) == 3 and all("relative L2" in t.text for t in timed)


def test_a_plan_for_exactly_so_many_rows_is_the_denoisers_graph_with_another_profile(lines, tmp_path, monkeypatch):
    promise = spec("denoiser", {"latents": (3, 4), "row_weights": ("rows",)}, {"velocity": (3, 4)}, most=3)
    Artefact(tmp_path, "denoiser").announce(spec=promise.to_json())
    part, built = LeversPart(lines, "tensorrt", "cuda", tmp_path), []
    monkeypatch.setattr(part, "_build", lambda *args: built.append(args) or SimpleNamespace(seconds=1.0))
    for rows in (2, 1):
        assert part.build_rows(rows).text == "built in 1.0 s"
    assert [spec.ranges["rows"] for spec, _, _ in built] == [DimRange(min=n, opt=n, max=n) for n in (2, 1)]
    assert {graph for _, graph, _ in built} == {Artefact(tmp_path, "denoiser").path}
    assert [plan.name for _, _, plan in built] == ["tensorrt-rows2.plan", "tensorrt-rows1.plan"]


def test_rows_are_built_before_any_plan_is_opened_and_each_is_timed_by_both_plans(lines, tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(LeversPart, "build_rows", lambda part, rows: order.append(rows) or Found(text=""))
    monkeypatch.setattr(
        LeversPart, "time_rows", lambda part, rows, exactly: order.append((rows, exactly)) or Found(text="")
    )
    tell_rows(lines, "tensorrt", "full", "cuda", tmp_path)
    assert order == [2, 1, (2, True), (2, False), (1, True), (1, False)]
    assert [(one.section, one.name) for one in told(lines)][2:4] == [
        ("rows, tensorrt, full", "step, plan for exactly 2"),
        ("rows, tensorrt, full", "step, plan for 1 to 3, run with 2"),
    ]


def test_what_was_not_made_is_not_timed(lines, tmp_path):
    part = LeversPart(lines, "tensorrt", "cuda", tmp_path)
    with pytest.raises(NotRun, match="it was not made: see its line"):
        part.time("GEGLU", "whole")
    with pytest.raises(NotRun, match="its plan was not built: see its line"):
        part.time_rows(2, exactly=True)


def test_tensorrt_for_rtx_builds_the_forms_in_half_precision(lines, tmp_path, monkeypatch):
    """For a card that is not here, and small: what it cannot read would cost its lines on a machine that is lent."""
    if not families.is_installed(families.RTX):
        pytest.skip("needs TensorRT for RTX")
    monkeypatch.setitem(SIZES, "cuda", SIZES["cpu"])
    target = plan_target(families.RTX, ["8.9"], PlanOptions())
    part = LeversPart(lines, "tensorrt-rtx", "cuda", tmp_path)
    monkeypatch.setattr(
        part,
        "_build",
        lambda spec, graph, plan: build_plan(families.RTX, spec=spec, onnx=graph, out=plan, target=target),
    )
    forms = [
        ("convolution in time", "conv3d"),
        ("group norm with SiLU", "apart"),
        ("attention in time", "of 25 frames"),
    ]
    for name, form in forms:
        assert part.make(name, form).text.startswith("exported, and built in ")
    made = [(spec, path) for spec, path in part._made.values()]
    assert all(path.stat().st_size > 0 and spec.ranges["rows"] == DimRange(min=1, opt=2, max=3) for spec, path in made)

"""What is started when: parts by name, on a clock that stands still, with children that end at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engines.families import ONNXRUNTIME, RTX, TENSORRT
from tests.gpu import run as module
from tests.gpu.lines import Line
from tests.gpu.report import Report
from tests.gpu.run import CheckConfig, Run


class Started(Run):
    """Writes down what is started, with the seconds it gets. `here`: families that are installed, which may grow;
    `runs`: those whose first plan runs."""

    def __init__(self, tmp_path, monkeypatch, here=(), **config):
        monkeypatch.setattr(module.time, "time", lambda: 1000.0)
        super().__init__(CheckConfig(out=tmp_path, **config), Report(folder=tmp_path, about={}), tmp_path)
        self.here, self.started, self.came = {family.name for family in here}, [], {}

    def _installed(self, family):
        return family.name in self.here

    def _part(self, part, until_s, *arguments):
        family = arguments[arguments.index("--family") + 1] if "--family" in arguments else ""
        self.started.append((part, family, until_s - 1000))
        self.here |= self.came.pop((part, family), set())
        if part == "facts":
            self._report.add(Line(section="machine", name="device", status="ok", text="a GPU"))
        if part == "verdict":
            status = "ok" if family in self.here else "not run"
            for name, facts in (("load", {}), ("run, built for the GPU at hand", {"runs": True})):
                self._report.add(Line(section=f"verdict, {family}", name=name, status=status, text="", facts=facts))

    def _start(self, part, until_s, *arguments):
        raise AssertionError("a child")

    def _make_artefacts(self):
        self._aside_families = tuple(self._built_aside()[0])

    def _build_alone(self, family, size, until_s, arguments):
        self.started.append(("build", family.name, until_s - 1000))

    @property
    def parts(self):
        return [f"{part} {family}".strip() for part, family, _ in self.started]


def test_the_order_is_the_most_valuable_first(tmp_path, monkeypatch):
    run = Started(tmp_path, monkeypatch, (RTX, ONNXRUNTIME, TENSORRT), sizes=("full",))
    assert run.all()
    assert run.parts == [
        *("facts", "verdict tensorrt-rtx", "verdict tensorrt", "stand_in", "coders", "torch"),
        *("family tensorrt-rtx", "family onnxruntime", "build tensorrt", "family tensorrt"),
        *("micro", "levers tensorrt-rtx", "levers onnxruntime", "levers tensorrt"),
        *("rows tensorrt-rtx", "rows tensorrt"),
        *("talk onnxruntime", "talk tensorrt-rtx", "talk tensorrt"),
    ]


def test_a_library_that_is_brought_while_others_are_measured_is_asked_and_its_plans_are_built_then(
    tmp_path, monkeypatch
):
    run = Started(tmp_path, monkeypatch, (ONNXRUNTIME,), sizes=("full",), models=("hunyuanportrait",))
    run.came = {("torch", ""): {RTX.name}}
    run.all()
    at = run.parts.index("torch")
    assert run.parts[at:] == [
        *("torch", "verdict tensorrt-rtx", "build tensorrt-rtx", "family tensorrt-rtx", "family onnxruntime"),
        *("micro", "levers tensorrt-rtx", "levers onnxruntime", "rows tensorrt-rtx"),
    ]


def test_a_library_that_is_missing_in_its_turn_has_another_one_at_the_end(tmp_path, monkeypatch):
    run = Started(tmp_path, monkeypatch, (ONNXRUNTIME,), sizes=("full",), models=("hunyuanportrait",))
    run.came = {("family", "onnxruntime"): {RTX.name}}
    run.all()
    at = run.parts.index("torch")
    assert run.parts[at : at + 6] == [
        *("torch", "family onnxruntime", "verdict tensorrt-rtx", "build tensorrt-rtx", "family tensorrt-rtx", "micro")
    ]
    (missing,) = [one for one in run._report.lines if one.section == "tensorrt, full"]
    assert (missing.status, missing.text) == ("not run", f"not installed; {TENSORRT.install}")


@pytest.mark.parametrize(("minutes", "kept_s"), [(13.0, 180), (4.0, 60)])
def test_three_minutes_are_kept_for_the_second_model_or_a_quarter_of_a_short_check(
    tmp_path, monkeypatch, minutes, kept_s
):
    run = Started(tmp_path, monkeypatch, (ONNXRUNTIME,), sizes=("pocket",), minutes=minutes)
    seen = {}
    monkeypatch.setattr(run, "_first_model", lambda: seen.update(first=run._end_s - 1000))
    monkeypatch.setattr(run, "_second_model", lambda: seen.update(second=run._end_s - 1000))
    run.all()
    assert seen == {"first": 60 * minutes - 5 - kept_s, "second": 60 * minutes - 5}


def test_a_folder_that_was_not_there_is_looked_into_again(tmp_path, monkeypatch):
    """The folder of what is brought is on the path before it exists."""
    brought = tmp_path / "brought"
    monkeypatch.syspath_prepend(str(brought))
    run = Run(CheckConfig(out=tmp_path), Report(folder=tmp_path, about={}), tmp_path)
    library = SimpleNamespace(name="library", module="brought_library_of_this_test")
    assert not run._installed(library)
    brought.mkdir()
    (brought / "brought_library_of_this_test.py").write_text("")
    assert run._installed(library)

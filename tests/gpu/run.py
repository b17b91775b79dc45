"""One check from its first part to its last: what is started when, for how long, and whose lines go into the report."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from engines.families import ONNXRUNTIME, RTX, TENSORRT, Family, is_installed
from tests.gpu.artefacts import Artefact
from tests.gpu.builders import Builder
from tests.gpu.children import Child
from tests.gpu.lines import Line
from tests.gpu.report import Report
from tests.gpu.sizes import GRAPHS, SIZES, Size
from tests.gpu.talk_sizes import MODELS

FAMILIES = (RTX, ONNXRUNTIME, TENSORRT)  # the last builds on the GPU, for minutes
TORCH_SHARE = 0.55  # of what is left, for the largest size: compiling ends it if need be
BUILD_SHARE = 0.75  # of a family's time at a size, where its plans are built in it: what is built is measured then

TALK_S = 180.0  # that are kept for the second model, and the most that it gets beside the first
TALK_SHARE = 0.25  # of a shorter check
STAND_IN_S = 60.0
CODERS_S = 45.0
START_NEEDS_S = 5.0  # a family's part is not begun with less: libraries alone take as long to load


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """What to check. `work`: where graphs and plans lie meanwhile; None: a temporary folder, removed at the end."""

    out: Path
    device: str = "cuda"
    minutes: float = 13.0
    sizes: tuple[str, ...] = ("pocket", "full")
    graphs: tuple[str, ...] = GRAPHS
    work: Path | None = None
    commit: str = ""
    models: tuple[str, ...] = MODELS


class Run:
    """One check: its children, and the report that their lines go to."""

    def __init__(self, config: CheckConfig, report: Report, work: Path) -> None:
        self._config, self._report, self._work = config, report, work
        self._end_s = time.time() + 60 * config.minutes - 5  # for the ends of children and for writing
        self._whole_end_s = self._end_s
        self._started = 0
        self._aside: list[Builder] = []
        self._aside_families: tuple[str, ...] = ()  # whose plans are built beside what is measured
        self._sizes = sorted((SIZES[name] for name in config.sizes), key=lambda size: size.px)

    def all(self) -> bool:
        """False: there is no device to measure on."""
        self._part("facts", self._end_s)
        if not self._ok("machine", "device"):
            why = next((line.text for line in self._report.lines if line.name == "device"), "its part did not start")
            for section in (
                "verdict",
                "stand-in",
                "coders",
                "torch",
                *(family.name for family in FAMILIES),
                "micro",
                "talk",
            ):
                self._say(section, "everything", f"there is no device to measure on: {why}")
            self._report.finished = True
            return False
        for family in (RTX, TENSORRT):
            self._part("verdict", self._until(0.25), "--family", family.name)
        self._part("stand_in", min(time.time() + STAND_IN_S, self._until(0.25)))
        self._part("coders", min(time.time() + CODERS_S, self._until(0.1)))
        if MODELS[0] in self._config.models:
            if MODELS[1] in self._config.models:
                self._end_s -= min(TALK_S, TALK_SHARE * 60 * self._config.minutes)
            self._first_model()
        if MODELS[1] in self._config.models:
            self._end_s = self._whole_end_s
            self._second_model()
        self.end()
        self._report.finished = True
        return True

    def _first_model(self) -> None:
        self._make_artefacts()
        for size in reversed(self._sizes):
            largest = size is self._sizes[-1]
            arguments = ["--size", size.name, "--work", str(self._work / size.name)]
            until_s = self._until(TORCH_SHARE if largest else 0.3)
            self._part("torch", until_s, *arguments, *(["--compile"] if largest else []))
        parts = [(family, size) for size in self._sizes for family in FAMILIES]
        waited: set[tuple[str, str]] = set()  # for their library, which may still be brought: their turn is the last
        for number, (family, size) in enumerate(parts):  # grows meanwhile
            section = f"{family.name}, {size.name}"
            if not self._installed(family) and (family.name, size.name) not in waited:
                waited.add((family.name, size.name))
                parts.append((family, size))
                continue
            self._ask_late(family)
            if why := self._why_not(family):
                self._say(section, "everything", why)
                continue
            if self._end_s - time.time() < START_NEEDS_S:
                if family.has_plans and not family.builds_without_gpu:
                    self._say(f"build, {size.name}", f"{family.name} plan, all", "no time left")
                self._say(section, "everything", "no time left")
                continue
            until_s = self._until(max(1 / (len(parts) - number), 0.4))
            arguments = ["--family", family.name, "--size", size.name, "--work", str(self._work / size.name)]
            if family.has_plans and family.name not in self._aside_families:
                self._build_alone(family, size, until_s, arguments)
            self._part("family", until_s, *arguments)
        self._part("micro", self._until(0.5))
        self._levers()

    def _levers(self) -> None:
        """At the largest size, in every family that runs here; plans of other profiles last: these take minutes."""
        size, families = self._sizes[-1], [family for family in FAMILIES if not self._why_not(family)]
        parts = [("levers", family) for family in families]
        parts += [("rows", family) for family in families if family.has_plans and "denoiser" in self._config.graphs]
        for number, (part, family) in enumerate(parts):
            arguments = ["--family", family.name, "--size", size.name, "--work", str(self._work / size.name)]
            if self._end_s - time.time() < START_NEEDS_S:
                self._say(f"{part}, {family.name}, {size.name}", "everything", "no time left")
            else:
                self._part(part, self._until(1 / (len(parts) - number)), *arguments)

    def _ask_late(self, family: Family) -> None:
        """The verdict of a library that was brought since it was asked for."""
        if family.has_plans and self._installed(family) and not self._ok(f"verdict, {family.name}", "load"):
            self._part("verdict", self._until(0.25), "--family", family.name)

    def _second_model(self) -> None:
        """ONNX Runtime first: it exports, and makes what the others are held against."""
        parts = [(size, family) for size in self._sizes for family in (ONNXRUNTIME, RTX, TENSORRT)]
        for number, (size, family) in enumerate(parts):
            section, why = f"talk, {family.name}, {size.name}", self._why_not(family)
            if not why and self._end_s - time.time() < START_NEEDS_S:
                why = "no time left"
            if why:
                self._say(section, "everything", why)
                continue
            arguments = ["--family", family.name, "--size", size.name, "--work", str(self._work / f"talk-{size.name}")]
            self._part("talk", self._until(max(1 / (len(parts) - number), 0.4)), *arguments)

    def _make_artefacts(self) -> None:
        """Every size's graphs, and the plans that need no GPU to be built."""
        build, capability = self._built_aside()
        self._aside_families = tuple(build)
        for size in self._sizes:
            arguments = ["--size", size.name, "--work", str(self._work / size.name), "--capability", capability]
            arguments += ["--build", *build]
            made = [Artefact(self._work / size.name, graph, of) for graph in self._config.graphs for of in ("", *build)]
            for artefact in made:
                artefact.forget_other()
            if self._config.device == "cpu":  # what is measured runs on the same cores: not at once
                self._build_all(Builder(made, partial(self._start, "artefacts", self._until(0.6), *arguments)))
            else:
                self._aside.append(Builder(made, partial(self._start, "artefacts", self._end_s, *arguments, "--aside")))

    def _build_alone(self, family: Family, size: Size, until_s: float, arguments: list[str]) -> None:
        """Plans that are built on the GPU, while nothing else runs on it."""
        plans = [Artefact(self._work / size.name, graph, family.name) for graph in self._config.graphs]
        for plan in plans:
            plan.forget_other()
        now = time.time()
        self._build_all(Builder(plans, partial(self._start, "build", now + BUILD_SHARE * (until_s - now), *arguments)))

    def end(self) -> None:
        """Stop what still runs aside, and take its last lines."""
        for builder in self._aside:
            builder.child.until_s = 0.0
            self._add(builder.child.wait())
            self._add(builder.child.left_out())
        self._aside = []

    def _part(self, part: str, until_s: float, *arguments: str) -> None:
        """Run a part to its end."""
        child = self._start(part, until_s, *arguments)
        self._hear(child)
        self._add(child.left_out())

    def _build_all(self, builder: Builder) -> None:
        """Export or build to the end, whatever dies meanwhile."""
        self._hear(builder.child)
        while builder.goes_on():
            self._hear(builder.child)
        self._add(builder.child.left_out())

    def _add(self, lines: Iterable[Line]) -> None:
        for line in lines:
            self._report.add(line)

    def _hear(self, child: Child) -> None:
        """Its lines, and those of what runs aside, go into the report as they come, until it has ended."""
        beside = bool(self._aside)  # when a line begins
        try:
            for line in child.wait(self._listen):
                self._report.add(replace(line, beside=beside))
                beside = bool(self._aside)
        finally:
            child.stop()
        self._listen()

    def _listen(self) -> None:
        for builder in [*self._aside]:
            ended = not builder.child.running
            child = builder.child
            self._add(child.last_words() if ended else child.news())
            if ended and not builder.goes_on():
                self._add(child.left_out())
                self._aside.remove(builder)

    def _start(self, part: str, until_s: float, *arguments: str) -> Child:
        self._started += 1
        given = ["--device", self._config.device, "--graphs", *self._config.graphs, *arguments]
        return Child(self._work, self._started, part, until_s, *given)

    def _until(self, share: float) -> float:
        now = time.time()
        return now + max((self._end_s - now) * share, 0)

    def _say(self, section: str, name: str, why: str) -> None:
        self._report.add(Line(section=section, name=name, status="not run", text=why))

    def _ok(self, section: str, name: str) -> bool:
        return any(line.status == "ok" for line in self._report.lines if (line.section, line.name) == (section, name))

    def _ran(self, family: Family) -> list[str]:
        """The targets whose tiny plans ran, "" for the GPU at hand."""
        lines = [line for line in self._report.lines if line.section == f"verdict, {family.name}"]
        ran = [line.name for line in lines if line.facts.get("runs") and line.status == "ok"]
        return ["" if name.endswith("at hand") else name.split()[-1] for name in ran]

    def _built_aside(self) -> tuple[list[str], str]:
        """The families whose plans are built on the CPU, and for which capability."""
        if not self._ok(f"verdict, {RTX.name}", "load"):
            return [], ""
        if self._config.device == "cpu":
            return [RTX.name], RTX.capabilities[0]
        ran = self._ran(RTX)
        return ([RTX.name], max(ran)) if ran else ([], "")

    def _installed(self, family: Family) -> bool:
        """Now: it may have been brought meanwhile."""
        importlib.invalidate_caches()
        return is_installed(family)

    def _why_not(self, family: Family) -> str:
        if not self._installed(family):
            return f"not installed; {family.install}"
        if not family.has_plans:
            return ""
        if self._config.device == "cpu":
            return "it needs a GPU, this is a check with --device cpu"
        return "" if self._ran(family) else "its plan of one product did not run here: see its verdict"

"""`python -m tests.gpu.check --out DIR`: all that needs a GPU, with whatever is installed, in 8 minutes, offline.

Writes report.json and report.md into DIR, anew after each line. What cannot run says why in its line, and the rest goes
on. Exit code 0: every line that ran kept its limit; 1: one failed or missed it; 2: there is no GPU (or, with
--device cpu, no PyTorch) to measure on, and the report says so. See docs/gpu-check.md.

The order, the most valuable first: the machine; what each TensorRT family says to it; PyTorch alone, the released
algorithm and the exact one; then every family at the small size, then at the full one. Graphs are exported, and plans
built, on the CPU meanwhile.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from engines.families import ONNXRUNTIME, RTX, TENSORRT, Family, is_installed
from tests.gpu import summary
from tests.gpu.children import ROOT, Child
from tests.gpu.cooks import Cook
from tests.gpu.kitchen import Dish
from tests.gpu.lines import Line
from tests.gpu.report import Report
from tests.gpu.sizes import GRAPHS, SIZES, Size, aside_cores

FAMILIES = (RTX, ONNXRUNTIME, TENSORRT)  # the last builds on the GPU, for minutes
TORCH_SHARE = 0.55  # of what is left, for the largest size: compiling ends it if need be
BUILD_SHARE = 0.75  # of a family's time at a size, where its plans are built in it: what is built is measured then

START_NEEDS_S = 5.0  # a family's part is not begun with less: libraries alone take as long to load


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """What to check. `work`: where graphs and plans lie meanwhile; None: a temporary folder, removed at the end."""

    out: Path
    device: str = "cuda"
    minutes: float = 8.0
    sizes: tuple[str, ...] = ("pocket", "full")
    graphs: tuple[str, ...] = GRAPHS
    work: Path | None = None
    commit: str = ""


def check(config: CheckConfig) -> int:
    """Run the check; the exit code of the command."""
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": config.commit or _commit(),
        "builds": "on the CPU before what they are for"
        if config.device == "cpu"
        else f"on the CPU beside what is measured, at the lowest priority and on {len(aside_cores())} of "
        f"{len(os.sched_getaffinity(0))} cores; TensorRT's on the GPU, alone",
        "asked for": f"{config.device}, {', '.join(config.sizes)}, {config.minutes:g} minutes",
    }
    report = Report(folder=config.out, about=about)
    report.write()
    work = config.work or Path(tempfile.mkdtemp(prefix="hp-trt-gpu-check-"))
    work.mkdir(parents=True, exist_ok=True)
    run = _Run(config, report, work)
    try:
        return run.all()
    finally:
        run.end()
        report.write()
        if config.work is None:
            shutil.rmtree(work, ignore_errors=True)


class _Run:
    """One check: its children, and the report that their lines go to."""

    def __init__(self, config: CheckConfig, report: Report, work: Path) -> None:
        self._config, self._report, self._work = config, report, work
        self._end_s = time.time() + 60 * config.minutes - 5  # for the ends of children and for writing
        self._started = 0
        self._aside: list[Cook] = []
        self._sizes = sorted((SIZES[name] for name in config.sizes), key=lambda size: size.px)

    def all(self) -> int:
        self._part("facts", self._end_s)
        if not self._ok("machine", "device"):
            why = next((line.text for line in self._report.lines if line.name == "device"), "its part did not start")
            for section in ("verdict", "torch", *(family.name for family in FAMILIES)):
                self._say(section, "everything", f"there is no device to measure on: {why}")
            self._report.finished = True
            return 2
        for family in (RTX, TENSORRT):
            self._part("verdict", self._until(0.25), "--family", family.name)
        self._cook()
        for size in reversed(self._sizes):
            largest = size is self._sizes[-1]
            arguments = ["--size", size.name, "--work", str(self._work / size.name)]
            until_s = self._until(TORCH_SHARE if largest else 0.3)
            self._part("torch", until_s, *arguments, *(["--compile"] if largest else []))
        parts = [(family, size) for size in self._sizes for family in FAMILIES]
        for number, (family, size) in enumerate(parts):
            section = f"{family.name}, {size.name}"
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
            if family.has_plans and not family.builds_without_gpu:
                self._build_alone(family, size, until_s, arguments)
            self._part("family", until_s, *arguments)
        self.end()
        self._report.finished = True
        return exit_code(self._report.lines, self._config.device)

    def _cook(self) -> None:
        """Every size's graphs, and the plans that need no GPU to be built."""
        build, capability = self._built_aside()
        for size in self._sizes:
            arguments = ["--size", size.name, "--work", str(self._work / size.name), "--capability", capability]
            arguments += ["--build", *build]
            made = [Dish(self._work / size.name, graph, of) for graph in self._config.graphs for of in ("", *build)]
            for dish in made:
                dish.forget()
            if self._config.device == "cpu":  # what is measured runs on the same cores: not at once
                self._cooked(Cook(made, partial(self._start, "cook", self._until(0.6), *arguments)))
            else:
                self._aside.append(Cook(made, partial(self._start, "cook", self._end_s, *arguments, "--aside")))

    def _build_alone(self, family: Family, size: Size, until_s: float, arguments: list[str]) -> None:
        """Plans that are built on the GPU, while nothing else runs on it."""
        plans = [Dish(self._work / size.name, graph, family.name) for graph in self._config.graphs]
        for plan in plans:
            plan.forget()
        now = time.time()
        self._cooked(Cook(plans, partial(self._start, "build", now + BUILD_SHARE * (until_s - now), *arguments)))

    def end(self) -> None:
        """Stop what still runs aside, and take its last lines."""
        for cook in self._aside:
            cook.child.until_s = 0.0
            self._add(cook.child.wait())
            self._add(cook.child.left_out())
        self._aside = []

    def _part(self, part: str, until_s: float, *arguments: str) -> None:
        """Run a part to its end."""
        child = self._start(part, until_s, *arguments)
        self._hear(child)
        self._add(child.left_out())

    def _cooked(self, cook: Cook) -> None:
        """Export or build to the end, whatever dies meanwhile."""
        self._hear(cook.child)
        while cook.goes_on():
            self._hear(cook.child)
        self._add(cook.child.left_out())

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
        for cook in [*self._aside]:
            ended = not cook.child.running
            child = cook.child
            self._add(child.last_words() if ended else child.news())
            if ended and not cook.goes_on():
                self._add(child.left_out())
                self._aside.remove(cook)

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

    def _why_not(self, family: Family) -> str:
        if not is_installed(family):
            return f"not installed; {family.install}"
        if not family.has_plans:
            return ""
        if self._config.device == "cpu":
            return "it needs a GPU, this is a check with --device cpu"
        return "" if self._ran(family) else "its plan of one product did not run here: see its verdict"


def exit_code(lines: Sequence[Line], device: str) -> int:
    """0 where all that ran kept its limit; the ratio at full size is one, on a GPU."""
    found = summary.to_json(lines)
    slow = device == "cuda" and found["best_ratio"] is not None and found["best_ratio"] < summary.RATIO_NEEDED
    return 1 if slow or found["failed"] or found["missed"] else 0


def _commit() -> str:
    """The commit of this checkout, with a word when files differ from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown: no git here; give --commit"


def _not_writable(folder: Path) -> str:
    """Why nothing can be written into `folder`, which is made; empty where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if os.access(folder, os.W_OK) else "it is read-only"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.gpu.check", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for report.json and report.md")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the check itself")
    parser.add_argument("--minutes", type=float, default=8.0, help="at most [8]")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["pocket", "full"], help="[pocket full]")
    parser.add_argument("--graphs", nargs="+", choices=GRAPHS, default=list(GRAPHS), help="[all]")
    parser.add_argument("--work", type=Path, help="keep graphs and plans here [a temporary folder, removed]")
    parser.add_argument("--commit", default="", help="for the report, where there is no git")
    args = parser.parse_args(arguments)
    if importlib.util.find_spec("torch") is None:
        parser.error("this needs PyTorch, which is not installed")
    if not 0 < args.minutes < math.inf:
        parser.error(f"--minutes must be more than 0, got {args.minutes:g}")
    for option, folder in (("--out", args.out), ("--work", args.work)):
        if folder is not None and (why := _not_writable(folder)):
            parser.error(f"{option} {folder} cannot be written to: {why}; choose another folder")
    config = CheckConfig(
        out=args.out,
        device=args.device,
        minutes=args.minutes,
        sizes=tuple(dict.fromkeys(args.sizes)),
        graphs=tuple(name for name in GRAPHS if name in args.graphs),
        work=args.work,
        commit=args.commit,
    )
    try:
        code = check(config)
    except KeyboardInterrupt:
        print(f"error: interrupted; {args.out / 'report.md'} has what was measured until then", file=sys.stderr)
        return 130
    if code == 2:
        print(f"error: no {args.device} device to measure on, see {args.out / 'report.md'}", file=sys.stderr)
    else:
        print(f"{args.out / 'report.md'}")
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends, too
    sys.exit(main())

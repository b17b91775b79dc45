"""`python -m tests.gpu.check --out DIR`: all that needs a GPU, with whatever is installed, in 13 minutes, offline.

Writes report.json and report.md into DIR, anew after each line. What cannot run says why in its line, and the rest goes
on. Exit code 0: every line that ran kept its limit; 1: one failed or missed it; 2: there is no GPU (or, with
--device cpu, no PyTorch) to measure on, and the report says so. See docs/gpu-check.md.

`--background` starts it in a session of its own and returns; `--poll SECONDS` says how it stands, and returns 3 while
it goes on.

The order, the most valuable first: the machine; what each TensorRT family says to it; our own code with a stand-in for
TensorRT; NVIDIA's video coders; PyTorch alone, the released algorithm and the exact one; then every family at the small
size, then at the full one; the UNet's parts in the forms that they can have; Hallo2. Graphs are exported, and plans
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
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.gpu import background, summary
from tests.gpu.children import ROOT
from tests.gpu.lines import Line
from tests.gpu.report import Report
from tests.gpu.run import CheckConfig, Run
from tests.gpu.sizes import GRAPHS, SIZES, aside_cores
from tests.gpu.talk_sizes import MODELS


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
    run = Run(config, report, work)
    try:
        code = exit_code(report.lines, config.device) if run.all() else 2
        report.exit_code = code
        return code
    finally:
        run.end()
        report.write()
        if config.work is None:
            shutil.rmtree(work, ignore_errors=True)


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
    parser.add_argument("--minutes", type=float, default=13.0, help="at most [13]")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["pocket", "full"], help="[pocket full]")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="[both]")
    parser.add_argument("--graphs", nargs="+", choices=GRAPHS, default=list(GRAPHS), help="[all]")
    parser.add_argument("--work", type=Path, help="keep graphs and plans here [a temporary folder, removed]")
    parser.add_argument("--commit", default="", help="for the report, where there is no git")
    parser.add_argument("--background", action="store_true", help="start it, and return at once")
    parser.add_argument(
        "--poll", type=float, metavar="SECONDS", help="of one in the background: wait so long, and tell"
    )
    args = parser.parse_args(arguments)
    if args.poll is not None:
        said, code = background.poll(args.out, args.poll)
        print(said)
        return code
    if importlib.util.find_spec("torch") is None:
        parser.error("this needs PyTorch, which is not installed")
    if not 0 < args.minutes < math.inf:
        parser.error(f"--minutes must be more than 0, got {args.minutes:g}")
    for option, folder in (("--out", args.out), ("--work", args.work)):
        if folder is not None and (why := _not_writable(folder)):
            parser.error(f"{option} {folder} cannot be written to: {why}; choose another folder")
    if args.background:
        given = [word for word in (sys.argv[1:] if arguments is None else arguments) if word != "--background"]
        try:
            print(background.start(given, args.out))
        except RuntimeError as error:
            parser.error(str(error))
        return 0
    config = CheckConfig(
        out=args.out,
        device=args.device,
        minutes=args.minutes,
        sizes=tuple(dict.fromkeys(args.sizes)),
        graphs=tuple(name for name in GRAPHS if name in args.graphs),
        work=args.work,
        commit=args.commit,
        models=tuple(args.models),
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

"""`python -m tests.gpu.part NAME ...`: one part of the check in a process of its own. Started by `tests.gpu.check`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tests.gpu.lines import Lines
from tests.gpu.sizes import GRAPHS, PARTS, SIZES, aside_cores


def step_aside() -> None:
    """Leave cores to what is measured, and the others where it wants them. Before torch and the builders are loaded:
    they start a thread for each core that they see."""
    os.nice(19)
    os.sched_setaffinity(0, aside_cores())
    os.environ["OMP_NUM_THREADS"] = str(len(aside_cores()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--lines", type=Path, required=True)
    parser.add_argument("--until", type=float, required=True, help="seconds of time.time")
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--family")
    parser.add_argument("--build", nargs="*", default=[])
    parser.add_argument("--capability", default="")
    parser.add_argument("--graphs", nargs="+", default=list(GRAPHS))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--aside", action="store_true", help="others are measured meanwhile")
    args = parser.parse_args()
    if args.aside:
        step_aside()
    lines, graphs = Lines(args.lines, args.until), tuple(name for name in GRAPHS if name in args.graphs)
    if args.part == "facts":
        from tests.gpu.part_facts import tell_facts

        tell_facts(lines, args.device)
    elif args.part == "stand_in":
        from tests.gpu.part_stand_in import tell_stand_in

        tell_stand_in(lines, args.device)
    elif args.part == "coders":
        from tests.gpu.part_coders import tell_coders

        tell_coders(lines, args.device)
    elif args.part == "micro":
        from tests.gpu.part_micro import tell_micro

        tell_micro(lines, args.device)
    elif args.part == "levers":
        from tests.gpu.part_levers import tell_levers

        tell_levers(lines, args.family, args.size, args.device, args.work)
    elif args.part == "rows":
        from tests.gpu.part_levers import tell_rows

        tell_rows(lines, args.family, args.size, args.device, args.work)
    elif args.part == "torch":
        from tests.gpu.part_torch import tell_torch

        tell_torch(lines, SIZES[args.size], args.device, args.work, graphs, compiled=args.compile)
    elif args.part == "verdict":
        from tests.gpu.part_verdict import tell_verdict

        tell_verdict(lines, args.family, args.device)
    elif args.part == "artefacts":
        from tests.gpu.part_artefacts import tell_artefacts

        tell_artefacts(lines, SIZES[args.size], args.work, graphs, tuple(args.build), args.capability)
    elif args.part == "build":
        from tests.gpu.part_build import tell_build

        tell_build(lines, args.family, SIZES[args.size], args.work, graphs)
    elif args.part == "talk":
        from tests.gpu.part_talk import tell_talk

        tell_talk(lines, args.family, args.size, args.device, args.work)
    else:
        from tests.gpu.part_family import tell_family

        tell_family(lines, args.family, SIZES[args.size], args.device, args.work, graphs)


if __name__ == "__main__":
    main()

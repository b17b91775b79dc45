"""`python -m tests.attack --minutes 30`: the table of docs/reliability.md, for as long as one likes."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from engines.cores import available_cores
from tests.attack.families import FAMILIES
from tests.attack.forked import preload
from tests.attack.kills import kill_all, kill_lines
from tests.attack.runner import Tally, attack, lines
from tests.attack.seeds import make_seeds


def main(
    cases: Annotated[int, typer.Option(help="How many, at most.")] = 0,
    minutes: Annotated[float, typer.Option(help="How long, at most.")] = math.inf,
    seed: Annotated[int, typer.Option(help="Other cases.")] = 0,
    first: Annotated[int, typer.Option(help="The number of the first case: a single one again with --cases 1.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help=f"Families: {', '.join(FAMILIES)}.")] = None,
    jobs: Annotated[int, typer.Option(help="Commands at once.")] = available_cores(),
    kills: Annotated[int, typer.Option(help="Kills of each of eight commands, in place of cases.")] = 0,
) -> None:
    """Attack the commands with cases made of a seed; exit code 1 when anything was wrong."""
    chosen = {name: FAMILIES[name] for name in only or FAMILIES}
    most = cases or (sys.maxsize if minutes < math.inf else 1500)
    with tempfile.TemporaryDirectory(prefix="hp-trt-seeds-") as folder:
        seeds = make_seeds(Path(folder))
        if kills:
            found = kill_all(seeds, each=kills, seed=seed, tell=lambda text: print(text, file=sys.stderr))
            print("\n".join((*(fault for each in found.values() for fault in each.faults), *kill_lines(found))))
            sys.exit(any(each.faults for each in found.values()))
        preload()
        until_s, told = time.monotonic() + minutes * 60, 0

        def tell(number: int, tally: Tally) -> None:
            nonlocal told
            for text in tally.failed[told:]:
                print(text, flush=True)
            told = len(tally.failed)

        tally = attack(chosen, seeds, seed=seed, first=first, cases=most, until_s=until_s, jobs=jobs, tell=tell)
    print("\n".join(lines(tally)))
    print(f"\nseed {seed}; peak {tally.worst_bytes / 1e6:.0f} MB; longest {tally.worst_s:.1f} s")
    sys.exit(1 if tally.failed else 0)


if __name__ == "__main__":
    typer.run(main)

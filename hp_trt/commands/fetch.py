"""`hp-trt fetch`: files of others that we use and do not ship."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hp_trt.commands import options
from hp_trt.config import one_of
from hp_trt.console import Reporter


def fetch(
    name: Annotated[str, typer.Argument(help="Which: mesh, the face landmarks of --locator mesh.")],
    wheel: Annotated[Path | None, typer.Option(help="The wheel that has it [pip downloads it].")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to [~/.local/share/hp-trt].")] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Get a file of others that we use and do not ship, and say whose it is and under which licence."""
    from hp_trt.fetch.fetch import fetch
    from hp_trt.fetch.table import FETCHED

    wanted = FETCHED[one_of("file to fetch called", name, tuple(FETCHED))]
    with Reporter(as_json=json) as report:
        place = fetch(wanted, wheel=wheel, out=out, note=report.note)
        report.result(str(place), file=place, sha256=wanted.sha256, licence=wanted.licence)

"""`hp-trt doctor`: what this machine can build and run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hp_trt.commands import options
from hp_trt.console import Reporter


def doctor(
    bundle: Annotated[
        Path | None, typer.Option(help="A bundle: say which family --family auto would pick in it, and why.")
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Say what this machine can build and run, and how to mend what it cannot."""
    from hp_trt.doctor.examine import examine, show

    findings = examine(bundle)
    with Reporter(as_json=json) as report:
        if json:
            report.result("", findings=[finding.to_json() for finding in findings])
        else:
            show(findings)
    if any(finding.needed and not finding.fine for finding in findings):
        raise typer.Exit(2)

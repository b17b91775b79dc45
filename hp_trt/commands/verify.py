"""`hp-trt verify`: what a file carries of its origin. Exit code 0: ours and intact, 1: nothing found, 3: broken."""

from __future__ import annotations

import json as json_text
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.errors import bounded
from hp_trt.commands import options

if TYPE_CHECKING:
    from hp_trt.provenance.verify import Report

CODES = {"intact": 0, "nothing": 1, "broken": 3}
_WORDS = {
    "intact": "made by hp-trt, and nothing found here speaks against it",
    "nothing": "nothing of hp-trt was found, which is no proof of anything",
    "broken": "what it carries does not fit it",
}


def verify(
    file: Annotated[Path, typer.Argument(help="A video or a picture; OUT.json beside it is read too.")],
    anchor: Annotated[Path | None, typer.Option(help="Certificates to trust (PEM).")] = None,
    json: Annotated[bool, typer.Option("--json", help="The report as one line of JSON.")] = False,
    debug: options.Debug = False,
) -> None:
    """Say what a file carries of its origin: Content Credentials, the invisible mark, the sidecar."""
    from hp_trt.provenance.verify import verify_file

    report = verify_file(file, anchor)
    if json:
        print(json_text.dumps(report.to_json()))
    else:
        for line in lines(report):
            print(bounded(_one_line(line)))
    raise typer.Exit(CODES[report.verdict])


def lines(report: Report) -> Iterator[str]:
    """The report for people."""
    yield f"{report.path}: {_WORDS[report.verdict]}"
    for text in report.broken:
        yield f"  broken: {text}"
    found = report.credentials
    if report.not_looked:
        yield f"  credentials: not looked at, {report.not_looked}"
    elif found is None:
        yield "  credentials: none"
    else:
        who = f", signed by {found.signer}" if found.signer else ""
        claims = f", claimed by {found.generator}: {', '.join(found.source_types)}" if found.generator else ""
        yield f"  credentials: {found.state}{who}{claims}"
    if report.mark is None:
        yield "  mark: not looked for, there are no pictures that can be read"
    elif report.mark.payload is None:
        yield f"  mark: none (score {report.mark.score:.3g})"
    else:
        yield f"  mark: {report.mark.payload:08x} (score {report.mark.score:.3g})"
    if report.sidecar is None:
        yield "  sidecar: none"
    else:
        left = "".join(f", without {what} ({why})" for what, why in report.sidecar.left_out.items())
        consent = "" if report.sidecar.consent is None else f", consent as stated: {report.sidecar.consent}"
        yield f"  sidecar: hp-trt {report.sidecar.version}{left}{consent}"


def _one_line(text: str) -> str:
    """A stranger's words make no further line."""
    head = text[: len(text) - len(text.lstrip(" "))]
    return head + " ".join(text.split())

"""`hp-trt study`: people say whether. Makes a study of clips, serves it, and tells what raters said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engines.errors import InputError
from hp_trt.commands import options
from hp_trt.console import Reporter

study = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
    help="Let people grade clips without knowing who made them: --clips DIR --out STUDY makes a study.",
)
Study = Annotated[Path, typer.Argument(help="Folder that hp-trt study --out has made.", metavar="STUDY")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write every answer (.csv).")]
Table = Annotated[Path | None, typer.Option(help="Write means, intervals and agreement (.csv).")]
Host = Annotated[str, typer.Option(help="The address to listen at; others than this machine's own need --allow-host.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")]
AllowHost = Annotated[
    list[str] | None, typer.Option(help="A name by which raters' browsers call this machine; again for each.")
]


@study.callback()
def make(
    context: typer.Context,
    clips: Annotated[
        Path | None,
        typer.Option(help="Folder with source/NAME.png, driving/NAME.mp4 or .wav, and CONTENDER/NAME.mp4 of each."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(parser=options.folder, metavar="PATH", help="The study's folder, which is made.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=options.MOST_SEED, help="Of the orders that raters see.")] = 0,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Make a study of the clips in --clips: blind copies, and a plan that is the key to them."""
    if context.invoked_subcommand is not None:
        if clips is not None or out is not None or seed or json:
            raise InputError(
                f"what stands before {context.invoked_subcommand} makes a study; give its own options behind it"
            )
        return
    if clips is None or out is None:
        lacking = " and ".join(name for name, value in (("--clips DIR", clips), ("--out STUDY", out)) if value is None)
        raise InputError(f"a study is made with {lacking}; or give serve STUDY, or results STUDY")
    from hp_trt.measure.study.plan import make_study

    with Reporter(as_json=json) as report:
        plan, notes = make_study(clips, out, seed=seed, progress=lambda done, of: report.advance("copies", done, of))
        for note in notes:
            report.note(note)
        report.result(
            f"{out}: {len(plan.items)} clips of {', '.join(plan.contenders)}; serve it: hp-trt study serve {out}",
            study=out,
            items=[item.name for item in plan.items],
            contenders=list(plan.contenders),
        )


@study.command()
def serve(
    study: Study,
    host: Host = "127.0.0.1",
    port: Port = 8090,
    allow_host: AllowHost = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Serve the study's page until Ctrl-C. Answers are kept as they come; serving it again goes on."""
    from hp_trt.apps.study.serve import StudyServer, serve

    server = StudyServer(study=study, host=host, port=port, names=tuple(allow_host or ()))
    with Reporter(as_json=json, bars=False) as report:
        serve(server, report)


@study.command()
def results(
    study: Study,
    csv: Csv = None,
    table: Table = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Print what raters said: means with intervals, differences, agreement. The study may be served meanwhile."""
    from hp_trt.measure.study.results import check_results, facts, read_results, write_results
    from hp_trt.measure.study.table import show

    check_results(study, answers=csv, table=table)
    found = read_results(study)
    write_results(found, answers=csv, table=table)
    if json:
        with Reporter(as_json=True) as report:
            report.result("", **facts(found))
    else:
        show(found, Console(highlight=False))

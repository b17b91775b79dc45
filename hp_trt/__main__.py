"""`hp-trt`: demo, animate, live, enhance, verify, inspect and others, each a module of `hp_trt.commands`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hp_trt import __version__
from hp_trt.commands import (
    animate,
    batch,
    card,
    demo,
    doctor,
    enhance,
    evaluate,
    fetch,
    inspect,
    live,
    motion,
    options,
    plan,
    portrait,
    sample,
    serve,
    study,
    verify,
)
from hp_trt.console import run
from hp_trt.siblings import require_siblings

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Portrait animation on engines: one portrait and a driving video, and the portrait moves.",
)
for command in (
    demo.demo,
    animate.animate,
    batch.batch,
    enhance.enhance,
    live.live,
    motion.motion,
    portrait.portrait,
    verify.verify,
    evaluate.evaluate,
    inspect.inspect,
    card.card,
    doctor.doctor,
    plan.plan,
    sample.sample,
    fetch.fetch,
    serve.serve,
):
    app.command(cls=options.Grouped)(command)
app.add_typer(study.study, name="study")


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"hp-trt {__version__}")
        raise typer.Exit


@app.callback()
def before_any_command(
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """What may stand before the command's name."""


def main() -> None:
    """The console script."""
    require_siblings("procedural")
    run(app, json_events=sys.argv[1:2] != ["evaluate"])  # whose --json names a file


if __name__ == "__main__":
    main()

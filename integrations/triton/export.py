"""`python -m integrations.triton.export`: a bundle as a model repository of Triton Inference Server.

Parses arguments, makes an ExportConfig, and calls `integrations.triton.repository.export_repository`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hp_trt.commands import options
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter, run
from integrations.triton.repository import MODEL, ExportConfig, export_repository

Out = Annotated[
    Path, typer.Option(parser=options.folder, metavar="PATH", help="The repository to write, or one of it.")
]
Family = Annotated[str, typer.Option(help="What runs graphs: onnxruntime, or tensorrt, of which the bundle has plans.")]
Target = Annotated[str | None, typer.Option(help="Of plans: the set's folder in engines/ [the one built last].")]
Only = Annotated[list[str] | None, typer.Option(help="A graph to make a model of; may be repeated [all].")]
Copy = Annotated[bool, typer.Option("--copy", help="Copy files, where links would do.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def command(
    bundle: options.Bundle,
    out: Out,
    family: Family = "onnxruntime",
    target: Target = None,
    only: Only = None,
    copy: Copy = False,
    profile: options.Profile = "exact",
    provider: options.Provider = "cpu",
    threads: options.Threads = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    arcface: options.Arcface = None,
    vocals: options.Vocals = None,
    max_frames: options.MaxFrames = 10_000,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write a bundle's graphs as models of Triton, and the model hp_trt, which runs a Runtime and streams frames."""
    config = ExportConfig(
        bundle=bundle,
        out=out,
        target=target,
        only=tuple(only or ()),
        copy=copy,
        runtime=RuntimeConfig(
            **options.machine(family=family, provider=provider, device=0, threads=threads),
            **options.finder(locator=locator, locator_file=locator_file, arcface=arcface),
            profile=profile,
            vocals=vocals,
            max_frames=max_frames,
        ),
    )
    with Reporter(as_json=json) as report:
        made = export_repository(config)
        for note in made.notes:
            report.note(note)
        report.result(
            f"{out}: the model {MODEL} and {len(made.graphs)} graphs, {made.linked_bytes / 1e6:.1f} MB linked, "
            f"{made.copied_bytes / 1e6:.1f} MB copied",
            out=str(out),
            graphs=made.graphs,
            linked_bytes=made.linked_bytes,
            copied_bytes=made.copied_bytes,
        )


def main() -> None:
    """Run the command."""
    run(app)


if __name__ == "__main__":
    main()

"""`python -m export.shipping`: a bundle that comes with the package, of what `export` makes today.

Run it where a test says that the shipped graphs are others, and commit what it writes. Building takes a minute; what
the bundle at --bundle holds already is not built again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from engines.safe_output import refusing
from export.weights.own import OWN_WEIGHTS, WeightsChoice
from hp_trt.commands.options import Debug, Json, folder
from hp_trt.config import one_of
from hp_trt.console import Reporter, run

PRESET = f"Whose: {' or '.join(OWN_WEIGHTS)}."
BUNDLE = "Folder to build in, or a bundle of today's [out/PRESET]."

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def ship(
    preset: Annotated[str, typer.Option(help=PRESET)] = "pocket",
    bundle: Annotated[Path | None, typer.Option(parser=folder, metavar="PATH", help=BUNDLE)] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Build a preset's bundle, and write its graphs without their weights into the package, beside the weights."""
    start_s = time.perf_counter()
    with Reporter(as_json=json) as report:
        from export.build import BuildConfig, build_bundle
        from export.shipping.ship import ship

        own = WeightsChoice().of_preset(one_of("preset", preset, tuple(OWN_WEIGHTS)))
        assert own.weights is not None
        config = BuildConfig(
            preset=preset,
            bundle=bundle or Path("out", preset),
            weights=own.weights,
            live=bool(own.live),
            live_weights=own.live_weights,
        )
        made = build_bundle(config)
        with refusing(own.weights.parent):
            shipped = ship(made, [path for path in (own.weights, own.live_weights) if path is not None])
        changed = ", ".join(shipped.changed) or "nothing"
        report.result(
            f"{own.weights.parent}: {len(shipped.graphs)} graphs in {shipped.graphs_bytes} bytes, changed {changed}, "
            f"in {time.perf_counter() - start_s:.1f} s",
            folder=own.weights.parent,
            graphs=len(shipped.graphs),
            bytes=shipped.graphs_bytes,
            kept_bytes=sum(graph.kept_bytes for graph in shipped.graphs.values()),
            changed=list(shipped.changed),
        )


def main() -> None:
    """Run the command."""
    run(app)


if __name__ == "__main__":
    main()

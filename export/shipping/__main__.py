"""`python -m export.shipping`: the bundle that comes with the package, of what `export` makes today.

Run it where a test says that the shipped graphs are others, and commit what it writes. Building takes a minute; what
the bundle at --bundle holds already is not built again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from engines.safe_output import refusing
from export.weights.own import WeightsChoice
from hp_trt.commands.options import Debug, Json, folder
from hp_trt.console import Reporter, run

PRESET = "pocket"
BundleFolder = Annotated[
    Path, typer.Option(parser=folder, metavar="PATH", help="Folder to build in, or a bundle of today's.")
]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def ship(bundle: BundleFolder = Path("out/pocket"), json: Json = False, debug: Debug = False) -> None:
    """Build pocket's bundle, and write its graphs without their weights into the package, beside the weights."""
    start_s = time.perf_counter()
    with Reporter(as_json=json) as report:
        from export.build import BuildConfig, build_bundle
        from export.shipping.ship import ship

        own = WeightsChoice().of_preset(PRESET)
        assert own.weights is not None and own.live_weights is not None
        config = BuildConfig(
            preset=PRESET, bundle=bundle, weights=own.weights, live=bool(own.live), live_weights=own.live_weights
        )
        made = build_bundle(config)
        with refusing(own.weights.parent):
            shipped = ship(made, [own.weights, own.live_weights])
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

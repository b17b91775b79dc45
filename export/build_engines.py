"""`python -m export.build_engines`: checkpoints, or random weights, to a bundle.

Parses arguments, makes a BuildConfig, calls `export.build.build_bundle`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.errors import InputError
from hp_trt.console import Reporter, debug_option, json_option, run

if TYPE_CHECKING:
    from export.build import Progress

USES = {"arcface": "--arcface FILE", "yoloface": "--locator yoloface --locator-file FILE"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def build(
    preset: Annotated[str, typer.Option(help="hunyuanportrait (full size) or pocket (small, for CPUs and tests).")],
    bundle: Annotated[Path, typer.Option(help="Folder to build into; what it holds already is not built again.")],
    weights: Annotated[Path | None, typer.Option(help="Upstream's pretrained_weights folder.")] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Noise, for benchmarks only.")] = False,
    family: Annotated[str, typer.Option(help="Engine family: onnxruntime.")] = "onnxruntime",
    precision: Annotated[str, typer.Option(help="fp32 or fp16.")] = "fp32",
    size: Annotated[int | None, typer.Option(help="Pixels along a side [512; pocket 128].")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames denoised together [25].")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Build at most this graph; may be repeated.")] = None,
    parity: Annotated[bool, typer.Option(help="Compare every graph with its network on this CPU.")] = True,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Export every network to ONNX, compare it with PyTorch, and put it into a bundle."""
    if random_weights == (weights is not None):
        given = "both were given" if random_weights else "neither was given"
        raise InputError(f"weights come from --weights DIR or --random-weights, {given}; choose one")
    if family != "onnxruntime":
        raise InputError(f"this version builds for onnxruntime only, got --family {family}")
    start = time.perf_counter()
    with Reporter(as_json=json) as report:
        from export.build import BuildConfig, build_bundle  # torch takes seconds: after the arguments are right

        config = BuildConfig(
            preset=preset,
            bundle=bundle,
            weights=weights,
            precision=precision,  # type: ignore[arg-type]  # checked there, with a message
            size=size,
            frames=frames,
            only=tuple(only or ()),
            parity=parity,
        )
        if random_weights:
            report.note("random weights: the bundle is for trying and for benchmarks, its pictures are noise")
        if not parity:
            report.note("graphs are not compared with their networks (--no-parity)")
        built = 0

        def on_progress(progress: Progress) -> None:
            nonlocal built
            finished = progress.step in ("done", "reuse")
            built += progress.step == "done"
            label = f"build {progress.graph}: {progress.step}"
            facts = {"graph": progress.graph, "step": progress.step, "seconds": round(progress.seconds, 2)}
            if progress.parity is not None:
                facts["parity"] = progress.parity
            report.advance("build", progress.number - (not finished), progress.of, label=label, **facts)

        result = build_bundle(config, on_progress)
        for name, path in config.user_files().items():
            report.note(f"{path} stays where it is: give it to hp-trt animate ({USES[name]})")
        seconds = time.perf_counter() - start
        total = len(result.manifest.graphs)
        report.result(
            f"{bundle}: {total} graphs, {built} built and {total - built} reused, in {seconds:.1f} s",
            bundle=bundle,
            graphs=total,
            built=built,
            seconds=seconds,
        )


def main() -> None:
    """Run the command."""
    run(app)


if __name__ == "__main__":
    main()

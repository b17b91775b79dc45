"""`python -m export.build_engines`: checkpoints, or random weights, to a bundle; graphs of a bundle to plans.

Parses arguments, makes a BuildConfig and a PlanConfig, calls `export.build.build_bundle` and
`export.plans.build_plans.build_plans`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines import families
from engines.bundle import Bundle
from engines.errors import InputError
from engines.plans import PlanOptions
from hp_trt.console import Reporter, debug_option, json_option, run

if TYPE_CHECKING:
    from export.build import BuildConfig
    from export.dry_run import Line
    from export.plans.build_plans import PlanConfig
    from export.progress import Progress

USES = {"arcface": "--arcface FILE", "yoloface": "--locator yoloface --locator-file FILE"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def build(
    bundle: Annotated[Path, typer.Option(help="Folder to build into; what it holds already is not built again.")],
    preset: Annotated[
        str | None, typer.Option(help="hunyuanportrait (full size) or pocket (small, for CPUs and tests).")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Upstream's pretrained_weights folder, or a file of export.train [pocket: its own]."),
    ] = None,
    random_weights: Annotated[bool, typer.Option("--random-weights", help="Noise, for benchmarks only.")] = False,
    live: Annotated[
        bool | None,
        typer.Option("--live/--no-live", help="The graphs of live mode too [where it has weights]."),
    ] = None,
    live_weights: Annotated[
        Path | None, typer.Option(help="Live mode's: a file of export.distill [pocket: its own].")
    ] = None,
    reuse: Annotated[
        bool, typer.Option("--reuse", help="The denoiser in two parts too, for profiles with deep_every.")
    ] = False,
    quantize: Annotated[
        list[str] | None,
        typer.Option(help="int8 or fp8: the denoisers in 8 bits too, for profiles that quantize; may be repeated."),
    ] = None,
    calibrate: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="PORTRAIT DRIVING whose clip tells the ranges of 8 bits [drawn clips].", metavar="P D"),
    ] = None,
    family: Annotated[
        str,
        typer.Option(
            help="onnxruntime: graphs only. tensorrt, tensorrt-rtx: plans too, without --preset of a bundle's graphs."
        ),
    ] = "onnxruntime",
    precision: Annotated[str | None, typer.Option(help="fp32 or fp16 [fp16 for TensorRT, else fp32].")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels along a side [512; pocket 128].")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames denoised together [25].")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Build at most this graph or plan; may be repeated.")] = None,
    parity: Annotated[bool, typer.Option(help="Compare graphs and engines with their networks.")] = True,
    graph_parity: Annotated[
        bool, typer.Option(help="Compare graphs, on this CPU; without it engines still are, on the GPU.")
    ] = True,
    capability: Annotated[
        str | None, typer.Option(help="GPUs to build tensorrt-rtx plans for: 8.9,12.0 [the GPU here].")
    ] = None,
    workspace: Annotated[float | None, typer.Option(help="Most scratch memory of one layer, in GiB.")] = None,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="Plans also run on later releases of this major version.")
    ] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="Plans also run on other and later GPUs, slower.")
    ] = False,
    weight_streaming: Annotated[
        bool, typer.Option("--weight-streaming", help="Weights may stay in host memory, for small cards.")
    ] = False,
    strip: Annotated[
        bool, typer.Option("--strip", help="Plans without weights: read from the graphs, no rebuild for others.")
    ] = False,
    optimization_level: Annotated[int | None, typer.Option(help="0 (fast build) to 5 [the family's own].")] = None,
    device: Annotated[int, typer.Option(help="Which GPU to build plans on, from 0.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be built and why, and stop.")] = False,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Export every network to ONNX, compare it with PyTorch, put it into a bundle, and build engines of it."""
    wants_plans = families.find(family).has_plans
    if random_weights and weights is not None:
        raise InputError("weights come from --weights DIR or --random-weights, both were given; choose one")
    if live is False and live_weights is not None:
        raise InputError("--live-weights are for live mode, and --no-live leaves it out; give one of them")
    more = reuse or quantize or calibrate is not None
    exporting = random_weights or weights is not None or live is not None or live_weights is not None or more
    if preset is None and (exporting or not wants_plans):
        raise InputError("exporting needs --preset: hunyuanportrait or pocket")
    options = {
        "version_compatible": version_compatible,
        "hardware_compatible": hardware_compatible,
        "weight_streaming": weight_streaming,
        "strip": strip,
        "optimization_level": optimization_level,
    }
    if not wants_plans:
        _refuse(family, {"capability": capability, "workspace": workspace, "device": device or None, **options})
    start = time.perf_counter()
    with Reporter(as_json=json) as report:
        graphs = plans = None
        if wants_plans:
            from export.plans.build_plans import PlanConfig

            plans = PlanConfig(
                family=family,
                capabilities=_capabilities(capability),
                options=_options(workspace, options),
                only=tuple(only or ()),
                parity=parity,
                device_id=device,
            )
            plans.target()  # a family, GPU or option that cannot be is told before anything is exported
        if preset is not None:
            from export.build import BuildConfig, check_preset  # torch takes seconds: after the arguments are right
            from export.weights.source import own_live_weights, own_weights

            check_preset(preset)
            if weights is None and not random_weights:
                weights = own_weights(preset)
                # Those that come with the package are of its own weights.
                if live is not False and live_weights is None:
                    live_weights = own_live_weights(preset)
            graphs = BuildConfig(
                preset=preset,
                bundle=bundle,
                weights=weights,
                precision=precision or ("fp16" if wants_plans else "fp32"),  # type: ignore[arg-type]  # checked there
                size=size,
                frames=frames,
                only=tuple(only or ()),
                parity=parity and graph_parity,
                reuse=reuse,
                quantize=tuple(dict.fromkeys(quantize or ())),  # type: ignore[arg-type]  # checked there
                calibration=calibrate,
                live=live or live_weights is not None,
                live_weights=live_weights,
            )
        else:
            _check_is_what_was_asked(bundle, precision=precision, size=size, frames=frames)
        if dry_run:
            _report_lines(report, list(_lines(bundle, graphs, plans)))
            return
        if random_weights:
            report.note("random weights: the bundle is for trying and for benchmarks, its pictures are noise")
        if graphs is not None and graphs.packed:
            trained, asked = (graphs.profile.size, graphs.profile.frames), (graphs.size_px, graphs.window)
            if asked != trained:
                report.note(
                    f"the weights were trained at {trained[0]} pixels and windows of {trained[1]} frames, the bundle "
                    f"is for {asked[0]} and {asked[1]}: its pictures may be worse"
                )
        if not parity:
            report.note("graphs and engines are not compared with their networks (--no-parity)")
        elif graphs is not None and not graph_parity:
            report.note("graphs are not compared with their networks (--no-graph-parity)")
        counts = _run(bundle, graphs, plans, report)
        seconds = time.perf_counter() - start
        text = ", ".join(
            f"{total} {what}{'s' * (total != 1)}, {built} built and {total - built} reused"
            for what, built, total in counts
        )
        facts = {f"{what}s": total for what, _, total in counts} | {
            f"{what}s_built": built for what, built, _ in counts
        }
        report.result(
            f"{bundle}: {text}, in {seconds:.1f} s",
            bundle=bundle,
            built=sum(built for _, built, _ in counts),
            seconds=seconds,
            **facts,
        )


def _run(
    bundle: Path, graphs: BuildConfig | None, plans: PlanConfig | None, report: Reporter
) -> list[tuple[str, int, int]]:
    """Build; ("graph" or "plan", how many were built, how many there are) for both."""
    counts = []
    on_progress, built = _progress(report)
    if graphs is not None:
        from export.build import build_bundle

        result = build_bundle(graphs, on_progress)
        for name, path in graphs.user_files().items():
            report.note(f"{path} stays where it is: give it to hp-trt animate ({USES[name]})")
        counts.append(("graph", built["graph"], len(result.manifest.graphs)))
    if plans is not None:
        from export.plans.build_plans import build_plans

        judge = None
        if graphs is not None:
            from export.build import judge as judge_of

            judge = judge_of(graphs)
        result = build_plans(bundle, plans, on_progress, judge, report.note)
        made = result.manifest.engines[plans.target().folder].plans
        for plan in made.values():
            if not plan.parity and plan.built["not_compared"] != "--no-parity":
                report.note(f"engines are not compared with their graphs: {plan.built['not_compared']}")
                break
        counts.append(("plan", built["plan"], len(made)))
    return counts


def _progress(report: Reporter) -> tuple[Callable[[Progress], None], dict[str, int]]:
    """A listener for the report's bars, and how many graphs and plans it has seen being built."""
    built = {"graph": 0, "plan": 0}

    def on_progress(progress: Progress) -> None:
        finished = progress.step in ("done", "reuse")
        built[progress.what] += progress.step == "done"
        phase = f" {progress.phase}" if progress.phase else ""
        facts = {"graph": progress.graph, "step": progress.step, "seconds": round(progress.seconds, 2)}
        if progress.parity is not None:
            facts["parity"] = progress.parity
        if progress.phase:
            facts |= {"phase": progress.phase, "fraction": progress.fraction}
        report.advance(
            "build" if progress.what == "graph" else "plans",
            progress.number - (not finished),
            progress.of,
            label=f"{progress.what} {progress.graph}: {progress.step}{phase}",
            **facts,
        )

    return on_progress, built


def _lines(bundle: Path, graphs: BuildConfig | None, plans: PlanConfig | None) -> Iterator[Line]:
    from export.dry_run import graph_lines, plan_lines

    rebuilt: set[str] = set()
    names: list[str] = []
    if graphs is not None:
        names = list(graphs.graphs())
        for line in graph_lines(graphs):
            if line.build:
                rebuilt.add(line.name)
            yield line
    if plans is not None:
        from export.plans.build_plans import wanted

        if graphs is None:
            names = list(wanted(Bundle.open(bundle, family="").manifest, plans))
        names = [name for name in names if not plans.only or name in plans.only]
        yield from plan_lines(bundle, plans, names, rebuilt, judged=graphs is not None)


def _report_lines(report: Reporter, lines: list[Line]) -> None:
    count = sum(line.build for line in lines)
    text = [str(line) for line in lines] + [f"{count} would be built, {len(lines) - count} reused; nothing was done"]
    report.result("\n".join(text), dry_run=[line.to_json() for line in lines], would_build=count)


def _check_is_what_was_asked(bundle: Path, **asked: str | int | None) -> None:
    """Without a preset, plans are built of the graphs as they are: refuse to build other ones than were asked for."""
    manifest = Bundle.open(bundle, family="").manifest
    holds: dict[str, str | int] = {"precision": manifest.precision, "frames": manifest.frames}
    holds["size"] = manifest.size[0]
    for name, value in asked.items():
        if value is not None and value != holds[name]:
            raise InputError(
                f"{bundle} was exported with {name} {holds[name]}, asked for {value}; leave --{name} out, or export "
                f"again: give --preset {manifest.preset} (and its weights) as well"
            )


def _capabilities(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text is not None else ()


def _refuse(family: str, plan_options: Mapping[str, Any]) -> None:
    """An option that would do nothing is a misunderstanding."""
    for name, value in plan_options.items():
        if value is not None and value is not False:
            raise InputError(
                f"--{name.replace('_', '-')} is for plans, --family {family} has none; "
                "leave it out, or give --family tensorrt or tensorrt-rtx"
            )


def _options(workspace_gib: float | None, options: Mapping[str, Any]) -> PlanOptions:
    if workspace_gib is not None and not math.isfinite(workspace_gib):
        raise InputError(f"--workspace is a number of GiB, got {workspace_gib}; leave it out for no limit")
    try:
        return PlanOptions(workspace_bytes=None if workspace_gib is None else round(workspace_gib * 2**30), **options)
    except ValueError as error:
        raise InputError(str(error)) from error


def main() -> None:
    """Run the command."""
    run(app)


if __name__ == "__main__":
    main()

"""`python -m export.build_engines`: checkpoints, or random weights, to a bundle; graphs of a bundle to plans.

Parses arguments, makes a BuildConfig and a PlanConfig, calls `export.build.build_bundle` and
`export.plans.build_plans.build_plans`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines import families, spec
from engines.bundle import Bundle
from engines.errors import InputError
from engines.plans import PlanOptions
from engines.safe_output import check_folder
from export.models import MODELS, find_model
from export.plans.plan_steps import PlanConfig
from export.two_processes.beside import Beside
from export.two_processes.choice import IMPORTED, begins_early, graph_parameters, usual_processes
from export.weights.own import WeightsChoice
from hp_trt.commands.options import Debug, Json, folder
from hp_trt.config import LAST_GPU, one_of
from hp_trt.console import Reporter, run

if TYPE_CHECKING:  # torch takes seconds: after the arguments are right
    from export.build import BuildConfig
    from export.progress import Progress

BundleFolder = Annotated[
    Path,
    typer.Option(parser=folder, metavar="PATH", help="Folder to build into; what it holds already is not built again."),
]
Preset = Annotated[
    str | None,
    typer.Option(help=f"What to export: {' or '.join(MODELS)}; those called pocket are small, for CPUs and tests."),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Upstream's folder of weights, or a file of export.train [pocket, talk_pocket: their own]."),
]
RandomWeights = Annotated[bool, typer.Option("--random-weights", help="Noise, for benchmarks only.")]
Live = Annotated[
    bool | None, typer.Option("--live/--no-live", help="The graphs of live mode too [where it has weights].")
]
LiveWeights = Annotated[Path | None, typer.Option(help="Live mode's: a file of export.distill [pocket: its own].")]
Reuse = Annotated[bool, typer.Option("--reuse", help="The denoiser in two parts too, for profiles with deep_every.")]
Quantize = Annotated[
    list[str] | None,
    typer.Option(help="int8 or fp8: the denoisers in 8 bits too, for profiles that quantize; may be repeated."),
]
Calibrate = Annotated[
    tuple[Path, Path] | None,
    typer.Option(help="PORTRAIT DRIVING whose clip tells the ranges of 8 bits [drawn clips].", metavar="P D"),
]
Family = Annotated[
    str,
    typer.Option(
        help="onnxruntime: graphs only. openvino, tensorrt, tensorrt-rtx: plans too, without --preset of a bundle's "
        "graphs."
    ),
]
Precision = Annotated[str | None, typer.Option(help="fp32 or fp16 [fp16 for TensorRT, else fp32].")]
Size = Annotated[int | None, typer.Option(help="Pixels along a side [512; the pocket ones 128].")]
Frames = Annotated[int | None, typer.Option(help="Frames denoised together [the preset's].")]
Only = Annotated[list[str] | None, typer.Option(help="Build at most this graph or plan; may be repeated.")]
Parity = Annotated[bool, typer.Option(help="Compare graphs and engines with their networks.")]
GraphParity = Annotated[
    bool, typer.Option(help="Compare graphs, on this CPU; without it engines still are, on the GPU.")
]
Capability = Annotated[str | None, typer.Option(help="GPUs to build tensorrt-rtx plans for: 8.9,12.0 [the GPU here].")]
Workspace = Annotated[float | None, typer.Option(max=1 << 20, help="Most scratch memory of one layer, in GiB.")]
VersionCompatible = Annotated[
    bool, typer.Option("--version-compatible", help="Plans also run on later releases of this major version.")
]
HardwareCompatible = Annotated[
    bool, typer.Option("--hardware-compatible", help="Plans also run on other and later GPUs, slower.")
]
WeightStreaming = Annotated[
    bool, typer.Option("--weight-streaming", help="Weights may stay in host memory, for small cards.")
]
Strip = Annotated[
    bool, typer.Option("--strip", help="Plans without weights: read from the graphs, no rebuild for others.")
]
OptimizationLevel = Annotated[int | None, typer.Option(help="0 (fast build) to 5 [the family's own].")]
MaxAuxStreams = Annotated[
    int | None, typer.Option(help="Streams that a plan may use beside the run's own, 0 to 16 [the builder's].")
]
TilingOptimizationLevel = Annotated[
    int | None, typer.Option(help="0 (none) to 3 (the longest search for tiles) [the family's own].")
]
Processes = Annotated[int | None, typer.Option(min=1, max=2, help="Graphs at a time [2 where cores and memory allow].")]
Device = Annotated[int, typer.Option(min=0, max=LAST_GPU, help="Which GPU to build plans on, from 0.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be built and why, and stop.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def build(
    context: typer.Context,
    bundle: BundleFolder,
    preset: Preset = None,
    weights: Weights = None,
    random_weights: RandomWeights = False,
    live: Live = None,
    live_weights: LiveWeights = None,
    reuse: Reuse = False,
    quantize: Quantize = None,
    calibrate: Calibrate = None,
    family: Family = "onnxruntime",
    precision: Precision = None,
    size: Size = None,
    frames: Frames = None,
    only: Only = None,
    parity: Parity = True,
    graph_parity: GraphParity = True,
    capability: Capability = None,
    workspace: Workspace = None,
    version_compatible: VersionCompatible = False,
    hardware_compatible: HardwareCompatible = False,
    weight_streaming: WeightStreaming = False,
    strip: Strip = False,
    optimization_level: OptimizationLevel = None,
    max_aux_streams: MaxAuxStreams = None,
    tiling_optimization_level: TilingOptimizationLevel = None,
    processes: Processes = None,
    device: Device = 0,
    dry_run: DryRun = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Export every network to ONNX, compare it with PyTorch, put it into a bundle, and build engines of it."""
    start_s = time.perf_counter()
    chosen = WeightsChoice(weights=weights, random=random_weights, live=live, live_weights=live_weights)
    asked = None if precision is None else one_of("precision", precision, spec.PRECISIONS)
    _check_preset(preset, family, exporting=bool(chosen != WeightsChoice() or reuse or quantize or calibrate))
    options = plan_options(context.params)
    plans = plan_config(family, capability, options, only=only, parity=parity, device_id=device)
    if preset is None:
        _check_is_what_was_asked(bundle, {"precision": asked, "size": size, "frames": frames})
    with _beside(None if dry_run or processes else preset, bundle) as beside, Reporter(as_json=json) as report:
        graphs = graph_config(
            preset,
            bundle,
            chosen,
            precision=asked or ("fp16" if families.find(family).plans_for == "gpu" else "fp32"),
            size=size,
            frames=frames,
            only=only,
            parity=parity and graph_parity,
            reuse=reuse,
            quantize=quantize,
            calibration=calibrate,
        )
        _report_notes(report, graphs, parity=parity)
        if dry_run:
            return _report_dry_run(report, bundle, graphs, plans)
        _report_result(report, bundle, _run(bundle, graphs, plans, report, processes, beside), start_s)


def plan_options(given: Mapping[str, Any]) -> PlanOptions:
    """How plans are built, by the command's parameters, which have the names of its fields. Raises InputError."""
    workspace = given["workspace"]
    named = {field.name: given[field.name] for field in fields(PlanOptions) if field.name != "workspace_bytes"}
    try:
        return PlanOptions(workspace_bytes=None if workspace is None else round(workspace * 2**30), **named)
    except ValueError as error:
        raise InputError(str(error)) from error


def plan_config(
    family: str, capability: str | None, options: PlanOptions, *, only: list[str] | None, parity: bool, device_id: int
) -> PlanConfig | None:
    """What plans to build; None for a family that has none.

    Raises InputError and EngineMismatch for a family, GPU or option that cannot be, before anything is exported.
    """
    if not families.find(family).has_plans:
        _refuse_plan_options(family, capability, options, device_id)
        return None
    capabilities = tuple(part.strip() for part in capability.split(",")) if capability is not None else ()
    config = PlanConfig(
        family=family,
        capabilities=capabilities,
        options=options,
        only=tuple(only or ()),
        parity=parity,
        device_id=device_id,
    )
    config.target()
    return config


def graph_config(
    preset: str | None,
    bundle: Path,
    chosen: WeightsChoice,
    *,
    precision: spec.Precision,
    size: int | None,
    frames: int | None,
    only: list[str] | None,
    parity: bool,
    reuse: bool,
    quantize: list[str] | None,
    calibration: tuple[Path, Path] | None,
) -> BuildConfig | None:
    """What graphs to build: of the chosen weights, or of the package's own; the rest are fields of BuildConfig.

    None without a preset. Raises InputError and CheckpointError.
    """
    if preset is None:
        return None
    find_model(preset)  # before its weights are looked for
    portrait, driving = calibration or (None, None)
    clip = {"the portrait to calibrate on": portrait, "the video to calibrate on": driving}
    check_folder(bundle, {"the weights": chosen.weights, "the live weights": chosen.live_weights, **clip}, apart=True)
    from export.build import BuildConfig

    own = chosen.of_preset(preset)
    return BuildConfig(
        preset=preset,
        bundle=bundle,
        weights=own.weights,
        precision=precision,
        size=size,
        frames=frames,
        only=tuple(only or ()),
        parity=parity,
        reuse=reuse,
        quantize=tuple(one_of("quantisation", kind, spec.QUANTIZATIONS) for kind in dict.fromkeys(quantize or ())),
        calibration=calibration,
        live=bool(own.live),
        live_weights=own.live_weights,
    )


def _beside(preset: str | None, bundle: Path) -> Beside:
    """The second process of a build, which imports PyTorch already where a build of `preset` will want it."""
    beside = Beside(*IMPORTED)
    if preset is not None and begins_early(preset, bundle):
        beside.start()
    return beside


def _check_preset(preset: str | None, family: str, *, exporting: bool) -> None:
    """Only plans are built without one. `exporting`: whether an option asks for graphs."""
    if preset is None and (exporting or not families.find(family).has_plans):
        raise InputError(f"exporting needs --preset: {' or '.join(MODELS)}")


def _refuse_plan_options(family: str, capability: str | None, options: PlanOptions, device_id: int) -> None:
    """An option that would do nothing is a misunderstanding."""
    given = {name: value != getattr(PlanOptions(), name) for name, value in asdict(options).items()}
    given |= {"capability": capability is not None, "device": device_id != 0, "workspace": given.pop("workspace_bytes")}
    for name in (name for name, is_given in given.items() if is_given):
        raise InputError(
            f"--{name.replace('_', '-')} is for plans, --family {family} has none; "
            "leave it out, or give --family tensorrt or tensorrt-rtx"
        )


def _check_is_what_was_asked(bundle: Path, asked: Mapping[str, str | int | None]) -> None:
    """Without a preset, plans are built of the graphs as they are: refuse to build other ones than were asked for."""
    manifest = Bundle.open(bundle, family="").manifest
    holds = {"precision": manifest.precision, "size": manifest.size[0], "frames": manifest.frames}
    for name, value in asked.items():
        if value is not None and value != holds[name]:
            raise InputError(
                f"{bundle} was exported with {name} {holds[name]}, asked for {value}; leave --{name} out, or export "
                f"again: give --preset {manifest.preset} (and its weights) as well"
            )


def _report_dry_run(report: Reporter, bundle: Path, graphs: BuildConfig | None, plans: PlanConfig | None) -> None:
    from export.dry_run import dry_run

    lines = dry_run(bundle, graphs, plans)
    count = sum(line.build for line in lines)
    text = [str(line) for line in lines] + [f"{count} would be built, {len(lines) - count} reused; nothing was done"]
    report.result("\n".join(text), dry_run=[line.to_json() for line in lines], would_build=count)


def _report_notes(report: Reporter, graphs: BuildConfig | None, *, parity: bool) -> None:
    """What the user should know before a long build."""
    if graphs is not None and graphs.weights is None:
        report.note("random weights: the bundle is for trying and for benchmarks, its pictures are noise")
    for note in () if graphs is None else graphs.model.notes(graphs.weights):
        report.note(note)
    if graphs is not None and graphs.packed:
        trained, asked = (graphs.usual_sizes.size, graphs.usual_sizes.frames), (graphs.size_px, graphs.window)
        if asked != trained:
            report.note(
                f"the weights were trained at {trained[0]} pixels and {trained[1]} frames together, the bundle "
                f"is for {asked[0]} and {asked[1]}: its pictures may be worse"
            )
    if not parity:
        report.note("graphs and engines are not compared with their networks (--no-parity)")
    elif graphs is not None and not graphs.parity:
        report.note("graphs are not compared with their networks (--no-graph-parity)")


def _report_result(report: Reporter, bundle: Path, counts: Sequence[tuple[str, int, int]], start_s: float) -> None:
    """`counts`: what `_run` returns. `start_s`: when the command began, by `time.perf_counter`."""
    seconds = time.perf_counter() - start_s
    text = ", ".join(
        f"{total} {what}{'s' * (total != 1)}, {built} built and {total - built} reused" for what, built, total in counts
    )
    totals = {f"{what}s": total for what, _, total in counts}
    news = {f"{what}s_built": built for what, built, _ in counts}
    report.result(
        f"{bundle}: {text}, in {seconds:.1f} s",
        bundle=bundle,
        built=sum(news.values()),
        seconds=seconds,
        **totals,
        **news,
    )


def _run(
    bundle: Path,
    graphs: BuildConfig | None,
    plans: PlanConfig | None,
    report: Reporter,
    processes: int | None,
    beside: Beside,
) -> list[tuple[str, int, int]]:
    """Build; ("graph" or "plan", how many were built, how many there are) for both. `beside`: the second process."""
    counts = []
    on_progress, built = _progress(report)
    if graphs is not None:
        from export.build import build_bundle

        processes = processes or usual_processes([*graph_parameters(graphs.model, graphs.graphs()).values()])
        result = build_bundle(graphs, on_progress, processes=processes, beside=beside)
        for path, option in graphs.user_files().items():
            report.note(f"{path} stays where it is: give it to hp-trt animate ({option})")
        counts.append(("graph", built["graph"], len(result.manifest.graphs)))
    if plans is not None:
        from export.plans.build_plans import build_plans

        reference = None
        if graphs is not None:
            from export.build import reference as reference_of

            reference = reference_of(graphs)
        result = build_plans(bundle, plans, on_progress, reference, report.note)
        made = result.manifest.engines[plans.target().folder].plans
        for plan in made.values():
            if not plan.parity and plan.built["not_compared"] != "--no-parity":
                report.note(f"engines are not compared with their graphs: {plan.built['not_compared']}")
                break
        counts.append(("plan", built["plan"], len(made)))
    return counts


def _progress(report: Reporter) -> tuple[Callable[[Progress], None], dict[str, int]]:
    """A listener for the report's bars, as long as what is done, and how many graphs and plans it saw being built."""
    built, finished = {"graph": 0, "plan": 0}, {"graph": 0, "plan": 0}

    def on_progress(progress: Progress) -> None:
        finished[progress.what] += progress.step in ("done", "reuse")
        built[progress.what] += progress.step == "done"
        phase = f" {progress.phase}" if progress.phase else ""
        facts = {
            "graph": progress.graph,
            "number": progress.number,
            "step": progress.step,
            "seconds": round(progress.seconds, 2),
        }
        if progress.parity is not None:
            facts["parity"] = progress.parity
        if progress.phase:
            facts |= {"phase": progress.phase, "fraction": progress.fraction}
        report.advance(
            "build" if progress.what == "graph" else "plans",
            finished[progress.what],
            progress.of,
            label=f"{progress.what} {progress.graph}: {progress.step}{phase}",
            **facts,
        )

    return on_progress, built


def main() -> None:
    """Run the command."""
    run(app)


if __name__ == "__main__":
    main()

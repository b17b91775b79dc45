"""`hp-trt evaluate`: how good what bundles make is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.errors import InputError
from hp_trt.commands import options
from hp_trt.config import RuntimeConfig, one_of
from hp_trt.console import Reporter
from hp_trt.shipped import bundle_folder

if TYPE_CHECKING:
    from hp_trt.measure.evaluation.config import EvaluateConfig


Protocol = Annotated[
    str,
    typer.Option(
        help="self: a clip drives its own first frame; cross: another's; talk: speech does; enhance: enlarge."
    ),
]
Frames = Annotated[
    int | None,
    typer.Option(max=10_000, help="Of each clip [50 drawn ones, 100 that speak, 1 to enlarge, or all of yours]."),
]
Moods = Annotated[bool, typer.Option("--moods", help="Of talk: what moods do, in place of how good it is.")]
Expression = Annotated[Path | None, typer.Option(help="A face model's expression as .onnx, for AED and E-FID.")]


def evaluate(
    protocol: Protocol,
    seeds: Annotated[str | None, typer.Option(help="Drawn clips A to B - 1, as A:B.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Folder of your own pairs, a subfolder each.")] = None,
    frames: Frames = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(parser=bundle_folder, metavar="PATH", help=f"{options.BUNDLE} Again for each to be compared."),
    ] = None,
    profile: Annotated[list[str] | None, typer.Option(help="Again for each to be compared [exact].")] = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    appearance_scale: options.AppearanceScale = None,
    motion_scale: options.MotionScale = None,
    guidance: options.Guidance = None,
    moods: Moods = False,
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    threads: options.Threads = None,
    locator: Annotated[str, typer.Option(help="In your own pairs: haar, yunet, yoloface or mesh.")] = "haar",
    locator_file: options.LocatorFile = None,
    arcface: Annotated[Path | None, typer.Option(help="arcface.onnx: identity score, and identity vector.")] = None,
    lpips: Annotated[Path | None, typer.Option(help="LPIPS as .onnx.")] = None,
    landmarks: Annotated[
        Path | None, typer.Option(help="face_landmark.tflite, for LMD in your own pairs [as fetched, if it is].")
    ] = None,
    fid_features: Annotated[Path | None, typer.Option(help="Inception as .onnx, for FID.")] = None,
    fvd_features: Annotated[Path | None, typer.Option(help="I3D or another as .onnx, for FVD.")] = None,
    expression: Expression = None,
    pose: Annotated[Path | None, typer.Option(help="A face model's pose as .onnx, for APD.")] = None,
    sync_audio: Annotated[Path | None, typer.Option(help="SyncNet's half for sound as .onnx, for Sync-C.")] = None,
    sync_video: Annotated[Path | None, typer.Option(help="SyncNet's half for pictures as .onnx.")] = None,
    json: options.ReportFile = None,
    plot: Annotated[Path | None, typer.Option(help="Draw every clip's numbers (.png, .svg).")] = None,
    debug: options.Debug = False,
) -> None:
    """Animate drawn clips, or your own, or enlarge drawn people, and measure how good the result is."""
    from hp_trt.fetch.table import MESH
    from hp_trt.measure.evaluation.config import PROTOCOLS, EvaluateConfig, NetworkFiles

    machine = options.machine(family=family, provider=provider, device=device, threads=threads)
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=arcface)
    user = {"lpips": lpips, "fid_features": fid_features, "fvd_features": fvd_features, "arcface": arcface}
    user |= {"sync_audio": sync_audio, "sync_video": sync_video}
    scales: dict[str, Any] = {"appearance_scale": appearance_scale, "motion_scale": motion_scale, "guidance": guidance}
    if landmarks is None and pairs is not None and MESH.place.is_file():
        landmarks = MESH.place
    config = EvaluateConfig(
        protocol=one_of("protocol", protocol, PROTOCOLS),
        seeds=seeds,
        pairs=pairs,
        frames=frames,
        bundles=tuple(bundle or ()),
        runtimes=tuple(RuntimeConfig(profile=name, **machine, **finder) for name in profile or ["exact"]),
        sampling=options.sampling(steps=steps, seed=seed, **scales),
        moods=moods,
        networks=NetworkFiles(**user, expression=expression, pose=pose, landmarks=landmarks),
    )
    evaluate_into(config, json, plot)


def evaluate_into(config: EvaluateConfig, to_json: Path | None, to_plot: Path | None) -> None:
    """Measure, and put the result where it is asked for. Raises what `evaluate` and `put_out` raise."""
    from hp_trt.measure.evaluation.evaluate import evaluate
    from hp_trt.measure.evaluation.outputs import check_report, put_out

    if config.moods and to_plot is not None:
        raise InputError("--plot draws the numbers of every clip, and --moods has other ones; leave one of them out")
    check_report(to_json, to_plot, config.files())
    with Reporter() as report:
        result = evaluate(config, lambda what, done, total: report.advance("clips", done, total, label=what))
    put_out(result, to_json, to_plot)

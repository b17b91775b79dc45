"""`hp-trt plan`: how fast and how large, before anything is built or run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hp_trt.commands import options
from hp_trt.console import Reporter
from hp_trt.shipped import bundle_folder

Fps = Annotated[float | None, typer.Option(max=1e6, help="A wish: frames a second. Says what would meet it.")]


def plan(
    gpu: Annotated[str, typer.Option(help="A card's name (H200, RTX 4090, ...), or here: this machine.")],
    profile: options.Profile = "exact",
    preset: Annotated[
        str | None, typer.Option(help="Without a bundle: pocket, hallo2, talk_pocket, enhancer [hunyuanportrait].")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(parser=bundle_folder, metavar="PATH", help=options.BUNDLE)] = None,
    size: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Pixels of a side [the preset's, or the bundle's].")
    ] = None,
    frames: Annotated[int, typer.Option(max=1_000_000, help="Of the driving video; of sound 25 a second.")] = 100,
    steps: Annotated[int | None, typer.Option(max=1000, help="Denoising steps [the profile's].")] = None,
    guidance: Annotated[
        float | None, typer.Option(min=1, max=1000, help="Of hallo2 [the profile's]; 1: the conditional half alone.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fp16 or fp32 [fp16, or the bundle's].")] = None,
    rate: Annotated[
        float | None, typer.Option(max=1e6, help="Frames a second of the driving video [--fps, or 25].")
    ] = None,
    fps: Fps = None,
    latency: Annotated[float | None, typer.Option(max=1e6, help="A wish: seconds. Says what would meet it.")] = None,
    attainable: Annotated[
        float | None, typer.Option(help="Part of a card's peaks that networks reach, assumed [the card's].")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, max=64, help="So many of them for one clip.")] = 1,
    family: Annotated[str, typer.Option(help="To measure `here` with: onnxruntime, openvino, auto...")] = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    threads: options.Threads = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Say how fast and how large a clip, or its enhancement, will be, before anything is built or run."""
    from hp_trt.measure.planning.enhanced import plan_any
    from hp_trt.measure.planning.plan import PredictConfig
    from hp_trt.measure.planning.table import show

    config = PredictConfig(
        gpu=gpu,
        profile=profile,
        preset=preset,
        bundle=bundle,
        size=size,
        frames=frames,
        steps=steps,
        guidance=guidance,
        precision=precision,
        rate=rate,
        fps=fps,
        latency_s=latency,
        attainable=attainable,
        devices=devices,
        **options.machine(family=family, provider=provider, device=device, threads=threads),
    )
    with Reporter(as_json=json) as report:
        made = plan_any(config, report.note)
        if json:
            report.result("", **made.to_json())
        else:
            show(made)

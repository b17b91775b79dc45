"""`hp-trt`: animate, live, evaluate, inspect, doctor, plan, sample. Each parses, and calls one function."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from hp_trt.console import Reporter, debug_option, json_option, run

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Portrait animation on engines: one portrait and a driving video, and the portrait moves.",
)


@app.command()
def animate(
    bundle: Annotated[Path, typer.Option(help="Folder made by python -m export.build_engines.")],
    portrait: Annotated[Path, typer.Option(help="Picture with one face.")],
    driving: Annotated[Path, typer.Option(help="Video of the face to follow.")],
    out: Annotated[Path, typer.Option(help="Result: the whole portrait, moving (.mp4, .mov, .mkv).")],
    crop_out: Annotated[Path | None, typer.Option(help="Also write the square around the face.")] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Also write a contact sheet: portrait, driving frames, result (.png).")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps [bundle's own].")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the initial noise [72580].")] = None,
    appearance_scale: Annotated[float | None, typer.Option(help="Guidance to the portrait [bundle's own].")] = None,
    motion_scale: Annotated[float | None, typer.Option(help="Guidance to the motion [bundle's own].")] = None,
    profile: Annotated[str, typer.Option(help="exact, balanced, live, or FILE.toml[:NAME].")] = "exact",
    family: Annotated[str, typer.Option(help="onnxruntime, tensorrt or tensorrt-rtx.")] = "onnxruntime",
    provider: Annotated[str, typer.Option(help="Of ONNX Runtime: cpu or cuda.")] = "cpu",
    device: Annotated[int, typer.Option(help="Which GPU, from 0.")] = 0,
    weight_budget: Annotated[
        float | None, typer.Option(help="GiB of each graph's weights to keep on the GPU, if plans stream them [all].")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads [every core].")] = None,
    locator: Annotated[str, typer.Option(help="Face finder: haar, yunet or yoloface.")] = "haar",
    locator_file: Annotated[Path | None, typer.Option(help="The face finder's own file.")] = None,
    portrait_landmarks: Annotated[Path | None, typer.Option(help="Where the portrait's face is (JSON).")] = None,
    driving_landmarks: Annotated[Path | None, typer.Option(help="Where the driving faces are (JSON).")] = None,
    arcface: Annotated[Path | None, typer.Option(help="arcface.onnx, for the identity vector.")] = None,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Animate a portrait with a driving video."""
    from hp_trt.api import Runtime
    from hp_trt.config import RuntimeConfig, weight_budget_bytes
    from hp_trt.media.contact_sheet import check_sheet, write_sheet

    start = time.perf_counter()
    with Reporter(as_json=json) as report:
        if sheet is not None:
            check_sheet(sheet, (portrait, driving))
        config = RuntimeConfig(
            family=family,  # type: ignore[arg-type]  # checked there, with a message
            provider=provider,  # type: ignore[arg-type]
            device_id=device,
            weight_budget_bytes=weight_budget_bytes(weight_budget),
            threads=threads,
            profile=profile,
            locator=locator,  # type: ignore[arg-type]
            locator_file=locator_file,
            arcface=arcface,
        )
        with Runtime(bundle, config, on_event=report.on_event) as runtime:
            if runtime.bundle.manifest.weights["kind"] == "random":
                report.note(
                    "this bundle has random weights: the face will be noise, for trying and for benchmarks only"
                )
            animation = runtime.animate(
                portrait,
                driving,
                out,
                crop_out=crop_out,
                landmarks=driving_landmarks,
                portrait_landmarks=portrait_landmarks,
                steps=steps,
                seed=seed,
                guidance_appearance=None if appearance_scale is None else (appearance_scale, appearance_scale),
                guidance_motion=None if motion_scale is None else (motion_scale, motion_scale),
            )
        if sheet is not None:
            write_sheet(sheet, portrait=portrait, driving=driving, result=out, frames=animation.frames)
        for note in animation.notes:
            report.note(note)
        seconds = time.perf_counter() - start
        report.result(
            f"{out}: {animation.frames} frames at {float(animation.rate):g} fps in {seconds:.1f} s "
            f"({animation.frames / seconds:.2f} frames/s)",
            out=out,
            crop_out=crop_out,
            sheet=sheet,
            frames=animation.frames,
            rate=float(animation.rate),
            seconds=seconds,
        )


@app.command()
def live(
    bundle: Annotated[Path, typer.Option(help="Folder made by python -m export.build_engines.")],
    portrait: Annotated[Path, typer.Option(help="Picture with one face.")],
    driving: Annotated[str, typer.Option(help="camera:0, a file, a URL that FFmpeg reads, or - (standard input).")],
    out: Annotated[str, typer.Option(help="A file, window, - (standard output), a URL that FFmpeg writes, or null:.")],
    profile: Annotated[str, typer.Option(help="How much quality for how much speed: a name, or a TOML file.")] = "live",
    policy: Annotated[
        str | None, typer.Option(help="When it is late: drop-oldest, latest, block (so at --pace fast).")
    ] = None,
    pace: Annotated[str, typer.Option(help="Of a recording: own, or fast (as quick as it can be animated).")] = "own",
    seconds: Annotated[float | None, typer.Option(help="Stop after so much of the source.")] = None,
    crop: Annotated[bool, typer.Option("--crop", help="Only the square around the face.")] = False,
    container: Annotated[
        str | None, typer.Option("--format", help="Of standard output: mpegts or y4m; of a URL: FFmpeg's name.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a source or receiver that does nothing.")] = 10.0,
    seed: Annotated[int | None, typer.Option(help="Of the initial noise [72580].")] = None,
    family: Annotated[str, typer.Option(help="onnxruntime, tensorrt or tensorrt-rtx.")] = "onnxruntime",
    provider: Annotated[str, typer.Option(help="Of ONNX Runtime: cpu or cuda.")] = "cpu",
    device: Annotated[int, typer.Option(help="Which GPU, from 0.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads [every core].")] = None,
    locator: Annotated[str, typer.Option(help="Face finder: haar, yunet or yoloface.")] = "haar",
    locator_file: Annotated[Path | None, typer.Option(help="The face finder's own file.")] = None,
    portrait_landmarks: Annotated[Path | None, typer.Option(help="Where the portrait's face is (JSON).")] = None,
    driving_landmarks: Annotated[Path | None, typer.Option(help="Where the driving faces are (JSON).")] = None,
    arcface: Annotated[Path | None, typer.Option(help="arcface.onnx, for the identity vector.")] = None,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Animate a portrait while the driving frames arrive. Ctrl-C ends it; what was recorded is complete."""
    from functools import partial

    from hp_trt.commands.live import bundle_session
    from hp_trt.config import RuntimeConfig
    from hp_trt.live.run import LiveConfig, claim_stdout, run_live
    from hp_trt.streams.sinks import STDOUT

    stdout_fd = claim_stdout() if out == STDOUT else 1  # first: an error's line of JSON is no video
    config = LiveConfig(
        driving=driving,
        out=out,
        pace=pace,  # type: ignore[arg-type]  # checked there, with a message
        policy=policy,  # type: ignore[arg-type]
        seconds=seconds,
        container_format=container,
        crop=crop,
        timeout_s=timeout,
        apart=(portrait,),
    )
    runtime = RuntimeConfig(
        family=family,  # type: ignore[arg-type]
        provider=provider,  # type: ignore[arg-type]
        device_id=device,
        threads=threads,
        profile=profile,
        locator=locator,  # type: ignore[arg-type]
        locator_file=locator_file,
        arcface=arcface,
    )
    with Reporter(as_json=json, bars=False) as report:
        opened = partial(
            bundle_session,
            bundle,
            portrait,
            runtime,
            portrait_landmarks=portrait_landmarks,
            driving_landmarks=driving_landmarks,
            seed=seed,
            report=report,
        )
        outcome = run_live(config, lambda policy: opened(policy=policy), report, stdout_fd=stdout_fd)
    if outcome.signal is not None:
        raise SystemExit(128 + outcome.signal)  # not typer's own way, which would call Ctrl-C an error


@app.command()
def evaluate(
    protocol: Annotated[str, typer.Option(help="self: a clip drives its own first frame; cross: another's.")],
    seeds: Annotated[str | None, typer.Option(help="Drawn clips A to B - 1, as A:B.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Folder of your own pairs, a subfolder each.")] = None,
    frames: Annotated[int | None, typer.Option(help="Of each clip [50 drawn ones, or all of yours].")] = None,
    bundle: Annotated[list[Path] | None, typer.Option(help="Again for each to be compared.")] = None,
    profile: Annotated[list[str] | None, typer.Option(help="Again for each to be compared [exact].")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps [bundle's own].")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the initial noise [72580].")] = None,
    appearance_scale: Annotated[float | None, typer.Option(help="Guidance to the portrait [bundle's own].")] = None,
    motion_scale: Annotated[float | None, typer.Option(help="Guidance to the motion [bundle's own].")] = None,
    family: Annotated[str, typer.Option(help="onnxruntime, tensorrt or tensorrt-rtx.")] = "onnxruntime",
    provider: Annotated[str, typer.Option(help="Of ONNX Runtime: cpu or cuda.")] = "cpu",
    device: Annotated[int, typer.Option(help="Which GPU, from 0.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads [every core].")] = None,
    locator: Annotated[str, typer.Option(help="Face finder in your own pairs: haar, yunet or yoloface.")] = "haar",
    locator_file: Annotated[Path | None, typer.Option(help="The face finder's own file.")] = None,
    arcface: Annotated[Path | None, typer.Option(help="arcface.onnx: identity score, and identity vector.")] = None,
    lpips: Annotated[Path | None, typer.Option(help="LPIPS as .onnx.")] = None,
    fid_features: Annotated[Path | None, typer.Option(help="Inception as .onnx, for FID.")] = None,
    fvd_features: Annotated[Path | None, typer.Option(help="I3D or another as .onnx, for FVD.")] = None,
    expression: Annotated[Path | None, typer.Option(help="A face model's expression as .onnx, for AED.")] = None,
    pose: Annotated[Path | None, typer.Option(help="A face model's pose as .onnx, for APD.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report here; - is standard output.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw every clip's numbers (.png, .svg).")] = None,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Animate drawn clips, or your own, and measure how good the result is."""
    from hp_trt.config import RuntimeConfig
    from hp_trt.measure.evaluation.config import EvaluateConfig, NetworkFiles
    from hp_trt.measure.evaluation.evaluate import evaluate as measure
    from hp_trt.measure.evaluation.outputs import check_outputs, put_out

    runtimes = tuple(
        RuntimeConfig(
            family=family,  # type: ignore[arg-type]  # checked there, with a message
            provider=provider,  # type: ignore[arg-type]
            device_id=device,
            threads=threads,
            profile=name,
            locator=locator,  # type: ignore[arg-type]
            locator_file=locator_file,
            arcface=arcface,
        )
        for name in profile or ["exact"]
    )
    config = EvaluateConfig(
        protocol=protocol,  # type: ignore[arg-type]
        seeds=seeds,
        pairs=pairs,
        frames=frames,
        bundles=tuple(bundle or ()),
        runtimes=runtimes,
        sampling={
            "steps": steps,
            "seed": seed,
            "guidance_appearance": None if appearance_scale is None else (appearance_scale, appearance_scale),
            "guidance_motion": None if motion_scale is None else (motion_scale, motion_scale),
        },
        networks=NetworkFiles(
            lpips=lpips,
            fid_features=fid_features,
            fvd_features=fvd_features,
            expression=expression,
            pose=pose,
            arcface=arcface,
        ),
    )
    check_outputs(json, plot)
    with Reporter() as report:
        result = measure(config, lambda what, done, total: report.advance("clips", done, total, label=what))
    put_out(result, json, plot)


@app.command()
def inspect(
    bundle: Annotated[Path, typer.Argument(help="Folder made by python -m export.build_engines.")],
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Check every file of a bundle and say what is in it."""
    from engines.bundle import Bundle
    from hp_trt.commands.inspect import show, summary

    opened = Bundle.open(bundle)
    with Reporter(as_json=json) as report:
        if json:
            report.result("", **summary(opened))
        else:
            show(opened)


@app.command()
def doctor(
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Say what this machine can build and run, and how to mend what it cannot."""
    from hp_trt.doctor.examine import examine, show

    findings = examine()
    with Reporter(as_json=json) as report:
        if json:
            report.result("", findings=[finding.to_json() for finding in findings])
        else:
            show(findings)
    if any(finding.needed and not finding.fine for finding in findings):
        raise typer.Exit(2)


@app.command()
def plan(
    gpu: Annotated[str, typer.Option(help="A card's name (H200, RTX 4090, ...), or here: this machine.")],
    profile: Annotated[str, typer.Option(help="exact, balanced, live, or a file of your own: FILE.toml.")] = "exact",
    preset: Annotated[str | None, typer.Option(help="Without a bundle: hunyuanportrait or pocket.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder made by python -m export.build_engines.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels of a side [the preset's, or the bundle's].")] = None,
    frames: Annotated[int, typer.Option(help="Of the driving video.")] = 100,
    steps: Annotated[int | None, typer.Option(help="Denoising steps [the profile's].")] = None,
    precision: Annotated[str | None, typer.Option(help="fp16 or fp32 [fp16, or the bundle's].")] = None,
    rate: Annotated[float, typer.Option(help="Frames a second of the driving video.")] = 25.0,
    fps: Annotated[float | None, typer.Option(help="A wish: frames a second. Says what would meet it.")] = None,
    latency: Annotated[float | None, typer.Option(help="A wish: seconds. Says what would meet it.")] = None,
    attainable: Annotated[float, typer.Option(help="Part of a card's peaks that networks reach: assumed.")] = 0.55,
    family: Annotated[str, typer.Option(help="To measure `here` with: onnxruntime, tensorrt...")] = "onnxruntime",
    provider: Annotated[str, typer.Option(help="Of ONNX Runtime: cpu or cuda.")] = "cpu",
    device: Annotated[int, typer.Option(help="Which GPU, from 0.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads [every core].")] = None,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Say how fast and how large a clip will be, before anything is built or run."""
    from hp_trt.measure.planning.plan import PlanConfig
    from hp_trt.measure.planning.plan import plan as make_plan
    from hp_trt.measure.planning.table import show

    config = PlanConfig(
        gpu=gpu,
        profile=profile,
        preset=preset,
        bundle=bundle,
        size=size,
        frames=frames,
        steps=steps,
        precision=precision,
        rate=rate,
        fps=fps,
        latency_s=latency,
        attainable=attainable,
        family=family,
        provider=provider,
        device=device,
        threads=threads,
    )
    with Reporter(as_json=json) as report:
        made = make_plan(config, report.note)
        if json:
            report.result("", **made.to_json())
        else:
            show(made)


@app.command()
def sample(
    out: Annotated[Path, typer.Option(help="Folder to write portrait.png, driving.mp4 and driving-2.mp4 into.")],
    seed: Annotated[int, typer.Option(min=0, help="Who is drawn, and how they move.")] = 0,
    frames: Annotated[int, typer.Option(min=1, help="Length of the driving videos.")] = 50,
    json: Annotated[bool, json_option()] = False,
    debug: Annotated[bool, debug_option()] = False,
) -> None:
    """Draw a portrait and two driving videos of other people, with sound and landmarks: something to try with."""
    from hp_trt.sample import DRIVING, write_sample

    with Reporter(as_json=json) as report:
        portrait, driving = write_sample(out, seed=seed, frames=frames)
        report.result(f"{portrait} and {driving}", portrait=portrait, driving=driving, driving_2=out / DRIVING[1])


def main() -> None:
    """The console script."""
    run(app, json_events=sys.argv[1:2] != ["evaluate"])  # whose --json names a file


if __name__ == "__main__":
    main()

"""`hp-trt enhance`: a video, larger and with its faces restored."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from engines.errors import InputError
from engines.safe_output import check_outputs
from hp_trt.commands import options
from hp_trt.commands.animate import GoOn, Restart, resumed
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter
from hp_trt.provenance.options import Provenance

Video = Annotated[Path, typer.Argument(help="The video: of any size, from anywhere.")]
Out = Annotated[Path, typer.Option(help="Result: the larger video, with the same times and sound (.mp4, .mov, .mkv).")]
Scale = Annotated[int, typer.Option(help="How many times as wide and high: 2, 4 or 8.")]
FaceUpsample = Annotated[
    bool, typer.Option("--face-upsample", help="Enlarge the restored face by the upscaler too, not by the warp.")
]
Fidelity = Annotated[
    float | None, typer.Option(help="0: the restorer's own idea of the face, 1: nearer to the video. [default: 0.5]")
]
Repeat = Annotated[
    bool, typer.Option("--repeat", help="By 4 and 8: the upscaler two and three times, in the place of Lanczos.")
]
Released = Annotated[
    bool,
    typer.Option("--released", help="As the released program: no last frame, at least 512 px, its choice of face."),
]
NoRestore = Annotated[bool, typer.Option("--no-restore", help="Enlarge alone, with a bundle that restores faces too.")]
NoUpscale = Annotated[bool, typer.Option("--no-upscale", help="Restore faces alone; Lanczos enlarges what is around.")]


@dataclass(frozen=True, kw_only=True)
class EnhanceConfig:
    """What is enhanced, with what, and where to. Checked when made; raises InputError and OutputError."""

    bundle: Path
    runtime: RuntimeConfig
    video: Path
    out: Path
    scale: int = 2
    face_upsample: bool = False
    fidelity: float | None = None
    repeat: bool = False
    released: bool = False
    restore: bool = True
    upscale: bool = True
    resume: Literal["new", "resume", "restart"] = "new"
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        from hp_trt.enhancer.pipeline import SCALES
        from hp_trt.provenance.run_seal import check_beside

        if self.scale not in SCALES:
            raise InputError(f"--scale is one of {', '.join(map(str, SCALES))}, got {self.scale}")
        if self.fidelity is not None and not 0 <= self.fidelity <= 1:
            raise InputError(f"--fidelity is a number from 0 to 1, got {self.fidelity}")
        inputs: dict[str, Path | str | None] = {"the video": self.video, "the bundle": self.bundle}
        check_outputs({"the result": self.out}, inputs)
        if self.provenance.sidecar:
            check_beside({"the result": self.out}, inputs)


@options.carrying
def enhance(
    provenance: Provenance,
    video: Video,
    bundle: options.Bundle,
    out: Out,
    scale: Scale = 2,
    face_upsample: FaceUpsample = False,
    fidelity: Fidelity = None,
    repeat: Repeat = False,
    released: Released = False,
    no_restore: NoRestore = False,
    no_upscale: NoUpscale = False,
    resume: GoOn = False,
    restart: Restart = False,
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    threads: options.Threads = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Enlarge a video, and restore its face."""
    machine = options.machine(family=family, provider=provider, device=device, threads=threads)
    config = EnhanceConfig(
        bundle=bundle,
        runtime=RuntimeConfig(**machine),
        video=video,
        out=out,
        scale=scale,
        face_upsample=face_upsample,
        fidelity=fidelity,
        repeat=repeat,
        released=released,
        restore=not no_restore,
        upscale=not no_upscale,
        resume=resumed(resume, restart),
        provenance=provenance,
    )
    with Reporter(as_json=json) as report:
        enhance_file(config, report)


def enhance_file(config: EnhanceConfig, report: Reporter) -> None:
    """Write what is asked for, and say what was done. Raises what `hp_trt.Enhancer` raises."""
    from hp_trt.enhancer.enhancer import Enhancer

    start_s = time.perf_counter()
    with Enhancer(config.bundle, config.runtime, on_event=report.on_event) as enhancer:
        before = enhancer.told(restore=config.restore, upscale=config.upscale)
        for note in before:  # terms come before use
            report.note(note)
        made = enhancer.enhance(
            config.video,
            config.out,
            scale=config.scale,
            face_upsample=config.face_upsample,
            fidelity=config.fidelity,
            repeat=config.repeat,
            released=config.released,
            restore=config.restore,
            upscale=config.upscale,
            resume=config.resume,
            provenance=config.provenance,
        )
    for note in made.notes[len(before) :]:
        report.note(note)
    seconds = time.perf_counter() - start_s
    seal = made.seal
    report.result(
        f"{made.out}: {made.frames} frames of {made.width} x {made.height} at {float(made.rate):g} fps"
        f"{' on average' if made.rate_varies else ''}, {made.faces} with a restored face, in {seconds:.1f} s "
        f"({made.frames / seconds:.2f} frames/s)",
        out=made.out,
        frames=made.frames,
        faces=made.faces,
        width=made.width,
        height=made.height,
        rate=float(made.rate),
        rate_varies=made.rate_varies,
        mark_id=None if seal is None or seal.mark_id is None else f"{seal.mark_id:08x}",
        seconds=seconds,
    )

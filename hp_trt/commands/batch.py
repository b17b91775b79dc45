"""`hp-trt batch`: a folder of portraits, moved by a folder of videos or of sounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engines.errors import InputError
from hp_trt.commands import options
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter
from hp_trt.provenance.options import Provenance
from hp_trt.shipped import bundle_folder

if TYPE_CHECKING:
    from hp_trt.apps.batch.config import RayConfig
    from hp_trt.apps.batch.enlarging import Enlarging

_OUT = "Folder for PORTRAIT-DRIVER.mp4 of each pair, and report.json, report.md and report.png."
_PAIRS = "CSV with the columns portrait, driving or audio, and where wanted out, seed, mood [every pair]."
_ADDRESS = "Of --ray: the cluster, HOST:PORT [RAY_ADDRESS, one on this machine, or a new one]."
_WORKERS = "Of --ray: Runtimes at a time [as many as fit, each of --threads CPUs or one GPU]."
Out = Annotated[Path, typer.Option(parser=options.folder, metavar="PATH", help=_OUT)]
Portraits = Annotated[Path | None, typer.Option(metavar="DIR", help="Pictures with one face, or portrait files.")]
Drivings = Annotated[Path | None, typer.Option(metavar="DIR", help="Videos of faces to follow, or motion files.")]
Audio = Annotated[Path | None, typer.Option(metavar="DIR", help="Speech: sounds, videos with sound, or motion files.")]
Pairs = Annotated[Path | None, typer.Option(metavar="FILE", help=_PAIRS)]
Ray = Annotated[bool, typer.Option("--ray", help="Spread the clips over a Ray cluster, or over this machine.")]
_ENHANCE = "Enlarge each clip: folder of a bundle of the enhancer, or shipped:enhancer_pocket [clips stay as they are]."
Enhance = Annotated[Path | None, typer.Option(parser=bundle_folder, metavar="PATH", help=_ENHANCE)]
_SCALE = "Of --enhance: how many times as wide and high, 2, 4 or 8; CLIP-x2.mp4 lies beside CLIP.mp4 [2]."
EnhanceScale = Annotated[int | None, typer.Option(help=_SCALE)]
_FIDELITY = "Of --enhance: 0, the restorer's own idea of the face, to 1, nearer to the clip [0.5]."
EnhanceFidelity = Annotated[float | None, typer.Option(help=_FIDELITY)]
_FACE = "Of --enhance: enlarge the restored face by the upscaler too."
EnhanceFace = Annotated[bool, typer.Option("--enhance-face-upsample", help=_FACE)]
Workers = Annotated[int | None, typer.Option(min=1, max=10_000, help=_WORKERS)]


@options.carrying
def batch(
    provenance: Provenance,
    bundle: options.Bundle,
    out: Out,
    portraits: Portraits = None,
    drivings: Drivings = None,
    audio: Audio = None,
    pairs: Pairs = None,
    steps: options.Steps = None,
    seed: options.Seed = None,
    appearance_scale: options.AppearanceScale = None,
    motion_scale: options.MotionScale = None,
    guidance: options.Guidance = None,
    motion_weights: options.MotionWeights = None,
    mood: options.Mood = None,
    enhance: Enhance = None,
    enhance_scale: EnhanceScale = None,
    enhance_fidelity: EnhanceFidelity = None,
    enhance_face_upsample: EnhanceFace = False,
    ray: Ray = False,
    ray_address: Annotated[str | None, typer.Option(help=_ADDRESS)] = None,
    workers: Workers = None,
    profile: options.Profile = "exact",
    family: options.Family = "onnxruntime",
    provider: options.Provider = "cpu",
    device: options.Device = 0,
    weight_budget: options.WeightBudget = None,
    max_frames: options.MaxFrames = RuntimeConfig.max_frames,
    threads: options.Threads = None,
    locator: options.Locator = "haar",
    locator_file: options.LocatorFile = None,
    arcface: options.Arcface = None,
    vocals: options.Vocals = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Animate every portrait of a folder with every video or sound of another. What is done is passed over."""
    from hp_trt.apps.batch.config import BatchConfig
    from hp_trt.apps.batch.run import run_batch

    machine = options.machine(family=family, provider=provider, device=device, threads=threads)
    finder = options.finder(locator=locator, locator_file=locator_file, arcface=arcface)
    scales = {"appearance_scale": appearance_scale, "motion_scale": motion_scale, "guidance": guidance}
    sources = {"portraits": portraits, "drivings": drivings, "audio": audio, "pairs": pairs}
    more: dict[str, Any] = {"profile": profile, "max_frames": max_frames, "vocals": vocals}
    more["weight_budget_bytes"] = options.weight_budget_bytes(weight_budget)
    config = BatchConfig(
        bundle=bundle,
        runtime=RuntimeConfig(**more, **machine, **finder),
        **sources,
        out=out,
        provenance=provenance,
        sampling=options.sampling(steps=steps, seed=seed, motion_weights=motion_weights, mood=mood, **scales),
        enlarging=_enlarging(enhance, enhance_scale, enhance_fidelity, enhance_face_upsample),
        ray=_ray(ray, ray_address, workers),
    )
    with Reporter(as_json=json) as report:
        code = run_batch(config, report)
    if code:
        raise typer.Exit(code)


def _ray(is_asked: bool, address: str | None, workers: int | None) -> RayConfig | None:
    """What the options of --ray say. Raises InputError."""
    from hp_trt.apps.batch.config import RayConfig

    if is_asked:
        return RayConfig(address=address, workers=workers)
    if address is not None or workers is not None:
        raise InputError("--ray-address and --workers are of --ray; add it, or leave them out")
    return None


def _enlarging(bundle: Path | None, scale: int | None, fidelity: float | None, face_upsample: bool) -> Enlarging | None:
    """What the options of --enhance say. Raises InputError."""
    from hp_trt.apps.batch.enlarging import Enlarging

    given = {"--enhance-scale": scale is not None, "--enhance-fidelity": fidelity is not None}
    given |= {"--enhance-face-upsample": face_upsample}
    if bundle is not None:
        return Enlarging(
            bundle=bundle, scale=2 if scale is None else scale, fidelity=fidelity, face_upsample=face_upsample
        )
    if stray := [option for option, is_given in given.items() if is_given]:
        raise InputError(f"{', '.join(stray)}: only with --enhance BUNDLE; add it, or leave out what is of it")
    return None

"""`hp-trt demo`: drawn people, or files of one's own, animated with the bundle that comes with hp-trt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines import families
from engines.safe_output import check_folder, refusing
from hp_trt.commands import options
from hp_trt.commands.animate import AnimateConfig, animate_files
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter
from hp_trt.shipped import POCKET_BUNDLE, bundle_folder

OUT = "Folder for demo.mp4, demo-crop.mp4, demo.png, and for what is drawn."


def demo(
    out: Annotated[Path, typer.Option(parser=options.folder, metavar="PATH", help=OUT)] = Path("out"),
    portrait: Annotated[Path | None, typer.Option(help="Picture with one face [a drawn one].")] = None,
    driving: Annotated[Path | None, typer.Option(help="Video of the face to follow [a drawn one].")] = None,
    seed: Annotated[int, typer.Option(min=0, max=options.MOST_SEED, help="Who is drawn, and how they move.")] = 7,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Draw people, and animate them with the small model that comes with hp-trt: something to see at once."""
    from hp_trt.sample import DRIVING, PORTRAIT, landmarks_beside, write_sample

    check_folder(out, {"the portrait": portrait, "the driving video": driving})
    with refusing(out):
        out.mkdir(parents=True, exist_ok=True)
    sample = out / "sample"
    drawn_portrait, drawn_driving = sample / PORTRAIT, sample / DRIVING[0]
    config = AnimateConfig(
        bundle=bundle_folder(POCKET_BUNDLE),
        runtime=RuntimeConfig(),
        portrait=portrait or drawn_portrait,
        portrait_landmarks=None if portrait else landmarks_beside(drawn_portrait),
        driving=driving or drawn_driving,
        landmarks=None if driving else landmarks_beside(drawn_driving),
        out=out / "demo.mp4",
        crop_out=out / "demo-crop.mp4",
        sheet=out / "demo.png",
        sampling={},
    )
    families.load(families.ONNXRUNTIME)  # where it is missing nothing is drawn
    with Reporter(as_json=json) as report:
        if portrait or driving:
            report.note("pocket was trained on drawn people: of a photograph it makes a smear")
        if not (portrait and driving):
            write_sample(sample, seed=seed)
        animate_files(config, report)

"""`hp-trt demo`: drawn people, or files of one's own, animated with the bundles that come with hp-trt."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines import families
from engines.safe_output import check_folder, refusing
from hp_trt.commands import options
from hp_trt.commands.animate import AnimateConfig, animate_files
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter
from hp_trt.provenance.options import Provenance
from hp_trt.shipped import ENHANCER_POCKET_BUNDLE, POCKET_BUNDLE, TALK_POCKET_BUNDLE, bundle_folder

if TYPE_CHECKING:
    import numpy as np

SMEAR = (
    "pocket and talk_pocket were trained on drawn people, and on synthetic speech: of a photograph they make a smear"
)
OUT = "Folder for demo.mp4, demo-crop.mp4, demo.png, demo-talk.mp4, demo-talk.png, and for what is drawn."

SHOWN = 25  # the frame that is shown enlarged, or the last of fewer: at the first nobody has moved yet
LARGE_PX = 320  # of a side of a face that is shown enlarged


@options.carrying
def demo(
    provenance: Provenance,
    out: Annotated[Path, typer.Option(parser=options.folder, metavar="PATH", help=OUT)] = Path("out"),
    portrait: Annotated[Path | None, typer.Option(help="Picture with one face [a drawn one].")] = None,
    driving: Annotated[Path | None, typer.Option(help="Video of the face to follow [a drawn one].")] = None,
    audio: Annotated[Path | None, typer.Option(help="Speech to say [a synthetic one].")] = None,
    seed: Annotated[int, typer.Option(min=0, max=options.MOST_SEED, help="Who is drawn, and what they do.")] = 7,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Draw people, and let one follow another, and speak, by the small models that come with hp-trt."""
    from hp_trt.sample import DRIVING, PORTRAIT, SPEECH, landmarks_beside, write_sample, write_speech_sample

    given = {"the portrait": portrait, "the driving video": driving, "the speech": audio}
    check_folder(out, given)
    with refusing(out):
        out.mkdir(parents=True, exist_ok=True)
    sample, spoken = out / "sample", out / "sample-speech"
    drawn_portrait, drawn_driving = sample / PORTRAIT, sample / DRIVING[0]
    portrait_landmarks = None if portrait else landmarks_beside(drawn_portrait)
    following = AnimateConfig(
        bundle=bundle_folder(POCKET_BUNDLE),
        runtime=RuntimeConfig(),
        portrait=portrait or drawn_portrait,
        portrait_landmarks=portrait_landmarks,
        driving=driving or drawn_driving,
        landmarks=None if driving else landmarks_beside(drawn_driving),
        out=out / "demo.mp4",
        crop_out=out / "demo-crop.mp4",
        sheet=out / "demo.png",
        below=partial(enlarged_faces, out / "demo-crop.mp4"),
        provenance=provenance,
        sampling={},
    )
    speaking = AnimateConfig(
        bundle=bundle_folder(TALK_POCKET_BUNDLE),
        runtime=RuntimeConfig(),
        portrait=portrait or drawn_portrait,
        portrait_landmarks=portrait_landmarks,
        audio=audio or spoken / SPEECH,
        out=out / "demo-talk.mp4",
        sheet=out / "demo-talk.png",
        resume="restart",  # a demo that was stopped is none to go on with
        provenance=provenance,
        sampling={},
    )
    if not (portrait and driving):
        check_folder(sample, given, apart=True)
    if not audio:
        check_folder(spoken, given, apart=True)
    families.load(families.ONNXRUNTIME)  # where it is missing nothing is drawn
    with Reporter(as_json=json) as report:
        if portrait or driving or audio:
            report.note(SMEAR)
        if not (portrait and driving):
            write_sample(sample, seed=seed)
        if not audio:
            write_speech_sample(spoken, seed=seed)
        animate_files(following, report)
        animate_files(speaking, report)


def enlarged_faces(crop: Path) -> list[tuple[str, np.ndarray]]:
    """The face of one of a video's frames three times at one size: its pixels, and those of twice as many, by the
    bicubic filter and by the upscaler that comes with hp-trt. (H, W, 3) uint8, with what each is called."""
    from hp_trt.enhancer.enhancer import Enhancer
    from hp_trt.enhancer.networks import bicubic
    from hp_trt.media.video import VideoReader

    *_, frame = islice(VideoReader(crop), SHOWN)
    height, width = frame.shape[:2]
    with Enhancer(ENHANCER_POCKET_BUNDLE) as enhancer:
        (enlarged,) = (made.image for made in enhancer.frames([frame]))

    def shown(picture: np.ndarray) -> np.ndarray:
        side = picture.shape[0]
        inner = slice(side * 3 // 16, side * 13 // 16)  # where a portrait's crop has its face
        times = max(LARGE_PX // (inner.stop - inner.start), 1)
        return picture[inner, inner].repeat(times, axis=0).repeat(times, axis=1)

    return [
        (f"a frame of {width} x {height}", shown(frame)),
        ("twice as large, bicubic", shown(bicubic(frame, 2 * width, 2 * height))),
        ("twice as large, hp-trt enhance", shown(enlarged)),
    ]

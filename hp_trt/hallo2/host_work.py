"""The host's share of a portrait that speaks, measured: finding its face, pasting, writing."""

from __future__ import annotations

from fractions import Fraction

from engines.temporary import temporary_folder
from hp_trt.api import Runtime
from hp_trt.faces.locators import open_locator
from hp_trt.hallo2.portrait import talk_portrait
from hp_trt.hallo2.promises import levels_of
from hp_trt.measure.bench.clips import voice
from hp_trt.measure.planning.pieces import Clock, Piece
from hp_trt.media.images import load_picture
from hp_trt.media.paste import PasteBack
from hp_trt.media.pixels import resized
from hp_trt.media.video_writer import VideoWriter
from hp_trt.sample import write_portrait
from runtime.hallo2.presets import FPS, SAMPLE_RATE


def host_pieces(runtime: Runtime, *, frames: int, make: bool) -> dict[str, Piece]:
    """Each of the host's stages on a drawn portrait and `frames` frames, a piece's mean.

    `make`: animate it first, and write what comes out; else the portrait itself is written. A piece of writing has its
    share of what the encoder holds back until the end: the bench's `write` and `finish`.
    """
    with temporary_folder("plan") as folder:
        portrait, manifest, clock = folder / "portrait.png", runtime.bundle.manifest, Clock()
        write_portrait(portrait, seed=0)
        locator = open_locator(runtime.config.locator, runtime.config.locator_file)
        side = manifest.geometry["crop_px"]
        with clock.piece("portrait_crop"):
            image = load_picture(portrait).pixels
            crop = talk_portrait(
                image,
                locator,
                side_px=side,
                levels=levels_of(manifest),
                face_ratio=manifest.geometry["face_ratio"],
                lip_ratio=manifest.geometry["lip_ratio"],
                what=str(portrait),
            )
        paste = PasteBack(image, crop.box, fade_at_edges=False)
        shown = [resized(image, side, "bilinear")] * frames
        if make:
            shown = [frame.crop for frame in runtime.talk(portrait, (voice(frames), SAMPLE_RATE))]
        height, width = image.shape[:2]
        for name, count in (("warm.mp4", 2), ("out.mp4", frames)):
            clock_of_it = Clock() if count < frames else clock
            with (
                clock_of_it.piece("write", count),
                VideoWriter(folder / name, width=width, height=height, rate=Fraction(FPS)) as writer,
            ):
                for number, picture in enumerate(shown[:count]):
                    writer.write(paste(picture), Fraction(number, FPS))
                writer.finish()
        return clock.pieces()

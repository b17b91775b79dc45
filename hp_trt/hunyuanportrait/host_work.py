"""The host's share of a clip, measured: reading, finding faces, cropping, pasting, writing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engines.temporary import temporary_folder
from hp_trt.api import Runtime
from hp_trt.faces.locators import open_live_locator, open_locator
from hp_trt.hunyuanportrait.driving import DrivingCrops, first_face
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.hunyuanportrait.portrait import portrait_crop
from hp_trt.measure.planning.pieces import Clock, Piece
from hp_trt.media.images import load_image
from hp_trt.media.paste import PasteBack
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from hp_trt.sample import write_driving, write_portrait


def host_pieces(runtime: Runtime, *, frames: int, make: bool, live: bool) -> dict[str, Piece]:
    """Each of the host's stages on a drawn clip of `frames`, a piece's mean: pieces differ, and a clip has them all.

    `make`: animate it first, and write what comes out. `live`: follow the face and write as profiles of mode live do.
    """
    with temporary_folder("plan") as folder:
        portrait, driving = folder / "portrait.png", folder / "driving.mp4"
        write_portrait(portrait, seed=0)
        write_driving(driving, seed=1, frames=frames)
        made = [frame.crop for frame in runtime.frames(portrait, driving)] if make else None
        _host_work(runtime, portrait, driving, folder / "warm.mp4", frames=2, made=made, live=live)
        return _host_work(runtime, portrait, driving, folder / "out.mp4", frames=frames, made=made, live=live)


def _host_work(
    runtime: Runtime,
    portrait: Path,
    driving: Path,
    out: Path,
    *,
    frames: int,
    made: Sequence[np.ndarray] | None,
    live: bool,
) -> dict[str, Piece]:
    """What `Runtime.animate` does without its networks. `made`: what they would make, (S, S, 3) uint8; None: the
    driving frames themselves.

    A piece of writing has its share of what the encoder holds back until the end: the bench's `write` and `finish`.
    """
    import cv2

    geometry, clock = runtime.bundle.manifest.geometry, Clock()
    locator = open_locator(runtime.config.locator, runtime.config.locator_file)
    with clock.piece("portrait_crop"):
        image = load_image(portrait)
        crop = portrait_crop(image, locator, crop_px=geometry["crop_px"], appearance_px=geometry["appearance_px"])
    paste, reader = PasteBack(image, crop.box), VideoReader(driving)
    with clock.piece("first_face"):
        face = first_face(iter(reader), locator)
    crop_px, motion_px = geometry["crop_px"], geometry["motion_px"]
    follower = LiveCrops(open_live_locator(runtime.config.locator, runtime.config.locator_file), geometry)
    cropper = DrivingCrops(locator, face, crop_px=crop_px, size=motion_px)
    driven = reader.timed()
    side, shown = geometry["crop_px"], []
    for number in range(frames):
        with clock.piece("read"):
            frame = next(driven)
        with clock.piece("crop"):
            if live:
                follower.crop(frame.image, number)
            else:
                cropper.crop(frame.image)
        shown.append((cv2.resize(frame.image, (side, side)) if made is None else made[number], frame.time_s))
    height, width = image.shape[:2]
    video = VideoWriter(out, width=width, height=height, driving=reader.info, quick=live)
    with clock.piece("write", frames), video as writer:
        for picture, time_s in shown:
            writer.write(paste(picture), time_s)
        writer.finish()
    return clock.pieces()

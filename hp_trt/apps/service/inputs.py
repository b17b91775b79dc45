"""What an upload is: a picture, a driving video or a sound, looked at by the reading gate before it is kept.

The seam for encoded files: `motion_facts` is where a motion file will be recognised and checked, beside videos and
sounds, and `picture_facts` a portrait file.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.foreign import foreign
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.problems import Problem
from hp_trt.media.images import load_picture
from hp_trt.media.opening import open_file
from hp_trt.media.sound_file import open_sound, sound_stream
from hp_trt.media.video import probe
from hp_trt.model import Driver


def picture_facts(path: Path) -> dict[str, Any]:
    """What a portrait is: it is decoded whole, within the gate's limit. Raises InputError."""
    height, width = load_picture(path).pixels.shape[:2]
    return {"width": width, "height": height}


def motion_facts(path: Path, driver: Driver, limits: Limits) -> dict[str, Any]:
    """What moves a portrait, of the kind that the bundle's portraits are moved by. Raises InputError, Problem."""
    return _video(path, limits) if driver == "video" else _sound(path, limits)


def _video(path: Path, limits: Limits) -> dict[str, Any]:
    info = probe(path)
    frames, lasts_s = info.frames, info.promise.duration_s
    if frames is not None and frames > limits.max_frames:
        raise Problem("impossible", f"the video has {frames} frames, at most {limits.max_frames} are taken; cut it")
    if lasts_s is None and frames is not None:
        lasts_s = frames / info.rate
    _check_lasts(lasts_s, "video", limits)
    return {
        "kind": "video",
        "width": info.width,
        "height": info.height,
        "frames": frames,
        "frames_per_s": round(float(info.rate), 3),
        "seconds": None if lasts_s is None else round(float(lasts_s), 3),
        "has_sound": info.has_sound,
    }


def _sound(path: Path, limits: Limits) -> dict[str, Any]:
    """A header may say anything of how long it lasts, so packets are counted."""
    with open_sound(path) as container, foreign(f"{path} is a damaged sound", "give a wav, mp3, m4a or flac"):
        stream = sound_stream(container, path)
        rate = stream.codec_context.sample_rate
        first = next((frame for packet in container.demux(stream) for frame in packet.decode()), None)
    if first is None:
        raise Problem("unsupported-media", "the sound has not one sample that can be decoded; give another file")
    lasts_s = _packets_s(path, limits)
    _check_lasts(lasts_s, "sound", limits)
    return {"kind": "sound", "samples_per_s": rate, "seconds": round(float(lasts_s), 3)}


def _packets_s(path: Path, limits: Limits) -> Fraction:
    """As long as its packets last, or a little more than the limit."""
    lasts_s = Fraction(0)
    with open_file(path, kind="sound") as container:
        packets = container.demux(sound_stream(container, path))
        while lasts_s <= limits.video_s:
            try:
                packet = next(packets)
            except Exception:  # the end, or damage: as much as came before
                break
            lasts_s += (packet.duration or 0) * (packet.time_base or 0)
    return lasts_s


def _check_lasts(lasts_s: Fraction | float | None, what: str, limits: Limits) -> None:
    if lasts_s is not None and lasts_s > limits.video_s:
        raise Problem(
            "impossible", f"the {what} lasts {float(lasts_s):.1f} s, at most {limits.video_s:g} s are taken; cut it"
        )

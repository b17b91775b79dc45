"""What an upload is: a picture, a driving video or a sound, looked at by the reading gate before it is kept.

Each may be a file that hp-trt encoded instead (`hp_trt.encoded`), known by its content and held against the bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import FaceNotFound, InputError
from engines.foreign import foreign
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.problems import Problem, problem_of
from hp_trt.encoded.driver import MOST_FRAMES, EncodedDriver
from hp_trt.encoded.encoded_file import EncodedFile, is_encoded
from hp_trt.encoded.kept_portrait import read_portrait
from hp_trt.media.images import load_picture
from hp_trt.media.opening import open_file
from hp_trt.media.sound_file import open_sound, sound_stream
from hp_trt.media.video import probe
from hp_trt.model import Model
from hp_trt.models import find_model

_FRAMES_OF_SPEECH = 25  # a second
MOTION_FILE = "motion file"  # of a motion's facts, its kind


def picture_facts(path: Path) -> dict[str, Any]:
    """What a portrait is: it is decoded whole, within the gate's limit. Raises InputError."""
    if is_encoded(path):
        file = EncodedFile(path, "portrait")
        height, width = read_portrait(file).pixels.shape[:2]
        return {"kind": "portrait file", "width": width, "height": height}
    height, width = load_picture(path).pixels.shape[:2]
    return {"width": width, "height": height}


def motion_facts(path: Path, bundle: Bundle, profiles: Sequence[str], limits: Limits) -> dict[str, Any]:
    """What moves a portrait, of the kind that the bundle's portraits are moved by. Raises InputError, Problem.

    `profiles`: names, of which a motion file has to be for one.
    """
    driver = find_model(bundle).driver
    if is_encoded(path):
        return _motion_file(path, bundle, profiles, limits)
    return video_facts(path, limits) if driver == "video" else _sound(path, limits)


def _motion_file(path: Path, bundle: Bundle, profiles: Sequence[str], limits: Limits) -> dict[str, Any]:
    """Whole, and of this bundle: what else is wrong with one that somebody forged is told as it is used."""
    file = EncodedFile(path, "motion")
    file.check_content()
    with impossible(path, "the motion file"):
        found = check_motion_file(path, bundle, profiles)
        with file.reading():
            frames = file.about["frames"].whole(1, MOST_FRAMES)
    if frames > limits.max_frames:
        raise Problem("impossible", f"the motion file has {frames} frames, at most {limits.max_frames} are taken")
    lasts_s = Fraction(frames, _FRAMES_OF_SPEECH)
    if isinstance(found, EncodedDriver):
        lasts_s = found.times[-1] - found.times[0]
    _check_lasts(lasts_s, "motion", limits)
    return {"kind": MOTION_FILE, "frames": frames, "seconds": round(float(lasts_s), 3)}


def check_motion_file(path: Path, bundle: Bundle, profiles: Sequence[str]) -> EncodedDriver | EncodedFile:
    """What is read of it. Raises InputError for one of another bundle, or for none of the profiles."""
    kind = find_model(bundle)
    found = EncodedDriver(path) if kind.driver == "video" else EncodedFile(path, "motion")
    _check_one(kind, bundle, found, profiles)
    return found


def _check_one(kind: type[Model], bundle: Bundle, found: EncodedDriver | EncodedFile, profiles: Sequence[str]) -> None:
    """Raises InputError where it is for none of the profiles: what the first of them says."""
    first: InputError | None = None
    for name in profiles:
        try:
            kind.check_motion(bundle, found, kind.profiles.find(name))
        except InputError as error:
            first = first or error
        else:
            return
    assert first is not None, "a service has a profile"
    raise first


@contextmanager
def impossible(path: Path, word: str) -> Iterator[None]:
    """What is wrong in the block is not what the file is, but that it does not fit: 422 and not 415."""
    try:
        yield
    except FaceNotFound:
        raise
    except InputError as error:
        raise problem_of(error, {path: word}) from error


def video_facts(path: Path, limits: Limits) -> dict[str, Any]:
    """What a video is, of which the header and what its frames take are looked at. Raises InputError, Problem."""
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

"""A portrait and two driving videos to try things with: drawn people, nobody's face, everything known about them.

Beside each picture or video lies where its face is (`.landmarks.json`, for `--portrait-landmarks` and
`--driving-landmarks`), and beside each video its pose, expression and all landmarks frame by frame
(`.parameters.json`). OpenCV's cascades find these faces too. The sound is a soft tone that follows the jaw. Speech is
synthetic and means nothing, but where espeak says a text; beside it lie its phonemes, and what the person does while it
is heard, as of a video.

Every file grows under a hidden name and appears whole. Pictures and sound are encoded as they are drawn, so a long
video needs hardly more memory than a short one.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil, pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.errors import InputError
from engines.part_file import whole_file
from engines.safe_output import check_folder, refusal
from hp_trt.faces.face import Face, FaceParts
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.interface.voices import Voice, speech, speech_of
from hp_trt.media.video_writer import X264
from procedural.identity import Identity
from procedural.landmarks import POINTS, face_box, landmarks, lips_box, outline_box
from procedural.motion import NAMES, State, motion
from procedural.speech import HZ, Speech, talking

if TYPE_CHECKING:
    from procedural.clip import Clip

PORTRAIT, DRIVING, SPEECH = "portrait.png", ("driving.mp4", "driving-2.mp4"), "speech.wav"
_PORTRAIT_PX, _DRIVING_PX = 512, 384
_HZ, _BLOCK = 44100, 1024  # of the sound; samples that AAC takes at a time


def write_sample(out_dir: Path | str, *, seed: int = 0, frames: int = 50, fps: int = 25) -> tuple[Path, Path]:
    """Write portrait, driving videos and their files into `out_dir` (made if missing).

    The portrait is the person of `seed`, the videos are those of the next two seeds, `frames` long. Returns
    the paths of the portrait and of the first video. Raises OutputError where the folder or the disk refuses.
    """
    import av

    folder = Path(out_dir)
    check_folder(folder, {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_portrait(folder / PORTRAIT, seed=seed)
        for number, name in enumerate(DRIVING, start=1):
            write_driving(folder / name, seed=seed + number, frames=frames, fps=fps)
    except (OSError, av.FFmpegError) as error:
        raise refusal(f"the sample in {folder}", error) from error
    return folder / PORTRAIT, folder / DRIVING[0]


def write_speech_sample(
    out_dir: Path | str,
    *,
    seed: int = 0,
    frames: int = 50,
    fps: int = 25,
    language: str = "en",
    voice: Voice = "own",
    text: str | None = None,
) -> tuple[Path, Path]:
    """Write portrait, speech and their files into `out_dir` (made if missing): who `seed` is, and says.

    The speech is `frames` long, or, of a `text`, which espeak alone can say, as long as it takes. Returns the paths of
    the portrait and the sound. Raises OutputError where the folder or the disk refuses, and what
    `hp_trt.interface.voices` raises for voice, language and text.
    """
    folder = Path(out_dir)
    check_folder(folder, {})
    if text is None:
        said = speech(voice, seed, frames / fps, language=language)
    elif voice == "espeak":
        said = speech_of(text, seed, language=language)
        frames = ceil(len(said.samples) / HZ * fps)
    else:
        raise InputError(f"the voice {voice!r} says syllables, no text; add --voice espeak")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_portrait(folder / PORTRAIT, seed=seed)
        about = {"voice": voice, "language": language} | ({} if text is None else {"text": text})
        _write_speech(folder / SPEECH, said, about, seed=seed, frames=frames, fps=fps)
    except OSError as error:
        raise refusal(f"the sample in {folder}", error) from error
    return folder / PORTRAIT, folder / SPEECH


def landmarks_beside(picture: Path) -> Path:
    """The landmarks file of a sample's portrait or video."""
    return picture.with_suffix(".landmarks.json")


def parameters_beside(video: Path) -> Path:
    """Pose, expression and all landmarks of a sample's video."""
    return video.with_suffix(".parameters.json")


def write_portrait(path: Path, *, seed: int, px: int = _PORTRAIT_PX) -> None:
    """The person of `seed`, looking calmly into the camera; and the landmarks beside."""
    from PIL import Image

    from procedural.draw import draw

    who, calm = Identity.random(seed), State()
    with whole_file(path) as part, whole_file(landmarks_beside(path)) as beside:
        Image.fromarray(draw(who, calm, px)).save(part, format="PNG")
        beside.write_text(_faces(who, [calm], px).text(), encoding="utf-8")


def write_driving(path: Path, *, seed: int, frames: int, fps: int = 25, px: int = _DRIVING_PX) -> None:
    """H.264 of `px` x `px` with an AAC track as long, landmarks and parameters: person and motion of `seed`."""
    from procedural.clip import Clip

    clip = Clip(identity=Identity.random(seed), states=tuple(motion(seed, frames, fps=fps)), px=px)
    with (
        whole_file(path) as part,
        whole_file(landmarks_beside(path)) as beside,
        whole_file(parameters_beside(path)) as parameters,
    ):
        _encode(part, clip, fps)
        beside.write_text(_faces(clip.identity, clip.states, px).text(), encoding="utf-8")
        parameters.write_text(json.dumps(_known(clip, seed, fps)), encoding="utf-8")


def _write_speech(path: Path, speech: Speech, about: Mapping[str, str], *, seed: int, frames: int, fps: int) -> None:
    """16-bit mono, and what is known beside it."""
    from procedural.clip import Clip
    from procedural.identity import Identity

    states = talking(seed, speech.phonemes, frames, fps=fps)
    clip = Clip(identity=Identity.random(seed), states=tuple(states), px=_DRIVING_PX)
    said = [[p.symbol, round(p.start_s, 4), round(p.end_s, 4)] for p in speech.phonemes]
    with whole_file(path) as part, whole_file(parameters_beside(path)) as parameters:
        with part.open("wb") as file, wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(HZ)
            sound.writeframes(np.round(speech.samples * 32767).astype("<i2").tobytes())
        known = {**_known(clip, seed, fps), **about, "phonemes": said}  # symbol, start and end in seconds
        parameters.write_text(json.dumps(known), encoding="utf-8")


def _encode(path: Path, clip: Clip, fps: int) -> None:
    """Pictures and sound by turns, so that the container need not keep one back for the other."""
    import av

    from procedural.draw import draw

    with av.open(str(path.absolute()), "w", format="mp4") as output:
        video = output.add_stream("libx264", rate=Fraction(fps), options=dict(X264))
        video.width = video.height = clip.px
        video.pix_fmt = "yuv420p"
        audio = output.add_stream("aac", rate=_HZ, layout="mono")
        blocks, block_s = _sound([state.jaw for state in clip.states], fps), 0.0
        for number, state in enumerate(clip.states, start=1):
            frame = av.VideoFrame.from_ndarray(draw(clip.identity, state, clip.px), format="rgb24")
            output.mux(video.encode(frame))
            while block_s < number / fps and (block := next(blocks, None)) is not None:
                output.mux(audio.encode(block))
                block_s += _BLOCK / _HZ
        for stream in (video, audio):
            output.mux(stream.encode(None))


def _sound(loudness: Sequence[float], fps: int) -> Iterator[Any]:
    """Audio frames of a 220 Hz tone with an octave, as loud as the mouth is open."""
    import av

    samples, frame_s = round(len(loudness) / fps * _HZ), np.arange(len(loudness)) / fps
    for start in range(0, samples, _BLOCK):
        t = np.arange(start, min(start + _BLOCK, samples)) / _HZ
        tone = 0.25 * np.interp(t, frame_s, loudness) * (np.sin(2 * pi * 220 * t) + 0.3 * np.sin(2 * pi * 440 * t))
        block = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = _HZ, start, Fraction(1, _HZ)
        yield block


def _faces(who: Identity, states: Sequence[State], px: int) -> LandmarksFile:
    frames = []
    for state in states:
        parts = FaceParts(face=outline_box(who, state, px), lips=lips_box(who, state, px))
        points = landmarks(who, state, px)[:5]
        frames.append([Face(box=face_box(who, state, px), landmarks=points, score=1.0, parts=parts)])
    return LandmarksFile(frames, height=px, width=px)


def _known(clip: Clip, seed: int, fps: int) -> dict[str, Any]:
    """All that is known about a drawn video, as JSON; numbers in the order of their names."""
    return {
        "format": "hp-trt-parameters",
        "version": 1,
        "seed": seed,
        "fps": fps,
        "width": clip.px,
        "height": clip.px,
        "names": NAMES,
        "points": POINTS,
        "parameters": [[round(float(value), 6) for value in state.vector()] for state in clip.states],
        "landmarks": clip.landmarks().round(3).tolist(),  # (frames, points, 2): x, y in pixels
    }

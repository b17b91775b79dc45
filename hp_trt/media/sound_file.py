"""A file of sound, opened: what is none is told in the words of who wants to hear it, not in those of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines.errors import InputError
from hp_trt.media.opening import open_file
from hp_trt.media.video import audio_stream

ADVICE = "give a wav, mp3, m4a or flac, or a video with sound"
LOWEST_RATE, HIGHEST_RATE = 1000, 768_000  # samples a second that are sound


def open_sound(path: Path) -> Any:
    """PyAV's container, for its owner to close. Raises InputError for what is no file of video or sound."""
    return open_file(path, kind="sound", advice=ADVICE)


def sound_stream(container: Any, path: Path) -> Any:
    """The sound that a player takes of `path`. Raises InputError where there is none, or none that can be decoded."""
    if not container.streams.audio:
        raise InputError(f"{path} has no sound; {ADVICE}")
    stream = audio_stream(container)
    if stream is None:
        raise InputError(f"{path} has sound of a kind that this FFmpeg cannot decode; convert it to wav first")
    return stream


def check_sound(path: Path) -> None:
    """Raises InputError for what has no sound. Nothing is decoded: a sample may still be missing."""
    with open_sound(path) as container:
        sound_stream(container, path)

"""The sound that an application hands in, and all that decides the frames which are made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.errors import InputError
from engines.file_record import hash_file
from engines.foreign import foreign
from hp_trt.config import RuntimeConfig
from hp_trt.encoded.encoded_file import is_encoded
from hp_trt.interface import arguments
from hp_trt.media.files import check_file
from hp_trt.media.portrait import Portrait
from hp_trt.media.sound_file import HIGHEST_RATE, LOWEST_RATE, check_sound
from hp_trt.model import AudioSource, Speech
from hp_trt.profiles import Profile


def speech_of(audio: Any, released_plan: Any) -> Speech:
    """What `audio` names: a file with sound, or a pair of samples and their rate in Hz. Raises InputError."""
    source: AudioSource
    if isinstance(audio, tuple):
        if len(audio) != 2 or not isinstance(audio[0], np.ndarray):
            raise InputError(
                f"audio is a file, or a pair of an array of samples and its rate in Hz, got {_pair(audio)}; give one "
                "of these"
            )
        rate = arguments.whole("the rate of audio in Hz", audio[1], least=LOWEST_RATE, most=HIGHEST_RATE)
        source = audio[0], rate
    else:
        source = arguments.path("audio, where it is no samples,", audio)
        if not is_encoded(source):
            check_sound(source)
    return Speech(source=source, released_plan=arguments.flag("released_plan", released_plan))


def run_facts(
    bundle: Bundle, config: RuntimeConfig, profile: Profile, portrait: Portrait, speech: Speech
) -> dict[str, Any]:
    """Everything that decides the frames of a render, as JSON: another value makes other frames.

    Who found the face, and how it is known, is in the portrait's own key.

    Threads are not among them, nor what runs the graphs: these change a rounding, and nobody sees where a render was
    left and gone on with. Raises InputError where NVENC is asked for.
    """
    check_parts(config)
    sound = speech.source if isinstance(speech.source, Path) else None
    return {
        "the portrait": portrait.key,
        "the sound": _of_array(*speech.source) if isinstance(speech.source, tuple) else file_fact(sound),
        "the bundle's graphs": {name: record.key for name, record in bundle.manifest.graphs.items()},
        "geometry": dict(bundle.manifest.geometry),
        "sampling": {**bundle.manifest.sampling, **plain(profile.sampling)},
        "the denoiser": profile.denoiser,
        "the released plan": speech.released_plan,
        "the network that separates vocals": file_fact(config.vocals),
    }


def check_parts(config: RuntimeConfig) -> None:
    """Raises InputError unless libx264 encodes: chunks of a run that can be gone on with are joined as they are."""
    if config.nvenc is not None:
        raise InputError(
            "a clip of speech, and one that is resumed, is encoded in parts that libx264 makes alike wherever a run "
            "goes on; leave the encoder nvenc out, or give a driving video without resume"
        )


def _pair(audio: tuple[Any, ...]) -> str:
    return f"a pair of {' and '.join(map(arguments.shown, audio))}" if len(audio) == 2 else f"a tuple of {len(audio)}"


def file_fact(path: Path | str | None) -> str:
    """A file's content as a fact: its hash; "" of none. Raises InputError for a file that cannot be read."""
    if path is None:
        return ""
    advice = "give a file that stays as it is until the result is written"
    check_file(Path(path), advice)
    with foreign(f"{path} cannot be read", advice):
        return hash_file(Path(path)).sha256


def _of_array(samples: np.ndarray, rate: int) -> str:
    head = f"{samples.shape} {samples.dtype} {rate}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(samples).tobytes()).hexdigest()


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has them, NumPy's numbers too."""
    return {
        name: [_number(one) for one in value] if isinstance(value, tuple | list) else _number(value)
        for name, value in options.items()
    }


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        return value
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value

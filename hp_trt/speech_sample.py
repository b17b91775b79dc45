"""A portrait and a sentence to try with: a drawn person, synthetic speech, and all that is known about both.

Beside the portrait lies where its face is, and beside the sound what the person does while it is heard: phonemes with
their times, and pose, expression and landmarks of every frame (`speech.parameters.json`, in the form of a driving
video's). A video that follows the sound can be held against it. Nobody's voice is in it, and it means nothing.
"""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np

from engines.part_file import whole_file
from engines.safe_output import check_folder, refusal
from hp_trt.sample import PORTRAIT, known, parameters_beside, write_portrait

SPEECH = "speech.wav"
_TRUTH_PX = 384  # of the landmarks' picture


def write_speech_sample(
    out_dir: Path | str, *, seed: int = 0, frames: int = 50, fps: int = 25, language: str = "en"
) -> tuple[Path, Path]:
    """Write portrait, speech and their files into `out_dir` (made if missing): who `seed` is, and says.

    The speech is `frames` long. Returns the paths of the portrait and the sound. Raises OutputError where the folder or
    the disk refuses.
    """
    folder = Path(out_dir)
    check_folder(folder, {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_portrait(folder / PORTRAIT, seed=seed)
        _write_speech(folder / SPEECH, seed=seed, frames=frames, fps=fps, language=language)
    except OSError as error:
        raise refusal(f"the sample in {folder}", error) from error
    return folder / PORTRAIT, folder / SPEECH


def _write_speech(path: Path, *, seed: int, frames: int, fps: int, language: str) -> None:
    """16-bit mono, and what is known beside it."""
    from procedural.clip import Clip
    from procedural.identity import Identity
    from procedural.speech import HZ, sentence, talking

    speech = sentence(seed, frames / fps, language=language)
    states = talking(seed, speech.phonemes, frames, fps=fps)
    clip = Clip(identity=Identity.random(seed), states=tuple(states), px=_TRUTH_PX)
    said = [[p.symbol, round(p.start_s, 4), round(p.end_s, 4)] for p in speech.phonemes]
    with whole_file(path) as part, whole_file(parameters_beside(path)) as parameters:
        with part.open("wb") as file, wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(HZ)
            sound.writeframes(np.round(speech.samples * 32767).astype("<i2").tobytes())
        about = {**known(clip, seed, fps), "language": language, "phonemes": said}  # symbol, start and end in seconds
        parameters.write_text(json.dumps(about), encoding="utf-8")

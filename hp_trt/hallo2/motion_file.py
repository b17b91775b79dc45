"""Speech, encoded, as a file; and such a file in the place of the sound.

A motion file as a driving video's is: what moves a portrait. It holds the audio tokens of every clip, with the silence
that fills the last one, and the sound itself, copied, for the result. Tokens are of the graphs that made them, of how
many frames a clip has, and of how the sound was cut: a file is taken where these are what they would be for the sound.
A live session hears speech as it comes, some seconds at a time, so no file stands for it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.bundle import Bundle
from engines.errors import InputError
from engines.file_record import hash_file
from engines.foreign import foreign
from hp_trt.encoded.encoded_file import Encoded, EncodedFile
from hp_trt.hallo2.sound import LONGEST_H, Sound
from hp_trt.media.kept_sound import SOUND, TICKS, fraction, keep_sound, sound_of
from hp_trt.model import Speech
from runtime.hallo2.presets import FPS
from runtime.hallo2.speech import audio_tokens
from runtime.stages import Stages

GRAPHS = ("speech_encoder", "audio_tokens")
TOKENS = "tokens"
_MOST_FRAMES = round(LONGEST_H * 3600 * FPS) + 1000  # and the silence that fills a clip
_LONGEST_S = Fraction(10**9)


def encode_speech(
    backend: Backend,
    sessions: Mapping[str, Session],
    bundle: Bundle,
    speech: Speech,
    sound: Sound,
    *,
    vocals: str,
    stages: Stages,
) -> Encoded:
    """Speech in a file as the clips hear it. `sound`: of that file; `vocals`: the hash of the network that has taken
    music away from it, "" of none. Raises InputError, NonFiniteError.
    """
    path = speech.source
    if not isinstance(path, Path):
        raise InputError("samples cannot be encoded into a motion file, which keeps the sound of a file; write a wav")
    with foreign(f"{path} cannot be read", "give a file that stays as it is until it is encoded"):
        source = hash_file(path).sha256
    clip = bundle.manifest.frames
    made = audio_tokens(backend, sessions, sound, clip=clip, released=speech.released_plan, stages=stages)
    clips = [backend.download(tokens) for tokens in made]
    if not clips or not made.frames:
        raise InputError(f"{path} is too short for a frame; give a longer sound")
    kept, of_sound, notes = keep_sound(path)
    about = {
        "driver": "audio",
        "frames": made.frames,
        "made_for": _made_for(bundle),
        "released_plan": speech.released_plan,
        "begins_s": str(sound.start_s),
        "vocals_sha256": vocals,
        "source_sha256": source,
        **({"sound": of_sound} if of_sound else {}),
    }
    return Encoded(
        kind="motion",
        model=bundle.manifest.model,
        graphs={name: bundle.manifest.graphs[name].key for name in GRAPHS},
        about=about,
        tensors={TOKENS: np.concatenate(clips), **kept},
        notes=[note.replace(str(path), path.name) for note in (*sound.notes, *notes)],
        frames=made.frames,
    )


class KeptSpeech:
    """A motion file in the place of a sound, for one bundle. Checked when made: raises InputError.

    name, start_s, notes: as `hp_trt.hallo2.sound.Sound` has them.
    """

    def __init__(self, bundle: Bundle, file: EncodedFile) -> None:
        self._file, self._clip = file, bundle.manifest.frames
        with file.reading():
            if (driver := file.about["driver"].choice(("video", "audio"))) != "audio":
                raise InputError(
                    f"{file.path} is the motion of a driving {driver}, and this bundle's portraits are moved by "
                    "speech; give a sound, or the file of one"
                )
        file.check_model(bundle)
        file.check_graphs(bundle, GRAPHS)
        file.check_made_for(bundle, _made_for(bundle))
        tokens = bundle.manifest.graphs["audio_tokens"].spec.outputs[0]
        shape = file.require(TOKENS, tokens.dtype, (None, *(int(dim) for dim in tokens.dims[1:])))
        file.require_only(TOKENS, SOUND, TICKS)
        with file.reading():
            if not 0 < shape[0] <= _MOST_FRAMES or shape[0] % self._clip:
                raise ValueError(f"{TOKENS} are of {shape[0]} frames, needed are whole clips of {self._clip}")
            self.frames = file.about["frames"].whole(1, shape[0])
            self.released_plan = file.about["released_plan"].flag()
            self.start_s = fraction(file.about["begins_s"].text(most=60), least=-_LONGEST_S, most=_LONGEST_S)
            if shape[0] - self.frames >= 2 * self._clip:
                raise ValueError(f"{TOKENS} are of {shape[0]} frames, of which {self.frames} are of the sound")
        self.clips = shape[0] // self._clip
        self.name, self.notes = str(file.path), list(file.notes)
        file.check_content()
        sound_of(file)

    def check_plan(self, released_plan: bool) -> None:
        """Raises InputError unless the sound was cut as it is asked for."""
        if self.released_plan != released_plan:
            was, asked = ("" if plan else "not " for plan in (self.released_plan, released_plan))
            raise InputError(
                f"{self.name} was {was}cut as released, and is {asked}to be (released_plan, --released-plan); ask for "
                "the same, or encode the sound again"
            )

    def tokens(self, backend: Backend, first_clip: int) -> KeptTokens:
        return KeptTokens(backend, self, first_clip)

    def of_clip(self, number: int) -> np.ndarray:
        """(F, k, Da). Raises InputError."""
        return self._file.array(TOKENS, number * self._clip, self._clip)

    def saved(self, number: int) -> int:
        """How many of clip `number`'s frames are of the sound."""
        return min(max(self.frames - number * self._clip, 0), self._clip)


class KeptTokens:
    """The tokens of one clip after the other, as `runtime.hallo2.speech.SpeechTokens` gives them."""

    def __init__(self, backend: Backend, speech: KeptSpeech, first_clip: int) -> None:
        self._backend, self._speech, self._next = backend, speech, first_clip
        self.frames: int | None = speech.frames
        self.clips: int | None = speech.clips

    def saved(self, number: int) -> int:
        return self._speech.saved(number)

    def __iter__(self) -> Iterator[Buffer]:
        return self

    def __next__(self) -> Buffer:
        if self._next >= self._speech.clips:
            raise StopIteration
        self._next += 1
        return self._backend.upload(self._speech.of_clip(self._next - 1))


def frame_bytes(bundle: Bundle) -> int:
    """How much of a motion file one frame takes, but for its sound."""
    tokens = bundle.manifest.graphs["audio_tokens"].spec.outputs[0]
    count = int(np.prod([int(dim) for dim in tokens.dims[1:]]))
    return count * np.dtype(tokens.dtype).itemsize


def _made_for(bundle: Bundle) -> dict[str, int]:
    """What of a bundle decides the tokens, beside its graphs."""
    return {"frames_of_a_clip": bundle.manifest.frames}

"""Hallo2 behind `hp_trt.model.Model`: a portrait and speech, whole clips or live."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import ClassVar

from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.errors import InputError
from engines.file_record import hash_file
from engines.manifest import OWN_SOURCE
from hp_trt.config import RuntimeConfig
from hp_trt.encoded.driver import EncodedDriver
from hp_trt.encoded.encoded_file import Encoded, EncodedFile, encoded_file, is_encoded
from hp_trt.faces.arcface import open_raw_arcface
from hp_trt.faces.face import FaceLocator
from hp_trt.hallo2.clip import SpokenClip
from hp_trt.hallo2.motion_file import KeptSpeech, encode_speech, frame_bytes
from hp_trt.hallo2.portrait_encoder import TalkPortraitEncoder, encoded
from hp_trt.hallo2.portrait_file import portrait_of_file, portrait_to_keep
from hp_trt.hallo2.profiles import IN_BF16, PROFILES, STREAMED, check_choices, roles, sampling_of_bundle
from hp_trt.hallo2.promises import check_bundle, levels_of
from hp_trt.hallo2.sound import Sound
from hp_trt.hallo2.stream import TalkStream
from hp_trt.hallo2.vocals import open_separator
from hp_trt.hallo2.work import profile_work
from hp_trt.live.stream import Stream
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.model import Clip, Driver, Driving, Speech
from hp_trt.open_graphs import OpenGraphs
from hp_trt.profiles import Profile, Profiles
from runtime.hallo2.sampling import Sampling
from runtime.stages import Stages
from runtime.work import Work

_NO_SEPARATOR = (
    "the sound is taken as it is, and music and noise move the face too; the published Kim_Vocal_2.onnx takes them "
    "away: --vocals FILE"
)


# That of the autoencoder's latents is in its graphs, and no option; a mood is given in words.
_OPTIONS = frozenset({*(option.name for option in fields(Sampling)), "mood"} - {"scaling_factor", "mood_weights"})
_NOT_LIVE = "live, speech is taken as it is: --vocals takes music away from a minute of sound at a time"


class Hallo2:
    """A `hp_trt.model.Model`. Raises what the networks of `config.arcface` and `config.vocals` raise when opened."""

    driver: ClassVar[Driver] = "audio"
    options: ClassVar[frozenset[str]] = _OPTIONS
    profiles: ClassVar[Profiles] = PROFILES
    streamed: ClassVar[frozenset[str]] = STREAMED
    beside: ClassVar[frozenset[str]] = frozenset()  # each clip needs the one before
    in_bf16: ClassVar[frozenset[str]] = IN_BF16
    added_by: ClassVar[Mapping[str, str]] = {}
    check_bundle = staticmethod(check_bundle)

    def __init__(self, bundle: Bundle, config: RuntimeConfig, backend: Backend, graphs: OpenGraphs) -> None:
        self._manifest, self._backend, self._graphs = bundle.manifest, backend, graphs
        self._bundle, self._vocals = bundle, config.vocals
        self._warmed: set[Hashable] = set()
        self._separator = None if config.vocals is None else open_separator(config.vocals)
        self._embed = None if config.arcface is None else open_raw_arcface(config.arcface)

    def roles(self, profile: Profile) -> Mapping[str, str]:
        return roles(profile, self._sampling(profile))

    @staticmethod
    def check_sampling(bundle: Bundle, profile: Profile) -> None:
        check_choices(profile)
        sampling_of_bundle(bundle.manifest, profile)

    @staticmethod
    def seed(bundle: Bundle, profile: Profile) -> int:
        return sampling_of_bundle(bundle.manifest, profile).seed

    def notes(self, profile: Profile) -> tuple[str, ...]:
        return () if self._separator else (_NO_SEPARATOR,)

    @property
    def motion_bytes(self) -> int:
        return frame_bytes(self._bundle)

    def motion(self, driving: Driving | Speech, profile: Profile, stages: Stages, *, portable: bool = False) -> Encoded:
        assert isinstance(driving, Speech), "of another driver: `Runtime` looks at that"
        if portable:
            raise InputError("portable: the motion file of speech holds the sound anyway; leave it out")
        if is_encoded(driving.source):
            raise InputError(f"{driving.source} is a motion file; give the sound itself")
        return encode_speech(
            self._backend,
            self._sessions(profile),
            self._bundle,
            driving,
            self._sound(driving),
            vocals="" if self._vocals is None else hash_file(Path(self._vocals)).sha256,
            stages=stages,
        )

    @staticmethod
    def check_motion(bundle: Bundle, file: EncodedDriver | EncodedFile, profile: Profile) -> None:
        assert isinstance(file, EncodedFile), "of another driver: `Runtime` looks at that"
        KeptSpeech(bundle, file)

    def portrait_to_keep(self, portrait: Portrait) -> Encoded:
        return portrait_to_keep(self._backend, self._bundle, portrait)

    def portrait(self, image: Picture, locator: FaceLocator, stages: Stages) -> Portrait:
        if (file := encoded_file(image, "portrait")) is not None:
            return portrait_of_file(self._backend, self._bundle, file)
        exact = PROFILES.find("exact")
        encoder = TalkPortraitEncoder(
            self._backend,
            self._graphs.of(exact, {role: self.roles(exact)[role] for role in _OF_PORTRAIT}),
            self._manifest.geometry,
            self._embed,
            levels=levels_of(self._manifest),
            scaling_factor=self._sampling(exact).scaling_factor,
            drawn=self._manifest.weights.get("source") == OWN_SOURCE,
        )
        return encoder.portrait(image, locator, stages)

    def check_portrait(self, portrait: Portrait) -> None:
        encoded(portrait)

    def clip(self, portrait: Portrait, driving: Driving | Speech, profile: Profile, stages: Stages) -> Clip:
        assert isinstance(driving, Speech), "of another driver: `Runtime` looks at that"
        file = encoded_file(driving.source, "motion")
        sound = self._sound(driving) if file is None else KeptSpeech(self._bundle, file)
        spoken = SpokenClip(
            self._backend,
            self._sessions(profile),
            conditions=encoded(portrait).conditions,
            sound=sound,
            sampling=self._sampling(profile),
            clip=self._manifest.frames,
            released_plan=driving.released_plan,
            state=driving.state,
            stages=stages,
        )
        return Clip(frames=spoken.frames(), notes=spoken.notes, state=spoken.state, begins_s=sound.start_s)

    def stream(
        self, portrait: Portrait, locator: FaceLocator, profile: Profile, after: Stream | None = None
    ) -> TalkStream:
        return TalkStream(
            self._backend,
            self._sessions(profile),
            portrait=portrait,
            sampling=self._sampling(profile),
            clip=self._manifest.frames,
            after=after if isinstance(after, TalkStream) else None,
            notes=() if self._separator is None else (_NOT_LIVE,),
            warmed=self._warmed,
        )

    def work(self, profile: Profile, frames: int) -> Work:
        return profile_work(
            profile,
            Sampling.from_manifest(self._manifest.sampling),
            frames,
            clip=self._manifest.frames,
            motion_frames=self._manifest.geometry["motion_frames"],
        )

    def _sound(self, speech: Speech) -> Sound:
        source = speech.source
        if isinstance(source, Path):
            return Sound(source, separator=self._separator)
        return Sound.of_array(*source, separator=self._separator)

    def _sampling(self, profile: Profile) -> Sampling:
        return sampling_of_bundle(self._manifest, profile)

    def _sessions(self, profile: Profile) -> Mapping[str, Session]:
        return self._graphs.of(profile, self.roles(profile))


_OF_PORTRAIT = ("identity", "vae_encoder", "reference", "bank_kv")

"""HunyuanPortrait behind `hp_trt.model.Model`: a portrait and a driving video, whole clips or live."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping
from dataclasses import fields
from fractions import Fraction
from typing import ClassVar

import numpy as np

from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.errors import InputError
from engines.manifest import OWN_SOURCE
from hp_trt.config import RuntimeConfig
from hp_trt.encoded.driver import EncodedDriver
from hp_trt.encoded.encoded_file import Encoded, EncodedFile, encoded_file
from hp_trt.faces.arcface import no_identity, open_arcface
from hp_trt.faces.face import FaceLocator
from hp_trt.hunyuanportrait.clip import DrivenClip, Motion, read_motion
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.hunyuanportrait.motion_file import KeptMotion, encode_video, frame_bytes
from hp_trt.hunyuanportrait.portrait_encoder import PortraitEncoder, encoded
from hp_trt.hunyuanportrait.portrait_file import portrait_of_file, portrait_to_keep
from hp_trt.hunyuanportrait.profiles import (
    ADDED_BY,
    BESIDE,
    IN_BF16,
    PROFILES,
    SMALL_DECODER,
    STREAMED,
    check_choices,
    fitted,
    misses_small_decoder,
    roles,
    sampling_of,
)
from hp_trt.hunyuanportrait.promises import check_bundle
from hp_trt.hunyuanportrait.stream import PortraitStream
from hp_trt.hunyuanportrait.work import profile_work
from hp_trt.live.stream import Stream
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.model import Clip, Driver, Driving, Speech
from hp_trt.open_graphs import OpenGraphs
from hp_trt.profiles import Profile, Profiles
from runtime.hunyuanportrait.denoise import check_window
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Stages
from runtime.work import Work


class HunyuanPortrait:
    """A `hp_trt.model.Model`. Raises what the networks of `config.arcface` raise when they are opened."""

    driver: ClassVar[Driver] = "video"
    options: ClassVar[frozenset[str]] = frozenset(option.name for option in fields(Sampling))
    profiles: ClassVar[Profiles] = PROFILES
    streamed: ClassVar[frozenset[str]] = STREAMED
    beside: ClassVar[frozenset[str]] = BESIDE
    in_bf16: ClassVar[frozenset[str]] = IN_BF16
    added_by: ClassVar[Mapping[str, str]] = ADDED_BY
    check_bundle = staticmethod(check_bundle)

    def __init__(self, bundle: Bundle, config: RuntimeConfig, backend: Backend, graphs: OpenGraphs) -> None:
        if config.vocals is not None:
            raise InputError(
                "vocals: only for a portrait that speech (audio) moves, this bundle's are moved by a driving video; "
                "leave it out"
            )
        self._bundle, self._config, self._backend, self._graphs = bundle, config, backend, graphs
        self._manifest = bundle.manifest
        embed = open_arcface(config.arcface) if config.arcface else no_identity
        own = self._manifest.weights.get("source") == OWN_SOURCE
        self._warmed: set[Hashable] = set()
        self._portraits = PortraitEncoder(backend, graphs.sessions, self._manifest.geometry, embed, drawn=own)

    def roles(self, profile: Profile) -> Mapping[str, str]:
        return roles(fitted(profile, self._manifest.graphs))

    @staticmethod
    def check_sampling(bundle: Bundle, profile: Profile) -> None:
        check_choices(profile)
        sampling_of(bundle.manifest.sampling, profile)

    @staticmethod
    def seed(bundle: Bundle, profile: Profile) -> int:
        return sampling_of(bundle.manifest.sampling, profile).seed

    def notes(self, profile: Profile) -> tuple[str, ...]:
        notes, fingerprints = [], self._manifest.weights["fingerprint"]
        if profile.denoiser == "distilled" and "live_unet" not in fingerprints:
            notes.append("this bundle's live denoiser is not distilled: one step of it may blur; try a profile of more")
        if misses_small_decoder(profile, self._manifest.graphs):
            notes.append(
                "this bundle has no small decoder: the full one takes its place, several times as slow; build with "
                + SMALL_DECODER
            )
        return tuple(notes)

    @property
    def motion_bytes(self) -> int:
        return frame_bytes(self._bundle)

    def motion(self, driving: Driving | Speech, profile: Profile, stages: Stages, *, portable: bool = False) -> Encoded:
        assert isinstance(driving, Driving), "of another driver: `Runtime` looks at that"
        return encode_video(
            self._backend,
            self._sessions(profile)["motion"],
            self._bundle,
            driving,
            profile,
            self._sampling(profile),
            stages=stages,
            portable=portable,
        )

    @staticmethod
    def check_motion(bundle: Bundle, file: EncodedDriver | EncodedFile, profile: Profile) -> None:
        assert isinstance(file, EncodedDriver), "of another driver: `Runtime` looks at that"
        KeptMotion(bundle, file, profile, sampling_of(bundle.manifest.sampling, profile))

    def portrait_to_keep(self, portrait: Portrait) -> Encoded:
        return portrait_to_keep(self._backend, self._bundle, portrait)

    def portrait(self, image: Picture, locator: FaceLocator, stages: Stages) -> Portrait:
        if (file := encoded_file(image, "portrait")) is not None:
            return portrait_of_file(self._backend, self._bundle, file)
        return self._portraits.portrait(image, locator, stages)

    def check_portrait(self, portrait: Portrait) -> None:
        encoded(portrait)

    def clip(self, portrait: Portrait, driving: Driving | Speech, profile: Profile, stages: Stages) -> Clip:
        assert isinstance(driving, Driving), "of another driver: `Runtime` looks at that"
        sampling = self._sampling(profile)
        sessions = self._sessions(profile)
        check_window(sessions["denoiser"], sampling.window)  # before the driving video is read
        motion = self._motion(driving, profile, sampling, sessions["motion"], stages)
        clip: list[DrivenClip] = []  # once its first frame is asked for

        def frames() -> Generator[tuple[int, Fraction | None, np.ndarray], None, None]:
            clip.append(
                DrivenClip(
                    self._backend,
                    sessions,
                    motion_tokens=motion.bank.finish(sampling.pad_frames),
                    identity=self._portraits.identity(portrait, sampling, stages),
                    sampling=sampling,
                    side_px=self._manifest.geometry["crop_px"],
                    stages=stages,
                    keeps=driving.keeps,
                    state=driving.state,
                )
            )
            for index, crop in clip[0].frames():
                yield index, motion.times[index], crop

        return Clip(
            frames=frames(),
            notes=lambda: motion.notes,
            state=lambda: clip[0].state() if clip else None,
            begins_s=motion.times[0],
            times=motion.times,
        )

    def stream(
        self, portrait: Portrait, locator: FaceLocator, profile: Profile, after: Stream | None = None
    ) -> PortraitStream:
        assert profile.windows is not None, f"{profile.name} is no profile of mode live"
        before = after if isinstance(after, PortraitStream) else None
        crops = before.crops if before else LiveCrops(locator, self._manifest.geometry)
        crops.cuts = profile.cuts
        stream = PortraitStream(
            self._backend,
            self._sessions(profile),
            portrait=portrait,
            crops=crops,
            guard=before.guard if before else None,
            sampling=self._sampling(profile),
            windows=profile.windows,
            side_px=self._manifest.geometry["crop_px"],
            warmed=self._warmed,
            kept=lambda driver: KeptMotion(self._bundle, driver, profile, self._sampling(profile)),
        )
        if self._backend.asynchronous:  # a change of profile too: the stream before runs on meanwhile
            stream.warm_up()
        return stream

    def _motion(
        self, driving: Driving, profile: Profile, sampling: Sampling, session: Session, stages: Stages
    ) -> Motion:
        """What moves in all of the driving video."""
        if (kept := self._kept(driving.frames.encoded, profile)) is not None:
            assert driving.frames.encoded is not None
            driving.frames.check_length(driving.max_frames)
            bank = kept.bank(self._backend, session, stages=stages)
            times: list[Fraction | None] = [*driving.frames.encoded.times]
            return Motion(bank, times=times, notes=driving.frames.notes)
        return read_motion(
            self._backend,
            session,
            driving.frames,
            driving.locator,
            geometry=self._manifest.geometry,
            window=sampling.window,
            pad_frames=sampling.pad_frames,
            max_frames=driving.max_frames,
            stages=stages,
            cuts=profile.cuts,
        )

    def _kept(self, driver: EncodedDriver | None, profile: Profile) -> KeptMotion | None:
        """The motion file in the place of a driving video, where it is one."""
        return None if driver is None else KeptMotion(self._bundle, driver, profile, self._sampling(profile))

    def work(self, profile: Profile, frames: int) -> Work:
        return profile_work(
            fitted(profile, self._manifest.graphs), Sampling.from_manifest(self._manifest.sampling), frames
        )

    def _sampling(self, profile: Profile) -> Sampling:
        return sampling_of(self._manifest.sampling, profile)

    def _sessions(self, profile: Profile) -> Mapping[str, Session]:
        return self._graphs.of(profile, self.roles(profile))

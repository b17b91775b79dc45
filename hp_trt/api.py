"""Runtime: open a bundle once, animate many clips.

What an application sees, and where the parts are put together: a model (`hp_trt.models`) walks the graphs that
`hp_trt.open_graphs` opened on a backend, and makes frames of a whole clip or, in a session (`hp_trt.live.session`),
live.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self, Unpack, get_args

import numpy as np

from engines.backend import Backend
from engines.bundle import Bundle
from hp_trt.config import RuntimeConfig, one_of
from hp_trt.encoded.encoded_file import Written, is_encoded, write_encoded
from hp_trt.encoded.kept_portrait import refuse_landmarks
from hp_trt.encoded.tensor_file import SUFFIX
from hp_trt.faces.face import FaceLocator
from hp_trt.interface import arguments
from hp_trt.interface.auto_family import settled
from hp_trt.interface.driven import driven_facts
from hp_trt.interface.files import checked_files
from hp_trt.interface.finders import Faces, Finders
from hp_trt.interface.inputs import DrivingSource, Inputs
from hp_trt.interface.opener import LiveOpener
from hp_trt.interface.render import render_driven, render_resumable
from hp_trt.interface.results import Animation, Frame, frames_of
from hp_trt.interface.sealing import seal_of_run
from hp_trt.interface.speech import run_facts
from hp_trt.interface.turns import Turns
from hp_trt.live.live_clip import clip_of_session
from hp_trt.live.queues import Policy
from hp_trt.live.session import LiveSession
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.media.video_writer import SUFFIXES
from hp_trt.model import Clip, Driving, Kept, Model, SamplingOptions, Speech
from hp_trt.models import check_driver, check_stray, find_model, profile_of
from hp_trt.open_graphs import OpenGraphs, open_backend
from hp_trt.profiles import Profile
from hp_trt.provenance import run_seal
from hp_trt.provenance.options import Provenance
from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.store import Mode
from hp_trt.shipped import bundle_folder
from runtime.stages import Event, Stages

__all__ = ["Animation", "DrivingSource", "Faces", "Frame", "Runtime"]

_LIVE_SPANS = 10_000  # of a session that may never end, and of speech, which may be long
Samples = tuple[np.ndarray, int]  # (n,) or (n, channels), float32 in [-1, 1] or int16, and their rate in Hz


class Runtime:
    """Graphs of one bundle, a folder or "shipped:PRESET", on one device. A context manager; for use from any thread.

    Threads take turns at the graphs: a portrait is encoded, and a clip read, while the others wait; then
    clips go on side by side, some frames of each at a time. Each is what it would be alone, and a clip whose frames
    nobody takes any more holds up nobody. Sessions of `live` run beside each other where the backend can.

    Raises BundleError for a bundle that is not what its manifest says, EngineMismatch when it cannot run here,
    InputError for a configuration that cannot be. `on_event` hears of every piece of work (`hp_trt.Event`) but of calls
    that have `stages` of their own: `hp_trt.Stages(listener, cancel=event)` hears of one call's, and calls it off.
    `settle_stages`: wait for the device at the end of each piece, so that its time is its own, at the cost of overlap.
    `backend`: what runs the graphs, in place of the configuration's; the runtime closes it.

    `bundle`, `config` and `profile` are what it was opened with; `model`, `graphs` and `backend` are what it is made
    of. After `close` every method raises InputError.
    """

    def __init__(
        self,
        bundle: Path | str | Bundle,
        config: RuntimeConfig | None = None,
        *,
        on_event: Callable[[Event], None] | None = None,
        settle_stages: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.config = arguments.instance("config", config or RuntimeConfig(), RuntimeConfig)
        if not isinstance(bundle, Bundle):
            bundle = bundle_folder(arguments.path("bundle", bundle))
        if backend is not None:
            arguments.having("backend", backend, "Backend", "load", "close", "concurrent", "calls")
        if on_event is not None:
            arguments.having("on_event", on_event, "function", "__call__")
        self._on_event, self._settle_stages = on_event, arguments.flag("settle_stages", settle_stages)
        self._turns = Turns()
        self._finders = Finders(self.config)
        self.config, self._picked = settled(bundle, self.config)
        self.profile = profile_of(bundle, self.config)  # of a clip, and of a live session that names no other
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, family=self.config.family)
        kind = find_model(self.bundle)
        self.backend: Backend = backend or open_backend(self.config, self.bundle.path)
        with ExitStack() as opened:
            opened.callback(self.backend.close)
            self.graphs = OpenGraphs.of_model(kind, self.bundle, self.config, self.backend)
            opened.callback(self.graphs.close)
            self.model: Model = kind(self.bundle, self.config, self.backend, self.graphs)
            self._inputs = Inputs(self.bundle, self.config, self.model, self._finders)
            self._inputs.profile(self.profile, {})
            self.graphs.of(self.profile, self.model.roles(self.profile))
            self._opened = opened.pop_all()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of this bundle in the runtime's profile, a line each."""
        return (*self._picked, *self.model.notes(self.profile))

    def live(
        self,
        portrait: Portrait | Picture,
        *,
        profile: Profile | str | None = None,
        policy: Policy = "block",
        queue_in: int | None = None,
        queue_out: int | None = None,
        landmarks: Faces | None = None,
        seed: int | None = None,
        mood: str | None = None,  # as in `SamplingOptions`
        stages: Stages | None = None,
    ) -> LiveSession:
        """Animate frames as they come: `push` pictures or samples, `pull` frames (`hp_trt.live.session`).

        Leaving `with` forgets what is still inside: `close()` the session and iterate to its end to have the rest.

        `policy`: what happens to frames that are late, those that wait to be animated and those that wait for `pull`:
        "block", which loses nothing, "drop-oldest", which the command has, "latest" (of driving frames; of finished
        ones the oldest go; not of speech). `queue_in`, `queue_out`: how many may wait [a window, two; of speech two
        clips, four]. `profile`: one of mode live [the runtime's, else "live"]. `landmarks`: who says where the driving
        faces are. Sessions and clips share the cores or the card. Raises InputError, FaceNotFound, BundleError.
        """
        self._turns.check_open()
        check_stray(self.model.driver, {} if self.model.driver == "video" else {"landmarks": landmarks})
        own, sampling = self.profile if self.profile.mode == "live" else "live", {"seed": seed, "mood": mood}
        chosen = self._inputs.live_profile(own if profile is None else profile, sampling)
        stages = self._stages(stages, _LIVE_SPANS)
        return self._opener(self._finders.of_driver(chosen, landmarks), sampling).session(
            self._encoded(portrait, stages=stages),
            chosen,
            policy=policy,
            queue_in=queue_in,
            queue_out=queue_out,
            stages=stages,
        )

    def portrait(self, image: Picture, *, landmarks: Faces | None = None, stages: Stages | None = None) -> Portrait:
        """Find the face in `image` (a file, or (H, W, 3) uint8 RGB) and encode it, or read a portrait file.

        `landmarks`: who says where the face is, instead of the configured locator.
        Raises InputError for what is no picture, FaceNotFound.
        """
        picture = image if isinstance(image, np.ndarray) else arguments.path("a portrait, where it is no array,", image)
        if is_encoded(picture):
            refuse_landmarks(landmarks, str(picture))
        locator, stages = self._finders.of(landmarks), self._stages(stages)
        with self._turns.taken():
            return self.model.portrait(picture, locator, stages)

    def animate(
        self,
        portrait: Portrait | Picture,
        driving: Path | str | None = None,
        out: Path | str | None = None,
        *,
        audio: Path | str | Samples | None = None,
        crop_out: Path | str | None = None,
        landmarks: Faces | None = None,
        portrait_landmarks: Faces | None = None,
        released_plan: bool = False,
        resume: Mode = "new",
        provenance: Provenance | None = None,
        stages: Stages | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Animation:
        """Write `out`, the whole portrait moving, and `crop_out`, the square around the face, if asked for.

        What moves the portrait is one of two, and the bundle says which: a `driving` video, whose frames, times and
        sound both files have, or `audio`, a file with speech or samples with their rate in Hz, which makes 25 frames a
        second, with its sound where it is a file. `landmarks`: who says where the driving faces are, instead of the
        configured locator, `portrait_landmarks` the same for the portrait. Other keywords override the bundle's
        sampling. Nothing is written under a final name before the clip is complete.

        `resume`: what becomes of an earlier run that did not end, whose parts lie in the folder OUT.resume: "new"
        refuses to begin beside one, "resume" goes on with it, "restart" lets go of it. A clip that a video drives is
        kept in parts only with "resume" or "restart". Of `audio`: `released_plan` cuts the sound as released.
        `provenance`: what files carry of their origin; None: all. Raises InputError, FaceNotFound, OutputError.
        """
        self._turns.check_open()
        released_plan = arguments.flag("released_plan", released_plan)
        one_of("resume", resume, get_args(Mode))
        other = {"released_plan": released_plan} if audio is None else {"landmarks": landmarks}
        check_driver(self.bundle, video=driving, audio=audio, of_the_other=other)
        profile = self._inputs.profile(self.profile, sampling)
        stages = self._stages(stages, None if audio is None else _LIVE_SPANS)
        out, crop_out = arguments.path("out", out), None if crop_out is None else arguments.path("crop_out", crop_out)
        files = {"the result": out, "the crop": crop_out}
        read = {"portrait": portrait, "driving": driving, "audio": audio, "landmarks": landmarks}
        inputs = checked_files(files, SUFFIXES, self.config, self.bundle, **read, portrait_landmarks=portrait_landmarks)
        prepared = run_seal.prepare(provenance, files, inputs)
        where: dict[str, Any] = {"out": out, "crop_out": crop_out, "stages": stages, "inputs": inputs}
        where["side_px"] = self.bundle.manifest.geometry["crop_px"]
        if audio is None:
            moves = self._inputs.driving(arguments.path("driving", driving), profile, landmarks)
            info = moves.frames.info
            assert info is not None, "it is a file"
            who = self._encoded(portrait, landmarks=portrait_landmarks, stages=stages)
            used = self.model.roles(profile)
            decide = partial(driven_facts, self.bundle, self.config, profile, used, who, info.path, landmarks)
            where |= {"facts": decide, "driving": info, "quick": profile.mode == "live", "nvenc": self.config.nvenc}
            render = partial(render_driven, partial(self._clip, who, moves, profile, stages))
        else:
            speech = self._inputs.speech(audio, released_plan, profile)
            who = self._encoded(portrait, landmarks=portrait_landmarks, stages=stages)
            facts = run_facts(self.bundle, self.config, profile, who, speech)
            where |= {"facts": facts, "sound": arguments.file_of(audio)}
            render = partial(render_resumable, partial(self._spoken, who, speech, profile, stages))
        seal = seal_of_run(prepared, self.model, self.bundle, self.config, profile, who, inputs, audio, self.notes)
        made = render(who, resume=resume, seal=seal, **where)
        return replace(made, notes=(*self.notes, *made.notes, *self.backend.notes))

    def talk(
        self,
        portrait: Portrait | Picture,
        audio: Path | str | Samples,
        *,
        portrait_landmarks: Faces | None = None,
        released_plan: bool = False,
        stages: Stages | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Generator[Frame, None, None]:
        """The frames of a portrait that speaks, as arrays, in order, 25 a second: `time_s` is theirs in the sound.

        `audio` is a file, or samples (n,) or (n, channels) with their rate in Hz. Frames come clip by clip while the
        sound is read, so memory does not grow with it, and a clip is as late as it takes to make.

        What is wrong with what was given is told at once, and the portrait is encoded then: InputError, FaceNotFound.
        What is wrong with the sound is told as it is read.
        """
        self._turns.check_open()
        check_driver(self.bundle, audio=audio)
        profile, stages = self._inputs.profile(self.profile, sampling), self._stages(stages, _LIVE_SPANS)
        speech = self._inputs.speech(audio, released_plan, profile)
        who = self._encoded(portrait, landmarks=portrait_landmarks, stages=stages)

        def made() -> Generator[Frame, None, None]:
            yield from frames_of(self._spoken(who, speech, profile, stages), who)

        return made()

    def frames(
        self,
        portrait: Portrait | Picture,
        driving: DrivingSource,
        *,
        landmarks: Faces | None = None,
        stages: Stages | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Generator[Frame, None, None]:
        """The animated frames as arrays, in order. `driving` is a file, or a sequence of (H, W, 3) uint8 RGB arrays.

        `landmarks`: who says where the driving faces are, instead of the configured locator.

        With a profile of mode clip all of the driving video is read before the first frame comes; then it is denoised
        from its beginning on and decoded chunk by chunk, and memory grows with the clip by its tokens alone. With mode
        live frames come window by window while the video is read, and memory does not grow; its threads work until
        the last frame is taken or the generator is closed.

        What is wrong with what was given is told at once, and the portrait is encoded then: InputError, FaceNotFound.
        What is wrong with the driving frames is told as they are read.
        """
        self._turns.check_open()
        check_driver(self.bundle, video=driving)
        profile, stages = self._inputs.profile(self.profile, sampling), self._stages(stages)
        source = driving if arguments.is_frames(driving) else arguments.path("driving", driving)
        moves = self._inputs.driving(source, profile, landmarks)
        who = self._encoded(portrait, stages=stages)

        def made() -> Generator[Frame, None, None]:
            yield from frames_of(self._clip(who, moves, profile, stages), who)

        return made()

    def write_motion(
        self,
        out: Path | str,
        *,
        driving: Path | str | None = None,
        audio: Path | str | None = None,
        landmarks: Faces | None = None,
        released_plan: bool = False,
        portable: bool = False,
        stages: Stages | None = None,
        **sampling: Unpack[SamplingOptions],
    ) -> Written:
        """Encode what moves portraits into a motion file, *.safetensors, that stands for it wherever one is taken.

        It is of this bundle's graphs and of the runtime's profile. The other arguments are those of `animate`.
        `portable`: with the crops of the driver's face, so that other bundles can encode them again.
        Raises InputError, FaceNotFound, OutputError.
        """
        self._turns.check_open()
        other = {"released_plan": released_plan} if audio is None else {"landmarks": landmarks, "portable": portable}
        check_driver(self.bundle, video=driving, audio=audio, of_the_other=other)
        profile, stages = self._inputs.profile(self.profile, sampling), self._stages(stages, _LIVE_SPANS)
        out, read = arguments.path("out", out), {"driving": driving, "audio": audio, "landmarks": landmarks}
        checked_files({"the motion file": out}, (SUFFIX,), self.config, self.bundle, **read)
        speech = None if audio is None else self._inputs.speech(audio, released_plan, profile)
        moves = speech or self._inputs.driving(arguments.path("driving", driving), profile, landmarks)
        with self._turns.taken():
            motion = self.model.motion(moves, profile, stages, portable=arguments.flag("portable", portable))
        return write_encoded(out, motion)

    def write_portrait(
        self,
        out: Path | str,
        portrait: Portrait | Picture,
        *,
        landmarks: Faces | None = None,
        stages: Stages | None = None,
    ) -> Written:
        """Write an encoded portrait, *.safetensors, that stands for its picture wherever one is taken.

        It is of this bundle's graphs, and holds the picture. Raises InputError, FaceNotFound, OutputError.
        """
        self._turns.check_open()
        out, read = arguments.path("out", out), {"portrait": portrait, "portrait_landmarks": landmarks}
        checked_files({"the portrait file": out}, (SUFFIX,), self.config, self.bundle, **read)
        who = self._encoded(portrait, landmarks=landmarks, stages=stages)
        with self._turns.taken():
            return write_encoded(out, self.model.portrait_to_keep(who))

    def close(self) -> None:
        """End live sessions, let go of the graphs and of the device. Waits for whose turn it is. Twice is fine.

        Not for a listener of `on_event`, which is called in the middle of a turn: what it would wait for waits for it.
        """
        self._turns.close(self._opened.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _stages(self, given: Stages | None, most_spans: int | None = None) -> Stages:
        """Those that a caller gave, or new ones for the runtime's listener."""
        if given is not None:
            return arguments.instance("stages", given, Stages)
        settle = self.backend.synchronize if self._settle_stages else None
        return Stages(self._on_event, settle=settle, most_spans=most_spans)

    def _encoded(
        self, portrait: Portrait | Picture, *, landmarks: Faces | None = None, stages: Stages | None = None
    ) -> Portrait:
        """The portrait itself, or that of a picture. Raises InputError for one that another model has encoded."""
        self._turns.check_open()
        if not isinstance(portrait, Portrait):
            return self.portrait(portrait, landmarks=landmarks, stages=stages)
        self.model.check_portrait(portrait)
        return portrait

    def _opener(self, locator: FaceLocator, sampling: Mapping[str, Any]) -> LiveOpener:
        """`sampling`: the caller's options, whatever the profile."""
        return LiveOpener(
            portrait=self._encoded,
            profile=lambda profile: self._inputs.live_profile(profile, sampling),
            open=lambda portrait, profile, after: self.model.stream(portrait, locator, profile, after),
            turns=self._turns,
            driver=self.model.driver,
        )

    def _spoken(
        self, portrait: Portrait, speech: Speech, profile: Profile, stages: Stages, state: LoopState | None = None
    ) -> Clip:
        """A clip of speech, as it comes; `state`: of one that was left, which goes on."""
        with self._turns.taken():
            clip = self.model.clip(portrait, replace(speech, state=state), profile, stages)
        return replace(clip, frames=self._turns.one_by_one(clip.frames))

    def _clip(
        self, portrait: Portrait, driving: Driving, profile: Profile, stages: Stages, **kept: Unpack[Kept]
    ) -> Clip:
        """A clip's frames, as they come: of a wave of windows, or by a live session that drops nothing."""
        if profile.mode == "clip":
            with self._turns.taken():
                clip = self.model.clip(portrait, replace(driving, **kept), profile, stages)
            return replace(clip, frames=self._turns.one_by_one(clip.frames))
        return clip_of_session(
            lambda: self._opener(driving.locator, {}).session(portrait, profile, stages=stages, whole=True),
            driving.frames,
            stages,
            self._turns.check_open,
        )

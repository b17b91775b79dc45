"""Enhancer: open a bundle of the enhancer once, enhance many videos.

    from hp_trt import Enhancer

    with Enhancer("enhancer") as enhancer:
        enhancer.enhance("talk.mp4", "big.mp4", scale=2)

Any video goes in, one that HunyuanPortrait or Hallo2 made too. What is written has its times and its sound.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self, get_args

import numpy as np

from engines.backend import Backend, Session
from engines.bundle import Bundle
from engines.errors import InputError
from engines.safe_output import check_outputs
from hp_trt.config import RuntimeConfig, one_of
from hp_trt.enhancer.asked import check_fits, notes_of, options_for, used_roles
from hp_trt.enhancer.files import Enhanced, keeping_mark, render, seal_of
from hp_trt.enhancer.networks import OpenedNetworks, locks_of
from hp_trt.enhancer.opened import roles_of
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.pipeline import EnhancedFrame, enhanced
from hp_trt.enhancer.source import ArraySource, VideoSource
from hp_trt.interface import arguments
from hp_trt.interface.auto_family import settled_family
from hp_trt.interface.speech import file_fact
from hp_trt.media.video_writer import SUFFIXES
from hp_trt.open_graphs import OpenGraphs, open_backend
from hp_trt.profiles import Profile
from hp_trt.provenance import run_seal
from hp_trt.provenance.options import Provenance
from hp_trt.resume.store import Mode
from hp_trt.shipped import bundle_folder
from runtime.stages import Event, Stages

_SPANS = 10_000  # of a video that may be long


class Enhancer:
    """Graphs of one bundle of the enhancer, a folder or "shipped:PRESET", on one device. A context manager.

    Of `config` the family, the provider, the device, its threads and the decoder count. Threads may share an Enhancer:
    each graph runs for one at a time, and is opened when it is first needed. `on_event` hears of every piece of work,
    from the threads that do it. `backend`: what runs the graphs, in place of the configuration's; the enhancer closes
    it.

    Raises BundleError for a bundle of another model or a damaged one, EngineMismatch when it cannot run here,
    InputError for a configuration that cannot be. After `close` every method raises InputError.
    """

    def __init__(
        self,
        bundle: Path | str | Bundle,
        config: RuntimeConfig | None = None,
        *,
        on_event: Callable[[Event], None] | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.config = arguments.instance("config", RuntimeConfig() if config is None else config, RuntimeConfig)
        if self.config.nvenc is not None or self.config.devices:
            raise InputError("an enhancement is encoded by libx264 and runs on one device; leave nvenc and devices out")
        if on_event is not None:
            arguments.having("on_event", on_event, "function", "__call__")
        if not isinstance(bundle, Bundle):
            folder = bundle_folder(arguments.path("bundle", bundle))
            roles_of(Bundle.open(folder, family=""))  # told before gigabytes are read
            family = settled_family(folder, self.config.family, self.config.device_id)
            self.config = replace(self.config, family=family)
            bundle = Bundle.open(folder, family=family)
        self.bundle, self._on_event, self._closed = bundle, on_event, False
        self.roles: Mapping[str, str] = roles_of(bundle)
        self.backend: Backend = backend or open_backend(self.config, bundle.path)
        with ExitStack() as opened:
            opened.callback(self.backend.close)
            self.graphs = OpenGraphs(bundle, self.config, self.backend, streamed=(), added_by={})
            opened.callback(self.graphs.close)
            self._opening = threading.Lock()
            self._locks = locks_of(self.backend, tuple(self.roles))
            self._opened = opened.pop_all()

    @property
    def restores(self) -> bool:
        """Whether the bundle can restore faces; else it enlarges alone."""
        return "restorer" in self.roles

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before the bundle is used, a line each: terms of its weights, and what it lacks."""
        return self.told()

    def told(self, *, restore: bool = True, upscale: bool = True) -> tuple[str, ...]:
        """The same, where one of the two is left out: its terms do not count."""
        return notes_of(self.bundle, Options(restore=restore, upscale=upscale))

    def enhance(
        self,
        video: Path | str,
        out: Path | str,
        *,
        scale: int = 2,
        face_upsample: bool = False,
        fidelity: float | None = None,
        repeat: bool = False,
        released: bool = False,
        restore: bool = True,
        upscale: bool = True,
        resume: Mode = "new",
        provenance: Provenance | None = None,
        stages: Stages | None = None,
    ) -> Enhanced:
        """Write `out`, the video `scale` times (2, 4 or 8) as large, with its faces restored, its times and its sound.

        One face a frame is restored: the best one at first, then the same one for as long as it is seen. Frames
        without it are enlarged alone. `fidelity` in [0, 1] [0.5]: 0 the restorer's idea of the face, 1 nearer to the
        video. `face_upsample`: the upscaler enlarges the restored face too. By 4 and 8 the upscaler is used once and
        Lanczos does the rest, as released; `repeat`: the upscaler does it all, 5 and 21 times the work. `released`:
        what the released program makes, without the last frame, at least 512 x `scale` large, and with its faces.
        Without `restore` pictures are enlarged alone, without `upscale` Lanczos enlarges them and faces are restored.

        The result is kept chunk by chunk in the folder OUT.resume until it is whole: `resume` as of `Runtime.animate`.
        `provenance`: what the file carries of its origin; None: all. Raises InputError (for a video that does not fit
        into memory too), OutputError, FaceNotFound with `released`, NonFiniteError.
        """
        self._check_open()
        one_of("resume", resume, get_args(Mode))
        options = options_for(
            self.bundle, scale=scale, face_upsample=face_upsample, fidelity=fidelity, repeat=repeat, released=released,
            restore=restore, upscale=upscale,
        )  # fmt: skip
        video, out = arguments.path("video", video), arguments.path("out", out)
        inputs: dict[str, Path | str | None] = {"the video": video, "the bundle": self.bundle.path}
        check_outputs({"the result": out}, inputs, suffixes=tuple(SUFFIXES))
        prepared = run_seal.prepare(provenance, {"the result": out}, inputs)
        source = VideoSource(video, nvdec=self.config.nvdec)
        roles, wanted = used_roles(self.bundle, options), options.wanted()
        check_fits(source.name, (source.width, source.height), self.bundle, options, writes=True)
        graphs = {role: self.bundle.manifest.graphs[name].key for role, name in roles.items()}
        facts = {"the video": file_fact(video), "the bundle's graphs": graphs, **options.facts()}
        prepared = keeping_mark(prepared, video)
        before = self.told(restore=options.restore, upscale=options.upscale)
        seal = seal_of(prepared, self.bundle, tuple(roles), video, options.facts(), (*before, *self.backend.notes))
        stages = self._stages(stages)
        made = render(
            source,
            self._networks(options, stages),
            wanted,
            out=out,
            facts=facts,
            inputs=inputs,
            resume=resume,
            seal=seal,
            stages=stages,
        )
        return replace(made, notes=(*before, *made.notes, *self.backend.notes))

    def frames(
        self,
        video: Path | str | Sequence[np.ndarray],
        *,
        scale: int = 2,
        face_upsample: bool = False,
        fidelity: float | None = None,
        repeat: bool = False,
        released: bool = False,
        restore: bool = True,
        upscale: bool = True,
        stages: Stages | None = None,
    ) -> Generator[EnhancedFrame, None, None]:
        """The enhanced frames as arrays, in order, a window at a time; options as of `enhance`.

        `video`: a file, or a sequence of (H, W, 3) uint8 RGB arrays of one size. Threads work until the last frame is
        taken or the generator is closed. What is wrong with what was given is told at once: InputError.
        """
        self._check_open()
        options = options_for(
            self.bundle, scale=scale, face_upsample=face_upsample, fidelity=fidelity, repeat=repeat, released=released,
            restore=restore, upscale=upscale,
        )  # fmt: skip
        source: VideoSource | ArraySource
        if isinstance(video, str | Path):
            source = VideoSource(arguments.path("video", video), nvdec=self.config.nvdec)
        else:
            source = ArraySource(video)
        check_fits(source.name, (source.width, source.height), self.bundle, options, writes=False)
        stages, bytes_each = self._stages(stages), source.width * source.height * 3
        networks = self._networks(options, stages)
        return enhanced(source.frames, networks, options.wanted(), stages=stages, frame_bytes=bytes_each)

    def close(self) -> None:
        """Let go of the graphs and the backend. Twice is fine."""
        self._closed = True
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise InputError("this Enhancer is closed; open another one")

    def _stages(self, given: Stages | None) -> Stages:
        if given is not None:
            return arguments.instance("stages", given, Stages)
        return Stages(self._on_event, most_spans=_SPANS)

    def sessions(self, roles: Collection[str]) -> dict[str, Session]:
        """Of these roles, opened where they were not; for one thread at a time each. Raises what a backend raises."""
        with self._opening:
            opened = self.graphs.of(Profile(name="exact"), {role: self.roles[role] for role in roles})
        return {role: opened[role] for role in roles}

    def _networks(self, options: Options, stages: Stages) -> OpenedNetworks:
        return OpenedNetworks(
            self.backend,
            self.sessions(used_roles(self.bundle, options)),
            self._locks,
            repeat=options.repeat,
            released=options.released,
            working=lambda: stages.unit("tile"),  # between them it may be called off, and whoever listens hears of it
        )

"""Enhancements as a part of the service: what is known of its enhancer before it is opened, and who makes them.

The enhancer is a bundle of its own beside the one that animates. It is opened with the first job that needs it, because
it takes memory, and kept from then on. One lane makes one enhancement at a time, beside the clips.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from engines.bundle import Bundle
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.job import VIDEO, Job, JobRequest, JobState
from hp_trt.apps.service.maker import Heartbeat
from hp_trt.apps.service.origin import Sealing
from hp_trt.apps.service.problems import without_paths
from hp_trt.apps.service.work import Files, Observers, going_on, run_job
from hp_trt.config import RuntimeConfig
from hp_trt.enhancer.asked import check_fits, notes_of, options_for
from hp_trt.enhancer.files import mark_of
from hp_trt.enhancer.opened import roles_of
from hp_trt.enhancer.options import Options
from hp_trt.interface.auto_family import settled_family
from hp_trt.provenance.options import Provenance
from hp_trt.provenance.sidecar import read_sidecar
from hp_trt.resume.store import Mode
from hp_trt.shipped import bundle_folder
from runtime.stages import Stages


class OpenedEnhancer(Protocol):
    """What a lane needs of a `hp_trt.Enhancer`."""

    def enhance(
        self,
        video: Path,
        out: Path,
        *,
        scale: int,
        face_upsample: bool,
        fidelity: float | None,
        repeat: bool,
        resume: Mode,
        provenance: Provenance,
        stages: Stages,
    ) -> Any: ...
    def close(self) -> None: ...


OpenEnhancer = Callable[[], OpenedEnhancer]


def open_enhancer(config: ServiceConfig) -> OpenEnhancer:
    """What opens an Enhancer; it raises what an Enhancer raises."""

    def opened() -> OpenedEnhancer:
        from hp_trt.enhancer.enhancer import Enhancer

        assert config.enhancer is not None, "there is no lane without one"
        return Enhancer(config.enhancer, config.runtime)

    return opened


class EnhancerBundle:
    """The bundle, of which only the manifest is read. Raises BundleError for one of another model, EngineMismatch where
    it cannot run here, InputError."""

    def __init__(self, bundle: str, config: RuntimeConfig) -> None:
        folder = bundle_folder(bundle)
        self.restores = "restorer" in roles_of(Bundle.open(folder, family=""))
        self.bundle = Bundle.open(folder, family=settled_family(folder, config.family, config.device_id))
        self.notes = [without_paths(note) for note in notes_of(self.bundle)]

    def chosen(self, request: JobRequest) -> Options:
        """What an enhancement asks for. Raises InputError for what this bundle cannot do."""
        return options_for(
            self.bundle,
            called="the enhancer of this service",
            scale=request.scale,
            face_upsample=request.face_upsample,
            fidelity=request.fidelity,
            repeat=request.repeat,
        )

    def check_fits(self, request: JobRequest, width: int, height: int) -> None:
        """Raises InputError, with figures, where the enhancement of a video of that size takes more memory than is
        free, or is larger than can be encoded."""
        check_fits("the video", (width, height), self.bundle, self.chosen(request), writes=True)


class EnhanceMaker:
    """Makes enhancements. `make` is for one thread at a time, the rest for any."""

    def __init__(self, open_enhancer: OpenEnhancer, *, sealing: Sealing) -> None:
        self.heartbeat = Heartbeat()
        self._open, self._sealing = open_enhancer, sealing
        self._enhancer: OpenedEnhancer | None = None

    def make(self, job: Job, observers: Observers) -> JobState:
        """Run a job; how it ended. Its `result` or `error` is set."""

        def work(stages: Stages, _files: Files) -> Any:
            with stages.unit("open"):
                self._enhancer = self._enhancer or self._open()
            return _enhanced(job, self._enhancer, self._sealing, stages)

        self.heartbeat.beat()
        try:
            return run_job(job, work, observers, beat=self.heartbeat.beat)
        finally:
            self.heartbeat.rest()

    @property
    def silent_s(self) -> float:
        """How long it owes a sign of life."""
        return self.heartbeat.silent_s

    def close(self) -> None:
        """Let go of the enhancer; not while the thread works."""
        if self._enhancer is not None:
            self._enhancer.close()


def _enhanced(job: Job, enhancer: OpenedEnhancer, sealing: Sealing, stages: Stages) -> Any:
    request, video = job.request, job.folder / VIDEO
    provenance = sealing.ready(request, job.mark_id)
    if provenance.mark:
        with stages.unit("mark"):
            if (found := mark_of(video)) is not None:
                provenance = replace(provenance, mark_id=found)
    how: dict[str, Any] = {"scale": request.scale, "face_upsample": request.face_upsample, "repeat": request.repeat}
    how |= {"fidelity": request.fidelity, "stages": stages, "provenance": provenance}
    return going_on(job, lambda resume: enhancer.enhance(video, job.result_file, resume=resume, **how))


def mark_of_result(job: Job) -> int | None:
    """The id of the mark that a finished job's result carries; None: it has none, or its sidecar cannot be read.

    The mark comes through an enlargement, and two of different ids hide each other.
    """
    with suppress(OSError, ValueError):
        return read_sidecar(job.sidecar_file).mark_id
    return None

"""The service without its web: the state folder, jobs, lanes and what watches over them, put together.

`hp_trt.apps.service.app.create_app` puts routes on top.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import HpTrtError, InputError
from hp_trt.apps.service import spans
from hp_trt.apps.service.clock import SteadyTime
from hp_trt.apps.service.cluster import Cluster, Encoder, JobQueue
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.drain import Drain
from hp_trt.apps.service.engine import OpenEngine
from hp_trt.apps.service.enhance_lane import EnhanceMaker, EnhancerBundle, OpenEnhancer, open_enhancer
from hp_trt.apps.service.job import KINDS, Job, Kind
from hp_trt.apps.service.jobs import Jobs
from hp_trt.apps.service.lanes import JobLane, check_engines, close_quietly
from hp_trt.apps.service.live.sessions import LiveSessions
from hp_trt.apps.service.live_lane import LIVE_PROFILE, DrainLive, LiveLane, live_sessions
from hp_trt.apps.service.looker import Lookers, What
from hp_trt.apps.service.maker import ClipMaker, no_enhancer
from hp_trt.apps.service.meters import Meters
from hp_trt.apps.service.motion_files import MotionFiles
from hp_trt.apps.service.origin import Sealing
from hp_trt.apps.service.places import Places
from hp_trt.apps.service.planned import Planned, plan_all
from hp_trt.apps.service.portrait_files import PortraitFiles
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import Accounts, Items, State
from hp_trt.apps.service.tokens import Tokens
from hp_trt.apps.service.work import Observers
from hp_trt.measure.study.raters import Raters
from hp_trt.models import find_model
from hp_trt.shipped import bundle_folder

log = logging.getLogger("hp_trt.service")
_CLIPS: tuple[Kind, ...] = ("clip", "talk")
_ENHANCEMENTS: tuple[Kind, ...] = ("enhance",)
NOT_IN_A_CLUSTER = (
    "a cluster enlarges no videos: its replicas have no enhancer; leave enhancer out of its settings, and ask a "
    "service that was started with hp-trt serve --enhancer"
)
_TIDY_EVERY_S = 30.0
_LOOKERS = 2  # uploads that are decoded at a time: each may hold 256 MB of pixels
_DISK_THREADS = 4
_END_S = 2.0  # for a lane's thread to end, once everything was called off


def open_runtime(config: ServiceConfig) -> OpenEngine:
    """What opens a Runtime for a profile; it raises what a Runtime raises."""

    def opened(profile: str) -> Any:
        from hp_trt.api import Runtime

        return Runtime(config.bundle, replace(config.runtime, profile=profile))

    return opened


class Service:
    """One service on one state folder, made in the order in which it may fail, and started.

    `open_engine`, `enhancer`: what stand for a `hp_trt.Runtime` and a `hp_trt.Enhancer`. `lookers`: processes that are
    its caller's, in place of own ones. `cluster`: other processes on the same folder, which make the clips; this one
    has no lanes for them then.
    Raises BundleError, InputError, OutputError, EngineMismatch.
    """

    def __init__(
        self,
        config: ServiceConfig,
        open_engine: OpenEngine | None = None,
        *,
        enhancer: OpenEnhancer | None = None,
        now_s: SteadyTime | None = None,
        lookers: Lookers | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.config, self.now_s = config, now_s or SteadyTime()
        self.lookers, self._own_lookers = lookers or Lookers(), lookers is None
        with ExitStack() as made:
            bundle = Bundle.open(bundle_folder(config.bundle), family="")
            self.bundle, self.manifest = bundle, bundle.manifest
            self.driver = find_model(bundle).driver
            self.tokens = Tokens.read(config.tokens)
            self.sealing = Sealing(chain=config.sign_chain, key=config.sign_key)
            self.sealing.check()
            # None: no study is served beside it.
            self.study = None if config.study is None else Raters(config.study)
            if self.study is not None:
                made.callback(self.study.close)
            self.state = State(config.state, shared=cluster is not None)
            made.callback(self.state.close)
            self.meters = Meters(self._lane_states)
            self.portraits = Items(self.state, "portraits", "p", config.limits, self.now_s)
            self.motions = Items(self.state, "motions", "m", config.limits, self.now_s)
            self.videos = Items(self.state, "videos", "v", config.limits, self.now_s)
            self.accounts = Accounts(self.state, config.limits)
            # None: this service enlarges no videos.
            self.enhancer = self._find_enhancer(cluster)
            open_engine = open_engine or open_runtime(config)
            self._open_clips(made, open_engine, cluster)
            self._open_enhancements(made, enhancer or open_enhancer(config))
            self._open_live(open_engine, cluster)
            self.tracer, self._provider = spans.open_tracer(config.traces)
            if config.nvtx:
                import nvtx  # noqa: F401 - where it is not installed, now is the time to say so
            made.pop_all()
        self.disk = ThreadPoolExecutor(_DISK_THREADS, "service-disk")
        self.looking = ThreadPoolExecutor(_LOOKERS, "service-look")
        self.uploads = Places(config.limits.uploads, "too many uploads are under way")
        self.verifies = Places(config.limits.verifies, "too many files are looked at")
        self._on_drain: list[Callable[[float], None]] = [] if self.live is None else [DrainLive(self.live)]
        self.drain = Drain(config.drain_s, told=self._tell_drain, stopped=self._stop_clips, busy=self._busy)
        self._planning = threading.Lock()
        self._planned: tuple[Planned, ...] | None = None
        self._ending = threading.Event()
        self._tidying = threading.Thread(target=self._tidy, name="service-tidy", daemon=True)

    def _open_clips(self, made: ExitStack, open_engine: OpenEngine, cluster: Cluster | None) -> None:
        """The jobs, and who makes clips of them. Raises what opening an engine raises."""
        config = self.config
        self.clip_lanes: list[JobLane[ClipMaker]] = []
        self.enhance_lanes: list[JobLane[EnhanceMaker]] = []
        self.jobs: JobQueue
        self.encoder: Encoder
        if cluster is not None:
            self.jobs = cluster.jobs(self.state, config.limits, self.now_s, self.meters.job)
            self.encoder = cluster.encoder
        else:
            self.jobs = jobs = Jobs(self.state, config.limits, self.now_s, told=self.meters.job)
            jobs.load()
            files = PortraitFiles(self.portraits, self.accounts)
            # Without an enhancer whoever makes clips ends enhancements that were asked for when there was one.
            kinds = KINDS if self.enhancer is None else _CLIPS
            for number in range(config.clip_lanes):
                maker = ClipMaker(open_engine, config.profiles, sealing=self.sealing, files=files)
                made.callback(close_quietly, maker.close)
                self.clip_lanes.append(JobLane(f"clip lane {number}", jobs, maker, kinds=kinds))
            self.encoder = self.clip_lanes[0].maker
        self.motion_files = MotionFiles(
            self.state, self.motions, self.accounts, self.encoder, self.bundle, config.profiles
        )

    def _find_enhancer(self, cluster: Cluster | None) -> EnhancerBundle | None:
        """Raises BundleError, EngineMismatch, InputError."""
        if self.config.enhancer is None:
            return None
        if cluster is not None:
            raise InputError(NOT_IN_A_CLUSTER)
        return EnhancerBundle(self.config.enhancer, self.config.runtime)

    def _open_enhancements(self, made: ExitStack, opening: OpenEnhancer) -> None:
        """Who makes them. The enhancer itself is opened with the first."""
        if self.enhancer is not None:
            assert isinstance(self.jobs, Jobs), "no other process makes them"
            maker = EnhanceMaker(opening, sealing=self.sealing)
            made.callback(close_quietly, maker.close)
            self.enhance_lanes.append(JobLane("enhance lane", self.jobs, maker, kinds=_ENHANCEMENTS))

    def check_enhances(self) -> EnhancerBundle:
        """The enhancer. Raises Problem where there is none."""
        if self.enhancer is not None:
            return self.enhancer
        raise no_enhancer() if self.lanes else Problem("impossible", NOT_IN_A_CLUSTER)

    @property
    def lanes(self) -> list[JobLane[Any]]:
        """All of this process; a cluster's front has none."""
        return [*self.clip_lanes, *self.enhance_lanes]

    @property
    def kinds(self) -> list[Kind]:
        """Of the jobs that may be asked for."""
        own: Kind = "clip" if self.driver == "video" else "talk"
        return [own] if self.enhancer is None else [own, *_ENHANCEMENTS]

    def _open_live(self, open_engine: OpenEngine, cluster: Cluster | None) -> None:
        self.live_lane = LiveLane(open_engine, self.driver)
        # None: this process has no live sessions.
        self.live: LiveSessions | None = None
        if self.config.live_lanes and (cluster is None or cluster.live is not None):
            shared = None if cluster is None else cluster.live
            key = self.state.ticket_key
            self.live = live_sessions(
                self.live_lane, self.config, self.bundle, key, self.portraits, self.meters, shared=shared
            )

    def start(self) -> None:
        """Lanes begin to take jobs."""
        for lane in self.lanes:
            lane.start(self._observers)
        self._tidying.start()
        log.info("started", extra={"preset": self.manifest.preset, "clip_lanes": len(self.clip_lanes)})

    @property
    def notes(self) -> list[str]:
        """What a user should know of the bundle, a line each, without names of files."""
        return self.encoder.notes

    def planned(self) -> tuple[Planned, ...]:
        """What a plan says of each profile, live sessions' too, worked out once."""
        with self._planning:
            if self._planned is None:
                profiles = [*self.config.profiles, *([LIVE_PROFILE] if self.live is not None else [])]
                self._planned = plan_all(self.bundle, list(dict.fromkeys(profiles)), self.config.runtime)
            return self._planned

    def on_drain(self, told: Callable[[float], None]) -> None:
        """`told` is called when the end begins, with the seconds that are left, in the loop's thread."""
        self._on_drain.append(told)

    def silent_lanes(self, times: float = 1.0) -> list[str]:
        """What owes a sign of life for longer than so many `stall_s`: lanes, and an upload that is looked at."""
        most_s = times * self.config.stall_s
        looking = ["looking at an upload"] if self.lookers.silent_s > most_s else []
        return check_engines(self.lanes, most_s) + looking

    def look(self, what: What, path: Path) -> dict[str, Any]:
        """What an upload is, within its limits. Raises InputError, Problem."""
        profiles = self.config.profiles
        return self.lookers.look(what, path, self.config.limits, bundle=self.bundle.path, profiles=profiles)

    def close(self) -> None:
        """End everything. What runs is called off and queued again; a thread that hangs is left behind."""
        self._ending.set()
        self.jobs.drain()
        self.jobs.requeue_running()
        self.motion_files.close(_END_S)
        for lane in self.lanes:
            if lane.stop(_END_S):
                close_quietly(lane.close)
            else:
                log.error("a lane did not end", extra={"lane": lane.name})
        close_quietly(self.live_lane.close)
        self.jobs.end_events()
        if self._tidying.ident is not None:
            self._tidying.join(_END_S)
        for pool in (self.disk, self.looking):
            pool.shutdown(wait=False, cancel_futures=True)
        if self._own_lookers:
            self.lookers.close()
        if self._provider is not None:
            self._provider.shutdown()
        if self.study is not None:
            self.study.close()
        self.state.close()

    def _observers(self, job: Job) -> Observers:
        listeners: list[Any] = [self.meters.of(job.request.kind)]
        closing: list[Any] = []
        if self.tracer is not None:
            stages = spans.StageSpans(self.tracer, job.id, job.request.kind)
            listeners.append(stages.on_event)
            closing.append(stages.close)
        if self.config.nvtx:
            from hp_trt.apps.service.profiler_ranges import StageRanges

            ranges = StageRanges()
            listeners.append(ranges.on_event)
            closing.append(lambda _state: ranges.close())
        return Observers(listeners=listeners, closing=closing)

    def _lane_states(self) -> list[tuple[str, str, int]]:
        taken = len(self.live or ())
        live = self.config.live_lanes
        found = []
        for kind, lanes in (("clip", self.clip_lanes), ("enhance", self.enhance_lanes)):
            busy = sum(bool(lane.job) for lane in lanes)
            found += [(kind, "busy", busy), (kind, "idle", len(lanes) - busy)]
        return [*found, ("live", "busy", taken), ("live", "idle", live - taken)]

    def _tell_drain(self, seconds: float) -> None:
        self.jobs.drain()
        for told in self._on_drain:
            told(seconds)

    def _stop_clips(self) -> None:
        self.jobs.requeue_running()

    def _busy(self) -> bool:
        return any(lane.job for lane in self.lanes) or len(self.live or ()) > 0

    def _tidy(self) -> None:
        while not self._ending.wait(_TIDY_EVERY_S):
            try:
                self.jobs.tidy()
            except (OSError, HpTrtError):
                log.exception("tidying failed")

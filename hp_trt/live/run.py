"""A live run: a source is fed into a session, what comes out goes to a sink, and all of it ends in order.

However a run ends - the source's end, --seconds, Ctrl-C, a source that breaks off, a receiver that goes away, a session
that fails - what came until then is completed first, then threads are ended, then it is told.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from engines.errors import InputError, InternalError, OutputError
from engines.safe_output import check_outputs, same_file
from hp_trt.config import one_of
from hp_trt.console import Reporter
from hp_trt.live.feeder import Feeder
from hp_trt.live.playout import Playout
from hp_trt.live.queues import POLICIES, Policy
from hp_trt.live.session import LiveSession, LiveStats
from hp_trt.live.status import Status, facts, latency
from hp_trt.live.stopping import Stop, stopping
from hp_trt.model import Driver
from hp_trt.provenance import run_seal
from hp_trt.provenance.options import Provenance
from hp_trt.provenance.run_seal import Prepared, RunSeal
from hp_trt.streams.cut_off import CutOff
from hp_trt.streams.motion_source import open_driving
from hp_trt.streams.sink import Shape, Sink
from hp_trt.streams.sinks import NOWHERE, STDOUT, WINDOW, is_shown, plan_sink
from hp_trt.streams.sound import WaitingSound
from hp_trt.streams.sources import Source, camera_device, is_url, without_password
from hp_trt.streams.speech import open_speech

Pace = Literal["own", "fast"]
PACES: tuple[Pace, ...] = get_args(Pace)
_TICK_S = 0.2  # how soon a run notices that it should end
_DRAIN_S = 5.0  # after Ctrl-C, for frames that are on their way
_LONGEST_S = 10**7


@dataclass(frozen=True, kw_only=True)
class LiveConfig:
    """What goes in, what comes out, and at what pace. Checked when made; raises InputError."""

    driving: str  # the source: see `hp_trt.streams.motion_source`, of speech `hp_trt.streams.speech.open_speech`
    driver: Driver = "video"  # what the source is
    out: str  # see `hp_trt.streams.sinks.plan_sink`
    pace: Pace = "own"
    policy: Policy | None = None  # when the session is late; None: drop-oldest, and block at a fast pace
    seconds: float | None = None  # of the source's time; None: until it ends
    container_format: str | None = None  # of standard output or a URL
    crop: bool = False  # only the square around the face
    timeout_s: float = 10.0  # for a source or a receiver that does nothing
    allow_playlist: bool = False  # of a URL: HLS and DASH, which name further addresses
    inputs: Mapping[str, Path | str | None] = field(default_factory=dict)  # what it must not replace, by its name

    def __post_init__(self) -> None:
        one_of("pace", self.pace, PACES)
        if self.policy is not None:
            one_of("policy", self.policy, POLICIES)
        for name, number in (("--seconds", self.seconds), ("--timeout", self.timeout_s)):
            if number is not None and not (math.isfinite(number) and 0 < number <= _LONGEST_S):
                raise InputError(f"{name} is a number of seconds above 0, got {number}")
        if self.allow_playlist and not is_url(self.driving):
            raise InputError(f"--allow-playlist is for URLs, the driving source is {self.driving}; leave it out")
        if self.pace == "fast" and self.policy not in (None, "block"):
            raise InputError(
                f"at a fast pace nearly every frame would be dropped by the policy {self.policy}; "
                "take --policy block, or --pace own"
            )

    @property
    def resolved_policy(self) -> Policy:
        return self.policy or ("block" if self.pace == "fast" else "drop-oldest")

    @property
    def file(self) -> Path | None:
        """The file that is written; None for what leaves by another way, or is not kept."""
        return None if self.out in (STDOUT, NOWHERE, WINDOW) or is_url(self.out) else Path(self.out)

    @property
    def files_read(self) -> dict[str, Path | str | None]:
        """The `inputs`, and the source where it is a file."""
        name = "the sound" if self.driver == "audio" else "the driving video"
        return {**self.inputs, name: self.driving if os.path.isfile(self.driving) else None}


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A session that runs, and the size of the whole portrait and of the square: (width, height)."""

    session: LiveSession
    full: tuple[int, int]
    crop: tuple[int, int]
    seal: RunSeal | None = None  # of what is written; None: it is written as it is


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    frames: int  # that the sink has
    seconds: float
    ended: str  # why, in words
    signal: int | None  # Ctrl-C or SIGTERM asked for the end


OpenSession = Callable[[Policy], AbstractContextManager[Opened]]


def run_live(config: LiveConfig, open_session: OpenSession, report: Reporter, *, stdout_fd: int = 1) -> Outcome:
    """Run until the source ends, or anything else does. Says what was done, and raises what went wrong.

    Raises InputError for a source that cannot be opened, breaks off or jumps back, OutputError for a sink that cannot
    be written, BrokenPipeError when the reader of standard output went away, and whatever the session raises. To be
    called from the main thread, where signals arrive.
    """
    stop = Stop()
    sink = plan_sink(
        config.out,
        container_format=config.container_format,
        timeout_s=config.timeout_s,
        stop=stop.event,
        stdout_fd=stdout_fd,
    )
    check_apart(config.driving, config.out, config.inputs)
    opens = open_speech if config.driver == "audio" else open_driving
    source = opens(
        config.driving,
        sound=sink.hears,
        timeout_s=config.timeout_s,
        stop=stop.event,
        playlist=config.allow_playlist,
    )
    run: _Run | None = None
    try:
        with open_session(config.resolved_policy) as opened:
            run = _Run(config, source, sink, opened, Status(report), stop)
            outcome, error = run.to_the_end()
            stats = opened.session.stats
    finally:
        if run is None or run.feeder.join(0):  # a thread that still reads needs it
            source.close()
    run.status.note((*source.notes, *run.feeder.notes, *sink.notes, *stats.notes, *_carried(config, opened.seal)))
    if isinstance(error, BrokenPipeError):
        raise error
    if outcome.frames or error is None:
        mark_id = None if opened.seal is None or opened.seal.mark_id is None else f"{opened.seal.mark_id:08x}"
        report.result(_summary(config, outcome, stats), **_facts(config, outcome, stats), mark_id=mark_id)
    if error is not None:
        raise error
    if not outcome.frames and outcome.signal is None:
        raise OutputError(
            f"{config.out} was not written: not a single frame came out; see that {source.name} has "
            f"{'a face' if config.driver == 'video' else 'sound'}"
        )
    return outcome


def prepare_seal(config: LiveConfig, asked: Provenance) -> Prepared | None:
    """What the run's file or stream will carry, looked at before the work; None: nothing, or it is not kept.

    Raises InputError and OutputError.
    """
    if config.out in (NOWHERE, WINDOW):
        return None
    return run_seal.prepare(asked, {"the result": config.file}, config.files_read)


class _Run:
    """One run's parts, for as long as it lasts."""

    def __init__(
        self, config: LiveConfig, source: Source, sink: Sink, opened: Opened, status: Status, stop: Stop
    ) -> None:
        self._config, self._sink, self._stop = config, sink, stop
        self._session, self._seal = opened.session, opened.seal
        self._source, self.status = source, status
        self._waiting = WaitingSound() if source.sound is not None else None
        width, height = opened.crop if config.crop else opened.full
        self._shape = Shape(width=width, height=height, rate=source.rate, sound=source.sound, waiting=self._waiting)
        if opened.seal is not None:
            _tell(opened.seal, lambda: (*source.notes, *self.feeder.notes, *self._session.stats.notes))
        self.feeder = Feeder(
            source,
            push=self._session.push,
            ended=self._session.close,
            sound=self._waiting,
            paced=source.recorded and config.pace == "own",
            seconds=config.seconds,
            stop=stop.event,
        )
        self._playout = Playout() if is_shown(config.out) else None
        self._frames = 0
        self._ended = "the source ended"

    def to_the_end(self) -> tuple[Outcome, BaseException | None]:
        """The outcome, and what went wrong. The sink is complete then, and no thread runs."""
        error: BaseException | None = None
        with stopping(self._stop):
            try:
                self._sink.seal = self._seal
                self._sink.open(self._shape)
                self.feeder.start()
                self._loop()
            except BaseException as caught:  # what is there is kept
                error = caught
            for finish in (self._sink.close, self._end_threads):
                try:
                    finish()
                except BaseException as caught:
                    error = error or caught
        if isinstance(error, CutOff):
            self._frames = error.frames
        if error is None:
            error = self.feeder.error
        if self._waiting and self._waiting.lost:
            self.feeder.notes.append(
                f"{self._waiting.lost} packets of sound lie too far from their pictures in {self._source.name}: "
                "they are missing"
            )
        if error is not None:
            self._ended = "an error"
        elif self._stop.number is not None:
            self._ended = f"stopped by {self._stop.number.name}"
        elif self.feeder.reached_end:
            self._ended = f"{self._config.seconds:g} s are over"
        seconds = time.monotonic() - self.status.start_s
        number = None if self._stop.number is None else int(self._stop.number)
        return Outcome(frames=self._frames, seconds=seconds, ended=self._ended, signal=number), error

    def _loop(self) -> None:
        end_s: float | None = None
        while True:
            if self._stop.event.is_set() and end_s is None:
                end_s = time.monotonic() + _DRAIN_S
                self._session.close()
            if self._stop.hurry.is_set() or (end_s is not None and time.monotonic() > end_s):
                return
            if not self._sink.watched():
                self._ended = f"{self._sink.name} was closed"
                return
            self.status.tick(lambda: self._session.stats, self.feeder.notes)
            try:
                frame = self._session.pull(timeout_s=_TICK_S)
            except TimeoutError:
                continue
            if frame is None:
                return
            if self._playout is not None:  # who looks at it sees the driver's pace, not the windows'
                self._stop.event.wait(max(self._playout.due_s(frame.pts_s, frame.ready_s) - time.monotonic(), 0))
            self._sink.write(frame.crop if self._config.crop else frame.full(), frame.pts_s)
            self._frames += 1

    def _end_threads(self) -> None:
        """The feeder waits for its source no longer than that has time to answer."""
        self._stop.event.set()
        self._session.abort()
        end_s = time.monotonic() + self._config.timeout_s + 5
        while not self.feeder.join(_TICK_S):
            if self._stop.hurry.is_set():  # the process ends, and the thread with it
                return
            if time.monotonic() > end_s:
                raise InternalError(f"{self._source.name} could not be stopped; end this process, and report it")


def claim_stdout() -> int:
    """A descriptor of standard output for the sink alone: what else is printed goes to standard error from now on."""
    closed = "standard output is closed; open it, or write to a file"
    if sys.stdout is None:  # by whoever started us: it leads nowhere now
        raise OutputError(closed)
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    try:
        mine = os.dup(1)
    except OSError as error:
        raise OutputError(closed) from error
    os.dup2(2, 1)
    return mine


def check_apart(driving: str, out: str, inputs: Mapping[str, Path | str | None]) -> None:
    """Raises InputError when the result would replace what it is made of: the driving source and the `inputs`."""
    if out in (STDOUT, NOWHERE, WINDOW):
        return
    if driving == out or (device := camera_device(driving)) == Path(out) or same_file(device, out):
        raise InputError(f"{out} is the driving source itself; give the result another name")
    if not is_url(out) and not is_shown(out):
        source = None if is_url(driving) else driving
        check_outputs({"the result": out}, {"the driving source": source, **inputs})


def _tell(seal: RunSeal, notes: Callable[[], Iterable[str]]) -> None:
    """What is noted of the run stands in its sidecar too."""
    before = seal.told
    seal.told = lambda: (*before(), *notes())


def _carried(config: LiveConfig, seal: RunSeal | None) -> list[str]:
    """What to tell of what the result carries."""
    if seal is None:
        return []
    if config.file is not None:
        return seal.notes_of([config.file])
    return [seal.note_of_stream("standard output" if config.out == STDOUT else without_password(config.out))]


def _summary(config: LiveConfig, outcome: Outcome, stats: LiveStats) -> str:
    return (
        f"{config.out}: {outcome.frames} frames in {outcome.seconds:.1f} s ({_frames_per_s(outcome):.2f} frames/s), "
        f"{latency(stats)}, {stats.dropped_in + stats.dropped_out} dropped; {outcome.ended}"
    )


def _facts(config: LiveConfig, outcome: Outcome, stats: LiveStats) -> dict[str, Any]:
    return {
        "out": config.out,
        "frames": outcome.frames,
        "seconds": round(outcome.seconds, 3),
        "ended": outcome.ended,
        **(facts(stats) | {"frames_per_s": round(_frames_per_s(outcome), 3)}),
    }


def _frames_per_s(outcome: Outcome) -> float:
    return outcome.frames / max(outcome.seconds, 1e-9)

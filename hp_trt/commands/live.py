"""A session of a bundle, for a live run: what `hp-trt live` opens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.console import Reporter
from hp_trt.live.queues import Policy
from hp_trt.live.run import Opened


@contextmanager
def bundle_session(
    bundle: Path,
    portrait: Path,
    config: RuntimeConfig,
    *,
    policy: Policy,
    portrait_landmarks: Path | None = None,
    driving_landmarks: Path | None = None,
    seed: int | None = None,
    report: Reporter,
) -> Iterator[Opened]:
    """A session of the bundle with the profile of `config`, for as long as the block lasts."""
    with Runtime(bundle, config) as runtime:
        if runtime.bundle.manifest.weights["kind"] == "random":
            report.note("this bundle has random weights: the face will be noise, for trying and for benchmarks only")
        for note in runtime.notes_of(runtime.live_profile()):
            report.note(note)
        who = runtime.portrait(portrait, landmarks=portrait_landmarks)
        for note in who.notes:
            report.note(note)
        height, width = who.image.shape[:2]
        side = runtime.bundle.manifest.geometry["crop_px"]
        with runtime.live(
            who, profile=config.profile, policy=policy, landmarks=driving_landmarks, seed=seed
        ) as session:
            yield Opened(session=session, full=(width, height), crop=(side, side))

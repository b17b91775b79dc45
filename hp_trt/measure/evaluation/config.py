"""What an evaluation is asked for, checked when it is made."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from engines.errors import InputError
from hp_trt.config import RuntimeConfig, one_of

Protocol = Literal["self", "cross", "talk", "enhance"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
LEAST_FRAMES = 3  # flicker is a second difference in time
LEAST_SPOKEN = 25  # a mouth's best lag is looked for over half a clip either way
End = Literal["still", "regression", "truth"]
DRAWN_FRAMES, SPOKEN_FRAMES = 50, 100  # of a drawn clip where nothing else is asked for; of one that speaks


@dataclass(frozen=True, kw_only=True)
class NetworkFiles:
    """The user's networks (`hp_trt.measure.metrics.networks`); without one, its number is told to be missing."""

    lpips: Path | None = None
    fid_features: Path | None = None
    fvd_features: Path | None = None
    expression: Path | None = None  # for AED in one's own pairs, for E-FID of speech
    pose: Path | None = None
    landmarks: Path | None = None  # the face mesh (`hp_trt.fetch.table`), for LMD in one's own pairs
    sync_audio: Path | None = None  # the published sync network's halves, for Sync-C and Sync-D of speech
    sync_video: Path | None = None
    arcface: Path | None = None  # for the identity score, and for the animated networks themselves, as in `animate`


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Raises InputError for what cannot be evaluated."""

    protocol: Protocol
    seeds: str | None = None  # "A:B", A inclusive, B exclusive: drawn clips
    pairs: Path | None = None  # or a folder of them (`hp_trt.measure.evaluation.folders`)
    frames: int | None = None  # of each clip; None: 50 of drawn clips, all of the folder's; 1 to be enlarged
    bundles: tuple[Path, ...] = ()
    runtimes: tuple[RuntimeConfig, ...] = (RuntimeConfig(),)  # every bundle runs with each
    sampling: dict[str, Any] = field(default_factory=dict)  # overrides by name; None leaves the bundle's own
    networks: NetworkFiles = NetworkFiles()
    moods: bool = False  # of speech: what moods do, instead of how good a clip without one is
    # Of the yardstick, measured beside the bundles where they are known; the regression is of speech alone.
    ends: tuple[End, ...] = ("still", "regression", "truth")

    def __post_init__(self) -> None:
        one_of("protocol", self.protocol, PROTOCOLS)
        if (self.seeds is None) == (self.pairs is None):
            found = "neither --seeds nor --pairs" if self.seeds is None else "both --seeds and --pairs"
            raise InputError(f"{found} given; needed is one: --seeds A:B for drawn clips, or --pairs DIR for your own")
        if self.seeds is not None:
            parse_seeds(self.seeds)
            self._check_drawn()
        least = {"talk": LEAST_SPOKEN, "enhance": 1}.get(self.protocol, LEAST_FRAMES)
        if self.frames is not None and self.frames < least:
            raise InputError(f"--frames must be at least {least}, got {self.frames}: fewer show no motion")
        self._check_talk()
        if self.protocol == "enhance":
            self._check_enhance()
        if not self.bundles:  # the one place for a bundle of our own, once there is one
            raise InputError("no bundle given; needed is --bundle DIR, made by python -m export.build_engines")

    def _check_drawn(self) -> None:
        networks = self.networks
        expression = networks.expression if self.protocol != "talk" else None
        if expression or networks.pose or networks.landmarks:
            raise InputError("--expression, --pose and --landmarks are for --pairs: what drawn clips do is known")

    def _check_talk(self) -> None:
        sync = self.networks.sync_audio, self.networks.sync_video
        if self.protocol != "talk":
            if any(sync):
                raise InputError("--sync-audio and --sync-video are for --protocol talk: no other has sound")
            if self.moods:
                raise InputError("--moods is for --protocol talk: no video's driver is told a mood")
            return
        if self.moods and any(asdict(replace(self.networks, arcface=None)).values()):  # which is for the portrait too
            raise InputError("--moods measures by our judge alone; leave networks of yours out")
        if self.pairs is not None:
            raise InputError(
                "--pairs given; --protocol talk knows what a mouth should do of drawn people alone: give --seeds A:B"
            )
        if (sync[0] is None) != (sync[1] is None):
            raise InputError("--sync-audio and --sync-video are the two halves of one network; give both, or neither")

    def _check_enhance(self) -> None:
        if self.pairs is not None:
            raise InputError(
                "--pairs given; --protocol enhance makes drawn people small, whose large pictures are known: give "
                "--seeds A:B"
            )
        others = replace(self.networks, lpips=None, arcface=None)
        given = [name for name, value in {**asdict(others), **self.sampling}.items() if value is not None]
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise InputError(f"{options}: only where portraits are animated; leave it out of --protocol enhance")

    def files(self) -> dict[str, Path | str | None]:
        """The files and folders that are read, which no output may replace: by what a message calls each."""
        return {
            "the pairs' folder": self.pairs,
            **{f"the bundle {path}": path for path in self.bundles},
            **{f"the network {name}": path for name, path in asdict(self.networks).items()},
            **{f"{name} ({number})": p for number, r in enumerate(self.runtimes) for name, p in r.inputs().items()},
        }


def parse_seeds(text: str) -> range:
    """ "A:B" as range(A, B). Raises InputError for what is no range of seeds."""
    numbers = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text)
    seeds = range(int(numbers[1]), int(numbers[2])) if numbers else range(0)
    if not seeds:
        raise InputError(
            f"--seeds {text} is no range; needed is A:B, whole numbers with A below B: 0:24 means 0, 1, ... 23"
        )
    return seeds

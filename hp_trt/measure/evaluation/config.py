"""What an evaluation is asked for, checked when it is made."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from engines.errors import InputError
from hp_trt.config import RuntimeConfig, one_of

Protocol = Literal["self", "cross"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
LEAST_FRAMES = 3  # flicker is a second difference in time
End = Literal["still", "truth"]
DRAWN_FRAMES = 50  # of a drawn clip where nothing else is asked for


@dataclass(frozen=True, kw_only=True)
class NetworkFiles:
    """The user's networks (`hp_trt.measure.metrics.networks`); without one, its number is told to be missing."""

    lpips: Path | None = None
    fid_features: Path | None = None
    fvd_features: Path | None = None
    expression: Path | None = None
    pose: Path | None = None
    landmarks: Path | None = None  # the face mesh (`hp_trt.fetch.table`), for LMD in one's own pairs
    arcface: Path | None = None  # for the identity score, and for the animated networks themselves, as in `animate`


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Raises InputError for what cannot be evaluated."""

    protocol: Protocol
    seeds: str | None = None  # "A:B", A inclusive, B exclusive: drawn clips
    pairs: Path | None = None  # or a folder of them (`hp_trt.measure.evaluation.folders`)
    frames: int | None = None  # of each clip; None: 50 of drawn clips, all of the folder's
    bundles: tuple[Path, ...] = ()
    runtimes: tuple[RuntimeConfig, ...] = (RuntimeConfig(),)  # every bundle runs with each
    sampling: dict[str, Any] = field(default_factory=dict)  # overrides by name; None leaves the bundle's own
    networks: NetworkFiles = NetworkFiles()
    ends: tuple[End, ...] = ("still", "truth")  # of the yardstick, measured beside the bundles where they are known

    def __post_init__(self) -> None:
        one_of("protocol", self.protocol, PROTOCOLS)
        if (self.seeds is None) == (self.pairs is None):
            found = "neither --seeds nor --pairs" if self.seeds is None else "both --seeds and --pairs"
            raise InputError(f"{found} given; needed is one: --seeds A:B for drawn clips, or --pairs DIR for your own")
        if self.seeds is not None:
            parse_seeds(self.seeds)
            if self.networks.expression or self.networks.pose or self.networks.landmarks:
                raise InputError("--expression, --pose and --landmarks are for --pairs: what drawn clips do is known")
        if self.frames is not None and self.frames < LEAST_FRAMES:
            raise InputError(f"--frames must be at least {LEAST_FRAMES}, got {self.frames}: fewer show no motion")
        if not self.bundles:  # the one place for a bundle of our own, once there is one
            raise InputError("no bundle given; needed is --bundle DIR, made by python -m export.build_engines")

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

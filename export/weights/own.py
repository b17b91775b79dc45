"""Which weights a build is asked for, and those that come with the package.

No torch: what cannot be meant is told before torch is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engines.errors import CheckpointError, InputError
from hp_trt.shipped import ENHANCER_POCKET, POCKET, POCKET_LIVE, TALK_POCKET

# By preset: what comes with the package.
OWN_WEIGHTS: dict[str, Path] = {
    "pocket": POCKET,
    "talk_pocket": TALK_POCKET,
    "enhancer_pocket": ENHANCER_POCKET,
}
OWN_LIVE_WEIGHTS: dict[str, Path] = {"pocket": POCKET_LIVE}


@dataclass(frozen=True, kw_only=True)
class WeightsChoice:
    """Which weights a build is asked for; checked when made. Nothing said: those that come with the package."""

    weights: Path | None = None  # upstream's folder, or a file of export.train
    random: bool = False
    live: bool | None = None  # the graphs of live mode; None: where there are weights of its own for them
    live_weights: Path | None = None  # a file of export.distill

    def __post_init__(self) -> None:
        if self.random and self.weights is not None:
            raise InputError("weights come from --weights DIR or --random-weights, both were given; choose one")
        if self.live is False and self.live_weights is not None:
            raise InputError("--live-weights are for live mode, and --no-live leaves it out; give one of them")

    def of_preset(self, preset: str) -> WeightsChoice:
        """The same, with the package's own weights of `preset` where nothing else was asked for.

        Raises InputError for a preset that has none, CheckpointError for a package that has lost them.
        """
        chosen = self
        if self.weights is None and not self.random:
            chosen = replace(chosen, weights=own_weights(preset))
            # Those of live mode that come with the package are of its own weights.
            if self.live is not False and self.live_weights is None:
                chosen = replace(chosen, live_weights=own_live_weights(preset))
        return replace(chosen, live=bool(self.live) or chosen.live_weights is not None)


def is_packed(weights: Path | None) -> bool:
    """Whether `weights` names one file, of `export.train`, and not upstream's folder."""
    return weights is not None and weights.suffix == ".safetensors" and not weights.is_dir()


def own_weights(preset: str) -> Path:
    """The weights that come with the package for `preset`. InputError for one that has none, CheckpointError for a
    package that has lost them."""
    if preset not in OWN_WEIGHTS:
        raise InputError(
            "weights come from --weights DIR or --random-weights, neither was given; choose one "
            f"(only {', '.join(OWN_WEIGHTS)} have weights of their own): {preset} has none"
        )
    path = OWN_WEIGHTS[preset]
    if not path.is_file():
        raise CheckpointError(
            f"{path}, the weights that come with hp-trt, is not there; install hp-trt again, or give --weights "
            "FILE.safetensors or --random-weights"
        )
    return path


def own_live_weights(preset: str) -> Path | None:
    """The weights of live mode that come with the package for `preset`, None where there are none."""
    path = OWN_LIVE_WEIGHTS.get(preset)
    return path if path is not None and path.is_file() else None

"""Who is measured: bundles, and the two ends of the yardstick: the portrait standing still, and the truth itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.interface.auto_family import settled
from hp_trt.measure.evaluation.config import EvaluateConfig
from hp_trt.measure.evaluation.pairs import Pair
from hp_trt.measure.metrics import seams
from hp_trt.models import check_takes_video, profile_of
from hp_trt.profiles import Profile
from runtime.hunyuanportrait.sampling import Sampling

Animate = Callable[[Pair], Sequence[np.ndarray]]
Joints = Callable[[int], list[int]]  # of a clip of so many frames: those that begin or end a window's overlap


class Contestant(Protocol):
    """A column of the table."""

    name: str
    kind: str  # "still", "truth" or "bundle"

    @property
    def joints(self) -> Joints: ...

    def facts(self) -> dict[str, Any]:
        """For the report."""
        ...

    def opened(self) -> AbstractContextManager[Animate]:
        """What makes a clip (N of (S, S, 3) uint8) of a pair."""
        ...


@dataclass(kw_only=True)
class Still:
    """The portrait again and again: what a result must be better than."""

    joints: Joints
    name: str = "still"
    kind: str = "still"

    def facts(self) -> dict[str, Any]:
        return {}

    @contextmanager
    def opened(self) -> Iterator[Animate]:
        yield lambda pair: [pair.still] * len(pair.driving)


@dataclass(kw_only=True)
class Truth:
    """What should come out: how well the judge reads, and what no result can exceed."""

    joints: Joints
    name: str = "truth"
    kind: str = "truth"

    def facts(self) -> dict[str, Any]:
        return {}

    @contextmanager
    def opened(self) -> Iterator[Animate]:
        def animate(pair: Pair) -> Sequence[np.ndarray]:
            assert pair.truth is not None
            return pair.truth

        yield animate


@dataclass(kw_only=True)
class BundleColumn:
    """A bundle, run as `config` says."""

    bundle: Bundle
    config: RuntimeConfig
    profile: Profile  # of the config, as the bundle's model has it
    overrides: dict[str, Any]
    name: str
    sampling: Sampling
    kind: str = "bundle"

    def facts(self) -> dict[str, Any]:
        manifest = self.bundle.manifest
        return {
            "bundle": str(self.bundle.path),
            "preset": manifest.preset,
            "precision": manifest.precision,
            "weights": manifest.weights["kind"],
            "profile": self.profile.name,
            "family": self.config.family,
            "provider": self.config.provider,
            "threads": self.config.threads,
            "sampling": asdict(self.sampling),
        }

    def joints(self, frames: int) -> list[int]:
        """Where the windows of a clip of `frames` meet."""
        windows = self.profile.windows
        return seams.joints(frames, self.sampling) if windows is None else windows.joints(frames)

    @contextmanager
    def opened(self) -> Iterator[Animate]:
        with Runtime(self.bundle, self.config) as runtime:

            def animate(pair: Pair) -> Sequence[np.ndarray]:
                portrait = runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
                frames = runtime.frames(portrait, pair.driving, landmarks=pair.driving_faces, **self.overrides)
                return [frame.crop for frame in frames]

            yield animate


def bundle_columns(config: EvaluateConfig) -> list[BundleColumn]:
    """Every bundle with every runtime. Raises BundleError, and InputError for bundles of different sizes."""
    for path in config.bundles:
        check_takes_video(path, "hp-trt evaluate", "give a bundle of HunyuanPortrait")
    for path, runtime in product(config.bundles, config.runtimes):
        profile_of(path, runtime)  # a wrong one is told before any bundle is hashed
    opened = [Bundle.open(path, family=settled(path, config.runtimes[0])[0].family) for path in config.bundles]
    sizes = [bundle.manifest.geometry["crop_px"] for bundle in opened]
    for bundle, size in zip(opened, sizes, strict=True):
        if size != sizes[0]:
            raise InputError(
                f"{bundle.path} makes pictures of {size} px and {opened[0].path} of {sizes[0]} px; side by side they "
                "need one size: evaluate them one by one"
            )
    names = [path.resolve().name for path in config.bundles]
    if len(set(names)) < len(names):
        names = [str(path) for path in config.bundles]
    columns = [
        BundleColumn(
            bundle=bundle,
            config=settled(bundle, runtime)[0],
            profile=profile,
            overrides=config.sampling,
            name=name if len(config.runtimes) == 1 else f"{name} {profile.name}",
            sampling=Sampling.from_manifest({**bundle.manifest.sampling, **profile.sampling}, **config.sampling),
        )
        for name, bundle in zip(names, opened, strict=True)
        for runtime in config.runtimes
        for profile in [profile_of(bundle, runtime)]
    ]
    if len({column.name for column in columns}) < len(columns):
        raise InputError("a bundle or a profile is given twice; give each once")
    return columns

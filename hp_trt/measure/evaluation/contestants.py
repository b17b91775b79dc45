"""Who is measured: bundles, and the ends of the yardstick: the portrait standing still, and the truth itself.

Where speech moves a portrait, a plain regression from sound to mouth stands beside the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Protocol

import numpy as np

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.hallo2.profiles import sampling_of_bundle
from hp_trt.hallo2.promises import knows_moods
from hp_trt.interface.auto_family import settled
from hp_trt.measure.evaluation.config import EvaluateConfig
from hp_trt.measure.evaluation.pairs import Pair
from hp_trt.measure.evaluation.regression import fitted
from hp_trt.measure.evaluation.report import run_facts
from hp_trt.measure.metrics import seams
from hp_trt.media.pixels import crop_resized
from hp_trt.media.portrait import Portrait
from hp_trt.model import Driver
from hp_trt.models import ENHANCER, check_takes, find_model, profile_of
from hp_trt.profiles import Profile
from runtime.hallo2.presets import SAMPLE_RATE
from runtime.hallo2.sampling import Sampling as TalkSampling
from runtime.hunyuanportrait.sampling import Sampling

Animate = Callable[[Pair], Sequence[np.ndarray]]
Joints = Callable[[int], list[int]]  # of a clip of so many frames: those that begin or end a window's overlap


class Contestant(Protocol):
    """A column of the table."""

    name: str
    kind: str  # "still", "regression", "truth" or "bundle"

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
class RegressionColumn:
    """The mouth that a plain regression hears, drawn on the portrait: what speech gives away without a model."""

    joints: Joints
    name: str = "regression"
    kind: str = "regression"

    def facts(self) -> dict[str, Any]:
        return {}

    @contextmanager
    def opened(self) -> Iterator[Animate]:
        regression = fitted()

        def animate(pair: Pair) -> Sequence[np.ndarray]:
            assert pair.clip is not None and pair.sound is not None
            states = regression.states(pair.sound, pair.clip.states[0])
            pictures = replace(pair.clip, states=tuple(states)).frames()
            px = len(pictures[0])
            return [crop_resized(picture, (0, 0, px, px), len(pair.still)) for picture in pictures]

        yield animate


@dataclass(kw_only=True)
class BundleColumn:
    """A bundle, run as `config` says."""

    bundle: Bundle
    config: RuntimeConfig
    profile: Profile  # of the config, as the bundle's model has it
    overrides: dict[str, Any]
    name: str
    sampling: Sampling | TalkSampling
    kind: str = "bundle"

    def facts(self) -> dict[str, Any]:
        return {**run_facts(self.bundle, self.profile, self.config), "sampling": asdict(self.sampling)}

    def joints(self, frames: int) -> list[int]:
        """Where the windows of a clip of `frames` meet; of speech, where the clips of its chain do."""
        if isinstance(self.sampling, TalkSampling):
            size = self.bundle.manifest.frames
            return list(range(size, frames, size))
        windows = self.profile.windows
        return seams.joints(frames, self.sampling) if windows is None else windows.joints(frames)

    @contextmanager
    def opened(self) -> Iterator[Animate]:
        with Runtime(self.bundle, self.config) as runtime:

            def animate(pair: Pair) -> Sequence[np.ndarray]:
                portrait = runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
                if pair.sound is not None:
                    spoken = runtime.talk(portrait, (pair.sound, SAMPLE_RATE), **self.overrides)
                    return [frame.crop for frame in spoken]
                frames = runtime.frames(portrait, pair.driving, landmarks=pair.driving_faces, **self.overrides)
                return [frame.crop for frame in frames]

            yield animate

    @contextmanager
    def in_moods(self) -> Iterator[Callable[[Pair, str], Sequence[np.ndarray]]]:
        """What makes a clip of a pair in a mood. A portrait is encoded once for moods that follow each other."""
        with Runtime(self.bundle, self.config) as runtime:
            encoded: dict[str, Portrait] = {}

            def speak(pair: Pair, mood: str) -> Sequence[np.ndarray]:
                assert pair.sound is not None
                if pair.name not in encoded:
                    encoded.clear()
                    encoded[pair.name] = runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
                options = {**self.overrides, "mood": mood}
                spoken = runtime.talk(encoded[pair.name], (pair.sound, SAMPLE_RATE), **options)
                return [frame.crop for frame in spoken]

            yield speak


def check_moods(columns: Sequence[BundleColumn]) -> None:
    """Raises InputError for a bundle whose weights know no moods."""
    for column in columns:
        if not knows_moods(column.bundle.manifest):
            raise InputError(
                f"{column.bundle.path} has weights that know no moods, and --moods measures what these do; give a "
                "bundle of talk_pocket, or leave --moods out"
            )


def bundle_columns(config: EvaluateConfig) -> list[BundleColumn]:
    """Every bundle with every runtime. Raises BundleError, and InputError for bundles of different sizes."""
    driver: Driver = "audio" if config.protocol == "talk" else "video"
    for path in config.bundles:
        if Bundle.open(path, family="").manifest.model == ENHANCER:
            raise InputError(
                f"{path} is a bundle of the enhancer, which animates nothing; measure it with --protocol enhance"
            )
        check_takes(path, driver, f"hp-trt evaluate --protocol {config.protocol}", _INSTEAD[driver])
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
            sampling=_sampling(bundle, profile, config.sampling),
        )
        for name, bundle in zip(names, opened, strict=True)
        for runtime in config.runtimes
        for profile in [profile_of(bundle, runtime)]
    ]
    if len({column.name for column in columns}) < len(columns):
        raise InputError("a bundle or a profile is given twice; give each once")
    return columns


_INSTEAD: Mapping[Driver, str] = {
    "video": "give a bundle of HunyuanPortrait, or --protocol talk",
    "audio": "give a bundle of Hallo2, or --protocol self or cross",
}


def _sampling(bundle: Bundle, profile: Profile, given: Mapping[str, Any]) -> Sampling | TalkSampling:
    """As its model runs it. Raises InputError for an option that the model has not."""
    own = {name: value for name, value in given.items() if value is not None}
    if find_model(bundle).driver == "audio":
        return sampling_of_bundle(bundle.manifest, replace(profile, sampling={**profile.sampling, **own}))
    return Sampling.from_manifest({**bundle.manifest.sampling, **profile.sampling}, **own)

"""Hallo2 behind `hp_trt.measure.bench.benched.BenchedRoom`: what the bench asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from engines.manifest import Manifest
from hp_trt.api import Runtime
from hp_trt.hallo2.profiles import sampling_of
from hp_trt.hallo2.race_sides import Inputs, Released, animate_exact, animate_released
from hp_trt.hallo2.work import released_flops
from hp_trt.measure.bench.race import Side
from hp_trt.profiles import Profile
from runtime.hallo2.sampling import Sampling
from runtime.work import Work


class BenchedHallo2:
    """A `BenchedRoom`."""

    driver: ClassVar[Literal["audio"]] = "audio"

    def sampling(self, own: Mapping[str, Any], profile: Profile, *, steps: int | None, seed: int | None) -> Sampling:
        given = {"steps": steps, "seed": seed}
        chosen = {name: value for name, value in given.items() if value is not None}
        return sampling_of(own, replace(profile, sampling={**profile.sampling, **chosen}))

    def rows(self, sampling: Sampling) -> tuple[int, ...]:
        return (1 if sampling.guidance == 1 else 2,) * sampling.steps

    def extent(self, work: Work) -> tuple[int, int]:
        clips = -(-work.frames // work.window)
        return clips * work.window, clips

    def released(self, manifest: Manifest, sampling: Sampling, frames: int) -> dict[str, int]:
        flops = {name: record.flops for name, record in manifest.graphs.items()}
        return released_flops(
            frames, sampling, flops, clip=manifest.frames, motion_frames=manifest.geometry["motion_frames"]
        )

    def sides(
        self, runtime: Runtime, released: Released, *, portrait: Path, driver: Path, out: Path, sampling: Sampling
    ) -> tuple[Side, Side]:
        inputs = Inputs(portrait=portrait, audio=driver, out=out, sampling=sampling)
        return partial(animate_exact, runtime, inputs), partial(animate_released, runtime, released, inputs)

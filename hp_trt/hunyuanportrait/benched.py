"""HunyuanPortrait behind `hp_trt.measure.bench.benched.BenchedRoom`: what the bench asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from engines.manifest import Manifest
from hp_trt.api import Runtime
from hp_trt.hunyuanportrait.profiles import sampling_of
from hp_trt.hunyuanportrait.race_sides import Inputs, Released, animate_exact, animate_released
from hp_trt.measure.bench.race import Side
from hp_trt.profiles import Profile
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.work import Counted, released_flops
from runtime.work import Work


class BenchedHunyuanPortrait:
    """A `BenchedRoom`."""

    driver: ClassVar[Literal["video"]] = "video"

    def sampling(self, own: Mapping[str, Any], profile: Profile, *, steps: int | None, seed: int | None) -> Sampling:
        return sampling_of(own, profile, steps=steps, seed=seed)

    def rows(self, sampling: Sampling) -> tuple[int, ...]:
        return tuple(len(step.rows) for step in sampling.guidance())

    def extent(self, work: Work) -> tuple[int, int]:
        return work.padded if work.mode == "clip" else work.frames, work.windows

    def released(self, manifest: Manifest, sampling: Sampling, frames: int) -> dict[str, int]:
        flops = {name: record.flops for name, record in manifest.graphs.items()}
        return released_flops(Counted.of(frames, sampling), flops)

    def sides(
        self, runtime: Runtime, released: Released, *, portrait: Path, driver: Path, out: Path, sampling: Sampling
    ) -> tuple[Side, Side]:
        inputs = Inputs(portrait=portrait, driving=driver, out=out, sampling=sampling)
        return partial(animate_exact, runtime, inputs), partial(animate_released, runtime, released, inputs)

"""The price list of a bundle that speech drives: whether the mouth follows is the price, because nobody can hear how a
head should turn."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hp_trt.hallo2.profiles import PROFILES, sampling_of
from hp_trt.measure.bench.clips import SAMPLE_FRAMES
from hp_trt.measure.bench.prices import PriceConfig, products_lacking, timed
from hp_trt.profiles import Profile, Profiles
from runtime.hallo2.presets import SAMPLE_RATE

if TYPE_CHECKING:
    from hp_trt.measure.evaluation.config import End


class PricedTalk:
    """A `PricedRoom`. Speed is that of `Runtime.talk`, from samples to arrays."""

    protocol: ClassVar[Literal["talk"]] = "talk"
    ends: ClassVar[tuple[End, ...]] = ("still", "truth")
    profiles: ClassVar[Profiles] = PROFILES
    shortcuts: ClassVar[Path] = Path(__file__).with_name("talk_shortcuts.toml")
    measures: ClassVar[tuple[str, ...]] = (
        "jaw_correlation", "rounding_correlation", "jaw_in_time", "sync_c", "sync_d", "seam_ratio", "flicker",
        "psnr_to_first",
    )  # fmt: skip
    frames: ClassVar[int] = SAMPLE_FRAMES

    def measured_frames(self, frames: int) -> int:
        return frames

    def lacks(self, profile: Profile, config: PriceConfig, has: Container[str]) -> list[str]:
        return products_lacking(config, profile)  # every build makes every graph

    def speed(self, config: PriceConfig, frames: int, profile: Profile) -> dict[str, Any]:
        """One sentence; the portrait is encoded beforehand."""
        from hp_trt.api import Runtime
        from hp_trt.measure.evaluation.config import parse_seeds
        from hp_trt.measure.evaluation.spoken import SpokenPairs

        with Runtime(config.bundle, config.runtime(profile)) as runtime:
            size = runtime.bundle.manifest.geometry["crop_px"]
            pair = SpokenPairs(parse_seeds(config.seeds)[:1], frames).pair(0, size)
            assert pair.sound is not None
            sound, portrait = pair.sound, runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
            found = timed(lambda: iter(runtime.talk(portrait, (sound, SAMPLE_RATE))), frames=frames, runs=config.runs)
            sampling = sampling_of(runtime.bundle.manifest.sampling, profile)
        return {"steps": sampling.steps, "rows_a_step": 1 if sampling.guidance == 1 else 2, **found}

    def compare(self, rows: Sequence[dict[str, Any]], report: Mapping[str, Any]) -> None:
        """Nothing more: a correlation is its own yardstick."""

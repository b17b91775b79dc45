"""The price list of a bundle that a driving video moves: self-reenactment, with the PSNR of each profile to `exact`."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hp_trt.hunyuanportrait.profiles import PROFILES, fitted, graphs, sampling_of
from hp_trt.measure.bench.clips import SAMPLE_FRAMES
from hp_trt.measure.bench.prices import PriceConfig, products_lacking, timed
from hp_trt.profiles import Profile, Profiles

if TYPE_CHECKING:
    from hp_trt.measure.evaluation.config import End


class PricedVideo:
    """A `PricedRoom`. Speed is that of `Runtime.frames`, with known faces."""

    protocol: ClassVar[Literal["self"]] = "self"
    ends: ClassVar[tuple[End, ...]] = ("still", "truth")
    profiles: ClassVar[Profiles] = PROFILES
    shortcuts: ClassVar[Path] = Path(__file__).with_name("shortcuts.toml")
    measures: ClassVar[tuple[str, ...]] = (
        "psnr", "ssim", "lmd", "landmark_correlation", "seam_ratio", "flicker", "psnr_to_first",
    )  # fmt: skip
    frames: ClassVar[int] = SAMPLE_FRAMES

    def measured_frames(self, frames: int) -> int:
        return frames

    def lacks(self, profile: Profile, config: PriceConfig, has: Container[str]) -> list[str]:
        missing = [graph for graph in graphs(fitted(profile, has)) if graph not in has]
        return products_lacking(config, profile) or missing

    def speed(self, config: PriceConfig, frames: int, profile: Profile) -> dict[str, Any]:
        """The portrait is encoded beforehand."""
        from hp_trt.api import Runtime
        from hp_trt.measure.evaluation.config import parse_seeds
        from hp_trt.measure.evaluation.drawn import DrawnPairs

        with Runtime(config.bundle, config.runtime(profile)) as runtime:
            pair = DrawnPairs("self", parse_seeds(config.seeds)[:1], frames).pair(
                0, runtime.bundle.manifest.geometry["crop_px"]
            )
            portrait = runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
            found = timed(
                lambda: iter(runtime.frames(portrait, pair.driving, landmarks=pair.driving_faces)),
                frames=frames,
                runs=config.runs,
            )
            sampling = sampling_of(runtime.bundle.manifest.sampling, profile)
        rows = max(len(step.rows) for step in sampling.guidance())
        return {"steps": sampling.executed_steps, "rows_a_step": rows, **found}

    def compare(self, rows: Sequence[dict[str, Any]], report: Mapping[str, Any]) -> None:
        still = next(column for column in report["columns"] if column["kind"] == "still")
        for row in rows:
            row["psnr_cost"] = rows[0]["psnr"] - row["psnr"]
            row["psnr_over_still"] = row["psnr"] - still["metrics"]["psnr"]["mean"]

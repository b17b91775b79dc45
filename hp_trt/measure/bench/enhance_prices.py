"""The price list of the enhancer's choices: how much nearer to the drawn picture than the bicubic filter, and how fast.

Every choice is given the same small frames, so those of a larger scale make more pixels of them. Quality is that of
single pictures (`hp_trt.measure.evaluation.enlarged`).
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hp_trt.enhancer.networks import GRAPHS
from hp_trt.enhancer.profiles import PROFILES, lacks, options_of
from hp_trt.measure.bench.prices import PriceConfig, timed
from hp_trt.profiles import Profile, Profiles
from runtime.enhancer.presets import WINDOW

if TYPE_CHECKING:
    from hp_trt.measure.evaluation.config import End

TIMED_PX = 192  # of a side of the frames that are timed


class PricedEnhancer:
    """A `PricedRoom`. Speed is that of `Enhancer.frames`, of a drawn person in a window of frames."""

    protocol: ClassVar[Literal["enhance"]] = "enhance"
    ends: ClassVar[tuple[End, ...]] = ("still",)
    profiles: ClassVar[Profiles] = PROFILES
    shortcuts: ClassVar[None] = None
    measures: ClassVar[tuple[str, ...]] = (
        "gain_plain", "gain_varied", "psnr_plain_256", "ssim_plain_256", "psnr_varied_256", "ssim_varied_256",
    )  # fmt: skip
    frames: ClassVar[int] = WINDOW

    def measured_frames(self, frames: int) -> int:
        return 1

    def lacks(self, profile: Profile, config: PriceConfig, has: Container[str]) -> list[str]:
        return lacks(options_of(profile), [role for role, graph in GRAPHS.items() if graph in has])

    def speed(self, config: PriceConfig, frames: int, profile: Profile) -> dict[str, Any]:
        from hp_trt.enhancer.enhancer import Enhancer
        from hp_trt.measure.evaluation.config import parse_seeds
        from procedural.clip import clip

        options = options_of(profile)
        pictures = clip(parse_seeds(config.seeds)[0], frames=frames, px=TIMED_PX).frames()
        with Enhancer(config.bundle, config.runtime("exact")) as enhancer:
            made = timed(lambda: enhancer.frames(pictures, **vars(options)), frames=frames, runs=config.runs)
        return {"scale": options.scale, **made}

    def compare(self, rows: Sequence[dict[str, Any]], report: Mapping[str, Any]) -> None:
        """Nothing more: the gain is beside the yardstick's end already."""

"""The numbers of an evaluation: what they are called, which way is better, what they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hp_trt.measure.evaluation.config import Protocol
from hp_trt.measure.metrics.value import Missing

MOUTH_WORDS = {"jaw": "the jaw", "rounding": "the rounding", "corners": "the lip corners", "teeth": "the teeth"}
Better = Literal["higher", "lower", "near 0"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One row of the table."""

    key: str  # in the JSON
    title: str
    unit: str = ""
    better: Better
    digits: int = 3
    needs: str | None = None  # the option that brings its network, and which network that is

    def worst(self, values: list[float]) -> float:
        """Of the clips' values, none missing."""
        if self.better == "higher":
            return min(values)
        return max(values) if self.better == "lower" else max(values, key=abs)


_OF_BOTH = (
    Measure(key="psnr", title="PSNR to the truth", unit="dB", better="higher", digits=2),
    Measure(key="ssim", title="SSIM to the truth", better="higher"),
    Measure(key="lpips", title="LPIPS to the truth", better="lower", needs="--lpips FILE (LPIPS)"),
    Measure(key="fid", title="FID", better="lower", digits=2, needs="--fid-features FILE (Inception)"),
    Measure(key="fvd", title="FVD", better="lower", digits=2, needs="--fvd-features FILE (I3D or another)"),
    Measure(key="lmd", title="landmark distance (LMD)", unit="px of 128", better="lower", digits=2),
    Measure(key="parameter_correlation", title="parameters follow the driver", better="higher"),
    Measure(key="landmark_correlation", title="landmarks follow the driver", better="higher"),
)
_OF_STEADINESS = (
    Measure(key="seam_ratio", title="window-seam ratio", better="lower", digits=2),
    Measure(key="flicker", title="flicker", unit="levels", better="near 0", digits=2),
    Measure(key="colour_drift", title="colour drift", unit="% of range", better="lower", digits=2),
    Measure(key="error_drift", title="error drift", unit="levels", better="lower", digits=2),
    Measure(key="lmd_drift", title="landmark drift", unit="px of 128", better="lower", digits=2),
)
_OF_CROSS = (
    Measure(key="identity", title="identity score", better="higher", needs="--arcface FILE (ArcFace)"),
    Measure(key="retrieval", title="nearest identity is the portrait's", unit="% of clips", better="higher", digits=1),
    Measure(key="aed", title="expression distance (AED)", better="lower", needs="--expression FILE (3D face model)"),
    Measure(key="apd", title="pose distance (APD)", better="lower", needs="--pose FILE (3D face model)"),
)
_SYNCNET = "--sync-audio FILE and --sync-video FILE (SyncNet)"
_OF_TALK = (
    Measure(key="jaw_correlation", title="jaw follows the speech", better="higher"),
    Measure(key="rounding_correlation", title="rounding follows", better="higher"),
    Measure(key="corners_correlation", title="lip corners follow", better="higher"),
    Measure(key="teeth_correlation", title="teeth follow", better="higher"),
    *(
        Measure(key=f"{name}_lag", title=f"best lag of {title}", unit="frames", better="near 0", digits=1)
        for name, title in MOUTH_WORDS.items()
    ),
    Measure(key="jaw_in_time", title="best lag of the jaw is 0", unit="% of clips", better="higher", digits=1),
    *(
        Measure(key=f"{name}_error", title=f"error of {title}", unit="of its range", better="lower")
        for name, title in MOUTH_WORDS.items()
    ),
    Measure(key="sync_c", title="Sync-C of our judge", better="higher"),
    Measure(key="sync_d", title="Sync-D of our judge", better="lower"),
    Measure(key="published_sync_c", title="Sync-C", better="higher", digits=2, needs=_SYNCNET),
    Measure(key="published_sync_d", title="Sync-D", better="lower", digits=2, needs=_SYNCNET),
    Measure(key="efid", title="E-FID", better="lower", digits=2, needs="--expression FILE (3D face model)"),
    Measure(key="fid", title="FID", better="lower", digits=2, needs="--fid-features FILE (Inception)"),
    Measure(key="fvd", title="FVD", better="lower", digits=2, needs="--fvd-features FILE (I3D or another)"),
    Measure(key="identity", title="identity score", better="higher", needs="--arcface FILE (ArcFace)"),
    Measure(key="retrieval", title="nearest identity is the portrait's", unit="% of clips", better="higher", digits=1),
    Measure(key="seam_ratio", title="seam ratio at clip borders", better="lower", digits=2),
    Measure(key="flicker", title="flicker", unit="levels", better="near 0", digits=2),
    Measure(key="colour_drift", title="colour drift", unit="% of range", better="lower", digits=2),
)
NEEDED = {m.key: Missing(f"needs {m.needs}") for m in (*_OF_BOTH, *_OF_CROSS, *_OF_TALK) if m.needs}
TO_FIRST = Measure(key="psnr_to_first", title="PSNR to the first bundle", unit="dB", better="higher", digits=2)


def measures(protocol: Protocol) -> tuple[Measure, ...]:
    """The rows of a protocol, in order; PSNR to the first bundle comes last where there are several."""
    if protocol == "talk":
        return _OF_TALK
    return (*_OF_BOTH, *(_OF_CROSS if protocol == "cross" else ()), *_OF_STEADINESS)


def chain_measures(clips: Sequence[int]) -> tuple[Measure, ...]:
    """The rows of a long chain, at these clips (`hp_trt.measure.metrics.chain`)."""
    jaws = (
        Measure(
            key=f"jaw_at_{clip}",
            title=f"jaw follows, {f'clips {clip - 9} to {clip}' if clip >= 10 else f'clip {clip}'}",
            better="higher",
        )
        for clip in clips
    )
    seams = (
        Measure(key=f"seam_at_{clip}", title=f"seam ratio, clips {clip - 9} to {clip}", better="lower", digits=2)
        for clip in clips
        if clip >= 10
    )
    drifts = (
        Measure(
            key=f"drift_at_{clip}", title=f"colour drift to clip {clip}", unit="% of range", better="lower", digits=2
        )
        for clip in clips
        if clip >= 10
    )
    return (*jaws, *drifts, *seams)

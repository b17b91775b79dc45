"""How far an output is from the reference's, and how far it may be. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

L2_LIMIT = 1e-2  # relative, of one forward in fp16 against fp32
PSNR_LIMIT_DB = 40.0  # of a decoded frame
DECODERS = ("vae_decoder", "talk_vae_decoder")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an output is from what is expected."""

    relative_l2: float
    psnr_db: float | None  # of frames alone

    @property
    def missed(self) -> str:
        """Why this is not good enough; "" where it is. NaN is not."""
        if self.psnr_db is not None:
            return "" if self.psnr_db > PSNR_LIMIT_DB else f"needs more than {PSNR_LIMIT_DB:g} dB"
        return "" if self.relative_l2 < L2_LIMIT else f"needs less than {L2_LIMIT:g}"

    def __str__(self) -> str:
        psnr = "" if self.psnr_db is None else f", PSNR {self.psnr_db:.1f} dB"
        return f"relative L2 {self.relative_l2:.2e}{psnr}"


def difference(graph: str, found: np.ndarray, expected: np.ndarray) -> Difference:
    """`found` against `expected`, of this graph. Frames are compared as they are shown, in [0, 1]."""
    a, b = (array.astype(np.float64) for array in (found, expected))
    relative = float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))
    if graph not in DECODERS:
        return Difference(relative_l2=relative, psnr_db=None)
    a, b = (np.clip(frames * 0.5 + 0.5, 0, 1) for frames in (a, b))
    mean_square = float(np.mean((a - b) ** 2))
    return Difference(relative_l2=relative, psnr_db=-10 * float(np.log10(mean_square)) if mean_square else np.inf)


def keep(path: Path, inputs: dict[str, np.ndarray], expected: np.ndarray) -> None:
    """Write a try so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}")
    arrays: dict[str, Any] = {f"in_{name}": array for name, array in inputs.items()}
    with hidden.open("wb") as file:
        np.savez(file, expected=expected, **arrays)
    hidden.rename(path)


def read(path: Path) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The inputs by name, and what is expected. FileNotFoundError where there is none."""
    with np.load(path) as data:
        return {k.removeprefix("in_"): data[k] for k in data.files if k != "expected"}, data["expected"]

"""A run's seal without a run, a mark that a test can read, and small files to seal."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from hp_trt.media.video_writer import VideoWriter
from hp_trt.provenance import mark
from hp_trt.provenance.mark import Found
from hp_trt.provenance.options import Provenance
from hp_trt.provenance.run_seal import RunSeal, prepare
from hp_trt.provenance.sidecar import Input, Origin
from tests.hp_trt.clips import picture

SIZE = 64, 48  # width, height
_CELL = 16  # pixels


class BlockMark:
    """32 squares in the upper rows, light or dark: no secret, and read back after H.264."""

    def __init__(self, payload: int) -> None:
        self.payload = payload

    def embed(self, frame: np.ndarray) -> np.ndarray:
        made = frame.copy()
        for bit in range(32):
            y, x = divmod(bit, 16)
            made[4 * y : 4 * y + 4, 4 * x : 4 * x + 4] = 230 if self.payload >> bit & 1 else 20
        return made


class BlockFinder:
    """Finds a `BlockMark`, where every square is clearly one of both."""

    def find(self, frames: Iterable[np.ndarray]) -> Found:
        sums = [frame[:8, :64].astype(float).mean(axis=2) for frame in islice(frames, 3)]
        if not sums or sums[0].shape != (8, 64):
            return Found(payload=None, score=0.0)
        cells = np.mean(sums, axis=0).reshape(2, 4, 16, 4).mean(axis=(1, 3)).ravel()
        if not ((cells < 60) | (cells > 190)).all():
            return Found(payload=None, score=0.0)
        return Found(payload=int(sum(1 << n for n, cell in enumerate(cells) if cell > 128)), score=1.0)


def origin(**changes) -> Origin:
    known = {
        "version": "0.1.0",
        "inputs": {
            "portrait": Input(name="me.png", sha256="a" * 64, of="file"),
            "driving video": Input(name="talk.mp4", sha256="b" * 64, of="file"),
        },
        "driver": "driving video",
        "bundle": {"model": "m", "licence": "Apache-2.0"},
        "profile": "exact",
        "sampling": {"steps": 3, "seed": 7},
        "versions": {"python": "3.11"},
    }
    return Origin(**(known | changes))


def seal_for(*files: Path, patch: pytest.MonkeyPatch | None = None, **asked) -> RunSeal:
    """The seal of a run that writes `files`; `patch`: marks with `BlockMark`."""
    if patch is not None:
        patch.setattr(mark, "InvisibleMark", BlockMark)
    outputs = {f"result {number}": path for number, path in enumerate(files)}
    prepared = prepare(Provenance(**asked), outputs, {})
    assert prepared is not None
    return prepared.seal(origin())


def write_clip(path: Path, seal: RunSeal | None, frames: int = 6) -> Path:
    """Numbered pictures of `SIZE`, 25 a second."""
    with VideoWriter(path, width=SIZE[0], height=SIZE[1], rate=Fraction(25), seal=seal) as video:
        for number in range(frames):
            video.write(picture(number, *SIZE))
    return path

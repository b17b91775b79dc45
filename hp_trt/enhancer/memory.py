"""How much memory an enhancement will take, told before it begins: a video that does not fit is refused.

Memory does not grow with the length. It grows with the pixels of a frame, some of which wait between stages, and of the
result: a few pictures, what a face is pasted with, and what the encoder of a chunk holds back.
"""

from __future__ import annotations

import os
from pathlib import Path

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.enhancer.opened import roles_of
from hp_trt.enhancer.pipeline import Wanted, result_size, waiting_frames
from runtime.enhancer.presets import WINDOW

LONGEST_SIDE = 16384  # of H.264, as libx264 makes it
_PROGRAM_BYTES = 200 << 20
_WEIGHTS = 1.5  # what an opened graph takes of what its weights are
# Activations on a CPU, of small networks and of the published ones: a tile, and a window of faces.
_SMALL_WEIGHTS = 100 << 20
_TILE_BYTES, _FACES_BYTES = (200 << 20, 1 << 30), (3 << 29, 11 << 30)
_DECODER = 8  # frames
_RESULTS = 6  # pictures of the result's size: in the making, waiting, marked
_PASTE_BYTES = 20  # of a pixel of the result, where a face fills it
_ENCODER_BYTES = 60  # of a pixel of the result


def check_fits(bundle: Bundle, name: object, width: int, height: int, wanted: Wanted, *, writes: bool) -> None:
    """Raises InputError where the enhancement of a video of that size does not fit here. No graph is opened.

    `name`: what the message calls the video. `writes`: whether the result is encoded.
    """
    roles = roles_of(bundle)
    result = result_size(width, height, scale=wanted.scale, released=wanted.released)
    weights = sum(bundle.manifest.graphs[graph].weights_bytes for graph in roles.values())
    needed = predicted_bytes(
        width, height, result=result, writes=writes, restores="restorer" in roles, weights_bytes=weights
    )
    check_memory(name, needed, result)


def predicted_bytes(
    width: int, height: int, *, result: tuple[int, int], writes: bool, restores: bool, weights_bytes: int
) -> int:
    """The most that will be taken at one time, about, of frames of that size. `result`: its width and height.

    `writes`: whether it is encoded. `weights_bytes`: of all graphs.
    """
    frame, pixels = width * height * 3, result[0] * result[1]
    held = WINDOW + 2 * waiting_frames(frame) + _DECODER
    pictures = held * frame + _RESULTS * 3 * pixels
    activations = (_FACES_BYTES if restores else _TILE_BYTES)[weights_bytes > _SMALL_WEIGHTS]
    graphs = round(_WEIGHTS * weights_bytes) + activations
    paste = _PASTE_BYTES * pixels if restores else 0
    encoder = round(_ENCODER_BYTES * pixels) if writes else 0
    return _PROGRAM_BYTES + graphs + pictures + paste + encoder


def check_memory(name: object, needed: int, result: tuple[int, int], available: int | None = None) -> None:
    """Raises InputError where a result of that size cannot be encoded, or `needed` bytes are more than there are.

    `available`: bytes; None: what this machine says (`available_bytes`).
    """
    if max(result) > LONGEST_SIDE:
        raise InputError(
            f"{name} would become {result[0]} x {result[1]}, and H.264 takes up to {LONGEST_SIDE} pixels a side; "
            "choose a smaller scale"
        )
    available = available_bytes() if available is None else available
    if available is not None and needed > available:
        raise InputError(
            f"{name} would become {result[0]} x {result[1]}, which takes about {needed / 2**30:.1f} GiB of memory, and "
            f"{available / 2**30:.1f} GiB are free; choose a smaller scale, make the video smaller, or free some"
        )


def available_bytes() -> int | None:
    """What this process may still take, of the machine and of its container; None: nobody says."""
    found = [_of_machine(), _of_container(Path("/sys/fs/cgroup"))]
    return min((one for one in found if one is not None), default=None)


def _of_machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    try:  # of systems that say only how much there is
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def _of_container(folder: Path) -> int | None:
    """Of cgroup v2. What files take in it is given back when it is wanted."""
    try:
        most = (folder / "memory.max").read_text().strip()
        taken = int((folder / "memory.current").read_text())
        said = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return None if most == "max" else max(int(most) - taken + int(said.get("inactive_file", 0)), 0)
    except (OSError, ValueError):
        return None

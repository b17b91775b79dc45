"""Two processes that share the clips: one Runtime each, because threads of one Runtime take turns.

    python examples/two_processes.py BUNDLE PORTRAIT OUT_FOLDER VIDEO [VIDEO ...]

Each process opens the bundle and encodes the portrait once, and has half of the cores. Processes are spawned, not
forked: a fork of a process that has threads, as ONNX Runtime and CUDA make them, may hang.
"""

from __future__ import annotations

import argparse
import os
import secrets
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from hp_trt import Portrait, Provenance, Runtime, RuntimeConfig

PROCESSES = 2
_opened: tuple[Runtime, Portrait] | None = None  # of this process


def open_runtime(bundle: Path, portrait: Path, profile: str) -> None:
    """What each process does first.

    For GPUs, one a process: put their numbers into a queue of the pool's own context, `get_context("spawn").Queue()`,
    hand it over in `initargs`, and take one here: `RuntimeConfig(device_id=numbers.get(), ...)`.
    """
    global _opened
    threads = max((os.cpu_count() or PROCESSES) // PROCESSES, 1)
    runtime = Runtime(bundle, RuntimeConfig(profile=profile, threads=threads))
    _opened = runtime, runtime.portrait(portrait)


def animate(video: Path, out: Path, mark_id: int) -> tuple[int, int]:
    """The number of frames, and the process that made them. `mark_id`: of the invisible mark, one for all clips."""
    assert _opened is not None, "open_runtime comes first"
    runtime, portrait = _opened
    return runtime.animate(portrait, video, out, provenance=Provenance(mark_id=mark_id)).frames, os.getpid()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--profile", default="exact", help="exact, balanced, live, or a TOML file")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(
        PROCESSES,
        mp_context=get_context("spawn"),
        initializer=open_runtime,
        initargs=(options.bundle, options.portrait, options.profile),
    ) as pool:
        mark_id = secrets.randbits(32)
        outs = {video: options.out / f"{video.stem}.mp4" for video in options.videos}
        jobs = {pool.submit(animate, video, out, mark_id): video for video, out in outs.items()}
        for job in as_completed(jobs):
            frames, process = job.result()  # raises what the process raised: an InputError for a wrong video
            print(f"{jobs[job]}: {frames} frames by process {process}")


if __name__ == "__main__":
    main()

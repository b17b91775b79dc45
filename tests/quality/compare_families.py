"""How fast ONNX Runtime and OpenVINO make a drawn clip, by turns: docs/openvino.md has what this prints.

    python -m export.build_engines --family openvino --bundle out/pocket
    python -m tests.quality.compare_families --bundle out/pocket --turns 3

From arrays to arrays, faces known. Seconds of the CPU are told beside those of the clock: other programs disturb them
less. The decibels are the PSNR to what ONNX Runtime makes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from hp_trt.api import Runtime
from hp_trt.config import RuntimeConfig
from hp_trt.hunyuanportrait.profiles import find_profile
from hp_trt.measure.evaluation.drawn import DrawnPairs


def compare(bundle: Path, name: str, turns: int, frames: int) -> None:
    """Print a line for each family. The first turn warms up and does not count."""
    exported = find_profile(name)
    half = replace(exported, name=f"{name}-bf16", precision="bf16")
    sides = {
        "onnxruntime": RuntimeConfig(profile=exported),
        "openvino": RuntimeConfig(family="openvino", profile=exported),
        "openvino in bf16": RuntimeConfig(family="openvino", profile=half),
    }
    with ExitStack() as opened:
        runtimes = {side: opened.enter_context(Runtime(bundle, config)) for side, config in sides.items()}
        px = next(iter(runtimes.values())).bundle.manifest.geometry["crop_px"]
        pair = DrawnPairs("self", [0], frames).pair(0, px)
        who = {side: r.portrait(pair.portrait, landmarks=pair.portrait_faces) for side, r in runtimes.items()}
        walls_s: dict[str, list[float]] = {side: [] for side in sides}
        cores_s: dict[str, list[float]] = {side: [] for side in sides}
        made = {}
        for turn in range(turns + 1):
            for side, runtime in runtimes.items():
                wall_s, core_s = time.perf_counter(), time.process_time()
                clip = runtime.frames(who[side], pair.driving, landmarks=pair.driving_faces)
                made[side] = np.stack([frame.crop for frame in clip])
                if turn:
                    walls_s[side].append(time.perf_counter() - wall_s)
                    cores_s[side].append(time.process_time() - core_s)
    wall, core = ({side: statistics.median(s) for side, s in found.items()} for found in (walls_s, cores_s))
    for side in sides:
        error = np.mean((made[side].astype(np.float64) - made["onnxruntime"]) ** 2)
        db = 10 * np.log10(255**2 / error) if error else np.inf
        print(
            f"{name:8} {side:18} {frames / wall[side]:7.1f} frames/s, {wall['onnxruntime'] / wall[side]:5.2f} times; "
            f"{1e3 * core[side] / frames:7.1f} ms of a core a frame, {core['onnxruntime'] / core[side]:5.2f} times; "
            f"{db:5.1f} dB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--frames", type=int, default=50)
    options = parser.parse_args()
    for name in ("exact", "live"):
        compare(options.bundle, name, options.turns, options.frames)


if __name__ == "__main__":
    main()

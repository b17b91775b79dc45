"""Live mode and whole clips of two checkouts, by turns on one machine: docs/performance.md has what this prints.

    hp-trt sample --out drawn --frames 200
    python -m tests.quality.compare_live OTHER . --bundles OTHER/out/pocket out/pocket --sample drawn

`clip`: `hp-trt animate --profile live`, file to file. `live`: `hp-trt live --pace fast`, file to file. `arrays`: frames
in, frames out. `exact`: the same with that profile, `--exact-frames` of a drawn clip whose faces are known. Each turn
is a process of its own, which makes the clip twice: the second time counts, so that opening is left out. Wall time is
what a user waits; the processor's time is less disturbed by what else runs. `--after-family openvino`, `--after-bf16`:
how the second checkout runs. `--taken`: beside the second side another program works on one core all the time, so that
the same checkout twice tells what that costs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from engines.temporary import temporary_folder

WAYS = ("clip", "live", "arrays", "exact")


def measured(way: str, bundle: Path, sample: Path, family: str, bf16: bool, frames: int, out: Path) -> dict[str, float]:
    """Wall and processor seconds a frame, of the checkout that this process imports."""
    from dataclasses import replace

    from hp_trt import Runtime, RuntimeConfig
    from hp_trt.console import Reporter
    from hp_trt.live.run import LiveConfig, Opened, run_live
    from hp_trt.live.session import Policy
    from hp_trt.measure.evaluation.drawn import DrawnPairs
    from hp_trt.media.video import VideoReader

    driving = sample / "driving.mp4"
    config = RuntimeConfig(profile="exact" if way == "exact" else "live", family=family)
    if bf16:
        from hp_trt.hunyuanportrait.profiles import find_profile

        profile = find_profile(str(config.profile))
        config = replace(config, profile=replace(profile, name=f"{profile.name}-bf16", precision="bf16"))
    with Runtime(bundle, config) as runtime:
        who = runtime.portrait(sample / "portrait.png")
        images = list(VideoReader(driving))
        height, width = who.image.shape[:2]

        @contextmanager
        def session(policy: Policy) -> Iterator[Opened]:
            with runtime.live(who, policy=policy) as opened:
                yield Opened(session=opened, full=(width, height), crop=(width, height))

        ways: dict[str, Callable[[], int]] = {
            "clip": lambda: runtime.animate(who, driving, out).frames,
            "live": lambda: (
                run_live(LiveConfig(driving=str(driving), out=str(out), pace="fast"), session, Reporter()).frames
            ),
            "arrays": lambda: sum(1 for _ in runtime.frames(who, images)),
        }
        if way == "exact":
            pair = DrawnPairs("self", range(1), frames).pair(0, runtime.bundle.manifest.geometry["crop_px"])
            drawn = runtime.portrait(pair.portrait, landmarks=pair.portrait_faces)
            ways[way] = lambda: sum(1 for _ in runtime.frames(drawn, pair.driving, landmarks=pair.driving_faces))
        ways[way]()
        start, cpu = time.perf_counter(), time.process_time()
        made = ways[way]()
        return {"wall": (time.perf_counter() - start) / made, "cpu": (time.process_time() - cpu) / made}


@contextmanager
def another_program() -> Iterator[None]:
    """One that works on one core."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as working:
        try:
            yield
        finally:
            working.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description="Live mode and whole clips of two checkouts, by turns.")
    parser.add_argument("checkouts", type=Path, nargs=2, help="the one before, and the one after")
    parser.add_argument("--bundles", type=Path, nargs=2, required=True, help="of each")
    parser.add_argument("--sample", type=Path, required=True, help="a folder of hp-trt sample")
    parser.add_argument("--way", choices=WAYS, action="append", help="again for several [all]")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--exact-frames", type=int, default=50)
    parser.add_argument("--after-family", default="onnxruntime")
    parser.add_argument("--after-bf16", action="store_true")
    parser.add_argument("--taken", action="store_true", help="a core, beside the second side")
    asked = parser.parse_args()
    bundles, sample = [bundle.resolve() for bundle in asked.bundles], asked.sample.resolve()
    with temporary_folder("live") as folder:
        for way in asked.way or WAYS:
            found: list[list[dict[str, float]]] = [[], []]
            for turn in range(2 * asked.turns):
                which = turn % 2
                # This file's code, the checkout's package: a process's own folder comes first.
                given = [sys.executable, "-c", Path(__file__).read_text(encoding="utf-8")]
                how = (asked.after_family, asked.after_bf16) if which else ("onnxruntime", False)
                given_way = [way, str(bundles[which]), str(sample), *how, asked.exact_frames]
                environment = os.environ | {"HP_TRT_WAY": json.dumps(given_way)}
                with another_program() if which and asked.taken else nullcontext():
                    made = subprocess.run(
                        [*given, str(folder / "made.mp4")],
                        cwd=asked.checkouts[which], env=environment, stdout=subprocess.PIPE, text=True, check=True,
                    )  # fmt: skip
                found[which].append(json.loads(made.stdout.splitlines()[-1]))
            for time_of in ("wall", "cpu"):
                before, after = (1e3 * statistics.median(turn[time_of] for turn in side) for side in found)
                print(
                    f"{way}, {time_of}: {before:.1f} and {after:.1f} ms a frame, {before / after:.2f} times", flush=True
                )


if __name__ == "__main__":
    if "HP_TRT_WAY" in os.environ:
        asked_way, asked_bundle, asked_sample, *asked_how = json.loads(os.environ["HP_TRT_WAY"])
        print(json.dumps(measured(asked_way, Path(asked_bundle), Path(asked_sample), *asked_how, Path(sys.argv[1]))))
    else:
        main()

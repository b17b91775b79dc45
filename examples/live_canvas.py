"""A live portrait in an application's own picture: frames go in as they come, the animated face is drawn into it.

    python examples/live_canvas.py BUNDLE PORTRAIT VIDEO BACKGROUND OUT_FOLDER

VIDEO stands for a camera, and OUT_FOLDER, which gets a PNG for every frame, for a window. BACKGROUND is the picture
that the application draws anyway; the face goes into its lower right corner.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image

from hp_trt import LiveSession, Runtime, RuntimeConfig


def driving_frames(video: Path) -> Iterator[tuple[np.ndarray, float | None]]:
    """(H, W, 3) uint8 RGB and its time in seconds, as a camera would hand them out."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24"), frame.time


def push(session: LiveSession, video: Path, failed: list[Exception]) -> None:
    """The camera's thread. What goes wrong in it is kept for the thread that shows the frames."""
    try:
        for image, time_s in driving_frames(video):
            session.push(image, time_s)
    except Exception as error:
        failed.append(error)
    finally:
        session.close()  # what is inside still comes out


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("bundle", "portrait", "video", "background", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--profile", default="live", help="one whose windows are causal: live, or a TOML file")
    options = parser.parse_args()

    background = np.asarray(Image.open(options.background).convert("RGB"))
    options.out.mkdir(parents=True, exist_ok=True)
    failed: list[Exception] = []
    with Runtime(options.bundle, RuntimeConfig(profile=options.profile)) as runtime:
        portrait = runtime.portrait(options.portrait)
        # "block" takes every frame of a file; for a camera "drop-oldest" keeps the delay short.
        with runtime.live(portrait, policy="block") as session:
            threading.Thread(target=push, args=(session, options.video, failed), daemon=True).start()
            for frame in session:
                canvas = background.copy()
                height, width, _ = frame.crop.shape
                canvas[-height:, -width:] = frame.crop  # frame.full() is the whole portrait instead
                Image.fromarray(canvas).save(options.out / f"{frame.index:05}.png")
            stats = session.stats
    if failed:  # what came before is shown; the rest is missing
        raise failed[0]
    print(f"{stats.emitted} frames, {stats.dropped_in + stats.dropped_out} dropped")


if __name__ == "__main__":
    main()

"""One portrait and many driving videos: progress while they are animated, and a way to stop.

    python examples/batch.py BUNDLE PORTRAIT OUT_FOLDER VIDEO [VIDEO ...]

Ctrl-C stops at once. A program stops a clip by an event, which any thread may set, as here after so many frames:
`animate` raises Cancelled before its next piece of work. Either way the clips before are complete, and nothing is left
of the one that was stopped.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from hp_trt import Cancelled, Event, HpTrtError, Runtime, RuntimeConfig, Stages


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--profile", default="exact", help="exact, balanced, live, or a TOML file")
    parser.add_argument("--cancel-after", type=int, metavar="FRAMES")
    options = parser.parse_args()

    written = failed = 0
    stop = threading.Event()  # somebody presses a button

    def on_event(event: Event) -> None:  # of every piece of work, in the thread that does it
        nonlocal written
        if event.kind != "unit":
            return
        print(f"  {event.stage}: {event.done} of {event.total or '?'}", file=sys.stderr)
        if event.stage == "write":
            written += 1
            if written == options.cancel_after:
                stop.set()

    options.out.mkdir(parents=True, exist_ok=True)
    with Runtime(options.bundle, RuntimeConfig(profile=options.profile)) as runtime:
        portrait = runtime.portrait(options.portrait)  # found and encoded once, for all videos
        for video in options.videos:
            stages = Stages(on_event, cancel=stop)  # this clip's own
            try:
                animation = runtime.animate(portrait, video, options.out / f"{video.stem}.mp4", stages=stages)
            except (Cancelled, KeyboardInterrupt):
                print(f"{video}: cancelled", file=sys.stderr)
                return 130
            except HpTrtError as error:  # one video that cannot be used is no reason to leave out the others
                failed += 1
                print(f"{video}: {error}", file=sys.stderr)
            else:
                print(f"{animation.out}: {animation.frames} frames")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""A long clip needs hardly more memory than a short one: only its tokens and latents grow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engines.bundle import Bundle
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from hp_trt.sample import write_sample
from runtime.hunyuanportrait.sampling import Sampling

FRAMES = 50, 200
ANIMATE = """
import json, sys
from hp_trt import Runtime
from hp_trt.measure.bench.machine import peak_bytes
bundle, portrait, driving, out = sys.argv[1:]
with Runtime(bundle) as runtime:
    frames = runtime.animate(portrait, driving, out, steps=1).frames
print(json.dumps({"frames": frames, "peak_bytes": peak_bytes(), "torch": "torch" in sys.modules}))
"""


def looped(drawn: Path, out: Path, frames: int) -> Path:
    """The drawn video again and again until it has `frames` frames."""
    reader = VideoReader(drawn)
    with VideoWriter(out, width=reader.info.width, height=reader.info.height, rate=reader.info.rate) as writer:
        while writer.frames < frames:
            for image in reader:
                if writer.frames < frames:
                    writer.write(image)
    return out


def growing_bytes(bundle: Bundle, frames: int) -> int:
    """What a clip of `frames` frames must keep: its motion tokens."""
    padded = frames + 2 * Sampling.from_manifest(bundle.manifest.sampling).pad_frames
    tokens = bundle.spec("motion").output("motion_tokens")
    _, m, features = tokens.dims
    return padded * m * features * {"float32": 4, "float16": 2}[tokens.dtype]


@pytest.mark.slow  # for its frames
def test_200_frames_need_at_most_1_3_times_the_memory_of_50(small_bundle, tmp_path):
    # Small networks: beside large ones it would not show what grows.
    portrait, drawn = write_sample(tmp_path, frames=25)
    bundle = Bundle.open(small_bundle)
    peaks = {}
    for frames in FRAMES:
        driving = looped(drawn, tmp_path / f"{frames}.mp4", frames)
        # A process of its own each, because a peak only rises; peak_bytes says why it asks the kernel as it does.
        arguments = [str(part) for part in (small_bundle, portrait, driving, tmp_path / "out.mp4")]
        ran = subprocess.run([sys.executable, "-c", ANIMATE, *arguments], capture_output=True, text=True, check=True)
        found = json.loads(ran.stdout)
        assert (found["frames"], found["torch"]) == (frames, False)
        peaks[frames] = found["peak_bytes"] - growing_bytes(bundle, frames)
    short, long = (peaks[frames] for frames in FRAMES)
    assert long <= 1.3 * short, f"{long / 2**20:.0f} MiB for {FRAMES[1]} frames, {short / 2**20:.0f} for {FRAMES[0]}"

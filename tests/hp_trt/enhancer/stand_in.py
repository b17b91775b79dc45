"""A bundle of the enhancer whose graphs are numpy: a face is a square of one colour, and each step is plain to see.

The detector finds the squares, the restorer mixes a face with the mean of its window, the parser calls all of it face,
the upscaler repeats pixels. It keeps the graphs' promises.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from engines.backend import Buffer
from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.host_memory import HostMemory, array_of
from engines.manifest import GraphRecord, Manifest
from engines.spec import DimRange, NetworkSpec, TensorSpec
from runtime.enhancer.detector import MEANS_BGR, priors
from tests.engines.bundles import key_of

FACE_RGB = (230, 20, 230)
_POINTS = np.array(((0.3, 0.35), (0.7, 0.35), (0.5, 0.55), (0.35, 0.75), (0.65, 0.75)))  # of a square
_PLACES = "2*height/8*width/8 + 2*height/16*width/16 + 2*height/32*width/32"
_RANGES = {
    "height": DimRange(min=16, opt=480, max=16384),
    "width": DimRange(min=16, opt=480, max=16384),
    "frames": DimRange(min=1, opt=16, max=16),
}
_TENSORS: Mapping[str, tuple[dict[str, tuple[Any, ...]], dict[str, tuple[Any, ...]]]] = {
    "enhance_upscaler": (
        {"picture": (1, 3, "height", "width")},
        {"enlarged": (1, 3, "2*height", "2*width")},
    ),
    "enhance_restorer": (
        {"faces": ("frames", 3, 512, 512), "fidelity": (1,)},
        {"restored": ("frames", 3, 512, 512)},
    ),
    "enhance_parser": ({"face": ("frames", 3, 512, 512)}, {"logits": ("frames", 19, 512, 512)}),
    "enhance_detector": (
        {"picture": (1, 3, "height", "width")},
        {"loc": (1, _PLACES, 4), "confidence": (1, _PLACES, 2), "landmark_offsets": (1, _PLACES, 10)},
    ),
}
ALL = tuple(_TENSORS)


def spec_of(name: str) -> NetworkSpec:
    def made(dims: Mapping[str, tuple[Any, ...]]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=tensor, dims=size, dtype="float32") for tensor, size in dims.items())

    inputs, outputs = _TENSORS[name]
    named = {dim for size in inputs.values() for dim in size if isinstance(dim, str)}
    ranges = {dim: _RANGES[dim] for dim in named}
    return NetworkSpec(name=name, inputs=made(inputs), outputs=made(outputs), ranges=ranges)


def make_bundle(path: Path, graphs: tuple[str, ...] = ALL, model: str = "enhancer", kind: str = "random") -> Bundle:
    """A bundle with these graphs, which are a few bytes each."""
    with BundleWriter(path) as writer:
        records = {}
        for name in graphs:
            key = key_of(name.encode())
            folder = writer.stage(name, key)
            (folder / f"{name}.onnx").write_bytes(name.encode())
            record = GraphRecord(name=name, key=key, spec=spec_of(name), precision="fp32", structure=key)
            records[name] = writer.finish(record)
        return writer.commit(
            Manifest(
                model=model,
                command=("--preset", "enhancer_tiny", "--random-weights"),
                preset="enhancer_tiny",
                precision="fp32",
                size=(512, 512),
                frames=16,
                weights={"kind": kind, "fingerprint": {}, "source": "seed 0"},
                sampling={},
                geometry={},
                graphs=records,
                versions={"hp_trt": "0.1.0"},
                created="2026-01-01T00:00:00Z",
            )
        )


class StandIn(HostMemory):
    """A backend whose graphs are the functions below. `slow_s`: what each call of the upscaler takes besides."""

    name, device, concurrent = "stand-in", "no device", True

    def __init__(self, slow_s: float = 0) -> None:
        self.slow_s = slow_s
        self.calls_of: dict[str, list[tuple[int, ...]]] = {name: [] for name in ALL}

    def load(self, spec: NetworkSpec, path: Path, *_: Any, **__: Any) -> _Session:
        return _Session(self, spec)


class _Session:
    def __init__(self, backend: StandIn, spec: NetworkSpec) -> None:
        self.spec, self._backend = spec, backend

    def run(self, inputs: Mapping[str, Buffer], outputs: object = None) -> dict[str, Buffer]:
        self.spec.check_inputs(inputs)
        arrays = {name: array_of(buffer) for name, buffer in inputs.items()}
        first = next(iter(arrays.values()))
        self._backend.calls_of[self.spec.name].append(first.shape)
        if self.spec.name == "enhance_upscaler":
            time.sleep(self._backend.slow_s)
            return {"enlarged": first.repeat(2, axis=2).repeat(2, axis=3)}
        if self.spec.name == "enhance_restorer":
            return {"restored": 0.5 * first + 0.5 * first.mean(axis=0)}
        if self.spec.name == "enhance_parser":
            logits = np.zeros((len(first), 19, 512, 512), np.float32)
            logits[:, 1] = 1
            return {"logits": logits}
        return find_squares(first)

    def close(self) -> None:
        pass


def find_squares(picture: np.ndarray) -> dict[str, np.ndarray]:
    """What the detector gives of a picture: the prior nearest to each square says where it is; the left half of a
    picture may have one, and the right half. The larger one has the better score."""
    rgb = picture[0].transpose(1, 2, 0)[..., ::-1] + MEANS_BGR[::-1]
    height, width = rgb.shape[:2]
    anchors = priors(height, width)
    loc, offsets = np.zeros((len(anchors), 4)), np.zeros((len(anchors), 10))
    confidence = np.tile((5.0, -5.0), (len(anchors), 1))
    is_face = (np.abs(rgb - FACE_RGB) < 60).all(axis=2)
    for half in (slice(0, width // 2), slice(width // 2, width)):
        ys, xs = np.nonzero(is_face[:, half])
        if len(ys) < 50:
            continue
        xs = xs + half.start
        low, high = np.array((xs.min(), ys.min()), float), np.array((xs.max() + 1, ys.max() + 1), float)
        scale = np.array((width, height))
        centre, size = (low + high) / 2 / scale, (high - low) / scale
        one = int(np.abs(anchors[:, :2] - centre).sum(axis=1).argmin())
        at, side = anchors[one, :2], anchors[one, 2:]
        loc[one] = [*((centre - at) / side / 0.1), *(np.log(size / side) / 0.2)]
        offsets[one] = (((low + _POINTS * (high - low)) / scale - at) / side / 0.1).ravel()
        confidence[one] = -3, 3 + float(size.prod())
    return {
        "loc": loc[None].astype(np.float32),
        "confidence": confidence[None].astype(np.float32),
        "landmark_offsets": offsets[None].astype(np.float32),
    }


def frame(index: int, size: tuple[int, int] = (96, 80), *, face: bool = True, other: bool = False) -> np.ndarray:
    """(H, W, 3) uint8: a grey-green ramp with the index in it, and a square that moves; `other`: a smaller one too."""
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    picture[..., 1] = 40 + 100 * np.arange(width)[None] // width
    picture[..., 2] = 30 + 3 * (index % 40)
    side = height // 2
    if face:
        left, top = 4 + index % 3, height // 4
        picture[top : top + side, left : left + min(side, width // 2 - 8)] = FACE_RGB
    if other:
        picture[height // 4 : height // 4 + side // 2, -side // 2 - 4 : -4] = FACE_RGB
    return picture


def write_video(path: Path, frames: list[np.ndarray], *, rate: int = 25, sound: bool = False) -> Path:
    """H.264 of good quality; `sound`: a tone of the video's length."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=rate, options={"crf": "1", "preset": "ultrafast"})
        stream.height, stream.width = (side + side % 2 for side in frames[0].shape[:2])
        stream.pix_fmt = "yuv444p"
        track = output.add_stream("aac", rate=44100, layout="mono") if sound else None
        for image in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        output.mux(stream.encode(None))
        if track is not None:
            samples = 0.3 * np.sin(np.arange(44100 * len(frames) // rate) / 44100 * 2 * np.pi * 440)
            for begin in range(0, len(samples), 1024):
                part = np.ascontiguousarray(samples[None, begin : begin + 1024].astype(np.float32))
                block = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                block.sample_rate, block.pts = 44100, begin
                output.mux(track.encode(block))
            output.mux(track.encode(None))
    return path

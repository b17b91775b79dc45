"""A manifest of Hallo2 by hand: every graph of its promises, of small sizes that fit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

from engines.manifest import GraphRecord
from engines.spec import DimRange, NetworkSpec, TensorSpec
from hp_trt.hallo2.promises import Tensors, dtype_of, graphs
from tests.engines.bundles import key_of, manifest_of

SIDE_PX, FRAMES, MOTION_FRAMES = 64, 5, 3
SIZES = {
    "crop_px": SIDE_PX,
    "rows": SIDE_PX // 8,
    "columns": SIDE_PX // 8,
    "F": FRAMES,
    "motion frames": MOTION_FRAMES,
    "motion rows": 2 * MOTION_FRAMES,
    "channels": 4,
    "embedding": 128,
    "layers": 4,
    "hidden": 24,
    "image tokens": 4,
    "width": 48,
    "audio tokens": 6,
    "audio width": 40,
}


def good(
    *,
    levels: int = 3,
    moods: bool = False,
    names: Iterable[str] | None = None,
    precision: Literal["fp32", "fp16"] = "fp32",
) -> dict[str, Any]:
    """The JSON of a manifest with `levels` of attention that fits; `names`: of these graphs alone."""
    promises = graphs(levels, moods=moods)
    records = [_record(name, promises[name], levels, precision) for name in (promises if names is None else names)]
    manifest = replace(
        manifest_of(*records, preset="talk_pocket"),
        model="hallo2",
        precision=precision,
        size=(SIDE_PX, SIDE_PX),
        frames=FRAMES,
        sampling={"steps": 4, "guidance": 3.5, "scaling_factor": 0.18215},
        geometry={"crop_px": SIDE_PX, "motion_frames": MOTION_FRAMES, "face_ratio": 1.2, "lip_ratio": 2.0},
    )
    made: dict[str, Any] = json.loads(json.dumps(manifest.to_json()))
    return made


def _record(name: str, promise: tuple[Tensors, Tensors], levels: int, precision: str) -> GraphRecord:
    key = key_of(name.encode())
    record = GraphRecord(
        name=name,
        key=key,
        spec=_promise(name, promise, levels, precision),
        precision=precision,
        structure=key,
        flops={"call": 1000},
    )
    files = {record.main: {"sha256": key, "bytes": 10}, f"{record.main}.data": {"sha256": key, "bytes": 1000}}
    return GraphRecord.from_json(record.to_json() | {"files": files})


def _promise(name: str, promise: tuple[Tensors, Tensors], levels: int, precision: str) -> NetworkSpec:
    sizes: dict[str, int] = {**SIZES}
    for i in range(levels):
        sizes |= {f"cells {i}": (SIDE_PX // 8 >> i) ** 2, f"channels {i}": 32 * (i + 1), f"places {i}": 5 - i}
    sides = []
    for tensors in promise:
        found = []
        for tensor, dims in tensors.items():
            shape = tuple(
                f"n{at}" if dim == "*" else sizes[dim] if isinstance(dim, str) else dim for at, dim in enumerate(dims)
            )
            found.append(TensorSpec(name=tensor, dims=shape, dtype=dtype_of(tensor, precision)))
        sides.append(tuple(found))
    named = {dim for side in sides for tensor in side for dim in tensor.dims if isinstance(dim, str)}
    return NetworkSpec(
        name=name,
        inputs=sides[0],
        outputs=sides[1],
        ranges={dim: DimRange(min=1, opt=2, max=8) for dim in sorted(named)},
    )

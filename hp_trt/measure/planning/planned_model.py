"""What is planned for: the graphs of a bundle, or of a preset at a size that nobody has built yet.

A bundle's own records say how much arithmetic its graphs are and how large their files; what they move and hold, and
everything of a preset alone, is known in the room of the model. What a plan asks of a room is `PlannedRoom`; `ROOMS`
says where each answers.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engines.bundle import Bundle
from engines.errors import InputError
from engines.spec import NetworkSpec, plain_name
from hp_trt.measure.planning.counts import CELL_PX, Counts
from hp_trt.measure.planning.pieces import Piece
from hp_trt.models import find_model
from hp_trt.profiles import Profile, Profiles
from runtime.work import Call, Work

if TYPE_CHECKING:
    from hp_trt.api import Runtime

ROOMS = {  # model -> module:class, imported when a plan asks for it
    "hunyuanportrait": "hp_trt.hunyuanportrait.planned:PlannedHunyuanPortrait",
    "hallo2": "hp_trt.hallo2.planned:PlannedHallo2",
}
SIZE_STEP = 64  # pixels: three halvings of latents that are an eighth of the picture
# What the products of a record's precision are in. What lies between products of 8 bits stays half.
_DTYPES = {"fp32": "float32", "fp16": "float16", "fp8": "float8", "int8": "int8"}
_BYTES = {"float32": 4, "float16": 2, "float8": 2, "int8": 2}


@dataclass(frozen=True, kw_only=True)
class Order:
    """A model's stages, as `Work` names them, and which of them wait for which."""

    stages: tuple[str, ...]  # in which a clip goes through them, the host's among them
    before: tuple[str, ...]  # once, before the first window
    on_device: tuple[str, ...]  # of every window: its graphs
    on_host: tuple[str, ...]  # of every window: what its last driving frame goes through before the graphs
    lanes: tuple[tuple[str, ...], ...]  # of a live session, which run beside each other
    ahead: int = 0  # driving frames behind a window's last that it needs too


class PlannedRoom(Protocol):
    """One model, as a plan sees it: facts and counts. No graph is opened for them, and nothing but numpy needed."""

    @property
    def driver(self) -> Literal["video", "audio"]: ...  # what moves the portrait
    @property
    def order(self) -> Order: ...
    @property
    def presets(self) -> Mapping[str, tuple[int, int]]: ...  # name -> pixels of a side, F
    @property
    def half(self) -> Container[str]: ...  # graphs that compute in half in a bundle in fp16
    @property
    def like(self) -> Mapping[str, tuple[str, ...]]: ...  # graph -> what it is likened to if not tried, nearest first
    @property
    def profiles(self) -> Profiles: ...
    @property
    def added_by(self) -> Mapping[str, str]: ...  # graphs that not every bundle has -> the build's option

    def preset_sampling(self, preset: str, window: int) -> Any:
        """The numbers that steer sampling, a dataclass with `steps`: a preset's own."""
        ...

    def bundle_sampling(self, own: Mapping[str, Any]) -> Any:
        """The same, of a manifest."""
        ...

    def preset_facts(self, preset: str) -> Mapping[str, Any]:
        """What else the other methods need to know of a model: the room's own business."""
        ...

    def bundle_facts(self, bundle: Bundle) -> Mapping[str, Any]:
        """The same, of a bundle."""
        ...

    def counts(self, preset: str, graph: str) -> Counts | None:
        """Of a graph in full precision; None where nobody has counted it."""
        ...

    def counted_frames(self, call: Call) -> int:
        """What the counts of a call's graph call frames; 0: those of the model's window."""
        ...

    def sizes(self, call: Call) -> Mapping[str, int]:
        """Run-time sizes of a call that its units, frames and total do not say, by their names in promises."""
        ...

    def fitted(self, profile: Profile, model: PlannedModel) -> Profile:
        """`profile` for the graphs that there are. Raises InputError for one that this model cannot do."""
        ...

    def graphs(self, profile: Profile, model: PlannedModel) -> tuple[str, ...]:
        """What a bundle needs for it."""
        ...

    def work(self, profile: Profile, model: PlannedModel, frames: int, *, steps: int | None = None) -> Work:
        """What a profile, fitted, does for a clip, or a part of a stream, of so many driving frames."""
        ...

    def later_s(self, work: Work, seconds: Mapping[str, float]) -> float:
        """Of a clip's seconds by stage, one stage after the other, those after its first frame; writing aside."""
        ...

    def clip_bytes(self, work: Work, model: PlannedModel) -> float:
        """Memory that a clip or a window needs beside weights and activations."""
        ...

    def notes(self, asked: Profile, model: PlannedModel, bundle: Path | None) -> Iterator[str]:
        """Where the graphs are not those that the profile's name leads one to expect."""
        ...

    def host_pieces(self, runtime: Runtime, *, make: bool, live: bool) -> Mapping[str, Piece]:
        """Each of the host's stages, measured on a drawn clip, a piece's mean.

        `make`: animate it first, and write what comes out. `live`: as profiles of mode live do it.
        """
        ...


@cache
def find_room(model: str) -> PlannedRoom:
    """Of a model by its name."""
    module, _, found = ROOMS[model].partition(":")
    room: PlannedRoom = getattr(import_module(module), found)()
    return room


def presets() -> dict[str, PlannedRoom]:
    """The room of every preset's model."""
    return {preset: room for room in map(find_room, ROOMS) for preset in room.presets}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A graph at one size: a unit (a row, a frame, a step) of one call, and what a call costs whatever its units."""

    flops: float  # of a unit; one multiply-add is 2
    moved_bytes: float  # of a unit
    held_bytes: float  # of a unit, at most at one time
    weight_bytes: float  # of a call
    dtype: str  # of products: "float32" | "float16" | "float8" | "int8"


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    """Graphs of one size and precision."""

    room: PlannedRoom = field(repr=False)
    preset: str
    size: int  # pixels of a side
    window: int  # F
    precision: str  # "fp32" | "fp16"
    sampling: Any  # the preset's own; of its model's kind
    facts: Mapping[str, Any]  # of the room's own
    graphs: Mapping[str, Any]  # a bundle's records; empty without one

    @property
    def cells(self) -> int:
        return (self.size // CELL_PX) ** 2

    @property
    def token_bytes(self) -> int:
        return 2 if self.precision == "fp16" else 4

    def of_call(self, call: Call) -> Cost:
        """Of the graph of one call, at its window."""
        if not call.total:
            return self.cost(call.graph, self.room.counted_frames(call))
        flops = 8 * call.frames * self.cells  # a weighted sum of four channels, nothing else
        return Cost(flops=flops, moved_bytes=0.0, held_bytes=0.0, weight_bytes=0.0, dtype="float32")

    def cost(self, graph: str, frames: int = 0) -> Cost:
        """`frames`: of the denoiser's window, where that is not the model's own."""
        frames = frames or self.window
        record = self.graphs.get(graph)
        plain, kind = plain_name(graph)
        counts = self.room.counts(self.preset, plain)
        half = self.precision == "fp16" and graph in self.room.half
        dtype = _DTYPES[kind] if kind else ("float16" if half else "float32")
        if record is not None:
            dtype = _DTYPES[record.precision]
        size = _BYTES[dtype]
        if counts is None:
            if record is None:
                raise InputError(f"how much work {graph} is only a bundle that has it knows; add --bundle DIR")
            moved = held = _tensor_bytes(record)
        else:
            moved, held = (size * counts.at(part, frames, self.cells) for part in ("moved", "held"))
        if record is None:
            assert counts is not None, f"neither a record nor counts of {graph}"
            flops, weights = counts.at("flops", frames, self.cells), float(size * counts.weights)
        else:
            flops = record.flops["call"] * (frames if _counts_a_frame(record.spec) else 1)
            weights = float(record.weights_bytes)
        return Cost(flops=flops, moved_bytes=moved, held_bytes=held, weight_bytes=weights, dtype=dtype)

    def flops(self, call: Call) -> float:
        """Of all its times."""
        return call.times * call.units * self.of_call(call).flops

    def bytes(self, call: Call) -> float:
        """Moved, at the least, by all its times: everything but products and attention is taken to be fused."""
        if call.total:
            weights = call.units * call.frames
            return call.times * 4 * (4 * self.cells * (2 * call.frames + call.total) + weights)
        cost = self.of_call(call)
        return call.times * (cost.weight_bytes + call.units * cost.moved_bytes)

    def given_bytes(self, graph: str) -> int:
        """What a graph gives for one unit of a frame; only a bundle knows it."""
        (given,) = self.graphs[graph].spec.outputs
        return math.prod(dim for dim in given.dims if isinstance(dim, int)) * (2 if given.dtype == "float16" else 4)

    def resized(self, size: int) -> PlannedModel | None:
        """The same networks at another size; None where only a bundle knows them."""
        if self.preset not in self.room.presets:
            return None
        return model_of_preset(self.preset, size=size, precision=self.precision)


def model_of_preset(
    preset: str, *, size: int | None = None, window: int | None = None, precision: str = "fp16"
) -> PlannedModel:
    """A preset at its own size or another. Raises InputError."""
    known = presets()
    if preset not in known:
        raise InputError(f"there is no preset {preset!r}; there are: {', '.join(known)}")
    room = known[preset]
    usual_size, usual_window = room.presets[preset]
    size = usual_size if size is None else size
    if size < SIZE_STEP or size % SIZE_STEP:
        near = max(round(size / SIZE_STEP), 1) * SIZE_STEP
        raise InputError(f"--size must be a multiple of {SIZE_STEP} pixels, got {size}; the nearest is {near}")
    return PlannedModel(
        room=room,
        preset=preset,
        size=size,
        window=window or usual_window,
        precision=precision,
        sampling=room.preset_sampling(preset, window or usual_window),
        facts=room.preset_facts(preset),
        graphs={},
    )


def model_of_bundle(bundle: Bundle, *, size: int | None = None) -> PlannedModel:
    """A bundle's graphs. Raises InputError for a `size` that it was not built for, BundleError."""
    find_model(bundle)  # whose numbers are used
    manifest = bundle.manifest
    room = find_room(manifest.model)
    height, width = manifest.size
    if size is not None and (height, width) != (size, size):
        raise InputError(
            f"{bundle.path} was built for {width} x {height} pixels, --size asks for {size}; leave --size out, or plan "
            f"without the bundle: --preset {manifest.preset} --size {size}"
        )
    return PlannedModel(
        room=room,
        preset=manifest.preset,
        size=height,
        window=manifest.frames,
        precision=manifest.precision,
        sampling=room.bundle_sampling(manifest.sampling),
        facts=room.bundle_facts(bundle),
        graphs=manifest.graphs,
    )


def rounds(work: Work) -> int:
    """How often what is said of a clip's windows is done, one time after the other: a long video is made in pieces."""
    return clips_of(work) if work.mode == "clip" else 1


def clips_of(work: Work) -> int:
    """Pieces of new frames that leave together."""
    return -(-work.frames // work.new_frames)


def _counts_a_frame(spec: NetworkSpec) -> bool:
    """Whether a record counts a frame of a usual window: of graphs that take windows of any length it does."""
    return "frames" in spec.ranges and spec.unit != "frames"


def _tensor_bytes(record: Any) -> float:
    """Inputs and outputs of a unit: all that is known of a graph that nobody has counted."""
    total = 0
    for tensor in (*record.spec.inputs, *record.spec.outputs):
        count = 1
        for dim in tensor.dims:
            count *= dim if isinstance(dim, int) else 1
        total += count * _BYTES.get(tensor.dtype, 8)
    return float(total)

"""The arithmetic and the memory of every graph as polynomials of its size, for `hp_trt/hunyuanportrait/counts.py`.

`python -m export.hunyuanportrait.count_table` prints that module's table: a plan is made where there is no PyTorch. A
graph is counted on tensors without content at a few sizes, and the polynomial through them is exact: convolutions are
linear in latent cells and frames, attention is quadratic in what it looks over.
`tests/hp_trt/hunyuanportrait/test_counts.py` counts at other sizes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from export.graphs.flops import graph_flops
from export.graphs.graph import Graph, Networks
from export.hunyuanportrait.graphs import bundle_graphs
from export.hunyuanportrait.live_graphs import live_graphs
from export.hunyuanportrait.presets import PRESETS, Preset
from hp_trt.hunyuanportrait.counts import CELL_PX, TERMS

_PRODUCTS = {"linear", "conv2d", "conv3d", "matmul", "__matmul__", "bmm", "scaled_dot_product_attention"}


@dataclass(frozen=True, kw_only=True)
class CallCounts:
    """One call with the run-time sizes given: FLOPs, and elements of memory, whatever their dtype."""

    flops: int
    moved: int  # read and written by matrix products, convolutions and attention; the rest is fused into them
    held: int  # of activations, at most at one time, when nothing but attention is fused
    weights: int  # in the graph, read once a call


def count_graph(graph: Graph, preset: Preset, sizes: Mapping[str, int]) -> CallCounts:
    """`sizes`: the run-time sizes of the call. FLOPs are those of `export.graphs.flops.graph_flops`, a unit's."""
    sizes = {**dict.fromkeys(graph.spec.ranges, 1), **sizes}
    with torch.device("meta"):
        module = graph.make(preset.architecture.build)
        inputs = [t.to("meta") for t in graph.example(sizes).values()]
        wide = [t.float() if t.is_floating_point() else t for t in inputs]
        with torch.no_grad(), _Held(module) as held, _Moved(module) as moved:
            module(*wide)
    return CallCounts(
        flops=graph_flops(graph, preset.architecture.build)["call"],
        moved=moved.elements,
        held=held.most,
        weights=sum(moved.weights.values()),
    )


class _Moved(TorchFunctionMode):
    """Elements that products read and write. Attention is one operation: its scores never leave the chip."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.elements, self.weights = 0, dict[int, int]()
        self._constant = _storages(module)

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named, kwargs = getattr(function, "__name__", ""), kwargs or {}
        if named == "scaled_dot_product_attention":
            query, _, value = args[:3]
            result = torch.empty((*query.shape[:-1], value.shape[-1]), device=query.device)
        else:
            result = function(*args, **kwargs)
        if named in _PRODUCTS:
            for tensor in (*args, *kwargs.values(), result):
                if not isinstance(tensor, Tensor):
                    continue
                if (key := tensor.untyped_storage()._cdata) in self._constant:
                    self.weights[key] = self._constant[key]
                else:
                    self.elements += tensor.numel()
        return result


class _Held(TorchDispatchMode):
    """The most elements that are alive at one time."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.most = self._now = 0
        self._known = set(_storages(module))  # weights are not activations

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._watch(tensor)
        return result

    def _watch(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, elements = storage._cdata, storage.nbytes() // tensor.element_size()
        if key in self._known:
            return
        self._known.add(key)
        self._now += elements
        self.most = max(self.most, self._now)
        weakref.finalize(storage, self._gone, key, elements)

    def _gone(self, key: int, elements: int) -> None:
        self._known.discard(key)
        self._now -= elements


def _storages(module: nn.Module) -> dict[int, int]:
    """The elements of each piece of memory that is a weight, by its key: parts of one are views of it."""
    tensors = (*module.parameters(), *module.buffers())
    return {t.untyped_storage()._cdata: t.untyped_storage().nbytes() // t.element_size() for t in tensors}


def counted_graphs(preset: Preset, *, size: int, frames: int) -> dict[str, Graph]:
    """The graphs that the table may have, for windows of `frames`.

    Live mode's denoiser counts as one of a fixed window, and is here where it is not as large as the other one.
    """
    architecture = preset.architecture
    graphs = bundle_graphs(architecture, size=size, frames=frames, motion_px=preset.motion_px)
    graphs["tiny_decoder"] = live_graphs(architecture, size=size, frames=frames)["tiny_decoder"]
    if architecture.live_layers is not None:
        denoiser = graphs["denoiser"]

        def make(networks: Networks) -> nn.Module:
            return denoiser.make(lambda network: networks("live_unet" if network == "unet" else network))

        graphs["live_denoiser"] = replace(denoiser, make=make)
    return graphs


def polynomials(preset: Preset) -> dict[str, dict[str, Any]]:
    """By graph: FLOPs, moved and held elements as {(power of frames, power of cells): coefficient}, and the weights."""
    counted: dict[tuple[int, int], dict[str, CallCounts]] = {}
    for size, frames in ((preset.size, preset.frames), (256, 25), (256, 6), (384, 8), (192, 5), (320, 12)):
        graphs = counted_graphs(preset, size=size, frames=frames)
        usual = (size, frames) == (preset.size, preset.frames)
        wanted = [name for name, terms in TERMS.items() if name in graphs and (usual or len(terms) > 1)]
        counted[size // CELL_PX, frames] = {name: count_graph(graphs[name], preset, {}) for name in wanted}
    table: dict[str, dict[str, Any]] = {}
    for name, terms in TERMS.items():
        points = {at: of[name] for at, of in counted.items() if name in of}
        if not points:
            continue
        table[name] = {
            what: _fit(terms, [(side**2, f, getattr(c, what)) for (side, f), c in points.items()])
            for what in ("flops", "moved")
        }
        side, frames = at = preset.size // CELL_PX, preset.frames
        # What is held at most is held at one moment or another, so it is no polynomial; nearly linear it is.
        i, j = terms[0]
        held = points[at].held / (frames**i * side ** (2 * j))
        table[name] |= {"held": {terms[0]: round(held)}, "weights": points[at].weights}
    return table


def _fit(terms: Sequence[tuple[int, float]], points: Sequence[tuple[int, int, int]]) -> dict[tuple[int, float], float]:
    """The polynomial through all points (cells, frames, count), exactly. Raises ValueError where there is none."""
    rows = [[Fraction(f**i) * Fraction(cells**j) for i, j in terms] + [Fraction(y)] for cells, f, y in points]
    done = 0
    for column in range(len(terms)):
        pivot = next(r for r in range(done, len(rows)) if rows[r][column])
        rows[done], rows[pivot] = rows[pivot], rows[done]
        rows[done] = [x / rows[done][column] for x in rows[done]]
        for r, row in enumerate(rows):
            if r != done and row[column]:
                rows[r] = [x - row[column] * y for x, y in zip(row, rows[done], strict=True)]
        done += 1
    if any(row[-1] for row in rows[done:]):
        raise ValueError(f"no polynomial of the terms {terms} goes through {points}; add the term that is missing")
    return {term: float(rows[i][-1]) for i, term in enumerate(terms) if rows[i][-1]}


def main() -> None:
    """Print the table."""
    for preset in PRESETS.values():
        print(f'    "{preset.name}": {{')
        for name, parts in polynomials(preset).items():
            print(f'        "{name}": Counts(')
            for what, value in parts.items():
                text = (
                    f"{{{', '.join(f'{k}: {_number(v)}' for k, v in value.items())}}}" if what != "weights" else value
                )
                print(f"            {what}={text},")
            print("        ),")
        print("    },")


def _number(value: float) -> str:
    return f"{int(value):_}" if value == int(value) else repr(value)


if __name__ == "__main__":
    main()

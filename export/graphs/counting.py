"""How much arithmetic and memory a graph is, counted on tensors without content, and as polynomials of its size.

What a model's `count_table` prints is made here: a graph is counted at a few sizes, and the polynomial through them is
exact, because convolutions are linear in latent cells and frames, and attention is quadratic in what it looks over.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from export.graphs.flops import count
from export.graphs.graph import Graph, Networks

_PRODUCTS = {"linear", "conv1d", "conv2d", "conv3d", "matmul", "__matmul__", "bmm", "scaled_dot_product_attention"}


@dataclass(frozen=True, kw_only=True)
class CallCounts:
    """One call with the run-time sizes given: FLOPs, and elements of memory, whatever their dtype."""

    flops: int
    moved: int  # read and written by matrix products, convolutions and attention; the rest is fused into them
    held: int  # of activations, at most at one time, when nothing but attention is fused
    weights: int  # in the graph, read once a call


def count_graph(graph: Graph, build: Networks, sizes: Mapping[str, int]) -> CallCounts:
    """`sizes`: the run-time sizes of the call, 1 where not given: then it is a unit's. `build` makes networks without
    content."""
    sizes = {**dict.fromkeys(graph.spec.ranges, 1), **sizes}
    with torch.device("meta"):
        module = graph.make(build)
        inputs = [t.to("meta") for t in graph.example(sizes).values()]
        wide = [t.float() if t.is_floating_point() else t for t in inputs]
        with torch.no_grad(), _Held(module) as held, _Moved(module) as moved:
            module(*wide)
        flops = count(lambda: module(*wide))
    return CallCounts(
        flops=flops,
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


def fit(
    terms: Sequence[tuple[int, float]], points: Sequence[tuple[int, int, int | Fraction]]
) -> dict[tuple[int, float], float]:
    """The polynomial through all points (cells, frames, count), exactly. Raises ValueError where there is none."""
    rows = [[Fraction(f) ** i * Fraction(cells**j) for i, j in terms] + [Fraction(y)] for cells, f, y in points]
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


def print_table(table: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """By preset and graph, as the model's `counts` has it: polynomials, and the number of weights."""
    for preset, graphs in table.items():
        print(f'    "{preset}": {{')
        for name, parts in graphs.items():
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

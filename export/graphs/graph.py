"""A graph before it is exported: its promise, its networks, and inputs to try it with.

Nothing here knows which model the graph is of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from engines.spec import Dim, DimRange, Lane, NetworkSpec, Quantization, TensorSpec, plain_name

Networks = Callable[[str], Any]  # network name -> its module, with float32 parameters


@dataclass(frozen=True, kw_only=True)
class Graph:
    """One graph, ready to be made: its promise, its networks, and inputs to try it with."""

    spec: NetworkSpec
    networks: tuple[str, ...]  # whose weights it holds
    make: Callable[[Networks], nn.Module]
    half: bool = False
    ranges_of_input: Mapping[str, tuple[float, float]] | None = None  # uniform inputs; the rest are normal
    uneven: tuple[str, ...] = ()  # named dimensions in which the work is not quite linear
    tied: tuple[str, ...] = ()  # named dimensions that grow with an uneven one, as a wave does with its frames
    quantized: Quantization | None = None  # made from the exported graph `source`, not from the networks
    chooses_codes: bool = False  # the largest of many numbers: rounding chooses another now and then
    shares: str = ""  # the graph whose file on the disk holds this one's weights too

    @property
    def name(self) -> str:
        return self.spec.name

    def example(self, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Tensor]:
        """Inputs of the promised shapes and dtypes, with each named dimension at `sizes`."""
        generator = torch.Generator("cpu").manual_seed(seed)
        inputs = {}
        for tensor in self.spec.inputs:
            shape = [sizes[d] if isinstance(d, str) else d for d in tensor.dims]
            limits = (self.ranges_of_input or {}).get(tensor.name)
            if limits is None:
                value = torch.randn(shape, generator=generator, device="cpu")
            else:
                value = limits[0] + (limits[1] - limits[0]) * torch.rand(shape, generator=generator, device="cpu")
            inputs[tensor.name] = value.to(getattr(torch, tensor.dtype))
        return inputs

    @property
    def precision(self) -> str:
        """As its record in a bundle has it: "fp32", "fp16", "int8" or "fp8"."""
        return self.quantized or ("fp16" if self.half else "fp32")

    @property
    def source(self) -> str:
        """The graph that a quantised one is made from."""
        return plain_name(self.name)[0]

    def in_kind(self, kind: Quantization) -> Graph:
        """The same graph with weights and products in 8 bits: `denoiser` to `denoiser_int8`."""
        return replace(self, spec=replace(self.spec, name=f"{self.name}_{kind}"), quantized=kind)

    def opt_sizes(self) -> dict[str, int]:
        """Each named dimension at the size to be fastest at."""
        return {name: r.opt for name, r in self.spec.ranges.items()}


def tensor(name: str, *dims: Dim, dtype: str = "float32") -> TensorSpec:
    """One input or output."""
    return TensorSpec(name=name, dims=dims, dtype=dtype)


def spec(
    name: str,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    *,
    unit: str = "",
    lane: Lane = "denoise",
    repeated: bool = False,
    context: int = 0,
    **ranges: tuple[int, int, int],
) -> NetworkSpec:
    """A promise; `ranges` are least, usual and most of every named dimension."""
    return NetworkSpec(
        name=name,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        ranges={k: DimRange(min=r[0], opt=r[1], max=r[2]) for k, r in ranges.items()},
        unit=unit,
        lane=lane,
        repeated=repeated,
        context=context,
    )

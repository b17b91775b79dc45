"""Buffers in host memory: numpy arrays, for backends whose every operation is done when it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.backend import Buffer, Pending, StreamName
from engines.cores import MOST_THREADS, available_cores
from engines.errors import InputError
from engines.spec import NetworkSpec

# Fewer threads are not divided among graphs that run beside each other: each has all of them. Two threads made 12 to
# 25 % more frames of a live pocket session so (docs/performance.md): halves do not fit stages of unequal length.
ENOUGH_TO_SHARE = 4


# Of a clip so many windows and chunks run at one time, each with its part of the threads: two calls with a core each
# are done before two with two cores, one after the other. More of them take more memory, and wait for one another.
CALLS = 2


class HostMemory:
    """What of `engines.backend.Backend` is about memory and streams, where both are the host's."""

    asynchronous = False
    calls = 1
    has_bf16 = False
    notes: tuple[str, ...] = ()

    def upload(self, array: np.ndarray) -> Buffer:
        return np.array(array, order="C")

    def download(self, buffer: Buffer) -> np.ndarray:
        return array_of(buffer).copy()

    def fetch(self, buffer: Buffer) -> Pending:
        return _Arrived(self.download(buffer))

    def empty(self, shape: Sequence[int], dtype: str) -> Buffer:
        return np.empty(tuple(shape), dtype)

    def zeros(self, shape: Sequence[int], dtype: str) -> Buffer:
        return np.zeros(tuple(shape), dtype)

    def view(self, buffer: Buffer, start: int, stop: int) -> Buffer:
        assert 0 <= start < stop <= buffer.shape[0], f"[{start}:{stop}] of {buffer.shape}"
        return array_of(buffer)[start:stop]

    def take(self, source: Buffer, indices: Sequence[int], out: Buffer) -> None:
        assert min(indices) >= 0, f"{indices} of {source.shape}"
        assert max(indices) < source.shape[0], f"{indices} of {source.shape}"
        whole, target = array_of(source), array_of(out)
        # Indices are known to be good; "raise", the default, would go through a copy.
        np.take(whole, indices, axis=0, out=target[0] if target.ndim == whole.ndim + 1 else target, mode="clip")

    def stream(self, name: StreamName) -> AbstractContextManager[None]:
        """Nothing to choose: every operation is done when it returns."""
        return nullcontext()

    def overlap_decode(self) -> None:
        """Each session has memory of its own."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def prepare(self, path: Path, content: memoryview) -> None:
        """Graphs are read by what opens them, with the weights beside them."""

    def close(self) -> None:
        """Nothing to do: numpy owns the buffers."""


@dataclass(frozen=True)
class _Arrived:
    """A download that was done at once."""

    array: np.ndarray

    def wait(self) -> np.ndarray:
        return self.array


def checked_threads(threads: int | None) -> int:
    """So many threads, or every core's of this process. Raises InputError for a number that cannot be."""
    if threads is not None and threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    if threads is not None and threads > MOST_THREADS:
        raise InputError(
            f"threads can be at most {MOST_THREADS}, got {threads}; this process may use {available_cores()} cores"
        )
    return threads or available_cores()


def cpu_words(threads: int) -> str:
    """A CPU as `Backend.device` says it: "CPU, 2 threads"."""
    return f"CPU, {threads} thread{'s' * (threads > 1)}"


def array_of(buffer: Buffer) -> np.ndarray:
    """The array that a buffer in host memory is."""
    assert isinstance(buffer, np.ndarray), f"a buffer of another backend: {type(buffer)}"
    return buffer


def output_arrays(
    spec: NetworkSpec, sizes: Mapping[str, int], given: Mapping[str, Buffer] | None
) -> dict[str, np.ndarray]:
    """Where a graph of `spec` writes the outputs that are wanted: the buffers `given`, or fresh ones for all.

    Raises ValueError for a buffer of another shape or dtype, or of no output.
    """
    wanted = spec.wanted(given)
    if given is None:
        return {tensor.name: np.empty(tensor.shape_at(sizes), tensor.dtype) for tensor in wanted}
    arrays = {}
    for tensor in wanted:
        array, shape = array_of(given[tensor.name]), tensor.shape_at(sizes)
        if array.shape != shape or array.dtype != tensor.dtype or not array.flags.c_contiguous:
            raise ValueError(
                f"{spec.name}: the buffer for {tensor.name} is {array.shape} {array.dtype}, "
                f"needs {shape} {tensor.dtype}, contiguous"
            )
        arrays[tensor.name] = array
    return arrays

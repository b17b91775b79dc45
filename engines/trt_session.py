"""One engine behind the `Session` protocol: bound by name, run on the chosen stream, replayed as a CUDA graph.

Who owns what:

    engine, contexts        the session, until `close`
    activations             an `Arena` that sessions share; in order, because each run counts as a write to it. It is as
                            large as the largest shapes that were run, not as the largest that are promised
    inputs and outputs      the caller; a run without a graph reads and writes them where they are
    outputs that nobody     the session, for the run alone: TensorRT wants an address for each
    wants
    inputs and outputs of   the session, a set for each shape that it has seen: a graph knows addresses, so these
    a captured graph        stay, and the caller's numbers are copied in and out on the device

A graph's context is its own: changing the state of a context under its graph would change what the graph means. The
first run of a shape is a plain one, because TensorRT makes ready then what capturing must not do; the second is
captured, and from then on the graph is launched. A grown arena has another address: graphs made before are let go.
Some engines hold work that capturing forbids, which only shows when it is tried: their runs stay plain ones, and
`uncaptured` tells.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from engines.backend import Buffer
from engines.cuda_buffers import CudaBuffers, device_buffer
from engines.cuda_memory import DeviceBuffer, Lease
from engines.cuda_order import Memory, Stream, ordered
from engines.errors import HpTrtError, InternalError
from engines.spec import NetworkSpec, TensorSpec

ALIGNMENT = 256  # of every address that TensorRT is given
_MOST_SHAPES = 4  # rows 1 to 3 of the denoiser; a clip's chunks and its last one, of two lengths of clips


class Arena:
    """The activations of sessions that take turns: one piece of memory, as large as the most demanding of them asks.

    `shared`: the arena that this one is the same as, until `part`.
    """

    def __init__(self, device: CudaBuffers, shared: Arena | None = None) -> None:
        self._device = device
        self._shared = shared
        self._lease: Lease | None = None

    @property
    def size(self) -> int:
        lease = self._held()
        return lease.memory.size if lease else 0

    @property
    def address(self) -> int:
        lease = self._held()
        return lease.memory.address if lease else 0

    @property
    def memory(self) -> Memory:
        lease = self._held()
        assert lease is not None, "nobody has asked for an arena"
        return lease.memory

    def grow(self, size: int) -> None:
        """At least `size` bytes. The old piece goes first, so that both need not fit; that stops the host."""
        if self._shared is not None:
            self._shared.grow(size)
        elif self._lease is None or size > self.size:
            self._lease = None
            self._device.pool.trim()
            self._lease = self._device.pool.take(max(size, 1), self._device.current)

    def part(self) -> None:
        """From the next run of a session on, memory of its own."""
        self._shared = None

    def _held(self) -> Lease | None:
        return self._lease if self._shared is None else self._shared._held()


@dataclass(eq=False)
class _Shape:
    """What a session owns for one set of input shapes."""

    context: Any
    buffers: dict[str, DeviceBuffer]
    arena_address: int
    warm: bool = False  # it has run
    executable: int = 0  # the graph, once there is one
    refused: bool = False  # there will be none


class TrtSession:
    """Made by `TrtBackend.load`. Not for two threads at once.

    `new_context`: makes an execution context without memory of its own. `activations(context)`: how many bytes it needs
    for the shapes that were set. `grow(bytes)`: makes the arena so large, or raises EngineMismatch.
    `may_capture(context, stream handle)`: whether runs may be captured; None where they never shall be. `uncaptured`:
    why runs are plain ones that should be captured; empty where all is well.

    Raises EngineMismatch when made where not even the smallest shapes fit.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        device: CudaBuffers,
        arena: Arena,
        *,
        new_context: Callable[[], Any],
        activations: Callable[[Any], int],
        grow: Callable[[int], None],
        last_error: Callable[[], str],
        may_capture: Callable[[Any, int], bool] | None,
    ) -> None:
        self.spec = spec
        self.uncaptured = ""
        self._device = device
        self._arena = arena
        self._new_context: Callable[[], Any] | None = new_context
        self._activations: Callable[[Any], int] | None = activations
        self._grow = grow
        self._last_error = last_error
        self._may_capture = may_capture
        self._context: Any = None  # of runs without a graph, made when there is one
        self._fitted: tuple[Mapping[str, tuple[int, ...]], int] = ({}, 0)  # its shapes, and the bytes that these need
        self._shapes: OrderedDict[tuple, _Shape] = OrderedDict()  # the last used last
        self._closed = False
        self._spare: Any = new_context()  # for whoever needs the first one
        self._fit(self._spare, {t.name: _least(spec, t) for t in spec.inputs})

    def run(self, inputs: Mapping[str, Buffer], outputs: Mapping[str, Buffer] | None = None) -> dict[str, Buffer]:
        """See `engines.backend.Session.run`."""
        if self._closed:
            raise InternalError(f"{self.spec.name} is closed; load it again")
        sizes = self.spec.check_inputs(inputs)
        given = {promised.name: device_buffer(inputs[promised.name]) for promised in self.spec.inputs}
        results = self._results(sizes, outputs)
        self._device.driver.make_current()
        if self._may_capture is None:
            self._run_plain(given, results, sizes)
        else:
            self._run_captured(given, results, sizes)
        return dict(results)

    def close(self) -> None:
        """Wait for the last run and let go of graphs, contexts and buffers. Twice is fine."""
        if self._closed:
            return
        self._closed = True
        while self._shapes:
            self._drop(self._shapes.popitem()[1])
        if self._context is not None and self._arena.size:
            self._arena.memory.wait()
        self._context = self._spare = None
        self._new_context = self._activations = None  # they hold the engine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run_plain(
        self, given: Mapping[str, DeviceBuffer], results: Mapping[str, DeviceBuffer], sizes: Mapping[str, int]
    ) -> None:
        """At the caller's addresses; what does not lie as TensorRT wants it goes through a buffer that does."""
        callers = {**given, **results}
        bound = {name: self._own(b) if b.address % ALIGNMENT else b for name, b in callers.items()}
        bound |= {t.name: self._fresh(t, sizes) for t in self.spec.outputs if t.name not in results}
        if self._context is None:
            self._context = self._make_context()
        self._bind(self._context, bound)
        with self._ordered(given, results, bound) as stream:
            for name in given:
                if bound[name] is not callers[name]:
                    self._device.copy(callers[name], bound[name], stream)
            self._enqueue(self._context, stream)
            for name in results:
                if bound[name] is not callers[name]:
                    self._device.copy(bound[name], callers[name], stream)

    def _run_captured(
        self, given: Mapping[str, DeviceBuffer], results: Mapping[str, DeviceBuffer], sizes: Mapping[str, int]
    ) -> None:
        shape = self._shape(given, sizes)
        with self._ordered(given, results, shape.buffers) as stream:
            for name, buffer in given.items():
                self._device.copy(buffer, shape.buffers[name], stream)
            now_refused = False
            if shape.warm and not shape.executable and not shape.refused:
                self._try_to_capture(shape, stream)
                now_refused = shape.refused
            if shape.executable:
                self._device.driver.graph_launch(shape.executable, stream.handle)
            else:
                self._enqueue(shape.context, stream, again=now_refused)
            for name, buffer in results.items():
                self._device.copy(shape.buffers[name], buffer, stream)
        shape.warm = True

    def _shape(self, given: Mapping[str, DeviceBuffer], sizes: Mapping[str, int]) -> _Shape:
        """What there is for these input shapes; made anew where there is nothing, or the arena has moved."""
        key = tuple(buffer.shape for buffer in given.values())
        found = self._shapes.pop(key, None)
        if found is not None and found.arena_address != self._arena.address:
            self._drop(found)
            found = None
        if found is not None:
            self._shapes[key] = found
            return found
        while len(self._shapes) >= _MOST_SHAPES:
            self._drop(self._shapes.popitem(last=False)[1])
        buffers = {name: self._own(buffer) for name, buffer in given.items()}
        buffers |= {tensor.name: self._fresh(tensor, sizes) for tensor in self.spec.outputs}
        context = self._make_context()
        self._bind(context, buffers)
        self._shapes[key] = shape = _Shape(context, buffers, self._arena.memory.address)
        return shape

    @contextmanager
    def _ordered(
        self,
        given: Mapping[str, DeviceBuffer],
        results: Mapping[str, DeviceBuffer],
        bound: Mapping[str, DeviceBuffer],
    ) -> Iterator[Stream]:
        """A run on the chosen stream: it reads `given`, and writes `results`, buffers of its own and the arena."""
        callers, stream = {**given, **results}, self._device.current
        own = [buffer.memory for name, buffer in bound.items() if buffer is not callers.get(name)]
        reads = [buffer.memory for buffer in given.values()]
        writes = [*(buffer.memory for buffer in results.values()), *own, self._arena.memory]
        with ordered(stream, reads=reads, writes=writes), self._device.trace.span(self.spec.name, stream):
            yield stream

    def _bind(self, context: Any, buffers: Mapping[str, DeviceBuffer]) -> None:
        """Shapes, the arena that they need, and addresses. Raises EngineMismatch where it cannot be had."""
        shapes = {t.name: buffers[t.name].shape for t in self.spec.inputs}
        if context is self._context and shapes == self._fitted[0]:
            self._grow(self._fitted[1])
        else:
            self._fit(context, shapes)
        arena = self._arena.memory
        context.set_device_memory(arena.address, arena.size)
        if not all(context.set_tensor_address(name, buffer.address) for name, buffer in buffers.items()):
            raise self._not_taken()

    def _fit(self, context: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        assert self._activations is not None, "closed"
        if context is self._context:
            self._fitted = ({}, 0)
        if not all(context.set_input_shape(name, shape) for name, shape in shapes.items()):
            raise self._not_taken()
        size = self._activations(context)
        self._grow(size)
        if context is self._context:
            self._fitted = (shapes, size)

    def _not_taken(self) -> InternalError:
        return InternalError(f"{self.spec.name} does not take its buffers: {self._last_error() or 'no reason given'}")

    def _enqueue(self, context: Any, stream: Stream, *, again: bool = False) -> None:
        """`again`: once more where it fails. TensorRT brings a CUDA runtime of its own, whose last error is not ours to
        clear: after a capture that was refused, it may tell that one of the first run that follows."""
        if not (context.execute_async_v3(stream.handle) or (again and context.execute_async_v3(stream.handle))):
            raise InternalError(f"{self.spec.name} failed in TensorRT: {self._last_error() or 'no reason given'}")

    def _try_to_capture(self, shape: _Shape, stream: Stream) -> None:
        """Nothing runs. What is really broken fails twice in the plain runs that follow a refusal, and is raised."""
        assert self._may_capture is not None
        try:
            if not self._may_capture(shape.context, stream.handle):
                raise InternalError("TensorRT says that it cannot be captured")
            shape.executable = self._capture(shape.context, stream)
        except InternalError as error:
            self._device.driver.clear_error()  # ours; others that share our CUDA runtime would take it for theirs
            shape.refused, self.uncaptured = True, str(error)

    def _capture(self, context: Any, stream: Stream) -> int:
        """What one run queues on `stream`, as something to launch."""
        driver = self._device.driver
        driver.capture_begin(stream.handle)
        try:
            self._enqueue(context, stream)
        except BaseException:
            with suppress(HpTrtError):  # the stream must be let go; the first error says more
                driver.graph_destroy(driver.capture_end(stream.handle))
            raise
        graph = driver.capture_end(stream.handle)
        try:
            return driver.graph_instantiate(graph)
        finally:
            driver.graph_destroy(graph)

    def _make_context(self) -> Any:
        assert self._new_context is not None, "closed"
        context, self._spare = self._spare or self._new_context(), None
        return context

    def _own(self, like: DeviceBuffer) -> DeviceBuffer:
        return self._device.empty(like.shape, str(like.dtype))

    def _drop(self, shape: _Shape) -> None:
        """Once its last run is over: a graph or a context in use must not go."""
        for buffer in shape.buffers.values():
            buffer.memory.wait()
        if shape.executable:
            self._device.driver.executable_destroy(shape.executable)

    def _fresh(self, promised: TensorSpec, sizes: Mapping[str, int]) -> DeviceBuffer:
        return self._device.empty(promised.shape_at(sizes), promised.dtype)

    def _results(self, sizes: Mapping[str, int], given: Mapping[str, Buffer] | None) -> dict[str, DeviceBuffer]:
        """The outputs that are wanted: the buffers `given` for them, or fresh ones for all."""
        wanted = self.spec.wanted(given)
        if given is None:
            return {promised.name: self._fresh(promised, sizes) for promised in wanted}
        results = {}
        for promised in wanted:
            buffer, shape = device_buffer(given[promised.name]), promised.shape_at(sizes)
            if buffer.shape != shape or buffer.dtype != promised.dtype:
                raise ValueError(
                    f"{self.spec.name}: the buffer for {promised.name} is {buffer.shape} {buffer.dtype}, "
                    f"needs {shape} {promised.dtype}"
                )
            results[promised.name] = buffer
        return results


def _least(spec: NetworkSpec, promised: TensorSpec) -> tuple[int, ...]:
    return tuple(spec.ranges[dim].min if isinstance(dim, str) else dim for dim in promised.dims)

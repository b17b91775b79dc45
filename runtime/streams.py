"""What runs beside what, who owns which buffer, and how the host stays out of the way.

A backend orders work by itself (`engines.backend`): a stream is a choice of what may overlap, never of what is correct.
A graph's lane stands in its promise (`engines.spec.NetworkSpec`).

    stream      what                                      why it is one of its own
    copy_in     uploads                                   the next step's numbers arrive while a network runs
    denoise     graphs of that lane; gathering            each step needs the one before
    decode      graphs of that lane                       the next clip can be denoised meanwhile, if asked for
    copy_out    fetches and downloads                     frames and the guard's numbers leave while a network runs

    buffer                                                owner                       gone
    image tokens, image latents                           `Identity`, the portrait    with the portrait
    motion tokens, while the driving video is read        `MotionBank`                is the loop's then
    motion tokens of the clip, step numbers, conditions   `ClipLoop`                  with the clip's last frame
    latents of frames that have begun and not left        `ClipLoop`                  with the clip's last frame
    velocities that wait for another window's             `ClipLoop`                  with the clip's last frame
    latents of a chunk                                    `decode`                    with the chunk
    frames of a chunk, twice: one decoded, one copied     `decode`                    with the clip's last frame
    frames and latents on the host                        whoever holds the array     with the array
    activations, buffers of captured graphs               the backend's sessions      with the session

TensorRT's graphs share one arena of activations, which orders "denoise" and "decode": they take turns. With
`RuntimeConfig.overlap_decode` the decoder has an arena of its own, and the two run beside each other.

On a CPU two calls run beside each other, each with half of the threads (`Beside`): two windows, a window and a
chunk, or two chunks. Inputs are gathered and results taken by the loop's own thread alone.

The host queues a window, then waits for the window before: the device always has work, and never more than that.
That wait is the `Guard`'s, who looks at every stage's output for NaN. `ReadAhead` does the same for frames. In a live
session nobody waits in its turn: the threads look when they have let go of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import numpy as np

from engines.backend import Backend, Buffer, Pending

Item = TypeVar("Item")
Made = TypeVar("Made")


class Guard:
    """Looks at outputs later than they were made, so that looking stops nobody.

    What is wrong is raised by `settle`, as whatever the look raises. A guard that is never settled has seen nothing.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._watched: deque[tuple[Pending, Callable[[np.ndarray], object]]] = deque()

    def watch(self, buffer: Buffer, look: Callable[[np.ndarray], object]) -> None:
        """Begin to fetch what `buffer` holds now; `look` gets it in `settle`. The buffer may be written again."""
        self._watched.append((self._backend.fetch(buffer), look))

    def settle(self, *, but: int = 0) -> None:
        """Look at everything watched, in order, but for the last `but`. Waits until it has arrived."""
        while len(self._watched) > but:
            pending, look = self._watched.popleft()
            look(pending.wait())


class ReadAhead(Generic[Item]):
    """Results in order, each begun while the one before it is still wanted.

    `begin(item, slot)` queues one; what it writes to belongs to `slot`, of which there are `slots`. On a backend whose
    work is done when a call returns, and which runs one of its `calls` at a time, there is one, and nothing is begun
    early: that would only make the first late.
    """

    def __init__(
        self, backend: Backend, items: Sequence[Item], begin: Callable[[Item, int], Pending], *, calls: int = 1
    ) -> None:
        self.slots = 2 if backend.asynchronous else calls
        self._items = items
        self._begin = begin
        self._begun = 0
        self._pending: deque[Pending] = deque()

    def next(self) -> np.ndarray:
        """The next item's result, once the one after it is on its way."""
        while self._begun < len(self._items) and len(self._pending) < self.slots:
            self._pending.append(self._begin(self._items[self._begun], self._begun % self.slots))
            self._begun += 1
        return self._pending.popleft().wait()


class Beside:
    """Runs calls of graphs that do not need each other's results: `calls` at one time, as many as
    `engines.backend.Backend.calls` says, and those that are more in the order in which they were begun.

    Two calls with a core each are done before two with two cores, one after the other: small operations do not scale,
    and between them threads wait for one another. Results do not depend on it: a call's inputs are gathered before it
    begins, and what it made is taken by whoever began it.
    """

    def __init__(self, calls: int = 1) -> None:
        self.calls = calls
        self._pool = ThreadPoolExecutor(calls, thread_name_prefix="call") if calls > 1 else None

    def begin(self, call: Callable[[], Made]) -> Future[Made]:
        """Have `call` run. What it raises is raised by the future; here, where nothing runs beside it."""
        if self._pool is not None:
            return self._pool.submit(call)
        done: Future[Made] = Future()
        done.set_result(call())
        return done

    def close(self) -> None:
        """Wait for those that run; those that wait for their turn never do. Twice is fine."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

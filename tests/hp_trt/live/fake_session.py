"""A session without networks: it inverts colours, takes its time, and drops what it is told to."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction

import numpy as np

from engines.errors import InputError
from hp_trt.live.run import Opened
from hp_trt.live.session import LiveFrame, LiveStats


def fake_stats(**changes) -> LiveStats:
    """A session that has done nothing yet, but for `changes`."""
    nothing = LiveStats(
        pushed=0,
        emitted=0,
        dropped_in=0,
        dropped_out=0,
        held=0,
        faceless=0,
        queued_in=0,
        room_in=8,
        queued_out=0,
        frames_per_s=12.5,
        latency_p50_s=0.25,
        latency_p99_s=0.5,
        late=False,
        notes=(),
    )
    return replace(nothing, **changes)


class FakeSession:
    """Holds `inside` frames back, as a window does; drops every `drop_every`th; needs `delay_s` for each.

    `fails_at`: raises instead of giving this frame. Frames have `size` (width, height), whatever came.
    """

    def __init__(self, *, size=(64, 48), inside=0, delay_s=0.0, drop_every=0, fails_at=None, capacity=50):
        self.size, self.inside, self.delay_s, self.drop_every = size, inside, delay_s, drop_every
        self.fails_at, self.capacity = fails_at, capacity
        self.pushed: list[tuple[tuple[int, ...], Fraction]] = []  # shapes and times
        self.emitted = self.dropped = 0
        self.queue: deque = deque()
        self.changed = threading.Condition()
        self.closed = self.aborted = False
        self.policy = None

    def push(self, image, pts_s=None):
        with self.changed:
            while len(self.queue) >= self.capacity and not (self.closed or self.aborted):
                self.changed.wait(1)
            if self.closed or self.aborted:
                raise InputError("closed")
            self.pushed.append((image.shape, pts_s))
            if self.drop_every and len(self.pushed) % self.drop_every == 0:
                self.dropped += 1
                return False
            self.queue.append((image, pts_s))
            self.changed.notify_all()
            return True

    def pull(self, timeout_s=None):
        time.sleep(self.delay_s)
        with self.changed:
            ready = self.changed.wait_for(
                lambda: len(self.queue) > (0 if self.closed else self.inside) or self.closed or self.aborted, timeout_s
            )
            if not ready:
                raise TimeoutError
            if self.aborted or not self.queue:
                return None
            if self.fails_at == self.emitted:
                raise InputError("the session failed on purpose; do nothing")
            image, pts_s = self.queue.popleft()
            self.emitted += 1
            self.changed.notify_all()
        crop = np.empty((self.size[1], self.size[0], 3), np.uint8)
        crop[:] = 255 - image[: self.size[1], : self.size[0]].mean(axis=(0, 1)).astype(np.uint8)
        return LiveFrame(
            index=self.emitted - 1,
            pts_s=pts_s,
            crop=crop,
            latency_s=0.25,
            ready_s=time.monotonic(),
            _paste=lambda made: made,
        )

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def abort(self):
        with self.changed:
            self.closed = self.aborted = True
            self.changed.notify_all()

    @property
    def stats(self):
        return fake_stats(pushed=len(self.pushed), emitted=self.emitted, dropped_in=self.dropped)

    @contextmanager
    def open(self, policy):
        """For `run_live`."""
        self.policy = policy
        try:
            yield Opened(session=self, full=self.size, crop=self.size)
        finally:
            self.abort()

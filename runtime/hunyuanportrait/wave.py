"""Which windows run when, so that a clip's frames become final from its beginning on: index arithmetic, no device.

A window of a step needs its frames as the step before left them, and nothing else. So the clip need not go through a
step as a whole, as the released sampler does: a wave runs through it, and behind the wave frames are finished.

    level       how many steps are done with a frame; every frame is at one level
    a window    of step s runs when all of its frames are at level s
    a frame     goes on to level s + 1 when all windows of step s that hold it have run

Which windows that takes is asked from the end: frames are finished by the last step's windows that hold them, whose
frames the windows of the step before bring so far, and so on. Windows wrap round the clip's end, so the first frames
need some of the last ones. In which order windows run changes no number; only one group of all frames is the released
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import Windows, shift_at


def layouts_of(sampling: Sampling, frames: int) -> list[Windows]:
    """The windows of each executed step over `frames` frames, padding included."""
    size = sampling.window
    return [
        Windows(frames, size, sampling.overlap, shift_at(step, shift=sampling.shift, size=size))
        for step in range(sampling.executed_steps)
    ]


def windows_run(layouts: Sequence[Windows], wanted: range) -> list[int]:
    """How many windows of each step the `wanted` frames need: all but those of which only padding is made."""
    idle = set(range(layouts[0].frames)) - set(wanted)
    counts = []
    for layout in reversed(layouts):
        left_out = {w for frame in idle for w, _ in layout.holding(frame) if idle.issuperset(layout[w])}
        idle = {frame for frame in idle if all(w in left_out for w, _ in layout.holding(frame))}
        counts.append(len(layout) - len(left_out))
    return counts[::-1]


class Wave:
    """How far each frame is, and which windows have run."""

    def __init__(self, layouts: Sequence[Windows]) -> None:
        self.layouts = layouts
        self.levels: dict[int, int] = {}  # of frames that have begun and are not let go of
        self.waiting: dict[int, list[tuple[int, int]]] = {}  # (window, place) that have run of such a frame's next step
        self._gone = range(0)  # finished and let go of

    def needed(self, frames: Iterable[int]) -> list[tuple[int, int]]:
        """The windows, (step, window) in an order in which they can run, that are to run until `frames` are final."""
        wanted, steps = set(frames), []
        for step in reversed(range(len(self.layouts))):
            layout = self.layouts[step]
            behind = [frame for frame in wanted if self.level(frame) <= step]
            todo = sorted({w for frame in behind for w, _ in layout.holding(frame) if not self._has_run(step, w)})
            wanted = {frame for w in todo for frame in layout[w]}
            steps.append([(step, w) for w in todo])
        return [window for step in reversed(steps) for window in step]

    def can_run(self, step: int, window: int) -> bool:
        """Whether all frames of the window are where its step takes them up, and it has not run."""
        frames = self.layouts[step][window]
        return not self._has_run(step, window) and all(self.level(frame) == step for frame in frames)

    def begin(self, frames: Iterable[int]) -> list[int]:
        """Those of `frames` that nothing was done with so far; they are at level 0 now."""
        new = [frame for frame in dict.fromkeys(frames) if self.level(frame) == 0 and frame not in self.levels]
        self.levels.update(dict.fromkeys(new, 0))
        return new

    def run(self, step: int, window: int) -> list[int]:
        """The window has run. The places in it whose frames are a level further by that."""
        layout = self.layouts[step]
        frames = layout[window]
        for place, frame in enumerate(frames):
            assert self.levels[frame] == step, f"frame {frame} at level {self.levels[frame]} in a window of step {step}"
            self.waiting.setdefault(frame, []).append((window, place))
        whole = [i for i, frame in enumerate(frames) if len(self.waiting[frame]) == len(layout.holding(frame))]
        for frame in {frames[i] for i in whole}:
            self.levels[frame] += 1
            del self.waiting[frame]
        return whole

    def let_go(self, begin: int, end: int) -> list[int]:
        """The final frames [begin, end) are wanted no more, as those before them. Those that were held until now."""
        gone = [frame for frame in range(max(begin, self._gone.stop), end) if frame in self.levels]
        for frame in gone:
            assert self.levels.pop(frame) == len(self.layouts), f"frame {frame} is not final"
        self._gone = range(self._gone.start if self._gone else begin, end)
        return gone

    def restore(self, levels: Mapping[int, int], waiting: Iterable[tuple[int, int, int]], gone: range) -> None:
        """Go on from frames at these levels, with what has run of their next steps: (frame, window, place)."""
        self.levels.update(levels)
        for frame, window, place in waiting:
            self.waiting.setdefault(frame, []).append((window, place))
        self._gone = gone

    @property
    def gone(self) -> int:
        """The frames before this one are let go of."""
        return self._gone.stop

    def level(self, frame: int) -> int:
        return len(self.layouts) if frame in self._gone else self.levels.get(frame, 0)

    def _has_run(self, step: int, window: int) -> bool:
        first = self.layouts[step][window][0]
        level = self.level(first)
        return level > step or (level == step and (window, 0) in self.waiting.get(first, ()))

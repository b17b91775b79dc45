"""NVTX ranges of a clip's stages, for NVIDIA's profilers, made of the same events as its progress.

A stage is a range that may overlap others; its pieces are marks, because an event tells of a piece when it is over.
"""

from __future__ import annotations

from typing import Any

from runtime.stages import Event


class StageRanges:
    """The ranges of one job. `close` it at the end."""

    def __init__(self) -> None:
        import nvtx

        self._nvtx: Any = nvtx
        self._open: dict[str, Any] = {}

    def on_event(self, event: Event) -> None:
        if event.kind == "begin":
            self._end(event.stage)
            self._open[event.stage] = self._nvtx.start_range(message=event.stage, domain="hp_trt")
        elif event.kind == "end":
            self._end(event.stage)
        else:
            self._nvtx.mark(message=f"{event.stage} {event.done}", domain="hp_trt")

    def close(self) -> None:
        for stage in list(self._open):
            self._end(stage)

    def _end(self, stage: str) -> None:
        found = self._open.pop(stage, None)
        if found is not None:
            self._nvtx.end_range(found)

"""What of ComfyUI a node that works long needs: its bar, its stop button, a place among its outputs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import folder_paths
from comfy.model_management import processing_interrupted, throw_exception_if_processing_interrupted
from comfy_api.v0_0_2 import ComfyAPISync, InputImpl, io, ui

from hp_trt import Cancelled, Event, Stages

# Of a clip's time, by stage, roughly; what else there is takes little. What is enlarged has one stage of them.
_SHARES = {"motion": 0.1, "denoise": 0.7, "decode": 0.2, "upscale": 1.0}
_STEP = 0.01  # a bar that moves more often costs more than it shows


@contextmanager
def watched(node_id: str | None) -> Iterator[Stages]:
    """Stages whose units move the bar of the node, and that end when somebody presses stop.

    ComfyUI hears of that by the exception that it knows. Without an id there is no bar.
    """
    cancel, bar = threading.Event(), _Bar(node_id)

    def on_event(event: Event) -> None:
        if processing_interrupted():
            cancel.set()
        bar.move(event)

    try:
        yield Stages(on_event, cancel=cancel, most_spans=0)
    except Cancelled:
        throw_exception_if_processing_interrupted()
        raise
    bar.show(1.0)


class _Bar:
    """One node's bar, from 0 to 1; it never goes back. Threads may share it."""

    def __init__(self, node_id: str | None) -> None:
        self._node_id, self._api = node_id, ComfyAPISync()
        self._done: dict[str, float] = {}
        self._shown = 0.0
        self._lock = threading.Lock()

    def move(self, event: Event) -> None:
        if event.stage not in _SHARES or not event.total:  # a live profile does not know how long the video is
            return
        with self._lock:
            self._done[event.stage] = min(1.0, event.done / event.total)
            value = sum(_SHARES[stage] * done for stage, done in self._done.items())
        if value >= self._shown + _STEP:
            self.show(value)

    def show(self, value: float) -> None:
        self._shown = value
        if self._node_id is not None:  # named, because a stage may be another thread's, which ComfyUI knows nothing of
            self._api.execution.set_progress(value=value, max_value=1.0, node_id=self._node_id)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A free name below ComfyUI's folder of outputs."""

    folder: Path
    subfolder: str
    name: str

    @classmethod
    def free(cls, prefix: str, ending: str) -> Place:
        """The next free name of a prefix, as ComfyUI's own nodes count them."""
        output = folder_paths.get_output_directory()
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, output)
        return cls(folder=Path(folder), subfolder=subfolder, name=f"{name}_{counter:05}_{ending}")

    @property
    def path(self) -> Path:
        return self.folder / self.name

    def video(self) -> Any:
        """The file as a VIDEO, which nobody has decoded."""
        return InputImpl.VideoFromFile(str(self.path))

    def shown(self) -> Any:
        """The file below the node."""
        return ui.PreviewVideo([ui.SavedResult(self.name, self.subfolder, io.FolderType.output)])

"""What the service needs of a `hp_trt.Runtime`, so that a test can put another thing there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from runtime.stages import Stages


class Engine(Protocol):
    """What a lane needs of a `hp_trt.Runtime`; the profile that it was opened with is that of its clips."""

    profile: Any
    model: Any

    def portrait(self, image: Path, *, stages: Stages | None = None) -> Any: ...
    def write_portrait(self, out: Path, portrait: Any) -> Any: ...
    def write_motion(self, out: Path, **how: Any) -> Any: ...
    def animate(self, portrait: Any, **how: Any) -> Any: ...
    def close(self) -> None: ...


OpenEngine = Callable[[str], Engine]  # by the name of a profile

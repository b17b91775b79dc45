"""What goes from node to node along wires of ours, and how long it lives."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path

from comfy_api.v0_0_2 import io

from hp_trt import Enhancer, Portrait, Runtime, RuntimeConfig

RuntimeWire = io.Custom("HP_TRT_RUNTIME")  # an Opened
PortraitWire = io.Custom("HP_TRT_PORTRAIT")  # an Encoded
MotionWire = io.Custom("HP_TRT_MOTION")  # the Path of a motion file
EnhancerWire = io.Custom("HP_TRT_ENHANCER")  # an OpenedEnhancer


class Opened:
    """A runtime that is closed when the last node's result that holds it is dropped: ComfyUI says when, and to nobody.

    Raises what `Runtime` raises.
    """

    def __init__(self, bundle: Path | str, config: RuntimeConfig) -> None:
        self.runtime = Runtime(bundle, config)
        self._closing = weakref.finalize(self, self.runtime.close)


class OpenedEnhancer:
    """The same of an enhancer."""

    def __init__(self, bundle: Path | str, config: RuntimeConfig) -> None:
        self.enhancer = Enhancer(bundle, config)
        self._closing = weakref.finalize(self, self.enhancer.close)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A portrait, and the runtime whose graphs have encoded it."""

    opened: Opened
    portrait: Portrait


def stamp(path: str) -> tuple[int, int] | None:
    """What changes where a file that a widget names is written anew; None where there is none."""
    try:
        found = Path(path.strip()).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size

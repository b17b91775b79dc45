"""What goes from node to node along wires of ours, how long it lives, and what a node that opens a bundle asks."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import io

from engines.families import AUTO, FAMILY_NAMES, PROVIDERS
from engines.manifest import MANIFEST_NAME
from hp_trt import Enhancer, HpTrtError, Portrait, Runtime, RuntimeConfig
from hp_trt.shipped import bundle_folder

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


def bundle_stamp(bundle: str) -> Any:
    """As `stamp`, of a bundle's manifest; None where there is no such bundle, which `execute` says."""
    try:
        return stamp(str(bundle_folder(bundle) / MANIFEST_NAME))
    except HpTrtError:
        return None


def device_inputs() -> list[Any]:
    """What runs a bundle's graphs, and where."""
    return [
        io.Combo.Input("family", options=[*FAMILY_NAMES, AUTO], default=FAMILY_NAMES[0]),
        io.Combo.Input("provider", options=list(PROVIDERS), default=PROVIDERS[0]),
        io.Int.Input("device", default=0, min=0, max=1023, tooltip="Which GPU."),
        io.Int.Input("threads", default=0, min=0, max=1024, tooltip="Of the CPU; 0: every core."),
    ]

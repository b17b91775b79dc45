"""Portrait animation for applications: open a bundle once, animate many clips.

    from hp_trt import Runtime

    with Runtime("bundle") as runtime:
        portrait = runtime.portrait("me.png")
        runtime.animate(portrait, "driving.mp4", "out.mp4")

All that an application names stands here; each name is imported with its first use. That loads numpy and nothing
heavier; OpenCV, PyAV and ONNX Runtime come when they work. What is not listed in `__all__` may change at any time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hp_trt.siblings import check_siblings

check_siblings("engines", "runtime")

if TYPE_CHECKING:  # for type checkers, the same as `_HOMES`
    from engines.errors import (
        BundleError,
        Busy,
        Cancelled,
        CheckpointError,
        DiskError,
        EngineMismatch,
        FaceNotFound,
        HpTrtError,
        InputError,
        InternalError,
        LiveTimeout,
        NonFiniteError,
        OutputError,
        ParityError,
    )
    from hp_trt.api import Runtime
    from hp_trt.config import RuntimeConfig
    from hp_trt.encoded.encoded_file import Written
    from hp_trt.enhancer.enhancer import Enhancer
    from hp_trt.enhancer.files import Enhanced
    from hp_trt.enhancer.pipeline import EnhancedFrame
    from hp_trt.interface.results import Animation, Frame
    from hp_trt.live.session import LiveFrame, LiveSession, LiveStats
    from hp_trt.media.portrait import Portrait
    from hp_trt.model import SamplingOptions
    from hp_trt.profiles import Profile
    from hp_trt.provenance.options import Provenance
    from runtime.stages import Event, Stages

__all__ = [
    "Animation",
    "BundleError",
    "Busy",
    "Cancelled",
    "CheckpointError",
    "DiskError",
    "EngineMismatch",
    "Enhanced",
    "EnhancedFrame",
    "Enhancer",
    "Event",
    "FaceNotFound",
    "Frame",
    "HpTrtError",
    "InputError",
    "InternalError",
    "LiveFrame",
    "LiveSession",
    "LiveStats",
    "LiveTimeout",
    "NonFiniteError",
    "OutputError",
    "ParityError",
    "Portrait",
    "Profile",
    "Provenance",
    "Runtime",
    "RuntimeConfig",
    "SamplingOptions",
    "Stages",
    "Written",
    "__version__",
]
__version__ = "0.1.0"

_HOMES = {
    "engines.errors": (
        "BundleError Busy Cancelled CheckpointError DiskError EngineMismatch FaceNotFound HpTrtError InputError "
        "InternalError LiveTimeout NonFiniteError OutputError ParityError"
    ),
    "hp_trt.api": "Runtime",
    "hp_trt.config": "RuntimeConfig",
    "hp_trt.encoded.encoded_file": "Written",
    "hp_trt.enhancer.enhancer": "Enhancer",
    "hp_trt.enhancer.files": "Enhanced",
    "hp_trt.enhancer.pipeline": "EnhancedFrame",
    "hp_trt.live.session": "LiveFrame LiveSession LiveStats",
    "hp_trt.media.portrait": "Portrait",
    "hp_trt.model": "SamplingOptions",
    "hp_trt.profiles": "Profile",
    "hp_trt.provenance.options": "Provenance",
    "hp_trt.interface.results": "Animation Frame",
    "runtime.stages": "Event Stages",
}

if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        for home, names in _HOMES.items():
            if name in names.split():
                found = getattr(import_module(home), name)
                globals()[name] = found  # the next time it is an attribute like any other
                return found
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

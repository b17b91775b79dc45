"""Portrait animation for applications: open a bundle once, animate many clips.

    from hp_trt import Runtime

    with Runtime("bundle") as runtime:
        portrait = runtime.portrait("me.png")
        runtime.animate(portrait, "driving.mp4", "out.mp4")

Importing this loads numpy and nothing heavier; OpenCV, PyAV and ONNX Runtime come with their first use.
"""

from engines.errors import HpTrtError
from hp_trt.api import Animation, Frame, Portrait, Runtime
from hp_trt.config import RuntimeConfig
from runtime.hunyuanportrait.sampling import Sampling

__all__ = ["Animation", "Frame", "HpTrtError", "Portrait", "Runtime", "RuntimeConfig", "Sampling"]

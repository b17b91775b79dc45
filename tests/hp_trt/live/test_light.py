from __future__ import annotations

import subprocess
import sys

HEAVY = {"torch", "onnx", "onnxruntime", "cv2", "av", "PIL", "skimage"}


def test_the_command_loads_its_libraries_only_when_it_works():
    code = "import sys, hp_trt.live.run, hp_trt.streams.display; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)

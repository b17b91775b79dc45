from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "onnx", "onnxruntime", "cv2", "av", "PIL", "skimage"}


@pytest.mark.parametrize(
    "module",
    [
        "faces.haar",
        "faces.locators",
        "hunyuanportrait.portrait",
        "hunyuanportrait.driving",
        "media.images",
        "media.video_writer",
        "media.paste",
        "sample",
        "__main__",
    ],
)
def test_a_module_loads_its_libraries_only_when_it_works(module):
    code = f"import sys, hp_trt.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)

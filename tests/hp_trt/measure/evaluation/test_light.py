from __future__ import annotations

import subprocess
import sys


def test_evaluating_needs_no_pytorch_and_loads_the_rest_when_it_works():
    code = "import sys, hp_trt.measure.evaluation.evaluate, hp_trt.measure.evaluation.outputs; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "skimage", "matplotlib", "onnxruntime", "av", "export"} & set(loaded)

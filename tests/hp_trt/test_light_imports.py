"""What an import loads: numpy at most. Other libraries come when they work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "onnx", "onnxruntime", "cv2", "av", "PIL", "skimage", "matplotlib", "espeakng_loader"}
HEAVY |= {"ray", "fastapi", "starlette", "pydantic", "uvicorn", "prometheus_client", "opentelemetry", "nvtx"}


def loaded(code: str) -> set[str]:
    """The modules that a process of its own has after `code`."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_hp_trt_itself_loads_nothing_and_its_names_load_numpy_alone():
    assert not {"numpy", "hp_trt.api", *HEAVY} & loaded("import hp_trt")
    found = loaded("import hp_trt\nfor name in hp_trt.__all__: getattr(hp_trt, name)")
    assert {"numpy", "hp_trt.api"} <= found and not HEAVY & found


@pytest.mark.parametrize(
    "module",
    [
        "__main__",
        "faces.haar",
        "faces.locators",
        "faces.mesh",
        "fetch.fetch",
        "hunyuanportrait.portrait",
        "hunyuanportrait.driving",
        "interface.voices",
        "live.run",
        "measure.planning.plan",
        "measure.planning.table",
        "media.images",
        "media.paste",
        "media.video_writer",
        "resume.resumable_video",
        "sample",
        "streams.display",
    ],
)
def test_a_module_loads_its_libraries_only_when_it_works(module):
    assert not HEAVY & loaded(f"import hp_trt.{module}")


def test_a_voice_that_is_optional_is_loaded_when_it_speaks_alone():
    found = loaded("import procedural.speech.espeak, hp_trt.sample, hp_trt.__main__")
    assert "procedural.speech.espeak" in found and not HEAVY & found
    assert "procedural.speech.espeak" not in loaded("import hp_trt.__main__, hp_trt.api, hp_trt.sample")


def test_evaluating_loads_what_people_are_drawn_with_and_no_other_library():
    found = loaded("import hp_trt.measure.evaluation.evaluate, hp_trt.measure.evaluation.outputs")
    assert HEAVY & found <= {"cv2"} and "export" not in found

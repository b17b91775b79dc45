"""A library that is not installed is the user's to install, whichever door needs it: one line, exit code 2."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hp_trt.interface.missing import EXTRAS, missing_library

ROOT = Path(__file__).parents[3]
# Of packages whose module has another name.
MODULES = {
    "cuda-python": "cuda",
    "tensorrt-rtx": "tensorrt_rtx",
    "onnxruntime-gpu": "onnxruntime",
    "scikit-image": "skimage",
    "espeakng-loader": "espeakng_loader",
    "c2pa-python": "c2pa",
    "python-multipart": "python_multipart",
    "prometheus-client": "prometheus_client",
    "opentelemetry-sdk": "opentelemetry",
}
DOORS = {
    "demo": "hp_trt demo --out {out}/demo",
    "animate": "hp_trt animate --bundle {bundle} --portrait {portrait} --driving {driving} --out {out}/o.mp4",
    "live": "hp_trt live --bundle {bundle} --portrait {portrait} --driving {driving} --out {out}/o.mp4",
    "evaluate": "hp_trt evaluate --bundle {bundle} --protocol self --seeds 0:1 --frames 3",
    "inspect": "hp_trt inspect {bundle}",
    "doctor": "hp_trt doctor",
    "plan": "hp_trt plan --gpu here --bundle {bundle}",
    "batch": "hp_trt batch --bundle {bundle} --portraits {folder} --drivings {folder} --out {out}/batch",
    "card": "hp_trt card --bundle {bundle} --out {out}/CARD.md",
    "sample": "hp_trt sample --out {out}/sample --frames 2",
    "sample, espeak": "hp_trt sample --speech --voice espeak --out {out}/espeak --frames 2",
    "serve": "hp_trt serve --bundle {bundle} --state {out}/state --port 0",
    "build": "export.build_engines --preset pocket --bundle {out}/b",
    "build, dry": "export.build_engines --preset pocket --bundle {out}/b --dry-run",
    "build, TensorRT": "export.build_engines --family tensorrt --bundle {bundle}",
    "build, RTX": "export.build_engines --family tensorrt-rtx --capability 8.9 --bundle {bundle}",
    "ship": "export.shipping --bundle {out}/p",
    "train": "export.train --run {out}/run --minutes 0.01",
    "distill": "export.distill --preset pocket --run {out}/run --out {out}/w.safetensors",
    "bench": "runtime.bench --bundle {bundle} --frames 2 --runs 1 --warmup 0",
    "bench, race": "runtime.bench --bundle {bundle} --reference",
    "bench, timeline": "runtime.bench --bundle {bundle} --timeline {out}/t.png",
    "bench, prices": "runtime.bench --bundle {bundle} --profiles exact --frames 2 --seeds 0:1 --runs 1",
}
# Runs a door as `python -m` does, in a process that has none of the libraries in the first argument.
BLOCKED = """
import runpy, sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def files(live_bundle, sample, tmp_path_factory) -> dict[str, Path]:
    portrait, driving = sample
    return {
        "bundle": live_bundle,
        "portrait": portrait,
        "driving": driving,
        "folder": portrait.parent,
        "out": tmp_path_factory.mktemp("out"),
    }


def ended(door: str, files: dict[str, Path], *libraries: str) -> subprocess.CompletedProcess[str]:
    words = DOORS[door].format(**files).split()
    command = [sys.executable, "-c", BLOCKED, ",".join(libraries), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def fine(found: subprocess.CompletedProcess[str]) -> bool:
    """Ended well, or by one line that says what to install."""
    told = found.returncode == 2 and re.search(r"^(error: |--  ).*pip install ", found.stdout + found.stderr, re.M)
    return bool(
        "Traceback" not in found.stderr and "our mistake" not in found.stderr and (found.returncode == 0 or told)
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_door_without_any_of_them_ends_well_or_says_what_to_install(door, files):
    found = ended(door, files, *EXTRAS)
    assert fine(found), found.stderr


@pytest.mark.heavy  # a build in which nothing is missing after all goes on to its end
@pytest.mark.parametrize("library", [name for name, extra in EXTRAS.items() if extra in ("export", "cpu")])
@pytest.mark.parametrize("door", ["build", "build, dry", "bench, race", "train"])
def test_a_door_without_one_of_them_ends_well_or_says_what_to_install(door, library, files, tmp_path):
    assert fine(found := ended(door, {**files, "out": tmp_path}, library)), found.stderr


@pytest.mark.parametrize("name", EXTRAS)
def test_a_failed_import_says_which_extra_brings_the_library(name):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, None)
        with pytest.raises(ModuleNotFoundError) as failed:
            __import__(f"{name}.inside")
    told = missing_library(failed.value)
    assert str(told) == (
        f"this needs {name}, which is not installed; pip install '.[{EXTRAS[name]}]' in a checkout of hp-trt"
    )


@pytest.mark.parametrize(
    "error", [ImportError("torch"), ModuleNotFoundError("no", name="hp_trt.nothing"), KeyError("torch")]
)
def test_any_other_error_stays_what_it_is(error):
    assert missing_library(error) is None


def test_the_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra, needs in project["optional-dependencies"].items():
        for need in needs if extra != "test" else ():
            package = re.match(r"[\w-]+", need).group()
            if package == "hp-trt":  # another extra
                continue
            assert MODULES.get(package, package) in EXTRAS, f"{extra}: {package}"
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])

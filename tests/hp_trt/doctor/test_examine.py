from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace

import onnxruntime
import pytest
from rich.console import Console

from engines import families
from engines.families import ONNXRUNTIME, TENSORRT
from engines.gpu import Gpu, NoGpu, find_gpu
from hp_trt.doctor import abilities
from hp_trt.doctor import examine as doctor
from hp_trt.fetch.table import MESH
from tests.engines.bundles import make_bundle
from tests.hp_trt.media.nvcodec_stand_in import stand_in

ADA = Gpu(index=0, name="NVIDIA L4", capability="8.9", total_bytes=24 << 30, driver_cuda=(13, 0))
HOPPER = Gpu(index=0, name="NVIDIA H200", capability="9.0", total_bytes=140 << 30, driver_cuda=(13, 0))
NOTHING = NoGpu(found="no usable device", fix="install the NVIDIA driver on a machine with an NVIDIA GPU")
OLD = NoGpu(found="the driver serves CUDA up to 12.4, this program's libraries need 13", fix="update the NVIDIA driver")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with these GPUs, this driver release, these versions of the families."""

    def become(
        *gpus,
        free=20 << 30,
        release=None,
        tensorrt=None,
        rtx=None,
        onnx=onnxruntime.__version__,
        openvino=None,
        bundle=None,
    ):
        monkeypatch.setattr(abilities, "find_gpu", lambda index=0: gpus[index] if gpus else NOTHING)
        monkeypatch.setattr(abilities, "gpu_count", lambda: sum(isinstance(gpu, Gpu) for gpu in gpus))
        monkeypatch.setattr(abilities, "free_bytes", lambda index: free)
        driver = tmp_path / "version"
        if release is not None:
            driver.write_text(f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {release}  Release Build\n")
        monkeypatch.setattr(abilities, "DRIVER", driver)
        versions = {"tensorrt": tensorrt, "tensorrt_rtx": rtx, "onnxruntime": onnx, "openvino": openvino}
        monkeypatch.setattr(families, "is_installed", lambda family: versions[family.module] is not None)
        for module in ("tensorrt", "tensorrt_rtx", "openvino"):  # `load` reads nothing else of them
            monkeypatch.setitem(sys.modules, module, SimpleNamespace(__version__=versions[module]))
        monkeypatch.setitem(sys.modules, "onnxruntime", onnxruntime if onnx else None)
        return {finding.name: finding for finding in doctor.examine(bundle)}

    return become


def test_without_a_gpu_it_says_what_still_can_be_built_and_run(machine):
    found = machine(rtx="1.7.1.116")
    assert found["GPU"].found == "no usable device" and "install the NVIDIA driver" in found["GPU"].fix
    assert found["run onnxruntime"].found == "yes, on the CPU"
    assert found["build tensorrt-rtx"].fine
    assert found["build tensorrt-rtx"].found == "yes, for capabilities 8.0, 8.6, 8.9, 12.0, 12.1"
    assert found["run tensorrt-rtx"].found == "no: no usable device"
    assert not found["run tensorrt-rtx"].fine


def test_a_driver_too_old_is_a_line_of_its_own(machine):
    found = machine(OLD, release="550.54.14", rtx="1.7.1.116")
    assert found["driver"].found == ("550.54.14: the driver serves CUDA up to 12.4, this program's libraries need 13")
    assert found["driver"].fix == "update the NVIDIA driver" and not found["driver"].fine
    assert "GPU 0" not in found
    assert found["run tensorrt-rtx"].fix == "update the NVIDIA driver"


def test_a_gpu_is_told_with_its_driver_capability_and_free_memory(machine):
    found = machine(ADA, release="580.65.06")
    assert found["driver"].found == "580.65.06, for CUDA up to 13.0"
    assert found["GPU 0"].fine and found["GPU 0"].found == "NVIDIA L4, capability 8.9, 20.0 of 24.0 GiB free"


def test_a_gpu_that_others_have_filled_is_not_fine(machine):
    found = machine(ADA, free=1 << 30)
    assert not found["GPU 0"].fine and "end what else runs there" in found["GPU 0"].fix


def test_every_gpu_has_a_line(machine):
    found = machine(ADA, Gpu(**{**vars(HOPPER), "index": 1}))
    assert "NVIDIA L4" in found["GPU 0"].found and "NVIDIA H200" in found["GPU 1"].found


def test_both_families_run_on_a_gpu_that_both_know(machine):
    found = machine(ADA, tensorrt="11.4.0.106", rtx="1.7.1.116")
    assert found["build tensorrt"].found == "yes, for NVIDIA L4 (capability 8.9)"
    assert found["run tensorrt"].found == found["run tensorrt-rtx"].found == "yes, on NVIDIA L4"


def test_plans_run_with_the_bindings_of_cuda_alone(machine, monkeypatch):
    real = importlib.util.find_spec
    lacking = {"cuda.core"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in lacking else real(name))
    found = machine(ADA, tensorrt="11.4.0.106", rtx="1.7.1.116")
    assert found["run tensorrt"].fine and found["run tensorrt-rtx"].fine
    lacking.add("cuda.bindings")
    found = machine(find_gpu(), tensorrt="11.4.0.106", rtx="1.7.1.116")
    assert found["run tensorrt"].found == "no: cuda-python is not installed"
    assert found["run tensorrt"].fix == "pip install '.[gpu]' in a checkout of hp-trt"


def test_rtx_is_refused_on_a_capability_it_does_not_take_and_another_family_is_named(machine):
    found = machine(HOPPER, tensorrt="11.4.0.106", rtx="1.7.1.116")
    assert found["run tensorrt"].fine and not found["run tensorrt-rtx"].fine
    assert found["run tensorrt-rtx"].found == ("no: NVIDIA H200 has capability 9.0, it takes 8.0, 8.6, 8.9, 12.0, 12.1")
    assert found["run tensorrt-rtx"].fix == "use another family: onnxruntime with CUDA, or tensorrt"
    assert found["build tensorrt-rtx"].fine  # for other machines


def test_standard_tensorrt_builds_only_where_it_will_run(machine):
    found = machine(tensorrt="11.4.0.106")
    assert found["tensorrt"].fine and found["tensorrt"].found == "11.4.0.106"
    assert found["build tensorrt"].found == "no: it builds on the GPU it is for, no usable device"


def test_a_version_that_the_program_does_not_know_is_named_with_those_it_knows(machine):
    found = machine(ADA, tensorrt="8.6.1")
    assert found["tensorrt"].found == "tensorrt 8.6.1 is installed, this program knows 11 and 10.16"
    assert found["tensorrt"].fix == TENSORRT.install
    assert not found["run tensorrt"].fine


def test_a_missing_family_tells_how_to_install_it(machine):
    found = machine(ADA)
    for name in ("tensorrt", "build tensorrt", "run tensorrt"):
        assert (
            "not installed" in found[name].found
            and found[name].fix == "pip install '.[tensorrt]' in a checkout of hp-trt"
        )


def test_graphs_need_the_exporter_plans_only_their_family(machine, monkeypatch):
    monkeypatch.setattr(abilities, "version", lambda package: None if package == "diffusers" else "2.13.0")
    found = machine(ADA, rtx="1.7.1.116")
    assert found["build onnxruntime"].found == "no: without diffusers"
    assert "pip install torch==" in found["build onnxruntime"].fix and not found["export"].fine
    assert found["build tensorrt-rtx"].fine and found["run tensorrt-rtx"].fine


def test_plans_that_would_be_compared_need_what_compares_them(machine, monkeypatch):
    monkeypatch.setattr(abilities, "version", lambda package: None if package == "polygraphy" else "2.13.0")
    found = machine(ADA, tensorrt="11.4.0.106", rtx="1.7.1.116")
    for name in ("build tensorrt", "build tensorrt-rtx"):
        assert not found[name].fine and found[name].found.endswith("; only with --no-parity, without polygraphy")
    assert machine(rtx="1.7.1.116")["build tensorrt-rtx"].fine  # nothing runs here, so nothing is compared


def test_a_machine_that_runs_plans_needs_no_onnx_runtime(machine):
    found = machine(ADA, tensorrt="11.4.0.106", onnx=None)
    assert found["run tensorrt"].fine and not found["run onnxruntime"].fine
    assert not found["onnxruntime"].needed and found["onnxruntime"].found == "not installed"
    assert found["onnxruntime"].fix == ONNXRUNTIME.install


@pytest.mark.parametrize(("gpus", "tensorrt"), [((), "11.4.0.106"), ((ADA,), None)])
def test_a_machine_that_runs_no_plans_needs_onnx_runtime(machine, gpus, tensorrt):
    missing = machine(*gpus, tensorrt=tensorrt, onnx=None)["onnxruntime"]
    assert missing.needed and not missing.fine
    there = machine(*gpus, tensorrt=tensorrt)["onnxruntime"]
    assert there.needed and there.found.startswith(onnxruntime.__version__)


def test_without_onnx_runtime_nothing_is_exported_or_compared_and_the_fix_brings_it(machine, monkeypatch):
    monkeypatch.setattr(abilities, "version", lambda package: "2.13.0")
    fix = "pip install torch==2.13.0, then pip install '.[cpu,export]' in a checkout of hp-trt"
    found = machine(ADA, tensorrt="11.4.0.106", onnx=None)
    assert (found["build onnxruntime"].found, found["build onnxruntime"].fix) == ("no: without onnxruntime", fix)
    assert found["build tensorrt"].found.endswith("; only with --no-parity, without onnxruntime")
    assert found["build tensorrt"].fix == fix
    assert found["export"].found.endswith("; missing onnxruntime") and found["export"].fix.endswith(fix)


def test_what_exports_leaves_the_onnx_runtime_alone_that_is_there(machine, monkeypatch):
    """It may have come as the package for CUDA."""
    monkeypatch.setattr(abilities, "version", lambda package: None)
    found = machine()["build onnxruntime"]
    assert found.found == "no: without torch, diffusers, onnx, onnxscript"
    assert found.fix.endswith("pip install '.[export]' in a checkout of hp-trt")


def test_every_line_that_is_not_fine_says_what_to_do(machine):
    for gpus in ((), (OLD,), (HOPPER,)):
        for finding in machine(*gpus, tensorrt="8.6.1").values():
            assert finding.fine or finding.fix, finding


def test_the_lines_are_printed_with_their_fix(machine):
    machine()
    out = StringIO()
    doctor.show(doctor.examine(), Console(file=out, width=300, highlight=False))
    lines = out.getvalue().splitlines()
    run = next(line for line in lines if " run tensorrt-rtx " in line)
    assert run.startswith("--  ") and run.endswith("not installed; pip install '.[rtx]' in a checkout of hp-trt")


def test_the_face_mesh_is_told_where_it_is_or_how_to_get_it(machine, monkeypatch, tmp_path):
    missing = machine()["face mesh"]
    assert not missing.fine and not missing.needed and "hp-trt fetch mesh" in missing.fix
    file = tmp_path / "hp-trt" / "face_landmark.tflite"
    file.parent.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    file.write_bytes(b"another file")
    other = machine()["face mesh"]
    assert not other.fine and "is not the face_landmark.tflite of mediapipe" in other.found
    pinned = replace(MESH, size=12, sha256=hashlib.sha256(b"another file").hexdigest())
    monkeypatch.setattr(doctor, "MESH", pinned)
    found = machine()["face mesh"]
    assert found.fine and str(file) in found.found


@pytest.mark.gpu
def test_the_gpu_of_this_machine_has_free_memory():
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["driver"].fine and "GiB free" in found["GPU 0"].found


@pytest.mark.parametrize(("has_bf16", "said"), [(True, "in float32 and bf16"), (False, "this CPU has no bf16")])
def test_openvino_says_what_it_computes_in_here(machine, monkeypatch, has_bf16, said):
    monkeypatch.setattr("engines.openvino_backend.OpenVinoBackend", lambda threads: SimpleNamespace(has_bf16=has_bf16))
    found = machine(openvino="2026.4.1-2")
    assert found["openvino"].found == "2026.4.1-2"
    assert found["build openvino"].fine and found["build openvino"].found.startswith("yes, for this CPU (")
    assert found["run openvino"].fine and said in found["run openvino"].found
    assert found["family auto"].found.startswith("plans of openvino, where the bundle has them for this machine, else")


def test_without_openvino_it_says_what_to_install_and_what_auto_is_then(machine, tmp_path):
    found = machine()
    assert found["run openvino"].found == "no: not installed" and "'.[openvino]'" in found["run openvino"].fix
    assert found["family auto"].found == "onnxruntime; --bundle DIR says it of a bundle"
    make_bundle(tmp_path, denoiser=b"graph")
    assert "auto is onnxruntime; not tensorrt: the bundle" in machine(bundle=tmp_path)["family auto"].found


def test_an_older_openvino_is_a_line_with_the_pip_command(machine):
    found = machine(openvino="2024.6.0")["openvino"]
    assert not found.fine and "2024.6.0 is installed, this program knows 2026.4" in found.found
    assert found.fix.startswith("pip install '.[openvino]'")


def test_nvidias_coders_are_told_with_what_the_gpu_says_of_them(machine, monkeypatch):
    library = stand_in(monkeypatch)
    found = machine(ADA)
    assert found["NVDEC"].fine and found["NVENC"].fine
    assert found["NVENC"].found == "2.2.4 on NVIDIA L4, engines 1, h264 up to 4096 x 4096, for --encoder nvenc"
    library.no_encoder = "PyNvEncoderCaps"
    found = machine(ADA)
    assert found["NVDEC"].fine and not found["NVENC"].fine
    assert found["NVENC"].found == "NVIDIA L4 has no NVENC that opens (PyNvEncoderCaps)"
    assert found["NVENC"].fix == "take a GPU that has it, or leave --encoder nvenc out"

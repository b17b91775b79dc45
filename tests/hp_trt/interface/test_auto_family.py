"""What `--family auto` stands for: the fastest that a bundle and its machine have, and why no faster one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.cpu import find_cpu
from engines.engine_choice import EngineChoice
from engines.errors import EngineMismatch, InputError
from engines.gpu import Gpu
from engines.plan_choice import Here
from hp_trt.config import RuntimeConfig
from hp_trt.hunyuanportrait.profiles import find_profile
from hp_trt.interface import auto_family
from hp_trt.interface.auto_family import pick_family, settled, settled_family
from tests.engines.bundles import CPU_TARGET, TARGET, make_bundle, make_bundle_with_plans, make_bundle_with_table

ADA = Gpu(index=0, name="NVIDIA L4", capability="8.9", total_bytes=24 << 30, driver_cuda=(13, 0))
CHOICE = EngineChoice(exported="openvino", bf16="openvino-bf16")
EXACT = find_profile("exact")


@pytest.fixture
def machine(monkeypatch):
    """A machine with this GPU, or none, and the OpenVINO of `CPU_TARGET`, or none."""

    def become(gpu: Gpu | None = None, openvino: bool = True) -> None:
        def find_here(family, device_id):
            if family.name == "openvino" and openvino:
                return Here(family=family.name, version=CPU_TARGET.version, device=find_cpu())
            if family.plans_for == "gpu" and gpu is not None:
                return Here(family=family.name, version=TARGET.version, device=gpu)
            raise EngineMismatch(f"{family.name} is not here; install it")

        monkeypatch.setattr(auto_family, "find_here", find_here)

    become()
    return become


def test_a_plan_that_fits_the_gpu_comes_first(tmp_path, machine):
    bundle = make_bundle_with_plans(tmp_path, denoiser=b"graph")
    machine(ADA)
    assert str(pick_family(bundle)) == "auto is tensorrt-rtx; not tensorrt: the bundle holds no plans of it"
    machine(None)
    pick = pick_family(bundle)
    assert (pick.family, pick.passed["tensorrt-rtx"]) == ("onnxruntime", "tensorrt-rtx is not here; install it")


def test_then_openvino_by_a_table_for_this_cpu(tmp_path, machine):
    assert pick_family(make_bundle_with_table(tmp_path / "here", {"denoiser": CHOICE})).family == "openvino"
    elsewhere = replace(CPU_TARGET, gpu="another CPU")
    pick = pick_family(make_bundle_with_table(tmp_path / "other", {"denoiser": CHOICE}, elsewhere))
    assert pick.family == "onnxruntime"
    assert "built on another CPU, this is" in pick.passed["openvino"]


def test_then_onnx_runtime_which_runs_every_bundle(tmp_path):
    pick = pick_family(make_bundle(tmp_path, denoiser=b"graph"))
    assert pick.family == "onnxruntime"
    assert set(pick.passed) == {"tensorrt", "tensorrt-rtx", "openvino"}


def test_a_family_without_the_profiles_products_is_passed_over(tmp_path, machine):
    bundle = make_bundle_with_table(tmp_path, {"denoiser": CHOICE})
    assert pick_family(bundle, replace(EXACT, quantize="int8")).passed["openvino"] == "it has no int8 products"
    assert pick_family(bundle, replace(EXACT, precision="bf16")).family == "openvino"


def test_the_default_stays_what_it_is_whatever_the_bundle_holds(tmp_path, machine):
    bundle = make_bundle_with_table(tmp_path, {"denoiser": CHOICE})
    assert settled(bundle, RuntimeConfig()) == (RuntimeConfig(), ())
    config, notes = settled(bundle, RuntimeConfig(family="auto", profile=EXACT))
    assert (config.family, notes) == ("openvino", (str(pick_family(bundle)),))
    assert settled_family(tmp_path, "auto") == "openvino"
    assert settled_family(tmp_path, "tensorrt") == "tensorrt"


@pytest.mark.parametrize(
    "option",
    [{"provider": "cuda"}, {"weight_budget_bytes": 1}, {"overlap_decode": True}],
    ids=lambda option: next(iter(option)),
)
def test_what_one_family_alone_has_is_asked_for_with_that_family(option):
    with pytest.raises(InputError, match="the family is auto; leave"):
        RuntimeConfig(family="auto", **option)

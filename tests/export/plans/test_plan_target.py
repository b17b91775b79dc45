"""What plans may be asked for, by family, and when two plans are the same."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from engines import families
from engines import gpu as engines_gpu
from engines.cpu import find_cpu
from engines.errors import EngineMismatch, InputError
from engines.gpu import Gpu, NoGpu
from engines.manifest import GraphRecord
from engines.plan_choice import platform_name
from engines.plans import PlanOptions, Target
from engines.spec import NetworkSpec
from export.plans import plan_target as module
from export.plans.plan_target import plan_key, plan_target

RTX, TENSORRT, OPENVINO = families.RTX, families.TENSORRT, families.OPENVINO
PLAIN = PlanOptions()
STRIPPED = PlanOptions(strip=True)
CHOICES = "8.0 (A100), 8.6 (RTX 30), 8.9 (RTX 40), 12.0 (RTX 50), 12.1 (GB10)"


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    versions = {RTX.name: "1.7.1.116", TENSORRT.name: "11.4.0.106", OPENVINO.name: "2026.4.1-2"}
    monkeypatch.setattr(families, "load", lambda family: SimpleNamespace(__version__=versions[family.name]))


@pytest.fixture
def here(monkeypatch):
    """Put a GPU of a name and a capability into this machine, or none."""

    def put(name: str | None, capability: str = "") -> None:
        no = NoGpu(found="no usable device", fix="install the NVIDIA driver")
        card = Gpu(index=0, name=name or "", capability=capability, total_bytes=1, driver_cuda=(13, 0))
        for place in (module, engines_gpu):
            monkeypatch.setattr(place, "find_gpu", lambda index=0: card if name else no)

    return put


def test_tensorrt_for_rtx_builds_for_what_is_asked_in_order_and_once(here):
    here(None)
    assert plan_target(RTX, ("12.0", "8.9", "12.0"), PLAIN) == Target(
        family="tensorrt-rtx",
        version="1.7.1.116",
        capabilities=("8.9", "12.0"),
        platform=platform_name(),
        options=PLAIN,
    )


def test_or_for_the_gpu_at_hand(here):
    here("NVIDIA GeForce RTX 4090", "8.9")
    target = plan_target(RTX, (), PLAIN)
    assert (target.capabilities, target.gpu) == (("8.9",), "")


@pytest.mark.parametrize(
    ("capability", "reason"),
    [
        ("7.5", "TensorRT for RTX fails on this UNet for 7.5 (RTX 20)"),
        ("9.0", "TensorRT for RTX rejects 9.0 (H100, H200): use --family tensorrt there"),
        ("89", "there is no capability '89'"),
    ],
)
def test_a_capability_that_is_not_built_says_why_and_which_are(here, capability, reason):
    here(None)
    with pytest.raises(InputError) as caught:
        plan_target(RTX, (capability,), PLAIN)
    assert str(caught.value) == f"{reason}; choose --capability from {CHOICES}"


def test_without_a_gpu_one_has_to_say_which(here):
    here(None)
    with pytest.raises(InputError) as caught:
        plan_target(RTX, (), PLAIN)
    assert str(caught.value) == (
        f"tensorrt-rtx has no GPU here to build for (no usable device); say which with --capability, from {CHOICES}"
    )


def test_a_gpu_that_tensorrt_for_rtx_does_not_serve_says_what_does(here):
    here("NVIDIA H200", "9.0")
    with pytest.raises(
        EngineMismatch, match=r"rejects 9\.0 .*, and NVIDIA H200 has 9\.0; use --family tensorrt here, or"
    ):
        plan_target(RTX, (), PLAIN)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version_compatible": True}, "tensorrt-rtx builds no --version-compatible plans: it has no lean runtime"),
        ({"hardware_compatible": True}, "tensorrt-rtx has no --hardware-compatible: .*name them all with --capability"),
        ({"strip": True}, "needs a GPU to build plans with --strip, found: no usable device; leave it out"),
    ],
)
def test_what_tensorrt_for_rtx_cannot_do_is_refused_before_the_build(here, options, message):
    here(None)
    with pytest.raises(InputError, match=message):
        plan_target(RTX, ("8.9",), PlanOptions(**options))


def test_with_a_gpu_plans_may_go_without_weights(here):
    here("NVIDIA GeForce RTX 4090", "8.9")
    assert plan_target(RTX, (), STRIPPED).options == STRIPPED


def test_tensorrt_builds_for_its_own_kind_of_gpu(here):
    here("NVIDIA H200", "9.0")
    target = plan_target(TENSORRT, (), PLAIN)
    assert (target.version, target.capabilities, target.gpu) == ("11.4.0.106", ("9.0",), "NVIDIA H200")
    assert plan_target(TENSORRT, (), PlanOptions(hardware_compatible=True)).gpu == ""


def test_tensorrt_without_a_gpu_says_what_is_missing(here):
    here(None)
    with pytest.raises(EngineMismatch, match="this needs an NVIDIA GPU, found: no usable device; install"):
        plan_target(TENSORRT, (), PLAIN)


def test_tensorrt_takes_no_capability(here):
    here("NVIDIA H200", "9.0")
    with pytest.raises(InputError, match=r"builds for the GPU at hand, got --capability 8\.9; leave it out, or use"):
        plan_target(TENSORRT, ("8.9",), PLAIN)


def test_an_old_gpu_has_no_hardware_compatible_plans(here):
    here("NVIDIA T4", "7.5")
    with pytest.raises(EngineMismatch, match=r"begin at capability 8\.0 \(Ampere\), NVIDIA T4 has 7\.5"):
        plan_target(TENSORRT, (), PlanOptions(hardware_compatible=True))


def record(digit: str) -> GraphRecord:
    return GraphRecord(
        name="g",
        key=digit * 64,
        structure="same",
        spec=NetworkSpec(name="g", inputs=(), outputs=()),
        precision="fp16",
        files={},
    )


def test_a_plan_is_another_with_another_graph_target_or_code(monkeypatch):
    target = Target(family="tensorrt", version="11.4.0.106", capabilities=("9.0",), gpu="NVIDIA H200")
    keys = [
        plan_key(target, record("1")),
        plan_key(target, record("2")),
        plan_key(dataclasses.replace(target, gpu="NVIDIA L4"), record("1")),
        plan_key(dataclasses.replace(target, options=PlanOptions(strip=True)), record("1")),
    ]
    assert plan_key(target, record("1")) == keys[0]
    monkeypatch.setattr(module, "code_hash", lambda *rooms: "other")
    keys.append(plan_key(target, record("1")))
    assert len(set(keys)) == 5 and all(len(key) == 64 for key in keys)


def test_a_stripped_plan_serves_all_weights_of_its_shapes():
    target = Target(family="tensorrt", version="11.4.0.106", capabilities=("9.0",), options=STRIPPED)
    one = plan_key(target, record("1"))
    assert plan_key(target, record("2")) == one
    assert plan_key(target, dataclasses.replace(record("2"), structure="other")) != one


def test_openvino_builds_for_the_cpu_at_hand(here):
    here("NVIDIA H200", "9.0")
    target, cpu = plan_target(OPENVINO, (), PLAIN), find_cpu()
    assert (target.version, target.capabilities, target.gpu) == ("2026.4.1-2", cpu.features, cpu.name)


@pytest.mark.parametrize(
    ("capabilities", "options", "device_id", "option"),
    [
        (("8.9",), PLAIN, 0, "--capability"),
        ((), STRIPPED, 0, "--strip"),
        ((), PlanOptions(workspace_bytes=1), 0, "--workspace"),
        ((), PLAIN, 1, "--device"),
    ],
)
def test_what_only_plans_for_gpus_have_is_refused(capabilities, options, device_id, option):
    with pytest.raises(InputError, match=f"{option} is for plans of a GPU, those of openvino are for the CPU here"):
        plan_target(OPENVINO, capabilities, options, device_id)

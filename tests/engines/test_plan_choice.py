"""Which plans run here: by family, version, GPU and platform, with a reason for each that does not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from engines.bundle_writer import BundleWriter
from engines.cpu import Cpu
from engines.errors import EngineMismatch
from engines.gpu import Gpu
from engines.plan_choice import Here, choose_plans, misfit
from engines.plans import PlanOptions
from tests.engines.bundles import TARGET, make_bundle_with_plans, make_graph, make_plan, manifest_of, with_plans

GPU = Gpu(index=0, name="NVIDIA RTX 4090", capability="8.9", total_bytes=24 << 30, driver_cuda=(13, 0))
HERE = Here(family="tensorrt-rtx", version="1.7.1.116", device=GPU)
OWN = replace(TARGET, family="tensorrt", version="11.4.0.106", capabilities=("8.9",), gpu=GPU.name)
CPU = Cpu(name="AMD EPYC 9B14", features=("avx2", "avx512f"))
OF_CPU = replace(TARGET, family="openvino", version="2026.4.1", capabilities=CPU.features, gpu=CPU.name)
CPU_HERE = Here(family="openvino", version="2026.4.1", device=CPU)
OWN_HERE = replace(HERE, family="tensorrt", version="11.4.0.106")


def test_plans_for_this_capability_fit():
    assert misfit(TARGET, HERE) == ""
    assert misfit(OWN, OWN_HERE) == ""
    assert misfit(OF_CPU, CPU_HERE) == ""


@pytest.mark.parametrize(
    ("target", "here", "reason"),
    [
        (TARGET, replace(HERE, version="1.8.0"), r"built with tensorrt-rtx 1\.7\.1\.116, this process has 1\.8\.0"),
        (replace(TARGET, capabilities=("12.0",)), HERE, r"built for capability 12\.0, NVIDIA RTX 4090 has 8\.9"),
        (
            OWN,
            replace(OWN_HERE, device=replace(GPU, name="NVIDIA L40S")),
            "built on NVIDIA RTX 4090, this is NVIDIA L40S",
        ),
        (OF_CPU, replace(CPU_HERE, version="2026.4.2"), r"built with openvino 2026\.4\.1, this process has 2026\.4\.2"),
        (OF_CPU, replace(CPU_HERE, device=replace(CPU, name="Xeon")), "built on AMD EPYC 9B14, this is Xeon"),
        (
            OF_CPU,
            replace(CPU_HERE, device=replace(CPU, features=("avx2",))),
            "built on AMD EPYC 9B14 with the instructions avx2, avx512f, this one has avx2",
        ),
        (replace(TARGET, platform="windows-amd64"), HERE, "built on windows-amd64, this is linux"),
    ],
)
def test_each_difference_has_its_reason(target, here, reason):
    assert re.search(reason, misfit(target, here))


def test_a_version_compatible_plan_runs_on_later_releases_of_its_major_version_only():
    target = replace(OWN, options=PlanOptions(version_compatible=True))
    assert misfit(target, replace(OWN_HERE, version="11.10.0")) == ""
    assert "this process has 11.3.0" in misfit(target, replace(OWN_HERE, version="11.3.0"))
    assert "this process has 12.0.0" in misfit(target, replace(OWN_HERE, version="12.0.0"))


def test_a_hardware_compatible_plan_runs_on_later_gpus_only():
    target = replace(OWN, gpu="", options=PlanOptions(hardware_compatible=True))
    newer, older = replace(GPU, name="newer", capability="12.0"), replace(GPU, name="older", capability="8.6")
    assert misfit(target, replace(OWN_HERE, device=newer)) == ""
    assert "older has 8.6" in misfit(target, replace(OWN_HERE, device=older))


def test_the_set_that_was_built_last_and_is_complete_is_taken(tmp_path):
    streaming = replace(TARGET, options=PlanOptions(weight_streaming=True))
    partial = replace(TARGET, options=PlanOptions(strip=True))
    with BundleWriter(tmp_path) as writer:
        graphs = [make_graph(writer, name, name.encode()) for name in ("unet", "vae")]
        manifest = manifest_of(*graphs)
        for target in (TARGET, streaming):
            manifest = with_plans(manifest, *(make_plan(writer, g, b"p", target) for g in graphs), target=target)
        manifest = with_plans(manifest, make_plan(writer, graphs[0], b"p", partial), target=partial)
        bundle = writer.commit(manifest)
    assert choose_plans(bundle, HERE, ["unet", "vae"]).target == streaming
    assert choose_plans(bundle, HERE, ["unet"]).target == partial


def test_a_bundle_without_plans_says_how_to_build_them(tmp_path):
    bundle = make_bundle_with_plans(tmp_path, unet=b"graph")
    with pytest.raises(EngineMismatch, match=r"holds no plans for tensorrt; build them: python -m export\.build_eng"):
        choose_plans(bundle, OWN_HERE, ["unet"])


def test_plans_of_which_none_fits_each_say_why(tmp_path):
    bundle = make_bundle_with_plans(tmp_path, unet=b"graph")
    elsewhere = replace(HERE, device=replace(GPU, name="NVIDIA H200", capability="9.0"))
    with pytest.raises(EngineMismatch, match=r"built for capability 8\.9, 12\.0, NVIDIA H200 has 9\.0; build them"):
        choose_plans(bundle, elsewhere, ["unet"])


def test_a_graph_without_a_plan_is_named(tmp_path):
    bundle = make_bundle_with_plans(tmp_path, unet=b"graph")
    with pytest.raises(EngineMismatch, match="lacks plans for vae_decoder; build them"):
        choose_plans(bundle, HERE, ["unet", "vae_decoder"])

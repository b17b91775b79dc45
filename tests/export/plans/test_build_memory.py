"""Predicted against free memory, with machines made of files, and the messages when it does not fit."""

from __future__ import annotations

import dataclasses

import pytest

from engines import families
from engines.errors import EngineMismatch
from engines.file_record import FileRecord
from engines.gpu import Gpu, NoGpu
from engines.manifest import GraphRecord
from engines.plans import PlanOptions, Target
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.plans import build_memory
from export.plans.build_memory import check_build_memory, device_bytes, free_host_bytes, host_bytes

GB = 10**9
SPEC = NetworkSpec(
    name="denoiser",
    inputs=(TensorSpec(name="x", dims=("rows", 1000), dtype="float16"),),
    outputs=(TensorSpec(name="y", dims=(2, 1000), dtype="float32"),),
    ranges={"rows": DimRange(min=1, opt=2, max=3)},
)
FOLDER = "onnx/denoiser-" + "0" * 12
GRAPH = GraphRecord(
    name="denoiser",
    key="0" * 64,
    spec=SPEC,
    precision="fp16",
    files={
        f"{FOLDER}/denoiser.onnx": FileRecord(sha256="", bytes=1_100_000),
        f"{FOLDER}/denoiser.onnx.data": FileRecord(sha256="", bytes=3_145_000_000),
    },
)
TARGET = Target(family="tensorrt-rtx", version="1.7.1.116", capabilities=("8.9",))


@pytest.fixture
def machine(monkeypatch):
    def set_free(host: int, device: int | None = None) -> None:
        card = Gpu(index=0, name="NVIDIA A", capability="8.9", total_bytes=8 * GB, driver_cuda=(13, 0))
        monkeypatch.setattr(build_memory, "free_host_bytes", lambda: host)
        monkeypatch.setattr(build_memory, "free_device_bytes", lambda index: device)
        monkeypatch.setattr(
            build_memory, "find_gpu", lambda index=0: NoGpu(found="", fix="") if device is None else card
        )

    return set_free


def test_the_prediction_is_near_what_was_measured():
    """Bytes of weights and graph, and the rise of resident memory: TensorRT for RTX 1.7.1 for 8.9, two CPU cores."""
    measured = [(3_145_538_560, 1_108_333, 11.063), (18_193_920, 1_150_000, 1.552), (127_148_800, 190_001, 0.628)]
    measured += [(2_650_357_760, 1_298_226, 9.28), (1_658_382_080, 442_929, 5.62)]  # Hallo2's
    measured += [(22_078_848, 185_353, 0.364), (15_061_560, 209_057, 0.491), (2_307_456, 64_306, 0.120)]
    for weights, structure, rise in measured:
        predicted = host_bytes(families.RTX, weights=weights, structure=structure) / GB
        assert rise <= predicted < 1.3 * rise + 0.2


def test_a_build_that_fits_is_let_through(machine):
    machine(host=12 * GB)
    check_build_memory(families.RTX, GRAPH, TARGET)


def test_too_little_memory_says_how_much_is_needed_and_what_would_do(machine):
    machine(host=6 * GB)
    with pytest.raises(EngineMismatch) as caught:
        check_build_memory(families.RTX, GRAPH, TARGET)
    assert str(caught.value) == (
        "denoiser: building its plan needs about 11.5 GB of memory, 6.0 GB are free; close other programs, or build on "
        "a machine with more (plans for --capability need no GPU)"
    )


def test_tensorrt_holds_the_weights_twice_at_least(machine):
    machine(host=6 * GB, device=8 * GB)
    with pytest.raises(
        EngineMismatch, match=r"at least 6\.3 GB of memory, 6\.0 GB are free; .*build on a machine with more$"
    ):
        check_build_memory(families.TENSORRT, GRAPH, TARGET)


def test_too_small_a_card_says_what_would_fit(machine):
    machine(host=20 * GB, device=2 * GB)
    with pytest.raises(EngineMismatch) as caught:
        check_build_memory(families.TENSORRT, GRAPH, TARGET)
    assert str(caught.value) == (
        "denoiser: building its plan needs at least 3.1 GB on NVIDIA A, 2.0 GB of 8.0 GB are free; close other "
        "programs on the GPU, or choose a smaller --size, fewer --frames, --weight-streaming (at least 0.0 GB) or "
        "another GPU"
    )
    streaming = dataclasses.replace(TARGET, options=PlanOptions(weight_streaming=True))
    check_build_memory(families.TENSORRT, GRAPH, streaming)
    machine(host=20 * GB, device=1000)
    with pytest.raises(EngineMismatch, match="fewer --frames or another GPU"):
        check_build_memory(families.TENSORRT, GRAPH, streaming)


def test_tensorrt_for_rtx_needs_no_card(machine):
    machine(host=20 * GB, device=GB)
    check_build_memory(families.RTX, GRAPH, TARGET)


def test_the_device_holds_the_weights_and_the_largest_inputs_and_outputs():
    assert device_bytes(SPEC, weights=5) == 5 + 3 * 1000 * 2 + 2 * 1000 * 4


def machine_files(root, available_kb: int, cgroup: str, **files: str):
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {available_kb} kB\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    for path, text in files.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_without_limits_it_is_what_linux_calls_available(tmp_path):
    unlimited = {"memory.max": "max\n", "memory.current": "1\n", "memory.stat": "inactive_file 0\n"}
    assert free_host_bytes(machine_files(tmp_path, 5000, "0::/\n", **unlimited)) == 5000 * 1024


def test_the_limit_of_a_group_above_counts_and_file_cache_is_free(tmp_path):
    files = {
        "a/memory.max": "3000000\n",
        "a/memory.current": "2000000\n",
        "a/memory.stat": "anon 5\ninactive_file 500000\n",
        "a/b/memory.max": "max\n",
        "a/b/memory.current": "1\n",
        "a/b/memory.stat": "inactive_file 0\n",
    }
    assert free_host_bytes(machine_files(tmp_path, 5000, "0::/a/b\n", **files)) == 1_500_000


def test_groups_of_the_first_version_count_too(tmp_path):
    files = {
        "memory/c/memory.limit_in_bytes": "1000000\n",
        "memory/c/memory.usage_in_bytes": "400000\n",
        "memory/c/memory.stat": "total_inactive_file 100000\n",
    }
    assert free_host_bytes(machine_files(tmp_path, 5000, "4:memory:/c\n3:cpu:/\n", **files)) == 700_000

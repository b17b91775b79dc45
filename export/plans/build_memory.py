"""Whether a plan can be built in the memory that is free, asked before the build.

TensorRT for RTX, ahead of time: the prediction is fitted to builds on a CPU for capability 8.9 with 1.7.1: resident
memory rose by 11.1 GB for the full-size denoiser in fp16, by 1.6 GB for that of a pocket twice as wide as today's, by
0.6 GB for the full-size decoder. Hallo2's UNets came later, with 9.3 GB and 5.6 GB, and lie below it.
That was in a process of its own, and 3.3 GB of the first are pages of the graph's file, which the system may take back.
After an export in the same process the full denoiser's rise was 12.8 GB, more than the 11.6 predicted; that of Hallo2's
reference net 6.6 GB, more than 6.0.
TensorRT on a GPU was not measured. What it cannot do without is known: the weights twice in host memory, as the
network's and as the plan's; and on the device the weights, and the inputs and outputs at their largest.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from engines import families
from engines.errors import EngineMismatch
from engines.families import Family
from engines.gpu import Gpu, find_gpu
from engines.manifest import GraphRecord
from engines.plans import Target
from engines.spec import NetworkSpec

# Bytes of memory: at the start; a byte of the graph's file, which grows with its nodes; a byte of weights.
_RTX_START, _RTX_PER_GRAPH_BYTE, _RTX_PER_WEIGHT_BYTE = 0.15e9, 1500, 3.1


def check_build_memory(family: Family, graph: GraphRecord, target: Target, device_id: int = 0) -> None:
    """Raises EngineMismatch, one line with numbers, when the build of `graph` would not fit here."""
    structure = graph.files[graph.main].bytes
    weights = graph.weights_bytes
    needed, free = host_bytes(family, weights=weights, structure=structure), free_host_bytes()
    if needed > free:
        anywhere = " (plans for --capability need no GPU)" if family.builds_without_gpu else ""
        raise EngineMismatch(
            f"{graph.name}: building its plan needs {_about(family)} {_size(needed)} of memory, {_size(free)} are "
            f"free; close other programs, or build on a machine with more{anywhere}"
        )
    gpu = find_gpu(device_id)
    if family.builds_without_gpu or not isinstance(gpu, Gpu):
        return
    streaming = target.options.weight_streaming
    needed, free = device_bytes(graph.spec, weights=0 if streaming else weights), free_device_bytes(device_id)
    if needed > free:
        without = f", --weight-streaming (at least {_size(needed - weights)})" if not streaming else ""
        raise EngineMismatch(
            f"{graph.name}: building its plan needs at least {_size(needed)} on {gpu.name}, {_size(free)} of "
            f"{_size(gpu.total_bytes)} are free; close other programs on the GPU, or choose a smaller --size, fewer "
            f"--frames{without} or another GPU"
        )


def host_bytes(family: Family, *, weights: int, structure: int) -> int:
    """Predicted peak of a build's host memory. `weights`, `structure`: bytes of the weights and of the .onnx."""
    if family.name == families.RTX.name:
        return int(_RTX_START + _RTX_PER_GRAPH_BYTE * structure + _RTX_PER_WEIGHT_BYTE * weights)
    return 2 * weights


def device_bytes(spec: NetworkSpec, *, weights: int) -> int:
    """The least device memory a build can do with. `weights`: 0 where they are streamed."""
    largest = {name: r.max for name, r in spec.ranges.items()}
    tensors = sum(math.prod(t.shape_at(largest)) * np.dtype(t.dtype).itemsize for t in (*spec.inputs, *spec.outputs))
    return weights + tensors


def free_host_bytes(root: Path = Path("/")) -> int:
    """What this process may still take: of the machine, and of its control groups. `root`: where /proc and /sys are."""
    meminfo = (root / "proc/meminfo").read_text(encoding="ascii")
    lines = dict(line.split(":", 1) for line in meminfo.splitlines())
    return min([int(lines["MemAvailable"].split()[0]) * 1024, *_group_limits(root)])


def free_device_bytes(device_id: int = 0) -> int:
    """Free memory of a GPU that is there."""
    from cuda.bindings import runtime as cuda

    cuda.cudaSetDevice(device_id)
    _, free, _ = cuda.cudaMemGetInfo()
    return int(free)


def _group_limits(root: Path) -> list[int]:
    """What is left below each limit of our control groups, versions 1 and 2. File cache counts as free."""
    found = []
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in groups:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, limit, used, cache = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            base, limit = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            used, cache = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        folder = base / path.lstrip("/")
        while True:  # a limit of any group above is ours too; in a container the path may be the host's
            left = _left(folder, limit, used, cache)
            if left is not None:
                found.append(left)
            if folder == base or base not in folder.parents:
                break
            folder = folder.parent
    return found


def _left(folder: Path, limit: str, used: str, cache: str) -> int | None:
    try:
        most = (folder / limit).read_text(encoding="ascii").strip()
        taken = int((folder / used).read_text(encoding="ascii"))
        stat = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except OSError:
        return None
    return None if most == "max" else max(int(most) - taken + int(stat.get(cache, 0)), 0)


def _about(family: Family) -> str:
    return "about" if family.name == families.RTX.name else "at least"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB"

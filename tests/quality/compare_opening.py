"""How long a large graph takes to open, against one read of its file: docs/performance.md has what this prints.

    python -m tests.quality.compare_opening --gb 2 --turns 3

The graph is made by a rule: a chain of products with 64 MB matrices beside it, which ONNX Runtime lays out anew when it
opens them, so the session holds them once. Each measurement is a process of its own, by turns, with the file's pages
dropped before it ("cold") or not ("warm").
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.manifest import GraphRecord
from engines.onnx_backend import OnnxBackend
from engines.spec import DimRange, NetworkSpec, TensorSpec
from tests.engines.bundles import manifest_of

_SIDE, _PIECE = 4096, 4 << 20
SPEC = NetworkSpec(
    name="chain",
    inputs=(TensorSpec(name="x", dims=("rows", _SIDE), dtype="float32"),),
    outputs=(TensorSpec(name="y", dims=("rows", _SIDE), dtype="float32"),),
    ranges={"rows": DimRange(min=1, opt=2, max=4)},
)


def make_bundle(path: Path, matrices: int) -> None:
    """A bundle of one graph with so many matrices, each of its own numbers."""
    import onnx
    from onnx import TensorProto, helper

    with BundleWriter(path) as writer:
        key = f"{matrices:012x}"
        file = writer.stage("chain", key) / "chain.onnx"
        weights, nodes = [], []
        matrix = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), dtype=np.float32) / 64
        with file.with_name("chain.onnx.data").open("wb") as data:
            for number in range(matrices):
                weight = TensorProto(name=f"w{number}", data_type=TensorProto.FLOAT, dims=matrix.shape)
                weight.data_location = TensorProto.EXTERNAL
                place = {"location": "chain.onnx.data", "offset": data.tell(), "length": matrix.nbytes}
                for name, value in place.items():
                    weight.external_data.add(key=name, value=str(value))
                matrix[0, 0] = number
                data.write(matrix.tobytes())
                weights.append(weight)
                given, made = f"x{number}" if number else "x", f"x{number + 1}" if number + 1 < matrices else "y"
                nodes.append(helper.make_node("MatMul", [given, weight.name], [made]))
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", _SIDE]) for name in "xy"]
        graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], initializer=weights)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11), file)
        writer.commit(manifest_of(writer.finish(GraphRecord(name="chain", key=key, spec=SPEC, precision="fp32"))))


def measure(path: Path, what: str, cold: bool) -> None:
    """Print seconds, MB that the disk gave, and MB that this process holds: its own, and mapped files."""
    bundle = Bundle.open(path, family="onnxruntime")
    data = bundle.model_path("chain").with_name("chain.onnx.data")
    backend = OnnxBackend()
    if cold:
        with data.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before, start_s = _number("io", "read_bytes"), time.perf_counter()
    if what == "read":
        piece = bytearray(_PIECE)
        with data.open("rb", buffering=0) as file:
            while file.readinto(piece):
                pass
    else:
        with bundle.checking_graphs(["chain"]):
            session = backend.load(SPEC, bundle.model_path("chain"))
    seconds, read = time.perf_counter() - start_s, _number("io", "read_bytes") - before
    held = [_number("status", name) // 1024 for name in ("RssAnon", "RssFile", "VmHWM")]
    if what == "open":
        session.close()
    print(seconds, read >> 20, *held)


def _number(file: str, name: str) -> int:
    lines = Path(f"/proc/self/{file}").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1])


def compare(folder: Path, gb: float, turns: int) -> None:
    """Print a line for each way; medians."""
    bundle = folder / "bundle"
    make_bundle(bundle, max(1, round(gb * 2**30 / (_SIDE * _SIDE * 4))))
    found: dict[tuple[str, str], list[list[float]]] = {}
    for _ in range(turns):
        for state in ("cold", "warm"):
            for what in ("read", "open"):
                words = [sys.executable, "-m", __spec__.name, "--bundle", str(bundle), "--only", what, "--state", state]
                told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
                found.setdefault((state, what), []).append([float(number) for number in told.split()])
    for (state, what), runs in found.items():
        seconds, read, own, mapped, peak = (statistics.median(numbers) for numbers in zip(*runs, strict=True))
        of_read = seconds / statistics.median(run[0] for run in found[state, "read"])
        print(
            f"{what} {state}: {seconds:.2f} s, {of_read:.2f} of the read; {read:.0f} MB from the disk; "
            f"{own:.0f} MB of its own, {mapped:.0f} MB mapped, {peak:.0f} MB at most"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=2.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--state", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        measure(given.bundle, given.only, given.state == "cold")
    else:
        with tempfile.TemporaryDirectory(prefix="hp-trt-opening-", dir=".") as place:
            compare(Path(place), given.gb, given.turns)

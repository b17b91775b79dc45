"""The bench's report for people: one table of stages, and the lines that a speed claim needs beside it.

Takes the report's JSON data (`runtime.bench`), so that a saved file can be shown again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from hp_trt.interface.tables import print_table

_MIB = 2**20


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the table and its lines."""
    headings = ("stage", "count", "p50 ms", "p90 ms", "p99 ms", "total s", "share", "GFLOP", "GFLOP/s")
    rows = [
        (
            stage["stage"],
            str(stage["count"]),
            *(f"{stage[name]:.1f}" for name in ("p50_ms", "p90_ms", "p99_ms")),
            f"{stage['total_s']:.2f}",
            f"{stage['share']:.1%}",
            f"{stage['flops'] / 1e9:.1f}" if stage["flops"] else "",
            f"{stage['flops_per_s'] / 1e9:.1f}" if stage["flops"] else "",
        )
        for stage in report["stages"]
    ]
    print_table(console, headings, rows)
    for line in lines(report):
        console.print(line, markup=False, soft_wrap=True)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What the table does not hold, a fact a line."""
    whole, first, memory = report["end_to_end"], report["first_frame"], report["memory"]
    clip, flops, machine, bundle = (report[part] for part in ("clip", "flops", "machine", "bundle"))
    runs, spoken = len(whole["seconds"]), bundle.get("driver") == "audio"  # older files do not say
    yield ""
    yield (
        f"end to end   {whole['frames_per_s']:.2f} frames/s: {counted(clip['frames'], 'frame')}, "
        f"{counted(clip['steps'], 'step')}, {counted(clip['windows'], 'clip' if spoken else 'window')}, "
        f"{_median_of(runs)}, "
        f"{clip['warmup']} to warm up"
    )
    yield (
        f"first frame  {first['latency_s']:.2f} s from the call, "
        f"{first['portrait_ready_s']:.2f} s once the portrait is encoded"
    )
    yield (
        f"memory       {memory['peak_bytes'] / _MIB:.0f} MiB at most, "
        f"{memory['growth_bytes'] / _MIB:.0f} more than when the bundle was open"
    )
    yield (
        f"arithmetic   {flops['done'] / 1e12:.3f} TFLOP done, {flops['released'] / 1e12:.3f} in the released program "
        f"({flops['saved']:.1%} saved), {flops['per_s'] / 1e9:.1f} GFLOP/s end to end"
    )
    yield (
        f"machine      {machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 2**30:.0f} GiB; "
        f"{machine['device']}; Python {machine['python']}, ONNX Runtime {machine['onnxruntime']}"
    )
    weights = "RANDOM weights, for benchmarks only" if bundle["weights"] == "random" else f"{bundle['weights']} weights"
    yield (
        f"bundle       {bundle['preset']}, {bundle['precision']}, {bundle['size'][0]} x {bundle['size'][1]} px, "
        f"{'clips' if spoken else 'windows'} of {bundle['frames']} frames, {weights}"
    )
    for note in report["notes"]:
        yield f"note         {note}"
    if (race := report["reference"]) is not None:
        yield (
            f"reference    exact is {race['ratio']:.2f} times as fast as the released algorithm in eager PyTorch "
            f"{race['torch']}: {race['exact_frames_per_s']:.2f} against {race['reference_frames_per_s']:.2f} frames/s; "
            f"{counted(race['frames'], 'frame')}, {counted(race['steps'], 'step')}, "
            f"{counted(race['threads'], 'thread')} each, "
            f"{_median_of(len(race['ratios']))}, by turns"
        )
        yield f"             without the code that both share (from crops to frames): {race['network_ratio']:.2f}"
        yield (
            f"             results differ at most by {race['latents_error']:.1e} of the latents' rms, "
            f"{race['frames_error']:.1e} of the frames', {race['levels_error']} of 255 levels"
        )


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _median_of(runs: int) -> str:
    return "one run" if runs == 1 else f"median of {runs} runs"

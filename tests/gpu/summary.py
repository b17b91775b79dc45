"""From the lines to what was asked: each way's times and frames/s beside the released algorithm's, at each size.

A clip's frames/s are estimated from the times of a step and a chunk, for 100 frames at 25 steps, and measured on a
shorter clip where there was time. The released algorithm is charged with the faster of its two arrangements of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from engines.families import FAMILIES
from runtime.hunyuanportrait.work import Counted
from tests.gpu.lines import Line
from tests.gpu.sizes import SIZES, Size

FRAMES, STEPS = 100, 25  # of the estimated clip
RATIO_NEEDED = 2.5  # at `RATIO_SIZE`; elsewhere a ratio is told and decides nothing
RATIO_SIZE = "full"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to make frames, at one size; None: not measured."""

    size: str
    name: str
    released: bool  # three rows, and padding is decoded
    step_s: float | None
    decode_s: float | None
    flops_per_s: float | None  # of a step
    of_ceiling: float | None
    peak_bytes: int | None
    estimated_fps: float | None
    measured_fps: float | None
    estimated_ratio: float | None = None
    measured_ratio: float | None = None


def ways(lines: Sequence[Line]) -> list[Way]:
    """Every way of which anything was measured, the released one first at each size."""
    found = []
    for size in SIZES.values():
        here = [way for way in _ways_of(lines, size) if way.step_s or way.measured_fps]
        base = next((way for way in here if way.released), None)
        found += [_against(way, base) for way in here]
    return found


@dataclass(frozen=True, kw_only=True)
class Best:
    """The highest ratio at one size, whose it is, and where its numbers come from."""

    size: str
    way: str
    ratio: float
    source: str  # "a measured clip" | "an estimate", of both sides


def best(made: Sequence[Way]) -> list[Best]:
    """Of each size where there is a ratio. A way's measured clip counts before its estimate."""
    found = []
    for size in SIZES:
        ratios = [
            Best(size=size, way=way.name, ratio=ratio, source=source)
            for way in made
            if way.size == size and not way.released
            for ratio, source in [
                (way.measured_ratio, "a measured clip")
                if way.measured_ratio is not None
                else (way.estimated_ratio, "an estimate")
            ]
            if ratio is not None
        ]
        found += [max(ratios, key=lambda one: one.ratio)] if ratios else []
    return found


def to_json(lines: Sequence[Line]) -> dict[str, Any]:
    made = ways(lines)
    bests = best(made)
    return {
        "ways": [asdict(way) for way in made],
        "best": [asdict(one) for one in bests],
        "best_ratio": next((one.ratio for one in bests if one.size == RATIO_SIZE), None),
        "ratio_needed": RATIO_NEEDED,
        "ratio_size": RATIO_SIZE,
        "missed": [f"{line.section}: {line.name}" for line in lines if line.status == "missed"],
        "failed": [f"{line.section}: {line.name}" for line in lines if line.status == "failed"],
    }


def _ways_of(lines: Sequence[Line], size: Size) -> list[Way]:
    torch = f"torch, {size.name}"
    asked = [
        ("PyTorch eager, released", torch, ("released, step", "released, step, three rows at once"), "released, "),
        ("PyTorch eager, exact", torch, ("exact, step",), "exact, "),
        ("torch.compile, exact", torch, ("compiled, step",), "compiled, "),
        *((family, f"{family}, {size.name}", ("step",), "") for family in FAMILIES),
    ]
    exact_flops = _fact(lines, torch, "exact, step", "flops")
    on_cpu = _fact(lines, "machine", "device", "name") == "CPU"  # computes in fp32
    ceiling = _fact(lines, "machine", f"matrix product, {'fp32' if on_cpu else 'fp16'}", "flops_per_s")
    made = []
    for name, section, steps, prefix in asked:
        released = name.endswith("released")
        timed = [(s, step) for step in steps if (s := _fact(lines, section, step, "median_s")) is not None]
        step_s, step = min(timed, default=(None, steps[0]))
        decode_s = _fact(lines, section, f"{prefix}decode", "median_s")
        flops = _fact(lines, section, step, "flops") or exact_flops
        rate = flops / step_s if flops and step_s else None
        made.append(
            Way(
                size=size.name,
                name=name,
                released=released,
                step_s=step_s,
                decode_s=decode_s,
                flops_per_s=rate,
                of_ceiling=rate / ceiling if rate and ceiling else None,
                peak_bytes=_fact(lines, section, step, "peak_bytes"),
                estimated_fps=estimate(size, step_s, decode_s, released=released) if step_s and decode_s else None,
                measured_fps=_fact(lines, section, f"{prefix}clip", "frames_per_s"),
            )
        )
    return made


def estimate(size: Size, step_s: float, decode_s: float, *, released: bool) -> float:
    """Frames/s of a clip of 100 frames and 25 steps from the seconds of a window's step and of a full chunk."""
    sampling = replace(size.sampling, steps=STEPS)
    clip = Counted.of(FRAMES, sampling)
    decoded = clip.padded if released else clip.decoded
    return FRAMES / (STEPS * clip.windows * step_s + decoded / sampling.decode_chunk * decode_s)


def _against(way: Way, base: Way | None) -> Way:
    if base is None:
        return way

    def ratio(mine: float | None, other: float | None) -> float | None:
        return mine / other if mine and other else None

    return replace(
        way,
        estimated_ratio=ratio(way.estimated_fps, base.estimated_fps),
        measured_ratio=ratio(way.measured_fps, base.measured_fps),
    )


def _fact(lines: Sequence[Line], section: str, name: str, fact: str) -> Any:
    return next((line.facts.get(fact) for line in lines if (line.section, line.name) == (section, name)), None)

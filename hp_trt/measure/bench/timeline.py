"""A picture of one run: a lane for each stage, time from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hp_trt.measure.bench.table import counted
from runtime.stages import Event

INK, FAINT = "#2b2d33", "#e6e4df"
SEAM = 0.004  # of the picture's width


def titles(report: Mapping[str, Any]) -> dict[str, str]:
    """What stands above the picture, from the bench's report."""
    whole, clip, bundle, machine = (report[part] for part in ("end_to_end", "clip", "bundle", "machine"))
    window = "clip" if bundle.get("driver") == "audio" else "window"
    return {
        "title": f"{bundle['preset']} {bundle['precision']}: {whole['frames_per_s']:.2f} frames/s",
        "subtitle": (
            f"{counted(clip['frames'], 'frame')}, {counted(clip['steps'], 'step')}, "
            f"{counted(clip['windows'], window)}, {bundle['weights']} weights; {machine['cpu']}, {machine['device']}"
        ),
    }


def draw_timeline(spans: Sequence[Event], out: Path, kind: str, *, title: str, subtitle: str, wall_s: float) -> None:
    """Write the spans of one run that took `wall_s` as a picture of `kind` (".png", ...). Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    stages = list(dict.fromkeys(span.stage for span in sorted(spans, key=lambda span: span.start_s)))
    figure = Figure(figsize=(11, 1.7 + 0.36 * len(stages)), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # no window, and no global state
    axes = figure.add_subplot()
    for lane, stage in enumerate(stages):
        own = [span for span in spans if span.stage == stage]
        hue, busy_s = _hue(lane, len(stages)), sum(span.seconds for span in own)
        axes.broken_barh(
            [(span.start_s, span.seconds) for span in own],
            (lane - 0.36, 0.72),
            facecolor=hue,
            # A white seam between pieces; one too short for that is drawn a little wider instead, or it would vanish.
            edgecolor=["white" if span.seconds > SEAM * wall_s else hue for span in own],
            linewidth=[0.5 if span.seconds > SEAM * wall_s else 0.2 for span in own],
        )
        for x, text in ((1.06, f"{busy_s:.2f} s"), (1.105, f"{busy_s / wall_s:.0%}")):
            axes.text(
                x, lane, text, transform=axes.get_yaxis_transform(), ha="right", va="center", color=INK, fontsize=9
            )
    axes.set_yticks(range(len(stages)), [stage.replace("_", " ") for stage in stages], color=INK)
    axes.set_ylim(len(stages) - 0.4, -0.6)  # the first stage on top
    axes.set_xlim(0, wall_s)
    axes.set_xlabel("seconds since the call", color=INK)
    axes.set_ylabel("stage", color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=13, fontweight="bold", pad=22)
    axes.annotate(
        subtitle, (0, 1), xycoords="axes fraction", xytext=(0, 8), textcoords="offset points", color=INK, fontsize=9
    )
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.savefig(out, dpi=160, format=kind.lstrip("."))


def _hue(lane: int, lanes: int) -> tuple[float, float, float]:
    """Evenly spaced colours of like brightness."""
    from colorsys import hls_to_rgb

    return hls_to_rgb((0.56 + lane / lanes) % 1, 0.52, 0.5)

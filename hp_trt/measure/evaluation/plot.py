"""A picture of an evaluation: for each measure a row of clips, and where every column stands in each."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from hp_trt.measure.evaluation.table import title_of

_INK, _FAINT = "#2b2d33", "#e6e4df"
_ENDS = {"still": "#a8a49b", "regression": "#7d6a4f", "truth": "#2b2d33", "bicubic": "#a8a49b", "lanczos": "#7d6a4f"}
_COLOURS = ("#2f6fb0", "#d1642e", "#3d9455", "#8c5bb5", "#b3395b", "#4aa3a3")


def draw_plot(report: Mapping[str, Any], out: Path, kind: str) -> None:
    """Write the report's clips as a picture of `kind` (".png", ...). Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [m for m in report["measures"] if any(_points(column, m["key"]) for column in report["columns"])]
    clips, columns = report["clips"], report["columns"]
    figure = Figure(figsize=(7.0 + 0.15 * len(clips), 1.2 + 1.3 * len(shown)), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # no window, and no global state
    rows: list[Any] = list(figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]) if shown else []
    colours = dict(zip((c["name"] for c in columns if c["kind"] == "bundle"), _COLOURS * len(columns), strict=False))
    for axes, measure in zip(rows, shown, strict=True):
        for column in columns:
            found = _points(column, measure["key"])
            axes.plot(
                [x for x, _ in found],
                [y for _, y in found],
                linestyle="none",
                marker="_" if column["kind"] in _ENDS else "o",
                markersize=9 if column["kind"] in _ENDS else 5,
                markeredgewidth=2 if column["kind"] in _ENDS else 0,
                color=_ENDS.get(column["kind"]) or colours[column["name"]],
                label=column["name"],
            )
        unit = f", {measure['unit']}" if measure["unit"] else ""
        axes.set_title(f"{measure['title']}{unit} ({measure['better']} is better)", loc="left", color=_INK, fontsize=9)
        axes.grid(axis="y", color=_FAINT)
        axes.set_axisbelow(True)
        axes.tick_params(length=0, labelsize=8)
        axes.spines[:].set_visible(False)
    if shown:
        rows[-1].set_xticks(range(len(clips)), clips, rotation=90 if max(map(len, clips)) > 3 else 0)
        rows[-1].set_xlabel("clip", color=_INK)
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False)
    title = f"{title_of(report['protocol'])}: {len(clips)} clips of {report['frames']} frames"
    figure.suptitle(title, x=0.01, ha="left", color=_INK, fontsize=12, fontweight="bold")
    figure.savefig(out, dpi=140, format=kind.lstrip("."))


def _points(column: Mapping[str, Any], key: str) -> list[tuple[int, float]]:
    """Number of the clip and its value, for those that have a finite one."""
    values = column["metrics"][key]["clips"]
    return [(x, float(y)) for x, y in enumerate(values) if y is not None and isfinite(float(y))]

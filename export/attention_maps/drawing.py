"""The maps as a picture: a row a level, a column a quantity, each laid upon the picture that it is of."""

from __future__ import annotations

from pathlib import Path

from export.attention_maps.maps import Looked

_INK = "#2b2d33"


def draw(looked: Looked, out: Path, kind: str, title: str) -> None:
    """Write a picture of `kind` (".png", ...). Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    headings, levels = looked.headings, looked.levels
    figure = Figure(figsize=(3.1 * len(headings), 3.0 * len(levels) + 0.7), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # no window, and no global state
    axes = figure.subplots(len(levels), len(headings), squeeze=False)
    for row, level in enumerate(levels):
        for column, what in enumerate(headings):
            place = axes[row][column]
            place.set_axis_off()
            found = looked.at(level, what)
            if found is None:
                continue
            picture = looked.pictures[found.on]
            place.imshow(picture, extent=(0, 1, 1, 0))
            most = max(float(found.values.max()), 2 * found.even)
            drawn = place.imshow(found.values, extent=(0, 1, 1, 0), cmap="magma", alpha=0.65, vmin=0, vmax=most)
            bar = figure.colorbar(drawn, ax=place, fraction=0.046, pad=0.02)
            bar.ax.axhline(found.even, color="white", linewidth=1.5)
            bar.ax.tick_params(labelsize=6, colors=_INK)
            place.set_title(
                f"level {level}: {what}\nmean {found.values.mean():.3f}, even {found.even:.3f}", fontsize=7, color=_INK
            )
    figure.suptitle(title, x=0.01, ha="left", color=_INK, fontsize=11, fontweight="bold")
    figure.savefig(out, dpi=130, format=kind.lstrip("."))

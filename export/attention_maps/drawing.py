"""What was seen as a picture: a row a level, a column a quantity, maps laid upon the picture that they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from export.attention_maps.maps import LevelFrames, LevelMap, LevelTokens, Looked, group_name

_INK = "#2b2d33"
_GROUPS = "Set1"  # matplotlib's, of nine colours


def draw(looked: Looked, out: Path, kind: str, title: str) -> None:
    """Write a picture of `kind` (".png", ...). Raises OSError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = [(what, part) for what in looked.headings for part in _parts(looked, what)]
    levels = looked.levels
    figure = Figure(figsize=(3.1 * len(columns), 3.0 * len(levels) + 0.7), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # no window, and no global state
    axes = figure.subplots(len(levels), len(columns), squeeze=False)
    for row, level in enumerate(levels):
        for column, (what, part) in enumerate(columns):
            place = axes[row][column]
            place.set_axis_off()
            found = looked.at(level, what)
            if found is not None:
                said = part(figure, place, found, looked)
                place.set_title(f"level {level}: {what}\n{said}", fontsize=7, color=_INK)
    figure.suptitle(title, x=0.01, ha="left", color=_INK, fontsize=11, fontweight="bold")
    figure.savefig(out, dpi=130, format=kind.lstrip("."))


def _parts(looked: Looked, what: str) -> tuple[Any, ...]:
    """What a heading's quantity is drawn by: tokens have two columns."""
    kind = next(type(one) for one in looked.found if one.what == what)
    return {LevelMap: (_map,), LevelTokens: (_groups, _bars), LevelFrames: (_frames,)}[kind]


def _map(figure: Any, place: Any, found: LevelMap, looked: Looked) -> str:
    place.imshow(looked.pictures[found.on], extent=(0, 1, 1, 0))
    most = max(float(found.values.max()), 2 * found.even) or 1.0
    drawn = place.imshow(found.values, extent=(0, 1, 1, 0), cmap="magma", alpha=0.65, vmin=0, vmax=most)
    _bar(figure, place, drawn, found.even)
    return f"mean {found.values.mean():.3f}, even {found.even:.3f}"


def _groups(figure: Any, place: Any, found: LevelTokens, looked: Looked) -> str:
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    colours = colormaps[_GROUPS]
    most_read = found.most_read
    place.imshow(looked.pictures[found.on], extent=(0, 1, 1, 0))
    limits = {"vmin": -0.5, "vmax": colours.N - 0.5}
    place.imshow(most_read, extent=(0, 1, 1, 0), cmap=_GROUPS, alpha=0.6, interpolation="nearest", **limits)
    shown = [number for number in range(len(found.groups)) if (most_read == number).any()]
    patches = [Patch(color=colours(number), label=group_name(found.groups[number])) for number in shown]
    place.legend(handles=patches, fontsize=5, loc="lower right", framealpha=0.8)
    return "the group that is read most"


def _bars(figure: Any, place: Any, found: LevelTokens, looked: Looked) -> str:
    from matplotlib import colormaps

    colours = colormaps[_GROUPS]
    whose = [colours(number) for number, group in enumerate(found.groups) for _ in group]
    place.set_axis_on()
    place.bar(range(len(found.each)), found.each, color=whose, width=0.9)
    place.axhline(found.even, color=_INK, linewidth=1)
    place.tick_params(labelsize=6, colors=_INK)
    return f"each token, even {found.even:.3f}"


def _frames(figure: Any, place: Any, found: LevelFrames, looked: Looked) -> str:
    place.set_axis_on()
    most = max(float(found.values.max()), 2 * found.even)
    drawn = place.imshow(found.values, cmap="magma", vmin=0, vmax=most)
    place.tick_params(labelsize=6, colors=_INK)
    place.set_xlabel("is read", fontsize=6, color=_INK)
    place.set_ylabel("reads", fontsize=6, color=_INK)
    _bar(figure, place, drawn, found.even)
    return f"even {found.even:.3f}"


def _bar(figure: Any, place: Any, drawn: Any, even: float) -> None:
    """The colours' meaning, and a line at what is even."""
    bar = figure.colorbar(drawn, ax=place, fraction=0.046, pad=0.02)
    bar.ax.axhline(even, color="white", linewidth=1.5)
    bar.ax.tick_params(labelsize=6, colors=_INK)

"""The price list for people: a table, and a picture of speed against quality."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from hp_trt.hunyuanportrait.profiles import ADDED_BY
from hp_trt.interface.tables import print_table
from hp_trt.measure.bench.prices import judged_by, pareto
from hp_trt.open_graphs import option_for

INK, FAINT, BEST = "#2b2d33", "#b9b6ae", "#c2513a"
_SPEED = (  # key, heading, digits
    ("steps", "steps", 0),
    ("frames_per_s", "frames/s", 2),
    ("speedup", "times exact", 2),
    ("first_frame_s", "first frame s", 2),
)
_PICTURES = (
    *_SPEED,
    ("psnr", "PSNR dB", 2),
    ("psnr_cost", "costs dB", 2),
    ("ssim", "SSIM", 3),
    ("lmd", "landmarks px", 2),
    ("landmark_correlation", "follow", 3),
    ("seam_ratio", "seams", 2),
    ("flicker", "flicker", 2),
    ("psnr_to_first", "to exact dB", 1),
)
_SPEECH = (
    *_SPEED,
    ("jaw_correlation", "jaw follows", 3),
    ("rounding_correlation", "rounding follows", 3),
    ("jaw_in_time", "jaw in time %", 0),
    ("sync_c", "Sync-C (ours)", 3),
    ("sync_d", "Sync-D (ours)", 3),
    ("seam_ratio", "seams", 2),
    ("flicker", "flicker", 2),
    ("psnr_to_first", "to exact dB", 1),
)
_ENLARGED = (
    ("scale", "scale", 0),
    ("frames_per_s", "frames/s", 2),
    ("speedup", "times exact", 2),
    ("core_s", "core s a frame", 3),
    ("core_speedup", "times exact", 2),
    ("gain_plain", "over bicubic dB, plain", 2),
    ("gain_varied", "varied", 2),
    ("psnr_plain_256", "PSNR dB, plain 256 px", 2),
    ("psnr_varied_256", "varied", 2),
    ("ssim_plain_256", "SSIM, plain 256 px", 3),
    ("ssim_varied_256", "varied", 3),
)
_COLUMNS = {"talk": _SPEECH, "enhance": _ENLARGED}  # by protocol
_JUDGED = {  # by key of a row: what it is called, and on an axis
    "psnr": ("PSNR", "PSNR to the truth, dB"),
    "jaw_correlation": ("how the jaw follows", "how the jaw follows, correlation"),
    "gain_plain": ("PSNR over the bicubic filter's", "PSNR over the bicubic filter's, dB"),
}


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print the table and what stands around it."""
    columns, protocol = _columns(report), report.get("protocol")
    headings, rows = ["profile", *(heading for _, heading, _ in columns)], []
    best = pareto(report["rows"], judged_by(report))
    for row in report["rows"]:
        name = f"{row['profile']} *" if row["profile"] in best else row["profile"]
        rows.append([name, *(cell(row[key], digits) for key, _, digits in columns)])
    print_table(console, headings, rows)
    clips, machine, bundle = report["clips"], report["machine"], report["bundle"]
    by = _JUDGED[judged_by(report)][0]
    console.print(f"* none of the others is both faster and better ({by})", markup=False)
    for name, graphs in report["left_out"].items():
        options = " ".join(dict.fromkeys(filter(None, (option_for(graph, ADDED_BY) for graph in graphs))))
        how = f"; build with {options}" if options else ""
        console.print(f"{name}: left out, there is no {', '.join(graphs)}{how}", markup=False, soft_wrap=True)
    console.print(
        f"{bundle['preset']} {bundle['precision']}, {bundle['weights']} weights; {_measured(clips, protocol)}; "
        f"{machine['cpu']}, {machine['cores']} cores, ONNX Runtime {machine['onnxruntime']}",
        markup=False,
        soft_wrap=True,
    )


def _measured(clips: Mapping[str, Any], protocol: str | None) -> str:
    """What was, and how."""
    if protocol == "enhance":
        return f"drawn people {clips['seeds']}; frames/s of {clips['frames']} small frames, from arrays to arrays"
    return (
        f"drawn clips {clips['seeds']} of {clips['frames']} frames, "
        f"{'speech' if protocol == 'talk' else 'self-reenactment'}; frames/s from arrays to arrays with known faces"
    )


def markdown(report: Mapping[str, Any]) -> str:
    """The same as a table of docs/performance.md."""
    columns = _columns(report)
    head = ["profile", *(heading for _, heading, _ in columns)]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for row in report["rows"]:
        cells = [row["profile"], *(cell(row[key], digits) for key, _, digits in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _columns(report: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
    """Key, heading and digits of each."""
    return _COLUMNS.get(report.get("protocol", ""), _PICTURES)


def cell(value: Any, digits: int) -> str:
    """A number, or a dash where there is none."""
    return "-" if value is None else value if isinstance(value, str) else f"{value:.{digits}f}"


def draw_pareto(report: Mapping[str, Any], out: Path, kind: str) -> None:
    """A picture of `kind` (".png", ...). Raises OSError.

    Speed from left to right, upwards PSNR, or of speech how the jaw follows; who is neither slower nor worse than
    another is named in red.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    key = judged_by(report)
    rows, best = [row for row in report["rows"] if row[key] is not None], pareto(report["rows"], key)
    figure = Figure(figsize=(9, 5.8), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)  # no window, and no global state
    axes = figure.add_subplot()
    front = sorted((row for row in rows if row["profile"] in best), key=lambda row: row["frames_per_s"])
    axes.step([r["frames_per_s"] for r in front], [r[key] for r in front], where="post", color=BEST, linewidth=1)
    # Names stand in a row above, as far from each other as their points are not, and in the points' order.
    for place, row in enumerate(sorted(rows, key=lambda row: (row["frames_per_s"], row[key]))):
        colour = BEST if row["profile"] in best else INK
        axes.plot(row["frames_per_s"], row[key], "o", color=colour, markersize=6)
        axes.annotate(
            row["profile"], (row["frames_per_s"], row[key]), xytext=((place + 0.5) / len(rows), 1.03),
            textcoords="axes fraction", rotation=50, rotation_mode="anchor", va="center", color=colour, fontsize=9,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.4, "alpha": 0.6, "relpos": (0, 0)},
        )  # fmt: skip
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("frames a second", color=INK)
    axes.set_ylabel(_JUDGED[key][1], color=INK)
    bundle, machine = report["bundle"], report["machine"]
    figure.suptitle(
        f"{bundle['preset']} {bundle['precision']}: what speed costs ({machine['cpu']}, {machine['cores']} cores)",
        x=0.01, ha="left", color=INK, fontsize=12, fontweight="bold",
    )  # fmt: skip
    axes.grid(color=FAINT, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.margins(x=0.1, y=0.1)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=160, format=kind.lstrip("."))

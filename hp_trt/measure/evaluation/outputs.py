"""Where an evaluation goes: the terminal, a JSON file, a picture. Files appear whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from engines.safe_output import check_outputs, safe_output
from hp_trt.measure.drawing import check_can_draw
from hp_trt.measure.evaluation.mood_table import show_moods
from hp_trt.measure.evaluation.plot import draw_plot
from hp_trt.measure.evaluation.table import show

STDOUT = Path("-")  # as a name of the JSON file


def check_report(to_json: Path | None, to_plot: Path | None, inputs: Mapping[str, Path | str | None]) -> None:
    """Raises OutputError and InputError before the long work, of which `inputs` are read."""
    check_outputs({"the report": None if to_json == STDOUT else to_json, "the plot": to_plot}, inputs)
    if to_plot is not None:
        check_can_draw(to_plot, "--plot")


def put_out(report: Mapping[str, Any], to_json: Path | None, to_plot: Path | None) -> None:
    """Print the table, and write what is asked for. Raises OutputError."""
    print_out = show_moods if "moods" in report else show
    print_out(report, Console(stderr=to_json == STDOUT, highlight=False))
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    if to_json == STDOUT:
        print(text, end="")
    elif to_json is not None:
        with safe_output(to_json) as part:
            part.write_text(text, encoding="utf-8")
    if to_plot is not None:
        with safe_output(to_plot) as part:
            draw_plot(report, part, to_plot.suffix)

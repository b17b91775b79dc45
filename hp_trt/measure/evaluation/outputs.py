"""Where an evaluation goes: the terminal, a JSON file, a picture. Files appear whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from engines.errors import OutputError
from hp_trt.measure.drawing import check_can_draw
from hp_trt.measure.evaluation.plot import draw_plot
from hp_trt.measure.evaluation.table import show
from hp_trt.media.part_file import PartFile

STDOUT = Path("-")  # as a name of the JSON file


def check_outputs(to_json: Path | None, to_plot: Path | None) -> None:
    """Raises OutputError and InputError before the long work."""
    for path in (None if to_json == STDOUT else to_json, to_plot):
        if path is None:
            continue
        if not path.absolute().parent.is_dir():
            raise OutputError(f"there is no folder {path.parent} to write {path.name} into; make it first")
        if path.is_dir():
            raise OutputError(f"{path} is a folder; give a file name in it")
    if to_plot is not None:
        check_can_draw(to_plot, "--plot")


def put_out(report: Mapping[str, Any], to_json: Path | None, to_plot: Path | None) -> None:
    """Print the table, and write what is asked for. Raises OutputError."""
    show(report, Console(stderr=to_json == STDOUT, highlight=False))
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    if to_json == STDOUT:
        print(text, end="")
    elif to_json is not None:
        _place(to_json, lambda part: part.write_text(text, encoding="utf-8"))
    if to_plot is not None:
        _place(to_plot, lambda part: draw_plot(report, part, to_plot.suffix))


def _place(path: Path, write: Callable[[Path], object]) -> None:
    try:
        part = PartFile(path)
        try:
            write(part.path)
            part.commit()
        finally:
            part.discard()
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; choose another folder or make room") from error

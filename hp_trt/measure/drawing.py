"""Whether a picture of a measurement can be drawn, asked before the measurement."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from engines.errors import InputError, how_to_install

KINDS = (".png", ".svg", ".pdf")


def check_can_draw(out: Path, option: str) -> None:
    """Raises InputError, before anything is measured, for a file that `option` names and that could not be drawn."""
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(f"{option} draws with matplotlib, which is not installed; {how_to_install('bench')}")
    if out.suffix not in KINDS:
        raise InputError(f"{out} names no kind of picture; end its name in {', '.join(KINDS)}")

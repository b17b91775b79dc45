"""The files that a call writes, held against all that it reads, before any work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.safe_output import check_outputs
from hp_trt.config import RuntimeConfig
from hp_trt.interface import arguments
from hp_trt.media.portrait import Portrait


def checked_files(
    outputs: Mapping[str, Path | None], suffixes: Iterable[str], config: RuntimeConfig, bundle: Bundle, **inputs: Any
) -> dict[str, Path | str | None]:
    """The files that are read, by what a message calls each. `inputs`: as `RuntimeConfig.inputs` has them, whatever an
    application hands in: arrays and locators are no files. `outputs`: as `check_outputs` takes them.

    Raises OutputError where one cannot be written, InputError where one would replace what it is made of.
    """
    files = {name: _file_of(source) for name, source in inputs.items()}
    known = config.inputs(bundle=bundle.path, **files)
    check_outputs(outputs, known, suffixes=tuple(suffixes))
    return known


def _file_of(source: Any) -> Path | None:
    return source.path if isinstance(source, Portrait) else arguments.file_of(source)

"""Folders and training states that are there whole or not at all, however training ends."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from engines.errors import InputError
from engines.foreign import foreign
from export.weights.pickles import archive_problem


@contextmanager
def rename_into_place(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` for a file or folder; it gets its real name when the block ends well."""
    hidden = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield hidden
        os.replace(hidden, path)
    finally:
        _delete(hidden)


def make_run_folder(folder: Path) -> None:
    """Make it, and rid it of what killed processes left half written. Raises InputError where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be the folder of a run ({error.strerror}); choose another") from error
    sweep(folder)


def sweep(folder: Path) -> None:
    """Delete what killed processes left half written under `folder`; what a living one is writing stays."""
    for hidden in list(folder.rglob(".*.part")):
        process = hidden.name.split(".")[-2]
        if process.isdigit() and not Path("/proc", process).exists():
            _delete(hidden)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """torch.save, whole or not at all."""
    with rename_into_place(path) as hidden, open(hidden, "wb") as file:
        torch.save(dict(state), file)
        file.flush()
        os.fsync(file.fileno())


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote. Raises InputError for a file that is something else."""
    advice = "delete it to begin this stage again"
    if not path.is_file() or (problem := archive_problem(path)):
        why = problem.split(";")[0] if path.is_file() else "no regular file"
        raise InputError(f"{path} is no training state ({why}); {advice}")
    with foreign(f"{path} is no training state", advice):
        found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise InputError(f"{path} is no training state, it holds a {type(found).__name__}; {advice}")
    return found

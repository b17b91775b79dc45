"""Folders and training states that are there whole or not at all, however training ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from engines.errors import InputError
from engines.foreign import foreign
from engines.part_file import sweep_below
from engines.safe_output import refusing, safe_output
from export.weights.pickles import archive_problem


def make_run_folder(folder: Path) -> None:
    """Make it, and rid it of what killed processes left half written. Raises OutputError where it cannot be made."""
    with refusing(f"the run in {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    sweep_below(folder)


@contextmanager
def new_file(path: Path) -> Iterator[IO[bytes]]:
    """`path` opened to be written, whole or not at all; its folder is made. Raises OutputError and DiskError.

    torch's own errors hide what the disk refused: here that is what is raised.
    """
    with refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with safe_output(path) as hidden, open(hidden, "wb") as file:
        attentive = _Attentive(file)
        try:
            yield attentive  # type: ignore[misc]  # what torch and numpy use of a file
        except RuntimeError:
            if attentive.refused is not None:
                raise attentive.refused from None
            raise


class _Attentive:
    """A file that remembers what refused a write: torch goes on after that, and ends in an error of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.refused: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.refused = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """torch.save, whole or not at all."""
    with new_file(path) as file:
        torch.save(dict(state), file)


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

"""What a written file gets so that one can tell where it comes from, as whoever writes files sees it.

A `Seal` is of one run. It marks each picture on its way into a file, and completes the file under its hidden name:
signs it, and writes what stands beside it. `hp_trt.provenance.run_seal` has the one there is; None stands for none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.part_file import PartFile
from engines.safe_output import refusing


class Sealed:
    """A file that is complete under its hidden name, and the one that goes beside it: as a `PartFile`, of both."""

    def __init__(self, part: PartFile, beside: PartFile | None) -> None:
        self._part, self._beside = part, beside

    @property
    def path(self) -> Path:
        return self._part.path

    def commit(self, final: Path | None = None, *, synced: bool = True) -> None:
        """Give both their names, the file first: what stands beside it never speaks of a file that is not there."""
        self._part.commit(final, synced=synced)
        if self._beside is not None:
            self._beside.commit()

    def discard(self) -> None:
        """Remove what has no name of its own yet. Twice is fine."""
        self._part.discard()
        if self._beside is not None:
            self._beside.discard()


class Seal(Protocol):
    """The seal of one run, for all files that the run writes. One thread at a time."""

    mark_id: int | None  # of the run, 32 bits; None: its pictures are not marked

    def marked(self, image: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB as it is written; `image` itself stays as it is."""

    def sealed(self, part: PartFile, name: Path, notes: Sequence[str] = (), *, precious: bool = False) -> Sealed:
        """Seal the complete file `part`, which will be called `name`; `notes`: what a user should know of it.

        What is returned takes the place of `part`, which is gone where the file had to be written anew; `precious` as
        of a `PartFile`. Where it raises, `part` is as it was. Raises OSError, OutputError.
        """


def marked(image: np.ndarray, seal: Seal | None) -> np.ndarray:
    """The picture as it is written by a run with that seal, or with none."""
    return image if seal is None else seal.marked(image)


@contextmanager
def sealed_output(final: Path, seal: Seal | None, *, left: str = "") -> Iterator[Path]:
    """The hidden file that gets the name `final`, sealed, when the block ends without an error, and goes otherwise.

    Raises OutputError for what the disk refuses; `left` says what became of the rest.
    """
    with refusing(final, left=left):
        part: PartFile | Sealed = PartFile(final)
        try:
            yield part.path
            if seal is not None:
                assert isinstance(part, PartFile)
                part = seal.sealed(part, final)
            part.commit()
        finally:
            part.discard()

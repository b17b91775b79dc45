"""A run of training, in a folder that any of it resumes from.

- PHASE.pt: a phase's newest state; PHASE.csv: its loss; PHASE.done.pt: its end, the networks that it leaves;
- WHAT/HASH/NUMBER.npy: what the networks of an ended phase have seen of one clip. HASH is of that end.

Names and contents of these files stay as they are, so that a run goes on that an earlier version began.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from engines.errors import InputError
from engines.foreign import foreign
from export.training.files import load_state, new_file, save_state
from export.training.phase import Phase, Settings, Tell, train

States = dict[str, dict[str, Tensor]]  # network name -> its parameters


class Run:
    """The folder of `settings`. An end keeps `networks`; what else a phase trains is thrown away there."""

    def __init__(self, settings: Settings, networks: Collection[str]) -> None:
        self.settings = settings
        self._networks = networks
        self._hashes: dict[str, str] = {}

    def train(self, phase: Phase, tell: Tell, settings: Settings | None = None) -> bool:
        """Train `phase` as far as the minutes go, with the run's settings or these; True when it has ended.

        Raises what `export.training.phase.train` raises.
        """
        if not train(phase, settings or self.settings, tell):
            return False
        if not self.has_ended(phase.name):
            phase.finish(phase.modules)
            self.leave(
                phase.name,
                {name: module.state_dict() for name, module in phase.modules.items() if name in self._networks},
            )
        return True

    def leave(self, phase: str, states: States) -> None:
        """These networks are the end of a phase."""
        save_state(self.end_path(phase), states)

    def end_path(self, phase: str) -> Path:
        """Where the end of a phase is, or will be."""
        return self.settings.folder / f"{phase}.done.pt"

    def has_ended(self, phase: str) -> bool:
        return self.end_path(phase).exists()

    def has_begun(self, phase: str) -> bool:
        return self.has_ended(phase) or (self.settings.folder / f"{phase}.pt").exists()

    def end(self, phase: str) -> States:
        """The networks that a phase has left. Raises InputError before its end."""
        return load_state(self._ended(phase))

    def _ended(self, phase: str) -> Path:
        path = self.end_path(phase)
        if not path.exists():
            raise InputError(f"the stage {phase} is not complete in {path.parent} yet; run it first: --stage {phase}")
        return path

    def see(self, what: str, phase: str, look: Callable[[int], np.ndarray], numbers: Sequence[int], tell: Tell) -> None:
        """Of each of `numbers` that is missing, keep what the networks of `phase` see when they `look` at it."""
        for count, number in enumerate(numbers, start=1):
            path = self.seen_path(what, phase, number)
            if not path.exists():
                seen = look(number)
                with new_file(path) as file:
                    np.save(file, seen)
            tell(what, count, len(numbers), {})

    def seen(self, what: str, phase: str, numbers: Sequence[int]) -> list[np.ndarray]:
        """What was seen of each of `numbers`. Raises InputError where one is missing."""
        paths = [self.seen_path(what, phase, number) for number in numbers]
        if missing := [path for path in paths if not path.exists()]:
            raise InputError(f"{what} of {len(missing)} of {len(paths)} clips are missing; run --stage {what} first")
        return [_array(path) for path in paths]

    def seen_path(self, what: str, phase: str, number: int) -> Path:
        """Named by the weights that looked, so that other weights look again. Raises InputError before their end."""
        if phase not in self._hashes:
            with open(self._ended(phase), "rb") as file:
                self._hashes[phase] = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        return self.settings.folder / what / self._hashes[phase] / f"{number}.npy"


def _array(path: Path) -> np.ndarray:
    with foreign(f"{path} is damaged", "delete it, and the stage that made it makes it again"):
        return np.asarray(np.load(path, mmap_mode="r"))  # a map: a header cannot claim more than the file

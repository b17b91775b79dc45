"""Upstream's folder of published files, whichever model's: every file read and checked, all that is wrong told at once.

A model's room says which files it needs, where they may lie, and what keys they must hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.errors import CheckpointError
from export.weights.checkpoints import Shapes, StateDict, mismatches, read_checkpoint, unusable

# What lies in upstream's folder of one model alone -> the presets that it is for.
MARKS: Mapping[str, tuple[str, ...]] = {
    "hyportrait": ("hunyuanportrait",),
    "hallo2/net.pth": ("hallo2", "enhancer"),  # one download has both
}


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file that a model needs."""

    name: str  # for people, and of its entry in what `read_folder` returns
    places: Sequence[str]  # below the root; of several that are there, the first one is read
    shapes: Shapes  # the keys that it must hold, no others
    spelling: Callable[[StateDict], StateDict] = lambda state: state  # keys and shapes as this model has them
    inside: str = ""  # the entry that holds the state dict in a file that holds others beside it

    def find(self, root: Path) -> Path | None:
        return next((root / place for place in self.places if (root / place).is_file()), None)


def root_of(folder: str | Path, *, nested: str, preset: str, holds: str) -> Path:
    """`folder`, or `folder/NESTED`, as upstream calls it, where there is one.

    `holds`: what tells the right folder, for people. Raises CheckpointError for no folder, and for another model's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder; give the one that holds {holds} (upstream's {nested}), "
            "or a .safetensors file of export.train"
        )
    root = folder / nested if (folder / nested).is_dir() else folder
    found = [others for mark, others in MARKS.items() if (root / mark).exists()]
    if found and not any(preset in others for others in found):
        other = found[0][0]
        raise CheckpointError(
            f"{root} holds the weights of another model, {other}; build that one: --preset {other}, "
            f"or give the folder that holds {holds}"
        )
    return root


def read_folder(root: Path, files: Sequence[PublishedFile]) -> dict[str, StateDict]:
    """The state dict of every file by its name, checked key by key.

    Tensors keep the dtype they were stored in and are mapped from disk where the file allows it: leave the files alone
    while the result lives. Raises one CheckpointError that lists all missing and unreadable files and all missing,
    unexpected and misshapen keys of all files, a line a file.
    """
    states: dict[str, StateDict] = {}
    problems: list[str] = []
    for file in files:
        path = file.find(root)
        if path is None:
            problems.append(f"{file.name}: no file, needed {' or '.join(file.places)}")
            continue
        try:
            state = file.spelling(read_checkpoint(path, inside=file.inside))
        except CheckpointError as error:
            problems.append(str(error))
            continue
        if wrong := mismatches(state, file.shapes) or unusable(state):
            problems.append(f"{path}: {'; '.join(wrong)}")
        states[file.name] = state
    if problems:
        raise CheckpointError(
            "\n  ".join(
                [
                    f"the weights in {root} do not fit ({len(problems)} of {len(files)} files); "
                    "download the published files again, or choose the preset they belong to",
                    *problems,
                ]
            )
        )
    return states

"""What of a folder is a portrait, a video or a sound: told by names alone, so that ten thousand of them take no time.

Nothing is opened, and nothing below a folder is looked at. What else lies there is counted by its ending.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from engines.errors import InputError
from engines.foreign import reason

Kind = Literal["portraits", "drivings", "audio"]
_ENCODED = {".safetensors"}
_PICTURES = set(".png .jpg .jpeg .webp .bmp .tif .tiff .heic .heif .avif".split())
_VIDEOS = set(".mp4 .mov .mkv .webm .avi .m4v .mpg .mpeg .ts .mts .flv .wmv .mxf .gif".split())
_SOUNDS = set(".wav .mp3 .m4a .aac .flac .ogg .oga .opus .aif .aiff .caf .au".split())
ENDINGS: Mapping[Kind, frozenset[str]] = {
    "portraits": frozenset(_PICTURES | _ENCODED),
    "drivings": frozenset(_VIDEOS | _ENCODED),
    "audio": frozenset(_SOUNDS | _VIDEOS | _ENCODED),
}
FOLDERS, HIDDEN, NONE = "folders", "hidden", "no ending"
_TOLD = 5  # endings


@dataclass(frozen=True, kw_only=True)
class MediaFolder:
    """What lies in one folder."""

    folder: Path
    files: tuple[Path, ...]  # by name
    passed_over: Mapping[str, int] = field(default_factory=dict)  # how many, by ending

    def told(self) -> str:
        """What was passed over, for people."""
        found = Counter(self.passed_over).most_common()
        more = f" and {len(found) - _TOLD} other endings" if len(found) > _TOLD else ""
        return ", ".join(f"{count} {ending}" for ending, count in found[:_TOLD]) + more


def look_into(folder: Path, kind: Kind) -> MediaFolder:
    """Raises InputError for what is no folder that can be read, and for one without a single file of that kind."""
    files, others = [], Counter[str]()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                ending = os.path.splitext(entry.name)[1].lower()
                if entry.name.startswith("."):
                    others[HIDDEN] += 1
                elif entry.is_dir():
                    others[FOLDERS] += 1
                elif ending in ENDINGS[kind]:
                    files.append(Path(entry.path))
                else:
                    others[ending or NONE] += 1
    except OSError as error:
        raise InputError(f"--{kind} {folder} cannot be read: {reason(error)}; give a folder") from error
    found = MediaFolder(folder=folder, files=tuple(sorted(files)), passed_over=dict(others))
    if not files:
        there = f", there are: {found.told()}" if others else ", it is empty"
        known = " ".join(sorted(ENDINGS[kind]))
        raise InputError(f"--{kind} {folder} has no file that ends in one of {known}{there}; give another folder")
    return found

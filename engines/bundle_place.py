"""Whether a folder may become a bundle, or go on being one: it is empty, or holds a bundle and nothing else.

A folder from elsewhere may hold links under any name that a build opens, hidden ones too: what is written or deleted
through one is not in the bundle. So a bundle consists of folders and regular files alone.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

from engines.bundle import DEEPEST, read_manifest, visible_files
from engines.errors import BundleError, OutputError
from engines.fields import read_json
from engines.manifest import CARD_NAME, FORMAT, MANIFEST_BYTES, MANIFEST_NAME, SCHEMA, is_graph_folder
from engines.part_file import check_no_zero
from engines.plans import ENGINES, is_target_folder, is_timing_cache


def check_bundle_place(path: Path, *, preset: str | None) -> None:
    """Refuse a path that is no place for a bundle, or holds one of another `preset`. It only looks.

    Raises OutputError, BundleError, and OSError for what cannot be looked at.
    """
    check_no_zero(path)
    if path.is_dir():
        _check_is_plain(path)
        _check_manifest(path, preset)
        _check_files(path)
    elif path.exists() or path.is_symlink():
        what = "a file" if path.exists() else "a link that leads nowhere"
        raise OutputError(f"{path} is {what}, a bundle is a folder; choose another --bundle")


def _check_is_plain(path: Path) -> None:
    """Refuse links, pipes and devices, wherever they are: nothing is opened or deleted through one."""
    for where, folders, files in os.walk(path):
        if folders and len(Path(where).relative_to(path).parts) >= DEEPEST:
            raise BundleError(
                f"{path} has folders inside each other more than {DEEPEST} deep, a bundle has fewer; remove them, or "
                "choose another --bundle folder"
            )
        for name in (*folders, *files):
            found = Path(where, name)
            try:
                mode = os.lstat(found).st_mode
            except FileNotFoundError:  # another build's
                continue
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                what = "a link" if stat.S_ISLNK(mode) else "no regular file"
                raise BundleError(
                    f"{found} is {what}, and a bundle has folders and files alone: a build would write or delete what "
                    "it leads to; remove it, or choose another --bundle folder"
                )


def _check_manifest(path: Path, preset: str | None) -> None:
    file = path / MANIFEST_NAME
    data: Any = None
    if not file.exists():
        return
    try:
        data = read_json(file, most_bytes=MANIFEST_BYTES).found
    except ValueError:
        # Damaged: a rebuild replaces it. Without our graphs beside it, it may be anybody's.
        data = {"format": FORMAT} if (path / "onnx").is_dir() else None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BundleError(f"{file} is not a bundle's manifest; choose another --bundle folder")
    if isinstance(schema := data.get("schema"), int) and schema > SCHEMA:
        read_manifest(path)  # says so
    if preset and data.get("preset", preset) != preset:
        raise BundleError(
            f"{path} is a bundle of preset {data['preset']}, asked for {preset}; "
            f"choose another --bundle folder, or delete this one first"
        )


def _check_files(path: Path) -> None:
    for found in visible_files(path):
        parts = PurePosixPath(found).parts
        graph = len(parts) == 3 and parts[0] == "onnx" and is_graph_folder(parts[1])
        plan = len(parts) == 4 and parts[0] == ENGINES and is_target_folder(parts[1]) and is_graph_folder(parts[2])
        card = found == CARD_NAME and (path / MANIFEST_NAME).is_file()
        if not (graph or plan or card or is_timing_cache(found) or found == MANIFEST_NAME):
            raise BundleError(
                f"{path} holds {found}, which is no part of a bundle; "
                f"move it elsewhere or choose another --bundle folder"
            )

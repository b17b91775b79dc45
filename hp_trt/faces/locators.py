"""The face locators, by kind: `open_locator` opens the one that a user names.

`haar` (OpenCV's cascades, always there), `yunet` and `yoloface` (better, with a network file the user brings), `mesh`
(sees a mouth and a turned head, with a file that `hp-trt fetch mesh` gets) and `landmarks_file` (no detector: the
points come from a file). `open_live_locator`: the same for a live session.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from engines.errors import InputError
from hp_trt.faces.face import FaceLocator
from hp_trt.fetch.table import MESH

Locator = Literal["haar", "yunet", "yoloface", "mesh"]  # what looks for faces in pictures
LOCATORS: tuple[Locator, ...] = get_args(Locator)
LocatorKind = Literal[Locator, "landmarks"]


def open_locator(kind: LocatorKind = "haar", file: Path | str | None = None) -> FaceLocator:
    """The face locator of that kind. All but "haar" need their `file`; "mesh" finds the one that was fetched itself.

    Raises InputError when the file is missing, unreadable or not what the kind needs.
    """
    if kind not in (kinds := get_args(LocatorKind)):
        raise InputError(f"unknown face locator {kind!r}; choose {', '.join(kinds[:-1])} or {kinds[-1]}")
    if kind == "haar":
        from hp_trt.faces.haar import HaarLocator

        return HaarLocator()
    if kind == "mesh":
        from hp_trt.faces.mesh import open_mesh

        return open_mesh(MESH.place if file is None else Path(file))
    if file is None:
        raise InputError(f"the face locator {kind!r} needs a file and none was given; give its path, or use 'haar'")
    path = Path(file)
    if not path.is_file():
        found = "a folder or a device, and no file" if path.exists() else "no such file"
        raise InputError(f"{path}: {found}; the face locator {kind!r} needs it, or use 'haar', which needs none")
    if kind == "yunet":
        from hp_trt.faces.yunet import YuNetLocator

        return YuNetLocator(path)
    if kind == "yoloface":
        from hp_trt.faces.yoloface import YoloFaceLocator, open_network

        return YoloFaceLocator(open_network(path))
    from hp_trt.faces.landmarks_file import LandmarksFile

    return LandmarksFile.read(path)


def open_live_locator(kind: LocatorKind = "haar", file: Path | str | None = None) -> FaceLocator:
    """What looks for faces in a live session, whose pictures come in order: cascades take a third of one's time, so
    between their looks flow follows the face. Of the other kinds the locator itself. Raises what `open_locator` does.
    """
    locator = open_locator(kind, file)
    if kind != "haar":
        return locator
    from hp_trt.faces.flow import FlowLocator
    from hp_trt.faces.haar import HaarLocator

    assert isinstance(locator, HaarLocator)
    return FlowLocator(locator)

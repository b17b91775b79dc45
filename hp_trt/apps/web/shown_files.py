"""Files that are looked at and not kept: what a visitor verifies. They go with the verdict, or after an hour."""

from __future__ import annotations

import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.sheets import FOLDER

_ID = re.compile(r"v_[0-9a-f]{32}\.[a-z0-9]{1,5}")
_SUFFIX = re.compile(r"[a-z0-9]{1,5}")
_KEPT_S = 3600.0


def new_place(service: Service, owner: str, suffix: str) -> Path:
    """Where an upload goes. `suffix`: of the client's file, which says how its credentials are embedded."""
    folder = service.state.folder(owner, FOLDER)
    for old in folder.glob("v_*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _KEPT_S:
                old.unlink()
    suffix = suffix.lower() if _SUFFIX.fullmatch(suffix.lower()) else "bin"
    return folder / f"v_{secrets.token_hex(16)}.{suffix}"


def place_of(service: Service, owner: str, name: object) -> Path:
    """Raises Problem where this owner has no such file."""
    if isinstance(name, str) and _ID.fullmatch(name):
        place = service.state.owners / owner / FOLDER / name
        if place.is_file():
            return place
    raise Problem("bad-request", "there is no file here, or not any more; choose a video or a picture, and wait for it")

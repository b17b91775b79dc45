"""What all processes of a cluster have to have: one folder, mounted on every node, and one bundle.

store.id    which folder it is
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engines.bundle import Bundle
from engines.errors import InputError
from engines.file_record import hash_file
from engines.part_file import sync_folder
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.shipped import bundle_folder

_ID = "store.id"


@dataclass(frozen=True, kw_only=True)
class Same:
    """The ids of both, hex digits, as whoever deploys a cluster finds them."""

    store: str
    bundle: str

    @classmethod
    def of(cls, config: ServiceConfig) -> Self:
        """The folder is made, and gets its id, where it has none. Raises OSError, BundleError, InputError."""
        return cls(store=store_id(config.state), bundle=_fingerprint(config.bundle))

    def check(self, config: ServiceConfig) -> None:
        """Raises InputError where this node has another folder at that place, or another bundle; BundleError."""
        try:
            found = (config.state / _ID).read_text().strip()
        except OSError:
            found = ""
        if found != self.store:
            has = f"it is another one ({found[:8]})" if found else f"it has no {_ID}"
            raise InputError(
                f"{config.state} on this node is not the folder of the service ({self.store[:8]}): {has}; mount one "
                "shared folder at this place on every node"
            )
        if (bundle := _fingerprint(config.bundle)) != self.bundle:
            raise InputError(
                f"the bundle {config.bundle} on this node is another one ({bundle[:8]}) than the service's "
                f"({self.bundle[:8]}); copy one bundle to every node, or put it on the shared folder"
            )


def store_id(folder: Path) -> str:
    """Which folder this is: 32 hex digits that it has from its first use. Raises OSError."""
    place = folder / _ID
    with suppress(FileNotFoundError):
        return place.read_text().strip()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    hidden = folder / f".store.id.{secrets.token_hex(8)}"
    hidden.write_text(secrets.token_hex(16))
    try:
        with suppress(FileExistsError):  # another process was first
            os.link(hidden, place)
    finally:
        hidden.unlink(missing_ok=True)
    sync_folder(folder)
    return place.read_text().strip()


def _fingerprint(bundle: str) -> str:
    """Of a bundle: its manifest has the sums of all that is in it."""
    return hash_file(Bundle.open(bundle_folder(bundle), family="").path / "manifest.json").sha256

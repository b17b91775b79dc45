"""A portrait that was encoded once is a file beside its picture: other lanes, and processes to come, read it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import HpTrtError, InputError
from hp_trt.apps.service.engine import Engine
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import Accounts, Items
from hp_trt.encoded.encoded_file import is_encoded
from runtime.stages import Stages

log = logging.getLogger("hp_trt.service")


def portrait_of(engine: Engine, file: Path, kept: Path | None, stages: Stages | None) -> Any:
    """The portrait of `file`, by its portrait file where there is one. Raises InputError, FaceNotFound."""
    if kept is not None and kept.is_file():
        try:
            return engine.portrait(kept, stages=stages)
        except InputError:  # of another bundle, or damaged: it is made anew
            kept.unlink(missing_ok=True)
    return engine.portrait(file, stages=stages)


@dataclass(frozen=True)
class PortraitFiles:
    """The portrait files of all owners. For any thread."""

    portraits: Items
    accounts: Accounts

    def place(self, owner: str, identity: str) -> Path:
        """Where one is, once it is there."""
        return self.portraits.encoded(owner, identity)

    def keep(self, engine: Engine, portrait: Any, file: Path, kept: Path, owner: str) -> None:
        """Write one of an upload that is still there. A quota or a disk that refuses costs the next process time."""
        if kept.is_file() or not kept.parent.is_dir() or is_encoded(file):
            return
        try:
            self.accounts.check(owner, portrait.image.nbytes)
            engine.write_portrait(kept, portrait)
        except (Problem, HpTrtError, OSError) as error:
            log.warning("a portrait is not kept", extra={"reason": type(error).__name__})

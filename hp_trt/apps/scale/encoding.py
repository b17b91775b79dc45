"""Uploads that are encoded in another process: a front has no engine, and asks one whether a picture has a face.

What is asked and answered is plain data, because it goes from node to node; files are named below the folder that both
have, which may be mounted at different places.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines import errors
from engines.errors import Cancelled, FaceNotFound, HpTrtError, InputError
from hp_trt.apps.scale.presence import Presence
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.engine import OpenEngine
from hp_trt.apps.service.lanes import close_quietly
from hp_trt.apps.service.maker import ClipMaker
from hp_trt.apps.service.origin import Sealing
from hp_trt.apps.service.portrait_files import PortraitFiles
from hp_trt.apps.service.store import Accounts, Items, State

Ask = Callable[[str, Mapping[str, Any], threading.Event | None], Any]  # what, with which, until it is called off
_TOLD = (FaceNotFound, InputError, errors.OutputError, errors.BundleError)  # by their names, the nearest first


class EncodeReplica:
    """Opens an engine for each profile. For any thread. Raises what `hp_trt.apps.service.maker.ClipMaker` raises."""

    def __init__(self, config: ServiceConfig, open_engine: OpenEngine) -> None:
        self._config = config
        self._state = State(config.state, shared=True)
        portraits = Items(self._state, "portraits", "p", config.limits, lambda: 0.0)
        files = PortraitFiles(portraits, Accounts(self._state, config.limits))
        self._maker = ClipMaker(open_engine, config.profiles, sealing=Sealing(), files=files)
        self._presence = Presence(self._state.path / "alive", "encode")
        self._end = threading.Event()

    def answer(self, what: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """`{"found": ...}`, or `{"error": its name, "text": ...}` for what is wrong with the upload."""
        try:
            return {"found": getattr(self, f"_{what}")(**given)}
        except Cancelled:
            return {"error": "Cancelled", "text": "the process ends"}
        except _TOLD as error:
            name = next(kind.__name__ for kind in _TOLD if isinstance(error, kind))
            return {"error": name, "text": str(error).replace(f"{self._state.path}/", "")}

    def check(self) -> None:
        """Raises RuntimeError where it hangs: a new process is needed."""
        self._maker.check(self._config.stall_s)

    def close(self) -> None:
        self._end.set()
        self._presence.close()
        close_quietly(self._maker.close)
        self._state.close()

    def _about(self) -> dict[str, Any]:
        return {"notes": self._maker.notes, "motion_bytes": self._maker.motion_bytes}

    def _portrait(self, profile: str, identity: str, file: str) -> None:
        self._maker.portrait(profile, identity, self._state.path / file)

    def _forget(self, identity: str) -> None:
        self._maker.forget(identity)

    def _motion(self, profile: str, driver: str, out: str) -> None:
        self._maker.write_motion(profile, self._state.path / driver, self._state.path / out, self._end)


class RemoteEncoder:
    """A `hp_trt.apps.service.cluster.Encoder` whose work is done by an `EncodeReplica` that `ask` reaches.

    `folder`: the state folder, as this process has it.
    """

    def __init__(self, ask: Ask, folder: Path) -> None:
        self._ask, self._folder = ask, folder
        self._known: Mapping[str, Any] | None = None

    @property
    def notes(self) -> list[str]:
        return list(self._about["notes"])

    @property
    def motion_bytes(self) -> int:
        return int(self._about["motion_bytes"])

    def portrait(self, profile: str, identity: str, file: Path) -> None:
        """Find the face and encode it. Raises InputError, FaceNotFound, HpTrtError."""
        self._asked("portrait", {"profile": profile, "identity": identity}, file=file)

    def forget(self, identity: str) -> None:
        """A portrait that its owner deleted is not kept, where it is known: others forget it by and by."""
        with suppress(HpTrtError):
            self._asked("forget", {"identity": identity})

    def write_motion(self, profile: str, driver: Path, out: Path, cancel: threading.Event) -> None:
        """See `hp_trt.apps.service.maker.ClipMaker`."""
        self._asked("motion", {"profile": profile}, cancel, driver=driver, out=out)

    @property
    def _about(self) -> Mapping[str, Any]:
        if self._known is None:
            self._known = self._asked("about", {})
        return self._known

    def _asked(self, what: str, given: Mapping[str, Any], cancel: threading.Event | None = None, **files: Path) -> Any:
        inside = {name: str(path.relative_to(self._folder)) for name, path in files.items()}
        answer = self._ask(what, {**given, **inside}, cancel)
        if "error" not in answer:
            return answer["found"]
        text = answer["text"]
        for name, path in files.items():
            text = text.replace(inside[name], str(path))
        if answer["error"] == "Cancelled":
            raise Cancelled(text)
        kinds: Mapping[str, type[HpTrtError]] = {kind.__name__: kind for kind in _TOLD}
        raise kinds[answer["error"]](text)

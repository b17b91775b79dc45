"""Looks at uploads in processes of their own, which have so much memory and so much time for each, and no more.

    python -m hp_trt.apps.service.looker

reads a line of JSON for each file and answers with one. Other people's decoders read every byte of an upload: what goes
wrong in them ends such a process and not the service, and one that hangs is killed. They are begun with the first
upload and kept: to begin one takes as long as to look at many files.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.inputs import motion_facts, picture_facts, video_facts
from hp_trt.apps.service.memory import data_bytes
from hp_trt.apps.service.problems import Problem

log = logging.getLogger("hp_trt.service")
What = Literal["picture", "motion", "video"]
_MOST_LOOKS = 200  # of a process: what a library loses is bounded
_LATER_S = 2  # than its service kills it, a process ends itself: its service may have been killed
_BY_HAND = "try it with hp-trt motion or hp-trt portrait, on a machine of yours, or send another file"


class Lookers:
    """The processes that are there, as many as looked at a time at most. For any thread."""

    def __init__(self, steady_s: Callable[[], float] = time.monotonic) -> None:
        self._steady_s = steady_s
        self._idle: list[_Looker] = []
        self._since_s: dict[int, float] = {}
        self._looks, self._closed = 0, False
        self._guard = threading.Lock()

    def look(
        self, what: What, path: Path, limits: Limits, *, bundle: Path | None = None, profiles: Sequence[str] = ()
    ) -> dict[str, Any]:
        """What `hp_trt.apps.service.inputs` finds in a file. Raises what that raises, and Problem for a file that took
        too long, or ended the process."""
        asked = {"what": what, "path": str(path), "bundle": str(bundle), "profiles": list(profiles)}
        with self._guard:
            self._looks += 1
            number, looker = self._looks, self._take()
            self._since_s[number] = self._steady_s()
        try:
            looker = looker or _Looker()
            said = looker.ask(asked | {"limits": asdict(limits)}, limits.look_s)
        finally:
            with self._guard:
                del self._since_s[number]
                if looker is not None and looker.lives and not self._closed:
                    self._idle.append(looker)
                elif looker is not None:
                    looker.end()
        return _facts(said)

    def _take(self) -> _Looker | None:
        """One that is idle, and was not ended by the system meanwhile."""
        while self._idle:
            looker = self._idle.pop()
            if looker.lives:
                return looker
            looker.end()
        return None

    @property
    def silent_s(self) -> float:
        """How long the longest look has lasted, 0 without one; beyond its limit the system does not end its process."""
        with self._guard:
            return max((self._steady_s() - since_s for since_s in self._since_s.values()), default=0.0)

    def close(self) -> None:
        """End what is idle; what looks ends with its look."""
        with self._guard:
            idle, self._idle, self._closed = self._idle, [], True
        for looker in idle:
            looker.end()


class _Looker:
    """One process. For one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hp_trt.apps.service.looker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the service's: uploads under way go on while it ends
        )
        self._left, self._late = _MOST_LOOKS, False

    @property
    def lives(self) -> bool:
        """Whether it may be asked again."""
        return self._left > 0 and self._process.poll() is None

    def ask(self, asked: dict[str, Any], most_s: float) -> dict[str, Any]:
        """Its answer. Raises Problem where there is none; it is at its end then."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._left -= 1
        ending = threading.Timer(most_s, self._too_late)
        ending.start()
        try:
            with suppress(OSError):  # it has ended already
                self._process.stdin.write(json.dumps(asked).encode() + b"\n")
                self._process.stdin.flush()
            line = self._process.stdout.readline()
        finally:
            ending.cancel()
        with suppress(ValueError):
            said: dict[str, Any] = json.loads(line)
            return said
        self.end()
        if self._late:
            raise Problem("impossible", f"the file was looked at for {most_s:g} s, the limit; {_BY_HAND}")
        text = f"looking at the file ended before there was an answer: it may need too much memory; {_BY_HAND}"
        raise Problem("impossible", text)

    def end(self) -> None:
        self._left = 0
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _too_late(self) -> None:
        self._late = True
        self._process.kill()


def _facts(said: dict[str, Any]) -> dict[str, Any]:
    """What was found. Raises Problem, InputError."""
    if "slug" in said:
        raise Problem(str(said["slug"]), str(said["detail"]))
    if "input" in said:
        raise InputError(str(said["input"]))
    if "mistake" in said:
        log.error("an upload could not be looked at", extra={"reason": str(said["mistake"])[:2000]})
        raise Problem("internal", "the service made a mistake, which its log has; tell who runs it")
    found: dict[str, Any] = said["facts"]
    return found


def main() -> None:
    """Answer until there is nothing more to read."""
    from hp_trt.media import images, video  # noqa: F401 - what is loaded counts as there already

    held_bytes, bundles = data_bytes(), dict[str, Bundle]()
    for what in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(what, (0, 0))
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        limits = Limits(**asked["limits"])
        most_bytes = held_bytes + limits.look_memory_bytes
        resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, resource.RLIM_INFINITY))
        signal.alarm(math.ceil(limits.look_s) + _LATER_S)  # which ends it, also within a decoder
        said = _look(asked, limits, bundles)
        signal.alarm(0)
        sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
        sys.stdout.buffer.flush()


def _look(asked: dict[str, Any], limits: Limits, bundles: dict[str, Bundle]) -> dict[str, Any]:
    path = Path(asked["path"])
    try:
        if asked["what"] == "picture":
            return {"facts": picture_facts(path)}
        if asked["what"] == "video":
            return {"facts": video_facts(path, limits)}
        name = asked["bundle"]
        if name not in bundles:
            bundles[name] = Bundle.open(name, family="")
        return {"facts": motion_facts(path, bundles[name], asked["profiles"], limits)}
    except Problem as problem:
        return {"slug": problem.slug, "detail": problem.detail}
    except InputError as error:
        return {"input": str(error)}
    except MemoryError:
        os._exit(1)  # what it holds now is nobody's to count on
    except Exception:
        return {"mistake": traceback.format_exc()}


if __name__ == "__main__":
    main()

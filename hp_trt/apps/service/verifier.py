"""Looks at a stranger's file in a process of its own, which has so much memory and time and no more.

    python -m hp_trt.apps.service.verifier FILE BYTES SECONDS

prints one line of JSON, {"report": what `hp-trt verify --json` says} or {"problem": why there is none}. Other
people's parsers read every byte of the file, and whoever sends it needs no token: what goes wrong in them ends this
process and not the service. It writes no file, and yields to clips.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path
from typing import Any

from engines.errors import HpTrtError
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.memory import data_bytes
from hp_trt.apps.service.problems import Problem, without_paths

_NICE = 10
_TIMES_CPU = 8  # of the seconds: several cores may work at once; ends a process whose service was killed
_INSTEAD = "look at it with hp-trt verify, on a machine of yours"


async def look_at(path: Path, limits: Limits) -> dict[str, Any]:
    """The report of a file without a sidecar beside it. Raises Problem for what is neither video nor picture."""
    words = [str(path), str(limits.verify_memory_bytes), str(math.ceil(limits.verify_s))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hp_trt.apps.service.verifier", *words, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), limits.verify_s)
    except TimeoutError:
        raise Problem(
            "impossible", f"the file was looked at for {limits.verify_s:g} s, the limit; {_INSTEAD}"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    try:
        said = json.loads(out)
    except ValueError:  # it was ended by the system, or by what the file made of a library
        text = f"looking at the file ended before there was a report: it may need too much memory; {_INSTEAD}"
        raise Problem("impossible", text) from None
    if "problem" in said:
        raise Problem("unsupported-media", without_paths(str(said["problem"])))
    report: dict[str, Any] = said["report"]
    return report


def main() -> None:
    """Print what is found. Bounded before the first byte is read."""
    path, more_bytes, seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    from hp_trt.media import images, video  # noqa: F401 - what is loaded counts as there already
    from hp_trt.provenance import credentials, verify

    if credentials.is_installed():
        import c2pa  # noqa: F401

    os.nice(_NICE)
    held_bytes = data_bytes()
    for what, most in (
        (resource.RLIMIT_DATA, held_bytes + more_bytes),
        (resource.RLIMIT_CPU, seconds * _TIMES_CPU),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    os.chdir(path.parent)  # no folder in what is told
    said: dict[str, Any]
    try:
        said = {"report": verify.verify_file(Path(path.name)).to_json()}
    except HpTrtError as error:
        said = {"problem": str(error)}
    print(json.dumps(said))


if __name__ == "__main__":
    main()

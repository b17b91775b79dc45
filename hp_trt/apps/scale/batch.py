"""The clips of a batch spread by Ray Data: a map over a pool of actors that hold a Runtime each, a pair a row.

Ray speaks on standard output, takes signals, and ends the process that used a cluster whose head is gone. So it is used
in a process of its own (`hp_trt.apps.scale.batch_driver`), which is given the pairs and tells what came of each: here
stands the other end. That process and its workers end when this one does, however it ends.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from engines.cores import available_cores
from engines.errors import InputError, bounded
from hp_trt.apps.batch.config import BatchConfig, RayConfig
from hp_trt.apps.batch.enlarging import Enlarging
from hp_trt.apps.batch.outcome import Outcome
from hp_trt.apps.batch.pairs import Pair
from hp_trt.config import RuntimeConfig
from hp_trt.provenance.options import Provenance

_DRIVER = "hp_trt.apps.scale.batch_driver"
_PATIENCE_S = 20  # until a process that was asked to end is ended
_LOG_BYTES = 8000


@dataclass(frozen=True, kw_only=True)
class Job:
    """What goes to the other process; all paths are whole, because workers are elsewhere."""

    bundle: Path
    runtime: RuntimeConfig
    out: Path
    audio: bool
    provenance: Provenance
    sampling: dict[str, Any]
    enlarging: Enlarging | None
    pairs: Sequence[Pair]
    there: frozenset[str]  # clips that are done, and are to be enlarged
    ray: RayConfig
    on_gpu: bool
    threads: int


def made_by_ray(
    config: BatchConfig, pairs: Sequence[Pair], *, audio: bool, there: frozenset[str] = frozenset()
) -> Iterator[Outcome]:
    """What came of each pair, as they are done, in any order. `there`: names of clips that are only to be enlarged.

    Raises InputError for a cluster that is not there, or goes, and for what a worker says that ends a batch.
    """
    assert config.ray is not None, "who asks for Ray"
    threads = config.runtime.threads or available_cores()  # said, so that every worker makes the same bits
    runtime = replace(config.runtime, threads=threads, **_absolute(config.runtime))
    job = Job(
        bundle=config.bundle.absolute(),
        runtime=runtime,
        out=config.out.absolute(),
        audio=audio,
        provenance=_signing_anywhere(config.provenance),
        sampling=config.sampling,
        enlarging=_anywhere(config.enlarging),
        there=there,
        pairs=[replace(pair, portrait=pair.portrait.absolute(), driver=pair.driver.absolute()) for pair in pairs],
        ray=config.ray,
        on_gpu=config.on_gpu,
        threads=threads,
    )
    yield from _spread(job)


def _absolute(config: RuntimeConfig) -> dict[str, Any]:
    """The files of a configuration, whole."""
    files = {name: getattr(config, name) for name in ("locator_file", "arcface", "vocals")}
    found: dict[str, Any] = {name: Path(path).absolute() for name, path in files.items() if path is not None}
    if isinstance(config.profile, str) and ".toml" in config.profile:
        found["profile"] = str(Path(config.profile).absolute())
    return found


def _anywhere(enlarging: Enlarging | None) -> Enlarging | None:
    return None if enlarging is None else replace(enlarging, bundle=enlarging.bundle.absolute())


def _signing_anywhere(asked: Provenance) -> Provenance:
    files = {"sign_chain": asked.sign_chain, "sign_key": asked.sign_key}
    found: dict[str, Any] = {name: Path(path).absolute() for name, path in files.items() if path is not None}
    return replace(asked, **found)


def _spread(job: Job) -> Iterator[Outcome]:
    waiting = {pair.out for pair in job.pairs}
    with tempfile.TemporaryFile() as log:
        # A session of its own: Ctrl-C is for us, and we end it.
        process = subprocess.Popen(
            [sys.executable, "-m", _DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            assert process.stdin is not None and process.stdout is not None
            with suppress(BrokenPipeError):  # it ended at once: what it said is told below
                pickle.dump(job, process.stdin)
                process.stdin.flush()
            ended = False
            for said in map(json.loads, process.stdout):
                if "stop" in said:
                    raise InputError(said["stop"])
                if ended := "end" in said:
                    break
                waiting.discard(said["out"])
                yield Outcome.from_json(said)
        finally:
            _end(process)
        if not ended:
            raise InputError(
                f"Ray ended before all clips were made ({_last_words(log)}); see to the cluster, then the same command "
                "goes on"
            )
    for out in sorted(waiting):  # a worker that dies takes no others with it, and is asked twice
        text = "its worker died, twice: out of memory, or a library that ended it; try this clip alone"
        yield Outcome(out=out, state="failed", error=text, code=1)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Its cluster, where it is its own, ends with it."""
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()  # which asks it to end
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _last_words(log: IO[bytes]) -> str:
    """The last line of what it said that says anything."""
    size = log.seek(0, 2)
    log.seek(max(0, size - _LOG_BYTES))
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines()]
    told = [line for line in lines if line and not line.startswith(("***", "PC:", "@", "[failure_signal"))]
    return bounded(told[-1])[:300] if told else "without a word"

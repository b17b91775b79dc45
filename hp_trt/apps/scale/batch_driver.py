"""The process that uses Ray for a batch: `hp_trt.apps.scale.batch` starts it, and says what is to be done.

Standard input brings a pickled `Job`, and its end is the order to end. Standard output takes a line of JSON for each
pair; whatever Ray prints goes to standard error.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any, cast

from engines.errors import HpTrtError, InputError, bounded
from hp_trt.apps.batch.maker import Larger, Maker
from hp_trt.apps.batch.outcome import Outcome, described
from hp_trt.apps.scale.batch import Job

_MOST_BLOCKS = 10_000  # tasks of Ray Data; of more pairs several are one
_PATIENCE_S = 10  # with a cluster's address
_RETRIES = 1  # of a pair whose worker died


class Worker:
    """An actor: one Runtime, and what makes clips larger, opened when the first pair comes."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._maker: Maker | None = None

    def __call__(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The outcome of the pair of a number, as JSON; or what ends all."""
        try:
            said = self._made(self._job.pairs[row["number"]]).to_json()
        except Exception as error:
            said = {"stop": described(error)}
        return {"said": json.dumps(said)}

    def _made(self, pair: Any) -> Outcome:
        if self._maker is None:
            from hp_trt.api import Runtime

            job = self._job
            larger = None
            if job.enlarging is not None:
                larger = Larger(enlarging=job.enlarging, enhancer=job.enlarging.open(job.runtime))
            self._maker = Maker(
                runtime=Runtime(job.bundle, job.runtime),
                out=job.out,
                audio=job.audio,
                provenance=job.provenance,
                sampling=job.sampling,
                larger=larger,
            )
        *_, last = self._maker.outcomes(pair, is_there=pair.out in self._job.there)
        return last


def main() -> None:
    tell = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    try:
        for said in _outcomes(job):
            _tell(tell, said)
        _tell(tell, json.dumps({"end": True}))
    except HpTrtError as error:
        _tell(tell, json.dumps({"stop": str(error)}))


def _tell(place: IO[str], said: str) -> None:
    place.write(said + "\n")
    place.flush()


def _end_with_the_other() -> None:
    """Whoever started this has ended, or wants it to end."""
    sys.stdin.buffer.read()
    signal.alarm(10)  # SIGALRM ends it, should Ray not
    os.kill(os.getpid(), signal.SIGTERM)


def _outcomes(job: Job) -> Iterator[str]:
    """A line of JSON for each pair that a worker lived to tell of. Raises InputError without a cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    import ray

    try:
        _try_address(job.ray.address or os.environ.get("RAY_ADDRESS") or "")
        ray.init(address=job.ray.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = job.ray.address or os.environ.get("RAY_ADDRESS") or "this machine"
        raise InputError(f"no Ray at {where}: {_first_line(error)}; start it, or leave the address out") from error
    rows = [{"number": number} for number in range(len(job.pairs))]
    workers = min(len(rows), job.ray.workers or len(rows), _room(job))
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # a pair whose worker died twice: the others go on
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    needs: dict[str, Any] = {"num_gpus": 1} if job.on_gpu else {"num_cpus": job.threads}
    made = ray.data.from_items(rows, override_num_blocks=min(len(rows), _MOST_BLOCKS)).map(
        cast(Any, Worker),  # it makes one of it, and calls that
        fn_constructor_args=(job,),
        # A worker has one pair at a time: if it dies, no other pair dies with it.
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers, max_tasks_in_flight_per_actor=1),
        ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": _RETRIES},
        **needs,
    )
    for row in made.iter_rows():
        yield row["said"]


def _try_address(address: str) -> None:
    """Raises OSError where nobody listens: Ray itself would ask for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()


def _room(job: Job) -> int:
    """How many workers the cluster takes. Raises InputError for none."""
    import ray

    kind, each = ("GPU", 1) if job.on_gpu else ("CPU", job.threads)
    nodes = [node["Resources"].get(kind, 0) for node in ray.nodes() if node["Alive"]]
    room = sum(int(found // each) for found in nodes)
    if not room:
        advice = "start nodes with GPUs" if job.on_gpu else "give fewer --threads"
        raise InputError(
            f"a worker needs {each} {kind}, the largest node of the cluster has {max(nodes, default=0):g}; {advice}"
        )
    return room


def _first_line(error: BaseException) -> str:
    return bounded(next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__))


if __name__ == "__main__":
    main()

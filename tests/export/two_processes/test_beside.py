"""The second process of a build: what it makes arrives in order, what goes wrong in it as it is, and it never stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from engines.errors import CheckpointError, InternalError, ParityError
from export.two_processes.beside import Beside, share_out


class Odd(Exception):
    """One that cannot be sent: it is not made of what it says."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


def make(kind: str = ""):
    """What the second process does, by the task."""
    if kind == "unmade":
        raise CheckpointError("weights.safetensors lacks unet/conv_in.weight; give another file")

    def work(task: str, announce):
        announce("begun", pid=os.getpid())
        if task == "wrong":
            raise ParityError("denoiser disagrees with its network: the graph was not kept")
        if task == "odd":
            raise Odd("this", "that")
        if task == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if task == "waits":
            threading.Event().wait()
        return task, os.getpid()

    return work


def silent(task):
    return lambda *words, **facts: None


def test_both_processes_work_and_results_keep_the_order_of_their_tasks():
    told, other_began = [], threading.Event()

    def announce(task):
        def tell(step, pid):
            told.append((task, step, pid))
            if pid != os.getpid():
                other_began.set()

        return tell

    def here(task, announce):
        assert other_began.wait(60)  # so that neither can do it all alone
        return make()(task, announce)

    with Beside().becomes(make) as beside:
        made = share_out(["a", "b", "c", "d"], here, beside.do, announce)
    assert [task for task, _ in made] == ["a", "b", "c", "d"]
    assert made[0][1] == os.getpid()
    assert len({pid for _, pid in made}) == 2
    assert sorted(told) == [(task, "begun", pid) for task, pid in made]


@pytest.mark.parametrize(
    ("kind", "task", "error", "says"),
    [
        ("", "wrong", ParityError, "^denoiser disagrees with its network: the graph was not kept$"),
        ("", "odd", InternalError, "^Odd in the second process of this build: this and that"),
        ("", "dies", InternalError, r"was killed \(SIGKILL\), .* memory runs out; .* --processes 1"),
        ("unmade", "a", CheckpointError, "lacks unet/conv_in.weight"),
    ],
)
def test_what_goes_wrong_in_the_second_process_stops_the_first(kind, task, error, says):
    def here(task, announce):
        while True:  # an export that says how far it is, and would not end by itself
            announce("export")
            time.sleep(0.01)

    with Beside().becomes(make, kind) as beside, pytest.raises(error, match=says):
        share_out(["first", task], here, beside.do, silent)


def test_what_goes_wrong_in_the_first_process_ends_the_second_whatever_it_does():
    began = threading.Event()
    pids = []

    def announce(task):
        def tell(step, pid):
            pids.append(pid)
            began.set()

        return tell

    def here(task, announce):
        assert began.wait(60)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Beside().becomes(make) as beside:
        share_out(["first", "waits"], here, beside.do, announce)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_reader_who_goes_away_is_no_death_of_the_second_process():
    def tell(step, pid):
        raise BrokenPipeError("nobody reads standard output")

    with Beside().becomes(make) as beside, pytest.raises(BrokenPipeError, match="nobody reads"):
        beside.do("a", tell)


def test_one_that_is_never_needed_is_never_started():
    with Beside().becomes(make) as beside:
        pass
    assert beside._process.pid is None


def test_what_it_is_for_may_be_said_while_it_imports():
    with Beside("wave", __name__) as beside:  # `wave` is imported by nobody else
        beside.start()
        beside.becomes(imported)
        assert beside.do("wave", lambda *words: None)


def imported():
    return lambda module, announce: module in sys.modules


def test_one_that_cannot_import_says_so_when_it_gets_a_task():
    with Beside("export.nothing").becomes(make) as beside, pytest.raises(ModuleNotFoundError, match=r"export\.nothing"):
        beside.do("a", lambda *words: None)


def test_ctrl_c_is_not_for_the_second_process_from_its_first_moment_on():
    with Beside().becomes(make) as beside:
        beside.start()
        os.kill(beside._process.pid, signal.SIGINT)
        assert beside.do("a", lambda *words, **facts: None)[0] == "a"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_the_second_process_ends_with_the_first():
    """Whoever reads what they print comes to its end when both are gone."""
    code = (
        "from export.two_processes.beside import Beside; from tests.export.two_processes.test_beside import make\n"
        "Beside().becomes(make).do('waits', lambda step, pid: print(step, flush=True))"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "begun\n"
    first.kill()
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL

"""A second process beside the one that builds, so that two graphs are made at a time.

An export is one thread's work in Python: two in one process would wait for each other. The second process is a fresh
one, which imports what it needs itself; it gets tasks one at a time and sends back what it makes of them, what it has
to tell, and errors as they are. It ends with the process that started it, however that ends, and leaves Ctrl-C to it.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from engines.errors import InternalError

Announce = Callable[..., None]
Work = Callable[[Any, Announce], Any]  # a task, and whom to tell how far it is, to its result


class Beside:
    """The second process, from `start` or the first task on; a context manager, at whose end it is gone, done or not.

    `imports`: modules that it imports at once, while this process imports the same and finds out what is to be done.
    That is said by `becomes`, before the first task.
    """

    def __init__(self, *imports: str) -> None:
        spawning = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
        self._pipe, self._theirs = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(self._theirs, imports), daemon=True)
        self._what: tuple[Callable[..., Work], tuple[Any, ...]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin, where it has not begun: its imports take seconds."""
        if self._process.pid is None:
            with _interrupts_held():
                self._process.start()
            self._theirs.close()  # it is the other's alone, and ends with it
            self._tell()

    def becomes(self, make: Callable[..., Work], *arguments: Any) -> Self:
        """`make(*arguments)` is called there, and returns what does a task. All of these are pickled, and results too.

        Raises InternalError where the process has died."""
        assert self._what is None, "it is something already"
        self._what = make, arguments
        self._tell()
        return self

    def _tell(self) -> None:
        if self._what is not None and self._process.pid is not None:
            with self._alive():
                self._pipe.send(self._what)

    def do(self, task: Any, announce: Announce) -> Any:
        """The result of a task. Raises what the task raised there; InternalError where the process has died."""
        assert self._what is not None, "it does not know what to do with a task"
        self.start()
        with self._alive():
            self._pipe.send(task)
        while True:
            with self._alive():
                kind, content = self._pipe.recv()
            if kind == "result":
                return content
            if kind == "error":
                raise content
            words, facts = content
            announce(*words, **facts)

    def stop(self) -> None:
        """End the process, whatever it is doing. Who waits in `do` is told that it died."""
        if self._process.pid is not None:
            self._process.kill()  # what it holds is memory, and a folder that the bundle's writer tidies
            self._process.join()

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        """The other end of the pipe is its own: where it is closed, the process is dead."""
        try:
            yield
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise InternalError(self._how_it_died()) from None

    def _how_it_died(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
        return (
            f"the second process of this build {how}, as the system does where memory runs out; what is finished is "
            "kept: give the same command with --processes 1, which needs less memory"
        )


def share_out(tasks: Sequence[Any], here: Work, beside: Work, announce: Callable[[Any], Announce]) -> list[Any]:
    """Every task's result, in order: done by `here` in this thread and by `beside` in another, the first by `here`.

    The first error of either is raised, as soon as `here` has something to tell or is done; nothing waits for `beside`
    then. `announce(task)` is whom to tell of a task, one call at a time.
    """
    left = deque(enumerate(tasks))
    made: dict[int, Any] = {}
    failures: list[BaseException] = []
    telling = threading.Lock()

    def check() -> None:
        if failures:
            raise failures[0]

    def do(work: Work, number: int, task: Any) -> None:
        tell = announce(task)

        def in_turn(*words: Any, **facts: Any) -> None:
            check()
            with telling:
                tell(*words, **facts)

        made[number] = work(task, in_turn)

    def other() -> None:
        try:
            while left and not failures:
                with contextlib.suppress(IndexError):  # the last one was taken in this moment
                    do(beside, *left.popleft())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=other, name="beside", daemon=True)
    first = left.popleft()  # the longest: the other process may still be starting
    thread.start()
    try:
        do(here, *first)
        while left:
            check()
            with contextlib.suppress(IndexError):
                do(here, *left.popleft())
        thread.join()
    except BaseException as error:
        failures.append(error)
        raise
    check()
    return [made[number] for number in range(len(tasks))]


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the end, and for ever in a process that is begun inside: it ignores them once it can."""
    resource_tracker.ensure_running()  # which would begin inside, and let them through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, imports: Sequence[str]) -> None:
    """The second process: does tasks until nobody sends any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both, and is for the one that started this
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Locks that libraries make for processes that they might start, and never do: of this kind they have no name, which
    # would be there after a kill, and be complained of.
    multiprocessing.set_start_method("fork", force=True)
    try:
        for module in imports:
            importlib.import_module(module)
        make, arguments = pipe.recv()
        work = make(*arguments)
    except BaseException as error:  # that nobody is there any more too: then nobody hears of it
        failed = error  # Python forgets an error at the end of its block

        def work(task: Any, announce: Announce) -> Any:
            raise failed

    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = pipe.recv()
            try:
                result = work(task, lambda *words, **facts: pipe.send(("told", (words, facts))))
            except BaseException as error:
                pipe.send(("error", _sendable(error)))
            else:
                pipe.send(("result", result))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _sendable(error: BaseException) -> BaseException:
    """The error with what it says, and where it was raised as a note for those who debug."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        where = "".join(traceback.format_exception(error)[-3:])
        return InternalError(f"{type(error).__name__} in the second process of this build: {error}\n{where}")

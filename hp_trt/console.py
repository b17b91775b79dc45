"""What a command says, and how it ends.

People get bars on a terminal and one line at the end; without a terminal only that line and the notes. `--json` makes
every event a line of JSON on standard output. Errors are one line on standard error: exit code 2 is the user's
turn, 1 is a failure of ours, 130 is Ctrl-C and 143 a kill, both of which clean up; a traceback comes only with
`--debug`. A reader that goes away (`| head`) ends a command quietly, as the shell expects: 141. Notes and errors are
bounded, and whatever is printed can be (`hp_trt.interface.standard_streams`).
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typer.main import get_command

from engines.errors import HpTrtError, InputError, OutputError, bounded
from engines.foreign import reason
from engines.safe_output import BROKEN
from hp_trt.interface.arguments import check_value
from hp_trt.interface.missing import missing_library
from hp_trt.interface.standard_streams import STDOUT, discard, settled_streams
from runtime.stages import Event

if TYPE_CHECKING:
    from engines.manifest import Manifest

INTERRUPTED, NO_READER, TERMINATED = 130, 141, 143  # 128 + the signal's number
WATCHED = ("motion", "denoise", "decode", "upscale")


class Reporter:
    """Bars, notes and the result of one command; a context manager around its work."""

    def __init__(self, *, as_json: bool = False, bars: bool = True) -> None:
        self.as_json = as_json
        self._console = Console(stderr=True, highlight=False)
        self._status_shown = False
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=as_json or not bars or not self._console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        self._clear_status()
        for text in getattr(error, "__notes__", ()):  # such as what is kept of the work, and how to go on
            self.note(text)

    def advance(self, name: str, done: int, total: int | None, *, label: str | None = None, **facts: Any) -> None:
        """`done` of `total` in the bar `name`, which reads `label`; `facts` go into the JSON line."""
        if self.as_json:
            self._line({"event": "progress", "stage": name, "done": done, "total": total, **facts})
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total)
        self._bars.update(self._tasks[name], completed=done, total=total, description=label or name)

    def on_event(self, event: Event) -> None:
        """For `Runtime(on_event=...)`: the stages that take long enough to watch."""
        if event.stage in WATCHED:
            self.advance(event.stage, event.done, event.total, kind=event.kind, seconds=round(event.seconds, 4))

    def status(self, text: str, **facts: Any) -> None:
        """How things stand: on a terminal one line that the next one replaces. For commands without bars."""
        if self.as_json:
            self._line({"event": "status", **facts})
        elif self._console.is_terminal:
            self._status_shown = True
            print(f"\r\x1b[2K{text[: self._console.width - 1]}", end="", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Something the user should know."""
        self._clear_status()
        text = bounded(text)
        if self.as_json:
            self._line({"event": "note", "text": text})
        else:
            self._console.print(f"note: {text}", markup=False, soft_wrap=True)

    def note_weights(self, manifest: Manifest) -> None:
        """What the user should know of a bundle's weights before it animates."""
        if manifest.weights["kind"] == "random":
            self.note("this bundle has random weights: the face will be noise, for trying and for benchmarks only")

    def result(self, text: str, **facts: Any) -> None:
        """The one line that says what was done."""
        self._clear_status()
        if self.as_json:
            self._line({"event": "result", **facts})
        else:
            print(text)

    def _clear_status(self) -> None:
        if self._status_shown:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
            self._status_shown = False

    def _line(self, event: Mapping[str, Any]) -> None:
        print(json.dumps(event, default=str), flush=True)


def run(app: typer.Typer, *, json_events: bool = True) -> None:
    """Run `app` on the process's arguments and exit with the code that says whose turn it is.

    `json_events`: the command's --json asks for events, so an error is one of them.
    """
    with settled_streams():
        code = _run(app, debug="--debug" in sys.argv, as_json=json_events and "--json" in sys.argv)
    sys.exit(code)


def _run(app: typer.Typer, *, debug: bool, as_json: bool) -> int:
    try:
        if as_json and sys.stdout is None:  # closed by whoever started us
            raise OutputError("standard output is closed, where --json writes its lines; open it, or leave --json out")
        _require_current_folder()
        with suppress(ValueError):  # not in the main thread: an application has its own way with signals
            signal.signal(signal.SIGTERM, _terminate)
        code = checked_command(app)(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        if code == INTERRUPTED:  # typer turns Ctrl-C into its code, without a word
            raise KeyboardInterrupt
    except BaseException as error:  # every way a command can end passes here once
        if debug and not isinstance(error, SystemExit | typer.Exit):
            traceback.print_exc()
        code = _explain(error, as_json=as_json)
    return code if isinstance(code, int) else 0


def _require_current_folder() -> None:
    """Relative names lead nowhere without one, and libraries end the process when they are loaded. InputError."""
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(f"the current folder cannot be used ({reason(error)}); change into one that exists") from error


def checked_command(app: typer.Typer) -> Any:
    """The command of `app`, with all its commands. Called, it raises InputError for a path or a number that no command
    can use (`hp_trt.interface.arguments.check_value`), before any work."""
    command = get_command(app)
    waiting = [command]
    while waiting:  # a command may have commands of its own
        one = waiting.pop()
        waiting += getattr(one, "commands", {}).values()
        for param in one.params:
            param.callback = _then(param.opts[-1], param.default, param.callback)
    return command


def _then(option: str, default: Any, callback: Callable[..., Any] | None) -> Callable[..., Any]:
    def check_then(context: Any, param: Any, value: Any) -> Any:
        if value != default:  # a default may be infinite
            check_value(option, value)
        return value if callback is None else callback(context, param, value)

    return check_then


def _interruption(error: BaseException) -> BaseException | None:
    """The Ctrl-C or the kill that a library was met by, which then failed at something else; None: nobody asked."""
    found: BaseException | None = None if isinstance(error, HpTrtError) else error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        if isinstance(found, KeyboardInterrupt | _Terminated):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


def _is_memory(error: BaseException) -> bool:
    """Whether there was too little of it, or a limit on it was met; loading a library says so in the loader's words."""
    if isinstance(error, ImportError):
        return any(words in str(error) for words in ("failed to map segment", "cannot allocate memory"))
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)


class _Terminated(BaseException):
    """SIGTERM, as an exception, so that what is unfinished is cleaned up."""


def _terminate(*_: Any) -> None:
    raise _Terminated


def _explain(error: BaseException, *, as_json: bool) -> int:
    message, code = str(error), 1
    typers_own = isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    if isinstance(error, BrokenPipeError) or typers_own:
        discard(STDOUT)  # or the interpreter complains when it flushes at exit
        return NO_READER
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, typer.Exit):
        return error.exit_code
    if hasattr(error, "format_message") and not error.format_message():  # no arguments: the help was shown
        return getattr(error, "exit_code", 2)
    error = missing_library(error) or _interruption(error) or error
    if isinstance(error, HpTrtError):
        message, code = str(error), error.exit_code
    elif isinstance(error, _Terminated):
        message, code = "terminated; what was complete before is untouched", TERMINATED
    elif isinstance(error, KeyboardInterrupt | typer.Abort):
        message, code = "interrupted; what was complete before is untouched", INTERRUPTED
    elif hasattr(error, "format_message"):  # the argument parser's own: typer does not export their base class
        message, code = f"{error.format_message().rstrip('.')}. See --help", getattr(error, "exit_code", 2)
    elif _is_memory(error):
        message = "out of memory; close other programs, or use a smaller size or fewer frames"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        message, code = f"no space left for {error.filename or 'what this command prints or writes'}; free some", 2
    elif isinstance(error, OSError) and error.errno in BROKEN:
        message = f"{error.filename or 'a disk'}: {error.strerror}: the disk fails, or the connection to it; see to it"
    else:
        name = type(error).__name__
        message = f"this is our mistake: {name}: {message or 'no message'}. Run it again with --debug and report it"
    lines = (line for part in message.splitlines() if (line := part.strip().rstrip(";")))
    message = bounded("; ".join(lines))  # one line, always
    try:
        if as_json:
            print(json.dumps({"event": "error", "code": code, "message": message}), flush=True)
        elif sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        discard(STDOUT)
    print(f"error: {message}", file=sys.stderr, flush=True)
    return code

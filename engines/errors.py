"""Every error we raise on purpose.

A message says what was found, what was needed, and what to do. The exit code says whose
turn it is: 2 the user's (an input, a bundle, a checkpoint, a full disk), 1 ours, or a disk's that fails.
"""

from __future__ import annotations

import re

_MOST_LINES, _MOST_LETTERS = 3, 600
# A terminal obeys control characters, and a message may quote a name that a stranger chose.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def how_to_install(extra: str) -> str:
    """What a message says of the packages of an extra of ours. No index has hp-trt: a checkout names them."""
    return f"pip install '.[{extra}]' in a checkout of hp-trt"


def bounded(text: str) -> str:
    """`text` as people can read it: at most three lines and 600 letters, with control characters escaped.

    Of a longer one the middle goes: a message begins with what was found and ends with what to do.
    """
    lines = _CONTROLS.sub(lambda found: ascii(found.group())[1:-1], text).splitlines() or [""]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], f"... {lines[-1]}"]
    whole = "\n".join(lines)
    if len(whole) <= _MOST_LETTERS:
        return whole
    end = _MOST_LETTERS // 2
    return f"{whole[: _MOST_LETTERS - end - 5]} ... {whole[-end:]}"


class HpTrtError(Exception):
    """Base of all our errors. `exit_code` is what a command returns for it; the message is `bounded`."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(bounded(str(message)))


class InputError(HpTrtError):
    """A picture, a video, an audio track or an option that cannot be used."""


class FaceNotFound(InputError):
    """No face where one is needed."""


class Busy(InputError):
    """Another process writes there now; later it may go."""


class LiveTimeout(HpTrtError, TimeoutError):
    """No frame came out of a live session in time; the session goes on. Also a TimeoutError of Python's."""


class Cancelled(HpTrtError):
    """Who asked for the work has called it off, by `Stages(cancel=...)`. Of a clip nothing is left, but, where it was
    begun with `resume`, the folder that it is gone on with from."""


class OutputError(HpTrtError):
    """The result cannot be written: the folder, the permission, the space."""


class DiskError(OutputError):
    """The disk itself fails, or the connection to it: nobody's wish was wrong, and another try may go well."""

    exit_code = 1


class BundleError(HpTrtError):
    """A bundle is missing, damaged, foreign, newer than this program, or not made for this use."""


class CheckpointError(HpTrtError):
    """A checkpoint cannot be loaded: missing, extra or misshapen keys, or not a plain tensor file."""


class EngineMismatch(HpTrtError):
    """An engine, or the library that should run it, does not fit this machine."""


class InternalError(HpTrtError):
    """We broke a promise of our own, such as a graph that disagrees with its network."""

    exit_code = 1


class ParityError(InternalError):
    """An exported graph or a built engine does not compute what its network computes."""


class NonFiniteError(InternalError):
    """A stage returned NaN or infinity."""

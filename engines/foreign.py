"""Foreign parsers at arm's length: whatever they raise becomes one of our errors.

Pillow, PyAV, OpenCV, PyTorch, ONNX Runtime, json and tomllib each have errors of their own for a damaged file, and
raise others that they never promised. Who opens a file from elsewhere opens it in here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engines.errors import HpTrtError, InputError

_LONGEST_REASON = 200  # letters


@contextmanager
def foreign(what: str, advice: str, *, error: type[HpTrtError] = InputError) -> Iterator[None]:
    """Turn whatever is raised inside into `error`: "WHAT (REASON); ADVICE". Our own errors pass, interrupts too.

    `what` says what was found: "me.png is a damaged picture". Not for a generator's body: what the consumer of a value
    raises would count as the parser's.
    """
    try:
        yield
    except HpTrtError:
        raise
    except PermissionError as found:
        where = f"{found.filename}: " if found.filename else ""
        raise error(f"{what} ({where}permission denied); change its permissions, or {advice}") from found
    except MemoryError as found:
        raise error(f"{what} (it needs more memory than there is); {advice}") from found
    except Exception as found:
        raise error(f"{what} ({reason(found)}); {advice}") from found
    except BaseException as found:
        if type(found).__name__ != "PanicException":  # how Rust's libraries end, beside Exception
            raise
        raise error(f"{what} ({reason(found)}); {advice}") from found


def reason(found: BaseException) -> str:
    """What an error says, on one line of at most 200 letters: the system's words without their number, or its first."""
    text = getattr(found, "strerror", None) or str(found)
    line = next((line.strip() for line in str(text).splitlines() if line.strip()), "") or type(found).__name__
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 4]} ..."

"""What an application hands in, checked where it enters: of the right type, finite, within what can be.

Python lets anything be passed for anything, and what is wrong would be told far below by NumPy or OpenCV, in their
words. Each check returns the value as the plain type that the code below works with, NumPy's numbers as Python's, and
raises InputError that says what was found and what is needed. `check_value` is for commands, whose options have a type
already. Files are read typed elsewhere; these are for arguments.
"""

from __future__ import annotations

import os
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.file_names import utf8_name
from engines.foreign import reason

_LONGEST_S = 10**12  # 30 000 years: nanoseconds since 1970, taken for seconds, are more
_MOST_WHOLE, _MOST = 2**63 - 1, 1e15  # no arithmetic goes wrong below
_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # bytes, of every file system that we know
_MOST_LETTERS = 60


def shown(value: Any) -> str:
    """What was found, for a message: short, whatever it is."""
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} of {value.dtype}"
    if value is None or isinstance(value, str | bytes | bool | float | Decimal | np.generic):
        text = repr(value)
    elif isinstance(value, int):  # Python refuses to write out a very long one
        text = repr(value) if abs(value) < 10**_MOST_LETTERS else f"a whole number of {value.bit_length()} bits"
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 4]} ..."


def whole(name: str, value: Any, *, least: int, most: int | None = None) -> int:
    """A whole number, of Python or NumPy."""
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is None or number < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {shown(value)}")
    if most is not None and number > most:
        raise InputError(f"{name} can be at most {most}, got {shown(value)}")
    return number


def flag(name: str, value: Any) -> bool:
    """True or False, of Python or NumPy."""
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def seconds(name: str, value: Any) -> float:
    """A time to wait, from 0; infinity is one."""
    if not _is_number(value) or not value >= 0:
        raise InputError(f"{name} must be a number of seconds of at least 0, or None, got {shown(value)}")
    return float(min(value, _LONGEST_S))


def moment(name: str, value: Any) -> Fraction:
    """A time on a clock, in seconds: exact where `value` is (a Fraction, a Decimal, a whole number)."""
    if not _is_number(value) or not abs(value) <= _LONGEST_S:  # nor is NaN
        raise InputError(
            f"{name} must be a finite number of seconds, at most {_LONGEST_S:g} from 0, or None, got {shown(value)}"
        )
    if isinstance(value, Integral):  # NumPy's would stay inside, and overflow
        return Fraction(int(value))
    return Fraction(value) if isinstance(value, Rational | Decimal) else Fraction(float(value))


def path(name: str, value: Any) -> Path:
    """The path of a file or folder, which need not be there."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        raise InputError(f"{name} must be the path of a file or folder, a str or a Path, got {shown(value)}")
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass
    except (OSError, ValueError) as error:  # too long a name, a null inside, half a character
        raise InputError(f"{name} cannot be a path ({reason(error)}), got {shown(text)}") from error
    return Path(text)


def file_of(source: Any) -> Path | None:
    """The file that an argument names; None for arrays, locators and nothing."""
    return Path(source) if isinstance(source, Path | str) else None


def is_frames(driving: object) -> bool:
    """Whether it is meant for frames, and not for a file."""
    return not isinstance(driving, str | bytes | os.PathLike)


def words(name: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise InputError(f"{name} must be a str, got {shown(value)}")
    return value


def instance(name: str, value: Any, kind: type[Any]) -> Any:
    """An object of the class that is needed."""
    if not isinstance(value, kind):
        raise InputError(f"{name} must be a {kind.__name__}, got {shown(value)}")
    return value


def having(name: str, value: Any, kind: str, *members: str) -> Any:
    """An object of any class that has what is needed of one."""
    if isinstance(value, type) or (lacking := [member for member in members if not hasattr(value, member)]):
        lacks = "which is a class, not an object" if isinstance(value, type) else f"without {', '.join(lacking)}"
        raise InputError(f"{name} must be a {kind}, got {shown(value)} {lacks}")
    return value


def check_value(option: str, value: Any) -> None:
    """Raises InputError, which names `option`, for a value that no command can use."""
    if isinstance(value, list | tuple):
        for one in value:
            check_value(option, one)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _MOST_WHOLE:
            raise InputError(
                f"{option} is a whole number of at most {_MOST_WHOLE}, got one of {len(str(value))} digits"
            )
    elif isinstance(value, float):
        if not abs(value) <= _MOST:
            raise InputError(f"{option} is a finite number of at most {_MOST:g}, got {value:g}")
    elif isinstance(value, Path | str):
        _check_text(option, str(value), is_path=isinstance(value, Path))


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return False
    return not (isinstance(value, Decimal) and value.is_nan())


def _check_text(option: str, text: str, *, is_path: bool) -> None:
    try:
        utf8_name(text)
    except UnicodeError:
        raise InputError(f"{option} is {text!r}, which is no UTF-8; give the file a name of readable letters") from None
    if "\0" in text:
        raise InputError(f"{option} is {text!r}; no name may have a zero in it")
    if not is_path:
        return
    longest = max(len(os.fsencode(part)) for part in text.split(os.sep))
    if longest > _LONGEST_NAME or len(os.fsencode(text)) > _LONGEST_PATH:
        raise InputError(
            f"{option} has a name of {longest} bytes in a path of {len(os.fsencode(text))}, file systems take "
            f"{_LONGEST_NAME} and {_LONGEST_PATH}; choose a shorter one"
        )

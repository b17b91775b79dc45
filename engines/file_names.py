"""File names as libraries in C++ take them: UTF-8, whatever locale the process has.

Python keeps the bytes of a name as text of the locale, where a plain one (LC_ALL=C) leaves what is no ASCII as halves
of characters. OpenCV dies of those, ONNX Runtime has no constructor for them. The bytes themselves are UTF-8.
"""

from __future__ import annotations

import os
from pathlib import Path


def utf8_name(path: Path | str) -> str:
    """The name for such a library. Raises UnicodeError, a ValueError, for one whose bytes are no UTF-8."""
    return os.fsencode(path).decode()

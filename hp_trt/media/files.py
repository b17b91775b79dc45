"""A path that a user or a stranger gave: is it a file that can be read?"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from engines.errors import InputError
from engines.foreign import reason


def check_file(path: Path, advice: str) -> int:
    """The size in bytes of the regular file `path`. Raises InputError: nothing there, a folder, a pipe, a device."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{path}: no such file; {advice}") from error
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: permission denied; change its permissions") from error
    except ValueError as error:  # no name for a file: a zero byte, half a character
        raise InputError(f"{path}: no such file, and no name for one ({reason(error)}); {advice}") from error
    except OSError as error:
        known = {errno.ENAMETOOLONG: "its name is too long", errno.ELOOP: "its links lead in a circle"}
        raise InputError(f"{path} cannot be read: {known.get(error.errno or 0, reason(error))}; {advice}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not a file; {advice}")
    return status.st_size

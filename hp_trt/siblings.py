"""Whether `engines`, `runtime` and the other packages beside `hp_trt` are its own.

Their names are plain words on the top level, and an application may have a folder or a file of the same name. Python
takes what comes first on its path, and the folder of a script comes before what is installed: without a check our own
modules would end in errors about names that do not exist, or in the application's code. Nothing is imported here: a
foreign module may do anything when it is.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

HOME = Path(__file__).parents[1]


def check_siblings(*names: str) -> None:
    """Raise ImportError, with the culprit's path, where one of these packages is not the one beside `hp_trt`."""
    for name in names:
        found, own = _found(name), HOME / name
        if found is None:
            raise ImportError(
                f"hp_trt needs its own package {name}, and {own} does not exist; install hp-trt again", name=name
            )
        if os.path.realpath(found) not in (os.path.realpath(own), os.path.realpath(own / "__init__.py")):
            raise ImportError(
                f"hp_trt needs its own package {name}, and Python finds {found} under that name, before {own}; give "
                "yours another name, move it into a package of yours, or start the program from another folder",
                name=name,
                path=found,
            )


def require_siblings(*names: str) -> None:
    """The same for a command: one line on standard error, and the exit code for the user's turn."""
    try:
        check_siblings(*names)
    except ImportError as error:
        if sys.stderr is not None:  # closed by whoever started us: print would take standard output
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _found(name: str) -> str | None:
    """The file, or the folder without one, that `import name` takes; None where there is nothing."""
    if name in sys.modules:
        spec = sys.modules[name].__spec__
        if spec is None:
            return f"a module {name!r} that was made by hand"
    else:
        spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    return spec.origin if spec.has_location else next(iter(spec.submodule_search_locations or ()), spec.origin)

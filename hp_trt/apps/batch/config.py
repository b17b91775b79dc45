"""What a batch is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.families import AUTO, find
from engines.safe_output import check_folder
from hp_trt.apps.batch.enlarging import Enlarging
from hp_trt.config import RuntimeConfig
from hp_trt.provenance.options import Provenance

_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/.*")  # a Path has made one slash of two


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """How clips are spread by Ray."""

    address: str | None = None  # of a cluster; None: RAY_ADDRESS, else one that runs on this machine, else one of ours
    workers: int | None = None  # each with a Runtime; None: as many as the cluster has room for


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Who is animated by what, with what, and where to. Checked when made; raises InputError and OutputError.

    `portraits`, `drivings`, `audio`: folders. `pairs`: a table (`hp_trt.apps.batch.pairs`), whose files are looked up
    in these folders where they are given.
    """

    bundle: Path
    runtime: RuntimeConfig
    portraits: Path | None = None
    drivings: Path | None = None
    audio: Path | None = None
    pairs: Path | None = None
    out: Path
    provenance: Provenance = field(default_factory=Provenance)  # what the files carry
    sampling: dict[str, Any]  # overrides by name; None leaves the bundle's own
    enlarging: Enlarging | None = None  # what makes each clip larger, in a file beside it; None: nothing does
    ray: RayConfig | None = None  # None: one clip after another, in this process

    def __post_init__(self) -> None:
        for option, path in self._paths():
            if _ADDRESS.fullmatch(str(path)):
                raise InputError(
                    f"{option} {path} is an address; a batch reads and writes files: mount it, or copy it here and back"
                )
        self._check_sources()
        if not self.provenance.sidecar:
            raise InputError("a batch knows by the sidecars which clips are done; leave --no-sidecar out")
        inputs = {
            **self.runtime.inputs(bundle=self.bundle),
            "the folder of portraits": self.portraits,
            "the folder of driving videos": self.drivings,
            "the folder of sounds": self.audio,
            "the table of pairs": self.pairs,
            "the enhancer's bundle": None if self.enlarging is None else self.enlarging.bundle,
        }
        check_folder(self.out, inputs)
        if self.ray is not None:
            self._check_ray()

    @property
    def drivers(self) -> Path | None:
        """The folder of what moves portraits."""
        return self.drivings or self.audio

    @property
    def on_gpu(self) -> bool:
        """Whether each Runtime takes a GPU."""
        config = self.runtime
        return config.provider == "cuda" or (config.family != AUTO and find(config.family).plans_for == "gpu")

    def _paths(self) -> Iterator[tuple[str, Path]]:
        named = {"portraits": self.portraits, "drivings": self.drivings, "audio": self.audio, "pairs": self.pairs}
        named |= {"out": self.out, "bundle": self.bundle}
        named |= {"enhance": None if self.enlarging is None else self.enlarging.bundle}
        return ((f"--{name}", path) for name, path in named.items() if path is not None)

    def _check_sources(self) -> None:
        if self.drivings is not None and self.audio is not None:
            raise InputError("portraits are moved by one of two, got --drivings and --audio; leave one of them out")
        if self.pairs is None and (self.portraits is None or self.drivers is None):
            lacks = "--portraits DIR" if self.portraits is None else "--drivings DIR or --audio DIR"
            raise InputError(f"{lacks} is missing; give it, or say by --pairs FILE.csv who is moved by what")
        if self.pairs is not None and not self.pairs.is_file():
            raise InputError(f"--pairs {self.pairs}: no such file; give a CSV file")
        for option, folder in (("portraits", self.portraits), ("drivings", self.drivings), ("audio", self.audio)):
            if folder is not None and not folder.is_dir():
                raise InputError(f"--{option} {folder} is no folder; give one")

    def _check_ray(self) -> None:
        if self.runtime.family == AUTO:
            raise InputError("--family auto chooses for one machine, --ray may have several; name the family")
        if self.runtime.device_id:
            raise InputError("with --ray each worker is given its own GPU; leave --device out")

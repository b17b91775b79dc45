"""Writing a bundle so that a kill at any moment costs no finished work and no good bundle.

Graphs and plans are made in `.build/`, out of every reader's sight. `commit` renames them to their final,
content-addressed folders, then renames the new manifest over the old one: that single rename is the moment the
bundle changes. Only then does what nothing names any more go away.

    with BundleWriter(path, preset="pocket") as writer:
        record = writer.find(name, key)
        if record is None:
            folder = writer.stage(name, key)            # write NAME.onnx and NAME.onnx.data there
            record = writer.finish(GraphRecord(name=name, key=key, spec=spec, precision="fp32"))
        bundle = writer.commit(manifest)                # whose `graphs` holds the records
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self, TypeVar

from filelock import FileLock, Timeout

from engines.bundle import Bundle, Record, read_manifest, read_record
from engines.bundle_place import check_bundle_place
from engines.errors import BundleError
from engines.file_record import hash_file
from engines.held import remove
from engines.manifest import (
    MANIFEST_NAME,
    RECORD_NAME,
    GraphRecord,
    Manifest,
    graph_folder,
    is_graph_folder,
    to_text,
)
from engines.part_file import sync_folder, write_whole
from engines.plans import (
    ENGINES,
    TIMING_CACHE,
    PlanRecord,
    Target,
    is_target_folder,
    plan_folder,
)
from engines.safe_output import FULL, refusal, refused_by_disk, refusing

Finished = TypeVar("Finished", GraphRecord, PlanRecord)

_KEPT = "Finished graphs are kept: the same command goes on from there"


class BundleWriter:
    """The one process that may write a bundle, from `__enter__` to `__exit__`.

    A second build is refused with a line that says who holds the lock, unless `wait_s` lets it wait. The lock dies
    with its process, so there is no stale lock to remove by hand. `preset`: refuse to replace a bundle of another.
    """

    def __init__(self, path: Path | str, *, preset: str | None = None, wait_s: float = 0.0) -> None:
        self.path = Path(path)
        self.preset = preset
        self.wait_s = wait_s
        self._lock = FileLock(self.path / ".lock")
        self._holder = self.path / ".lock.holder"
        self._build = self.path / ".build"

    def __enter__(self) -> Self:
        self.check()
        with refusing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            try:
                self._build.mkdir(exist_ok=True)
                write_whole(
                    self._holder, f"process {os.getpid()} on {socket.gethostname()} since {time.ctime()}".encode()
                )
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(OSError):  # tidying is no reason to fail
                self._tidy()
        finally:
            self._lock.release()
        if isinstance(error, OSError) and self._is_about_us(error):
            raise refusal(error.filename or self.path, error, left=_KEPT) from error

    def check(self) -> None:
        """Refuse a path that is no place for this bundle. It only looks: what it accepts may be written to."""
        with refusing(self.path):
            check_bundle_place(self.path, preset=self.preset)

    def find(self, name: str, key: str) -> GraphRecord | None:
        """The finished graph of this content, built now, before a kill, or in the bundle that stands; its files
        are hashed again. None when it must be built."""
        record = self._find(graph_folder(name, key), key)
        return record if isinstance(record, GraphRecord) else None

    def find_plan(self, target: Target, name: str, key: str) -> PlanRecord | None:
        """As `find`, for the plan of a graph."""
        record = self._find(plan_folder(target, name, key), key)
        return record if isinstance(record, PlanRecord) else None

    def stage(self, name: str, key: str) -> Path:
        """An empty hidden folder to make the graph's files in."""
        return self._stage(graph_folder(name, key))

    def stage_plan(self, target: Target, name: str, key: str) -> Path:
        """As `stage`, for the plan of a graph."""
        return self._stage(plan_folder(target, name, key))

    def manifest(self) -> Manifest | None:
        """The manifest that stands, whatever became of the files it names; None where it cannot be read."""
        try:
            return Manifest.from_json(read_manifest(self.path))
        except (BundleError, ValueError):
            return None

    def timing_cache(self, target: Target) -> Path:
        """Where the builder may keep what it has measured for this target; its folder is there."""
        folder = self.path / target.folder
        folder.mkdir(parents=True, exist_ok=True)
        return folder / TIMING_CACHE

    def finish(self, record: Finished) -> Finished:
        """Hash the staged files and mark the graph or plan finished: from here on a killed build keeps it.

        Returns the record with its `files` filled in.
        """
        folder = self._staged(record.folder)
        names = sorted(p.name for p in folder.iterdir() if p.name != RECORD_NAME)
        assert PurePosixPath(record.main).name in names, f"{folder} has {names}, no {record.main}"
        files = {}
        for name in names:
            _sync(folder / name)  # a graph is written by libraries, by name
            files[f"{record.folder}/{name}"] = hash_file(folder / name)
        record = replace(record, files=files)
        _write(folder / RECORD_NAME, record.to_json())
        return record

    def where(self, record: Finished) -> Path:
        """The main file of what is finished, wherever it lies until the commit."""
        staged = self._staged(record.folder) / PurePosixPath(record.main).name
        return staged if staged.exists() else self.path / record.main

    def commit(self, manifest: Manifest) -> Bundle:
        """Make `manifest` and what it names the bundle; sweep what it does not name.

        OSError: the bundle is the old one, whole.
        """
        plans = [plan for engines in manifest.engines.values() for plan in engines.plans.values()]
        records: list[Record] = [*manifest.graphs.values(), *plans]
        for record in records:
            self._place(record)
        _write(self.path / MANIFEST_NAME, manifest.to_json())
        with suppress(OSError):  # the bundle is the new one, and whole; the next build sweeps again
            self._sweep({record.folder for record in records})
        return Bundle(path=self.path, manifest=manifest)

    def _find(self, folder: str, key: str) -> Record | None:
        for place in (self._staged(folder), self.path / folder):
            record = read_record(place / RECORD_NAME)
            if record is None or (record.folder, record.key) != (folder, key):
                continue
            files = {place / PurePosixPath(p).name: f for p, f in record.files.items()}
            if all(p.is_file() and p.stat().st_size == f.bytes and hash_file(p) == f for p, f in files.items()):
                return record
        return None

    def _stage(self, folder: str) -> Path:
        staged = self._staged(folder)
        if staged.exists():
            remove(staged)
        staged.mkdir(parents=True)
        return staged

    def _place(self, record: Record) -> None:
        staged, final = self._staged(record.folder), self.path / record.folder
        if _is_recorded(staged, record):
            self._discard(final)  # same key, so it is there only if find() saw that it is damaged
            final.parent.mkdir(parents=True, exist_ok=True)
            staged.rename(final)
            sync_folder(final.parent)
        assert _is_recorded(final, record), f"{record.folder} was not finished before commit"

    def _sweep(self, keep: set[str]) -> None:
        """Let go of every folder of a graph or plan but these. Timing caches stay: they make the next build quicker."""
        targets = [target for target in (self.path / ENGINES).glob("*") if is_target_folder(target.name)]
        for parent in (self.path / "onnx", *targets):
            for folder in parent.glob("*"):
                if is_graph_folder(folder.name) and folder.relative_to(self.path).as_posix() not in keep:
                    self._discard(folder)
        for target in targets:
            if not any(target.iterdir()):
                target.rmdir()
        shutil.rmtree(self._build, ignore_errors=True)

    def _discard(self, folder: Path) -> None:
        # Out of sight in one rename first: a kill must not leave half a graph under a visible name.
        if folder.exists():
            trash = self._build / f"discarded-{folder.name}-{time.time_ns()}"
            self._build.mkdir(exist_ok=True)
            folder.rename(trash)
            shutil.rmtree(trash, ignore_errors=True)

    def _staged(self, folder: str) -> Path:
        return self._build / folder.replace("/", "+")

    def _take_lock(self) -> None:
        try:
            self._lock.acquire(timeout=self.wait_s)
        except Timeout:
            try:
                holder = self._holder.read_text()
            except OSError:
                holder = "another process"
            raise BundleError(
                f"{self.path} is being built by {holder}; wait until it is done, or choose another --bundle folder"
            ) from None

    def _is_about_us(self, error: OSError) -> bool:
        """A full disk is met while writing, and so is what names no file; the rest only counts inside the bundle."""
        if error.errno in FULL or error.filename is None:
            return refused_by_disk(error)
        named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        return refused_by_disk(error) and any(self.path in path.parents for path in named)

    def _tidy(self) -> None:
        """What is not finished is worth nothing, and after a full disk its space is wanted back."""
        for found in self._build.glob("*"):
            if not (found / RECORD_NAME).is_file():
                remove(found)
        if self._build.is_dir() and not any(self._build.iterdir()):
            self._build.rmdir()
        self._holder.unlink(missing_ok=True)


def _is_recorded(folder: Path, record: Record) -> bool:
    file = folder / RECORD_NAME
    return file.is_file() and file.read_text(encoding="utf-8") == to_text(record.to_json())


def _write(path: Path, data: Mapping[str, Any]) -> None:
    write_whole(path, to_text(data).encode())


def _sync(path: Path) -> None:
    """Push a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

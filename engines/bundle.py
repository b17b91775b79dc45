"""A bundle: a folder of graphs with a manifest that vouches for every file in it.

    bundle/
      manifest.json                     the commit point: what it does not name does not count
      onnx/NAME-KEY/NAME.onnx           KEY: the first 12 digits of the graph's content key
      onnx/NAME-KEY/NAME.onnx.data      the weights
      onnx/NAME-KEY/record.json         the graph's part of the manifest, so that a killed build resumes
      engines/FAMILY-FINGERPRINT/       plans of one family for one kind of GPU or CPU (engines/plans.py)
        NAME-KEY/NAME.plan              a graph, built
        NAME-KEY/build.json             how long it took, how much memory, its layers
        NAME-KEY/record.json            the plan's part of the manifest
        timing.cache                    what the builder has measured; worth time only
      .lock  .build/                    a build in progress

Opening checks the whole before anything is loaded: schema, missing and foreign files, files of another size, links in
the place of files. Plans and .onnx files are hashed before they are loaded, weights meanwhile, so that the disk is read
once; nothing is used that was not hashed. A graph's weights may not lie elsewhere (`engines/external_data.py`). What no
profile asks for is never read. The bundle itself may lie behind a link. Plans of a family that is not asked for do not
count: without them the graphs are as good, and plans are built of them again.
The bundle that comes with the package is flat: its graphs lie beside the manifest and read files of trained weights
there (`apart` of `engines.manifest.GraphRecord`). Nobody builds in it.

A folder that the manifest does not name but whose record vouches for it is what a build killed around its last rename
leaves behind: harmless, never loaded, swept by the next build.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.checked_files import check_files, checked_meanwhile
from engines.errors import BundleError
from engines.external_data import outside
from engines.fields import read_bytes, read_json, shown
from engines.file_record import FileRecord
from engines.manifest import (
    CARD_NAME,
    FORMAT,
    MANIFEST_BYTES,
    MANIFEST_NAME,
    RECORD_NAME,
    SCHEMA,
    GraphRecord,
    Manifest,
    build_command,
    came_with_us,
    mending,
    own_hash,
    plan_command,
    to_text,
)
from engines.plans import EngineSet, PlanRecord, is_timing_cache
from engines.spec import NetworkSpec

Record = GraphRecord | PlanRecord
DEEPEST = 8  # folders inside each other: those of a bundle are half as deep, those of strangers without end
_READS = 20  # of a bundle that is built anew while it is opened


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An opened bundle: every file is there, and as large as the build wrote it."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path | str, *, preset: str | None = None, family: str | None = None) -> Bundle:
        """Read and check the bundle at `path`: that every file is there, and as large as it was built.

        With `family` None all files are hashed. Else graphs and plans are hashed when they are opened, those that are
        (`checking_graphs`, `engines.checked_files`), and plans of other families may be missing or damaged: "" asks for
        the graphs alone.

        `preset`: refuse a bundle of any other. Raises BundleError, one line that names the file, what was
        found, what was needed, and the command that mends it.
        """
        path = Path(path)
        for _ in range(_READS):
            data = read_manifest(path)
            try:
                return cls._of(path, data, preset=preset, family=family)
            except BundleError:
                if read_manifest(path) == data:  # else a build has ended meanwhile, and swept what that one named
                    raise
        raise BundleError(f"{path} is being built: it changed {_READS} times while it was read; wait for the build")

    @classmethod
    def _of(cls, path: Path, data: dict[str, Any], *, preset: str | None, family: str | None) -> Bundle:
        """The bundle whose manifest is `data`, checked."""
        mend = mending(path, data)
        if own_hash(data) != data.get("sha256"):
            raise BundleError(f"{path / MANIFEST_NAME} was changed after the build; {mend}")
        try:
            manifest = Manifest.from_json(data)
        except ValueError as error:
            raise BundleError(f"{path / MANIFEST_NAME} cannot be used: {error}; {mend}") from error
        if preset is not None and manifest.preset != preset:
            raise BundleError(
                f"{path} is a bundle of preset {manifest.preset}, needed {preset}; "
                f"build one: {build_command(Path('NEW_FOLDER'), {'preset': preset})}"
            )
        _check_files(path, manifest, mend, family)
        return cls(path=path, manifest=manifest)

    def __contains__(self, name: str) -> bool:
        return name in self.manifest.graphs

    def graph(self, name: str) -> GraphRecord:
        """The record of one graph. BundleError when the bundle has none of this name."""
        try:
            return self.manifest.graphs[name]
        except KeyError:
            raise BundleError(
                f"{self.path} has no graph {name}, only {', '.join(self.manifest.graphs) or 'none'}; "
                + mending(self.path, self.manifest.to_json())
            ) from None

    def spec(self, name: str) -> NetworkSpec:
        return self.graph(name).spec

    def check_graphs(self, names: Collection[str]) -> None:
        """Hash the files of these graphs, several at a time. Raises BundleError."""
        with self.checking_graphs(names):
            pass

    @contextmanager
    def checking_graphs(self, names: Collection[str]) -> Iterator[None]:
        """Inside, a backend may open these graphs: their .onnx files are hashed before, their weights beside it. They
        may be used after it. Raises BundleError before and behind, in the place of what a damaged file has made fail.
        """
        mend = mending(self.path, self.manifest.to_json())
        graphs = [self.graph(name) for name in names]
        files = {path: (file, mend) for graph in graphs for path, file in graph.files.items()}
        mains = {graph.main for graph in graphs}
        with _readable(self.path):
            check_files(self.path, {path: files[path] for path in mains})
            _check_places(self.path, graphs, mend)
        weights = {path: wanted for path, wanted in files.items() if path not in mains}
        with _readable(self.path), checked_meanwhile(self.path, weights):
            yield

    def engine_sets(self, family: str) -> list[EngineSet]:
        """The sets of plans of one family, the one built last at the end."""
        return [engines for engines in self.manifest.engines.values() if engines.target.family == family]

    def model_path(self, name: str) -> Path:
        """The graph's .onnx file."""
        return self.path / self.graph(name).main


def read_manifest(bundle: Path) -> dict[str, Any]:
    """The manifest's json, known to be ours and of a schema this program reads. Raises BundleError."""
    command = build_command(bundle)
    file = bundle / MANIFEST_NAME
    try:
        there, is_folder, has_manifest = bundle.exists(), bundle.is_dir(), file.is_file()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BundleError(f"{bundle} cannot be read: {error.strerror}; give a bundle's folder") from error
    if not there:
        raise BundleError(f"there is no bundle at {bundle}; build one: {command}")
    if not is_folder:
        raise BundleError(f"{bundle} is a file, a bundle is a folder; build one: {build_command(Path('NEW_FOLDER'))}")
    if not has_manifest:
        state = "holds an unfinished build" if (bundle / ".build").is_dir() else "is not a bundle"
        raise BundleError(f"{bundle} {state}: it has no {MANIFEST_NAME}; build one: {command}")
    try:
        data = read_json(file, most_bytes=MANIFEST_BYTES).found
    except OSError as error:
        raise BundleError(f"{file} cannot be read: {error.strerror}; check its permissions") from error
    except ValueError as error:
        raise BundleError(f"{file} is damaged, no json ({error}); {mending(bundle)}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BundleError(
            f"{bundle} is not a bundle: {MANIFEST_NAME} is not ours; "
            f"build one in a new folder: {build_command(Path('NEW_FOLDER'))}"
        )
    schema = data.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < SCHEMA:
        raise BundleError(f"{file} has schema {shown(schema)}, needed {SCHEMA}; {mending(bundle, data)}")
    if schema > SCHEMA:
        versions = data.get("versions")
        writer = versions.get("hp_trt") if isinstance(versions, Mapping) else None
        writer = writer if isinstance(writer, str) else None
        raise BundleError(
            f"{file} has schema {shown(schema)}, this program reads {SCHEMA}; "
            f"install hp-trt {writer or 'of a later version'}"
            f"{' or later' if writer else ''}, or build one in a new folder: "
            f"{build_command(Path('NEW_FOLDER'), data)}"
        )
    return data


def visible_files(folder: Path, *, deepest: int = DEEPEST) -> Iterator[str]:
    """Every file below `folder` as a posix path relative to it; hidden files and folders are nobody's business.

    A folder that lies deeper than a bundle's files is given as if it were one.
    """
    try:
        entries = sorted(folder.iterdir())
    except FileNotFoundError:  # swept by a build just now
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if deepest and entry.is_dir() and not entry.is_symlink():
            yield from (f"{entry.name}/{below}" for below in visible_files(entry, deepest=deepest - 1))
        else:
            yield entry.name


def foreign_files(bundle: Path, known: set[str]) -> list[str]:
    """Visible files that are neither `known` nor in a graph folder whose own record vouches for them."""
    unknown = [f for f in visible_files(bundle) if f not in {*known, CARD_NAME} and not is_timing_cache(f)]
    vouched: set[str] = set()
    for file in unknown:
        if file.endswith(f"/{RECORD_NAME}") and (record := read_record(bundle / file)) is not None:
            vouched |= {file, *(p for p in record.files if file == f"{record.folder}/{RECORD_NAME}")}
    # What a build sweeps is gone in one rename, and its record with it.
    return [f for f in unknown if f not in vouched and os.path.lexists(bundle / f)]


def read_record(file: Path) -> Record | None:
    """The record.json of a graph or a plan, or None where there is none that can be read."""
    try:
        field = read_json(file, most_bytes=MANIFEST_BYTES)
        return PlanRecord.from_json(field) if "target_folder" in field.mapping() else GraphRecord.from_json(field)
    except (OSError, ValueError):
        return None


def _check_files(bundle: Path, manifest: Manifest, rebuild: str, family: str | None) -> None:
    # file or folder -> what there should be, and what to do where it is not
    expected: dict[str, tuple[FileRecord, str]] = {}
    records: dict[str, tuple[Record, str]] = {}
    hashed: set[str] = set()
    others: set[str] = set()  # files of plans that are not asked for
    for graph in manifest.graphs.values():
        if graph.apart:
            records[f"{graph.folder}/{RECORD_NAME}"] = graph, rebuild
        expected |= {path: (file, rebuild) for path, file in graph.files.items()}
        hashed |= set(graph.files) if family is None else set()
    for engines in manifest.engines.values():
        mend = f"rebuild it: {plan_command(bundle, engines.target.family, engines.target)}"
        for plan in engines.plans.values():
            if family not in (None, engines.target.family):
                others |= {f"{plan.folder}/{RECORD_NAME}", *plan.files}
                continue
            records[f"{plan.folder}/{RECORD_NAME}"] = plan, mend
            expected |= {path: (file, mend) for path, file in plan.files.items()}
            hashed |= set(plan.files) if family is None else set()
    if unknown := [graph.main for graph in manifest.graphs.values() if graph.main not in graph.files]:
        raise BundleError(f"{bundle / MANIFEST_NAME} does not vouch for {_some(unknown)}; {rebuild}")
    with _readable(bundle):
        if missing := [p for p in (*expected, *records) if not (bundle / p).is_file()]:
            mend = (expected | records)[missing[0]][1]
            raise BundleError(f"{bundle} lacks {_some(missing)}; {mend}")
        if links := [p for p in (MANIFEST_NAME, *expected, *records) if not _is_plain(bundle / p)]:
            raise BundleError(
                f"{bundle} holds {_some(links)} as a link, its files must lie in it; put the file itself there, or "
                + rebuild
            )
        known = {MANIFEST_NAME, *expected, *records, *others}
        # The package has files of its own beside its bundle.
        if not came_with_us(manifest.to_json()) and (foreign := foreign_files(bundle, known)):
            raise BundleError(
                f"{bundle} holds {_some(foreign)}, which the build did not write; "
                f"move it elsewhere, or build in a new folder: {build_command(Path('NEW_FOLDER'), manifest.to_json())}"
            )
        for path, (record, mend) in records.items():
            if not _holds(bundle / path, to_text(record.to_json()).encode()):
                raise BundleError(f"{bundle / path} was changed after the build; {mend}")
        for path, (file, mend) in expected.items():
            if (size := (bundle / path).stat().st_size) != file.bytes:
                raise BundleError(f"{bundle / path} was changed: {size} bytes, needed {file.bytes}; {mend}")
        check_files(bundle, {path: wanted for path, wanted in expected.items() if path in hashed})
        _check_places(bundle, [graph for graph in manifest.graphs.values() if graph.main in hashed], rebuild)


def _check_places(bundle: Path, graphs: Collection[GraphRecord], mend: str) -> None:
    """That graphs, which are what was built, take their weights from files that the manifest names."""
    for graph in graphs:
        if elsewhere := outside(bundle / graph.main, graph.files):
            raise BundleError(
                f"{bundle / graph.main} takes weights from {shown(elsewhere)}, needed is a file beside it that the "
                f"manifest names; {mend}"
            )


@contextmanager
def _readable(bundle: Path) -> Iterator[None]:
    """What the system refuses inside the block is said of the bundle."""
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{error.filename or bundle} cannot be read: {error.strerror}; check its permissions"
        ) from error


def _is_plain(file: Path) -> bool:
    """Of a file that there is: whether it lies here and not behind a link."""
    return stat.S_ISREG(file.lstat().st_mode)


def _holds(file: Path, content: bytes) -> bool:
    try:
        return read_bytes(file, most_bytes=len(content)) == content
    except ValueError:  # longer
        return False


def _some(names: list[str], most: int = 3) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest

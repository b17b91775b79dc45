"""A model repository of a bundle: what lies where in it, and how it comes to be whole.

    REPO/hp_trt/config.pbtxt        the model that runs a Runtime
    REPO/hp_trt/repository.json     says that the repository is ours, and what is in it
    REPO/hp_trt/1/model.py
    REPO/hp_trt/1/bundle/           the bundle, with the plans of the chosen family
    REPO/GRAPH/config.pbtxt         a graph, as a model of its own
    REPO/GRAPH/1/model.onnx         of one file; with its weights beside it the folder model.onnx, that file in it
    REPO/GRAPH/1/model.plan         with --family tensorrt

Files are linked where the file system does that, else copied: a bundle and its graphs are on the disk once. A graph's
weights keep the names under which the graph looks for them; nothing is rewritten. The repository appears whole. One
that stands is replaced where it is ours and as it was written; anything else in that place is refused.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from engines.bundle import Bundle, visible_files
from engines.errors import EngineMismatch, InputError, OutputError
from engines.fields import Field, read_json
from engines.file_record import hash_bytes, hash_file
from engines.held import let_go, make_held, new_folder, remove, remove_left
from engines.manifest import MANIFEST_NAME, RECORD_NAME, GraphRecord, plan_command, to_text
from engines.part_file import orphans, whole_folder
from engines.plans import EngineSet
from engines.safe_output import check_folder, refusing
from hp_trt.config import RuntimeConfig
from hp_trt.models import find_model, profile_of
from integrations.triton.pbtxt import graph_config, runtime_config

Family = Literal["onnxruntime", "tensorrt"]
FAMILIES: tuple[Family, ...] = get_args(Family)
MODEL = "hp_trt"
MARK = f"{MODEL}/repository.json"
BUNDLE = f"{MODEL}/1/bundle"
FORMAT, SCHEMA = "hp-trt triton repository", 1
_SMALL = ("config.pbtxt", "model.py")  # what people change: its hash is kept
_CODE = Path(__file__).with_name("model.py")
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """What is exported. Checked when made, but for the bundle's files; raises InputError and OutputError.

    target  of TensorRT: the folder's name, or its beginning, of one set of plans; None: the set built last
    only    graphs that become models of their own; empty: all
    copy    files, where links would do
    """

    bundle: Path
    out: Path
    runtime: RuntimeConfig
    target: str | None = None
    only: tuple[str, ...] = ()
    copy: bool = False

    def __post_init__(self) -> None:
        if self.runtime.family not in FAMILIES:
            raise InputError(
                f"Triton runs graphs and TensorRT's plans: the family is {' or '.join(FAMILIES)}, "
                f"got {self.runtime.family}"
            )
        if self.target is not None and self.runtime.family != "tensorrt":
            raise InputError("--target is one of TensorRT's sets of plans; leave it out, or give --family tensorrt")
        check_folder(self.out, self.runtime.inputs(bundle=self.bundle), apart=True)
        check_ours(self.out)

    @property
    def on_gpu(self) -> bool:
        return self.runtime.family == "tensorrt" or self.runtime.provider == "cuda"


@dataclass(kw_only=True)
class Exported:
    """What was written."""

    graphs: list[str] = field(default_factory=list)
    linked_bytes: int = 0
    copied_bytes: int = 0
    notes: list[str] = field(default_factory=list)


def export_repository(config: ExportConfig) -> Exported:
    """Write the repository. Raises BundleError, EngineMismatch, InputError, OutputError: then `out` is as it was."""
    bundle = Bundle.open(config.bundle, family=None if config.runtime.family == "tensorrt" else "")
    check_runs(bundle, config.runtime)
    graphs = _graphs(bundle, config.only)
    plans = _plans(bundle, config.target, graphs) if config.runtime.family == "tensorrt" else None
    bundle.check_graphs(list(bundle.manifest.graphs))
    made = Exported(graphs=graphs, notes=_notes(config, plans))
    with refusing(config.out, left="Nothing was left behind"), _replacing(config.out) as hidden:
        placer = _Placer(made, copy=config.copy)
        _place_bundle(placer, bundle, config.runtime.family, hidden / BUNDLE)
        for name in graphs:
            _place_graph(placer, bundle.graph(name), plans, hidden)
        folder = hidden / MODEL
        text = runtime_config(MODEL, parameters(config.runtime), on_gpu=config.on_gpu)
        (folder / "config.pbtxt").write_text(text, encoding="utf-8")
        shutil.copyfile(_CODE, folder / "1" / "model.py")
        (hidden / MARK).write_text(to_text(_about(hidden)), encoding="utf-8")
    return made


def check_runs(bundle: Bundle, config: RuntimeConfig) -> None:
    """Raises BundleError and InputError where no Runtime of this configuration could be opened."""
    find_model(bundle).check_sampling(bundle, profile_of(bundle, config))


def parameters(config: RuntimeConfig) -> dict[str, str]:
    """What the model is told of its Runtime, as Triton's strings: fields of a RuntimeConfig that are not its defaults.
    Files by their whole paths."""
    plain = RuntimeConfig()
    found: dict[str, str] = {}
    for name in ("family", "provider", "threads", "profile", "locator", "max_frames"):
        if (value := getattr(config, name)) != getattr(plain, name):
            found[name] = str(value)
    if "profile" in found and ".toml" in found["profile"]:
        found["profile"] = os.path.abspath(found["profile"])
    for name in ("locator_file", "arcface", "vocals"):
        if (file := getattr(config, name)) is not None:
            found[name] = os.path.abspath(file)
    return found


def check_ours(out: Path) -> None:
    """Raises OutputError where `out` holds anything but a repository that was written here, as it was written."""
    if not out.is_dir() or not any(out.iterdir()):
        return
    advice = "give a new folder"
    try:
        about = read_json(out / MARK, most_bytes=_MOST_BYTES)
        known = _files_of(about)
    except (OSError, ValueError):
        raise OutputError(f"{out} is not empty, and is no repository of this command's; {advice}") from None
    found = (file for file in visible_files(out) if "__pycache__" not in file)  # Triton has run the model
    if foreign := [file for file in found if file not in known and file != MARK]:
        raise OutputError(f"{out} holds {foreign[0]}, which was not exported and would be lost; move it, or {advice}")
    for file, sha256 in known.items():
        if sha256 and (out / file).is_file() and hash_file(out / file).sha256 != sha256:
            raise OutputError(f"{out / file} was changed since, and that would be lost; move it, or {advice}")


def _files_of(about: Field) -> dict[str, str]:
    """Path -> sha256 of what people change, "" of all else. ValueError for another's file."""
    if about["format"].text() != FORMAT:
        raise about["format"].wrong(FORMAT)
    about["schema"].whole(SCHEMA, SCHEMA)
    return {path: sha256.text() for path, sha256 in about["files"].entries(most=100_000)}


def _about(repository: Path) -> dict[str, object]:
    files = {
        file: hash_bytes((repository / file).read_bytes()).sha256 if PurePosixPath(file).name in _SMALL else ""
        for file in visible_files(repository)
    }
    return {"format": FORMAT, "schema": SCHEMA, "files": files}


def _graphs(bundle: Bundle, only: Sequence[str]) -> list[str]:
    names = list(bundle.manifest.graphs)
    if unknown := [name for name in only if name not in names]:
        raise InputError(f"{bundle.path} has no graph {', '.join(unknown)}; there are {', '.join(names)}")
    return [name for name in names if not only or name in only]


def _plans(bundle: Bundle, target: str | None, graphs: Sequence[str]) -> EngineSet:
    """The set of plans to export. Raises EngineMismatch where there is none, or none that Triton could load."""
    sets = bundle.engine_sets("tensorrt")
    command = plan_command(bundle.path, "tensorrt")
    if not sets:
        raise EngineMismatch(f"{bundle.path} holds no plans for tensorrt; build them: {command}")
    names = {PurePosixPath(engines.target.folder).name: engines for engines in sets}
    chosen = [engines for name, engines in names.items() if target is None or name.startswith(target)]
    if not chosen or (target is not None and len(chosen) > 1):
        raise InputError(f"--target {target} names {len(chosen) or 'none'} of {', '.join(names)}; give one of them")
    engines = chosen[-1]
    if engines.target.options.strip:
        raise EngineMismatch(
            f"{bundle.path / engines.target.folder} has plans without weights, which Triton cannot give them; build "
            f"others: {command}"
        )
    if lacking := [name for name in graphs if name not in engines.plans]:
        raise EngineMismatch(
            f"{bundle.path / engines.target.folder} lacks plans for {', '.join(lacking)}; build them: "
            f"{plan_command(bundle.path, 'tensorrt', engines.target)}, or leave them out with --only"
        )
    return engines


def _notes(config: ExportConfig, plans: EngineSet | None) -> list[str]:
    notes = []
    if plans is not None:
        target = plans.target
        notes.append(f"plans run on {target.gpu or ', '.join(target.capabilities)} in TensorRT {target.version} alone")
        if target.options.version_compatible:
            notes.append("start Triton with --backend-config=tensorrt,version-compatible=true")
    files = [name for name in ("locator_file", "arcface", "vocals") if getattr(config.runtime, name) is not None]
    if files or ".toml" in str(config.runtime.profile):
        notes.append("the model reads files that lie outside of the repository, by their whole paths")
    return notes


def _place_bundle(placer: _Placer, bundle: Bundle, family: str, to: Path) -> None:
    """The bundle without the plans of other families, which may be missing in one."""
    files = [MANIFEST_NAME]
    for graph in bundle.manifest.graphs.values():
        files += [*graph.files, *([f"{graph.folder}/{RECORD_NAME}"] if graph.apart else [])]
    for engines in bundle.engine_sets(family):
        for plan in engines.plans.values():
            files += [*plan.files, f"{plan.folder}/{RECORD_NAME}"]
    for file in dict.fromkeys(files):
        placer.place(bundle.path / file, to / file)


def _place_graph(placer: _Placer, graph: GraphRecord, plans: EngineSet | None, repository: Path) -> None:
    """A graph, or its plan, as a model: out of the bundle in the repository, so that it is there once."""
    source, version = repository / BUNDLE, repository / graph.name / "1"
    if plans is not None:
        placer.place(source / plans.plans[graph.name].main, version / "model.plan", again=True)
    elif len(graph.files) == 1:
        placer.place(source / graph.main, version / "model.onnx", again=True)
    else:  # a folder of the model's name, as Triton wants a model of several files
        for file in graph.files:
            name = "model.onnx" if file == graph.main else PurePosixPath(file).name
            placer.place(source / file, version / "model.onnx" / name, again=True)
    text = graph_config(graph.spec, "onnxruntime" if plans is None else "tensorrt")
    (repository / graph.name / "config.pbtxt").write_text(text, encoding="utf-8")


class _Placer:
    """Links files, or copies them, and counts."""

    def __init__(self, made: Exported, *, copy: bool) -> None:
        self._made, self._copy = made, copy

    def place(self, source: Path, target: Path, *, again: bool = False) -> None:
        """Put `source` at `target`, whose folder is made. `again`: it is in the repository already."""
        target.parent.mkdir(parents=True, exist_ok=True)
        size = source.stat().st_size
        if again or not self._copy:
            with suppress(OSError):  # another disk, one without links, a file of somebody else
                os.link(source, target)
                self._made.linked_bytes += 0 if again else size
                return
        shutil.copyfile(source, target)
        self._made.copied_bytes += size


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """`whole_folder`, in the place of what is there, which goes when the new one has its name."""
    for part in orphans(out):
        remove_left(part)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside, handle = make_held(lambda token: out.with_name(f".{out.name}.{token}.part"), new_folder)
    old = aside / "old"
    try:
        with whole_folder(out) as hidden:
            yield hidden
            if out.is_dir():
                os.rename(out, old)
    except BaseException:
        with suppress(OSError):
            os.rename(old, out)
        raise
    finally:
        with suppress(OSError):
            remove(aside)
        let_go(aside)
        os.close(handle)

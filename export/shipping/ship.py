"""A bundle that comes with the package: an exported one without its weights, beside the files that have them.

It is made of graphs that `export` has made, compared and put into a bundle, so there is one way to a graph. What is
written is decided by those graphs and the weights alone: made again of the same, not a byte changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engines.bundle import Bundle, read_manifest
from engines.errors import BundleError, InternalError
from engines.file_record import FileRecord, hash_bytes, hash_file
from engines.manifest import MANIFEST_NAME, GraphRecord, Manifest, to_text
from engines.part_file import write_whole
from export.graphs.graph_steps import digest
from export.shipping.weightless import Entries, Weightless, weightless

MOST_KEPT_BYTES = 3 << 19  # of constants in all graphs: pocket's have a third of it, talk_pocket's five sixths
_OF_THE_MOMENT = ("created", "sha256")  # what a manifest says of when it was written


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """What was written."""

    graphs: Mapping[str, Weightless]
    changed: tuple[str, ...]  # files
    graphs_bytes: int


def ship(bundle: Bundle, weights: Sequence[Path]) -> Shipped:
    """Write the graphs of `bundle` beside the files `weights`, which lie in one folder, and their manifest.

    Graphs that were there under other names go. Raises InternalError where weights are in none of the files, OSError.
    """
    folder, entries = weights[0].parent, Entries(weights)
    graphs = {name: weightless(bundle.model_path(name), entries) for name in bundle.manifest.graphs}
    _check_kept(graphs)
    contents = {f"{name}.onnx": graph.model.SerializeToString(deterministic=True) for name, graph in graphs.items()}
    known = {file.name: hash_file(file) for file in weights} | {n: hash_bytes(c) for n, c in contents.items()}
    records = {name: _record(bundle.graph(name), graph, known) for name, graph in graphs.items()}
    manifest = replace(bundle.manifest, graphs=records, engines={})
    changed = [name for name, content in contents.items() if not _holds(folder / name, content)]
    for name in changed:
        write_whole(folder / name, contents[name])
    for stale in (path for path in folder.glob("*.onnx") if path.name not in contents):
        stale.unlink()
        changed.append(stale.name)
    if not _is_standing(folder, manifest):
        write_whole(folder / MANIFEST_NAME, to_text(manifest.to_json()).encode())
        changed.append(MANIFEST_NAME)
    return Shipped(graphs=graphs, changed=tuple(changed), graphs_bytes=sum(map(len, contents.values())))


def _record(exported: GraphRecord, graph: Weightless, known: Mapping[str, FileRecord]) -> GraphRecord:
    files = {name: known[name] for name in (f"{exported.name}.onnx", *graph.files)}
    return replace(
        exported,
        key=digest({name: file.sha256 for name, file in files.items()}),
        structure="",  # of plans, and no plan is built of it
        files=files,
        built={"weights_bytes": graph.read_bytes},
        apart=False,
    )


def _check_kept(graphs: Mapping[str, Weightless]) -> None:
    kept = {name: graph.kept_bytes for name, graph in graphs.items()}
    if sum(kept.values()) > MOST_KEPT_BYTES:
        most = max(kept, key=lambda name: kept[name])
        raise InternalError(
            f"{sum(kept.values())} bytes of constants are in none of the files of weights, at most {MOST_KEPT_BYTES} "
            f"may stay in graphs, {kept[most]} are in {most}; let export.shipping.weightless find them"
        )


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _is_standing(folder: Path, manifest: Manifest) -> bool:
    try:
        standing = read_manifest(folder)
    except BundleError:  # none, or of another schema
        return False
    needed = json.loads(to_text(manifest.to_json()))  # a list and not a tuple, as it would be read
    return all(standing.get(key) == value for key, value in needed.items() if key not in _OF_THE_MOMENT)

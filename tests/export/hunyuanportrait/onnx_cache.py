"""Exported graphs for tests: each made once a session, whichever worker of pytest-xdist comes first.

Exporting a reduced UNet takes half a minute, so graphs of equal content are shared: between cases, between modules
and, through a folder that all workers see, between processes. Its name in the folder is a hash of all that decides
what the file holds, and the folder is the session's own: nothing is ever stale.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from engines.onnx_backend import OnnxBackend, OnnxSession
from engines.spec import NetworkSpec

if TYPE_CHECKING:  # tests that export nothing start without torch
    from torch import Tensor, nn


class OnnxCache:
    """Exports on demand, and opens what it exported."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(
        self,
        spec: NetworkSpec,
        facts: Any,
        make: Callable[[], nn.Module],
        example: Callable[[], Mapping[str, Tensor]],
    ) -> Path:
        """The ONNX file of a graph. `facts` is JSON: all that `make` depends on, weights included."""
        from export.graphs.trace import export_onnx

        key = content_key(spec, facts)
        folder = self.folder / f"{spec.name}-{key[:16]}"
        path = folder / f"{spec.name}.onnx"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                hidden = folder.with_name(f".{folder.name}")
                shutil.rmtree(hidden, ignore_errors=True)
                hidden.mkdir(parents=True)
                export_onnx(make().eval().requires_grad_(False), spec, example(), hidden / path.name)
                hidden.rename(folder)
        return path

    def session(
        self,
        backend: OnnxBackend,
        spec: NetworkSpec,
        facts: Any,
        make: Callable[[], nn.Module],
        example: Callable[[], Mapping[str, Tensor]],
    ) -> OnnxSession:
        return backend.load(spec, self.path(spec, facts, make, example))

    def discard(self, path: Path) -> None:
        """Remove a graph too large to be left lying about."""
        shutil.rmtree(path.parent, ignore_errors=True)


def content_key(spec: NetworkSpec, facts: Any) -> str:
    made_from = {
        "spec": spec.to_json(),
        "facts": facts,
        "versions": {package: metadata.version(package) for package in ("torch", "onnx", "onnxscript")},
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()

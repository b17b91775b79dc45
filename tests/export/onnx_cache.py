"""Exported graphs for tests, and sessions of them: each made once, in this session or another (`tests/cache.py`).

Exporting a reduced UNet takes half a minute, so graphs of equal content are shared: between cases, between modules
and, through a folder that all workers see, between processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.onnx_backend import OnnxBackend, OnnxSession
from engines.spec import NetworkSpec
from tests.cache import GRAPH_CODE, Cache, model_code

if TYPE_CHECKING:  # tests that export nothing start without torch
    from torch import Tensor, nn


class OnnxCache:
    """Exports on demand the graphs of one model, and opens what it exported."""

    def __init__(self, cache: Cache, model: str = "hunyuanportrait") -> None:
        self._cache = cache
        self._code = (*GRAPH_CODE, *model_code(model), f"tests/export/{model}")  # where cases wrap networks

    def path(
        self,
        spec: NetworkSpec,
        facts: Any,
        make: Callable[[], nn.Module],
        example: Callable[[], Mapping[str, Tensor]],
    ) -> Path:
        """The ONNX file of a graph. `facts` is JSON: all that `make` depends on, weights included."""

        def export(folder: Path) -> None:
            from export.graphs.trace import export_onnx

            export_onnx(make().eval().requires_grad_(False), spec, example(), folder / f"{spec.name}.onnx")

        folder = self._cache.entry("case", {"spec": spec.to_json(), "facts": facts}, export, code=self._code)
        return folder / f"{spec.name}.onnx"

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
        """Remove a graph too large to be kept."""
        self._cache.discard(path.parent)

"""Builds in tests export each graph once, whatever bundle it is for: the exporter is asked only where the same network,
of the same weights, was not exported before for the same promise."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engines.spec import NetworkSpec
from export.graphs import trace
from tests.cache import GRAPH_CODE, ROOT, Cache, model_code

LARGE_BYTES = 500 << 20  # more is not kept: a full-size network would fill the disk of a small machine
_OF_ANY_MODULE = vars(nn.Module()).keys() - {"training"}


@contextmanager
def cached_exports(cache: Cache) -> Iterator[None]:
    """While the block lasts, `export_onnx` takes from `cache` what is there, in whichever module it is known."""
    real = trace.export_onnx
    if getattr(real, "is_cached", False):  # in a block of the same kind
        yield
        return

    def export_onnx(module: nn.Module, spec: NetworkSpec, example: Mapping[str, Tensor], path: Path) -> None:
        large = sum(tensor.nbytes for tensor in module.state_dict().values()) > LARGE_BYTES
        if large or path.name != f"{spec.name}.onnx":  # the graph names the file of its weights
            return real(module, spec, example, path)
        code = (*GRAPH_CODE, *model_code(*rooms(module)))
        facts = {
            "spec": spec.to_json(),
            "example": {name: [list(value.shape), str(value.dtype)] for name, value in example.items()},
            "module": fingerprint(module),
        }
        made = cache.entry("graph", facts, lambda folder: real(module, spec, example, folder / path.name), code=code)
        for file in made.iterdir():
            shutil.copy(file, path.with_name(file.name))

    export_onnx.is_cached = True
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("export") and getattr(module, "export_onnx", None) is real:
                patch.setattr(module, "export_onnx", export_onnx)
        yield


def rooms(module: nn.Module) -> list[str]:
    """The models in whose rooms of `export/` parts of it stand."""
    places = [type(part).__module__.split(".") for part in module.modules()]
    names = {place[1] for place in places if place[0] == "export" and len(place) > 2}
    return sorted(name for name in names if (ROOT / "export" / name / "graphs.py").is_file())


def fingerprint(module: nn.Module) -> str:
    """Hash of all that the exporter sees of a module: kinds, names, plain attributes, parameters and buffers.

    Raises TypeError for an attribute of which it cannot be said.
    """
    digest = hashlib.blake2b(digest_size=20)
    for name, part in module.named_modules():
        digest.update(f"{name}\0{type(part).__module__}.{type(part).__qualname__}\0".encode())
        for key, value in sorted(vars(part).items()):
            if key not in _OF_ANY_MODULE:
                digest.update(f"{key}\0{_described(value)}\0".encode())
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(f"{name}\0{_described(tensor)}\0".encode())
    return digest.hexdigest()


def _described(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str | torch.dtype | torch.device):
        return repr(value)
    if isinstance(value, Tensor):
        content = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
        return f"{tuple(value.shape)} {value.dtype} {hashlib.blake2b(content, digest_size=20).hexdigest()}"
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, Mapping):
        return str({key: _described(entry) for key, entry in value.items()})
    if isinstance(value, tuple | list | torch.Size):
        return str([_described(entry) for entry in value])
    if is_dataclass(value):
        return str({field.name: _described(getattr(value, field.name)) for field in fields(value)})
    if isinstance(value, nn.Module):  # walked by itself
        return type(value).__qualname__
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    raise TypeError(f"{type(value).__qualname__} of a module: say how it is described")

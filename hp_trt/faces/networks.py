"""Network files that users bring, opened with suspicion: any of them may be another network, or none.

What can be known at opening is told at opening: whether there is such a file, whether the library can open it, what
goes in and comes out, and whether one call gives numbers. What the results must be is the caller's to say.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines import families
from engines.errors import InputError
from engines.file_names import utf8_name
from engines.foreign import foreign
from hp_trt.media.files import check_file

_LARGEST_BYTES = 2 << 30  # the largest face networks that are published have a quarter of it


def require_network_file(path: Path, what: str, advice: str) -> None:
    """Raises InputError unless `path` is a file of a network's size."""
    size = check_file(path, advice)
    if not size:
        raise InputError(f"{path} is an empty file; {advice}")
    if size > _LARGEST_BYTES:
        raise InputError(f"{path} has {size / 1e9:.1f} GB, and {what} has at most {_LARGEST_BYTES / 1e9:.1f}; {advice}")


def open_onnx(path: Path, what: str, advice: str) -> Any:
    """An ONNX Runtime session on the CPU. Raises InputError, EngineMismatch where ONNX Runtime is missing."""
    onnxruntime = families.load(families.ONNXRUNTIME)
    require_network_file(path, what, advice)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it would print is in the error
    with foreign(f"{path} is not an ONNX network that onnxruntime can open", advice):
        return onnxruntime.InferenceSession(utf8_name(path), options, providers=["CPUExecutionProvider"])


def open_torchscript(path: Path, what: str, advice: str) -> Any:
    """A TorchScript module on the CPU. Raises InputError, for a missing PyTorch too."""
    require_network_file(path, what, advice)
    try:
        import torch
    except ImportError as error:
        raise InputError(
            f"{path} is TorchScript and needs PyTorch, which is not installed; "
            "install the export extra, or give the same network as .onnx"
        ) from error
    with foreign(f"{path} is not a TorchScript file", advice):
        with zipfile.ZipFile(path) as archive:  # it may unpack to a thousand times its size
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _LARGEST_BYTES:
            raise ValueError(f"it unpacks to {unpacked / 1e9:.1f} GB")
        with path.open("rb") as file:  # by name only in the locale's letters
            return torch.jit.load(file, map_location="cpu").eval()


def signature(session: Any) -> str:
    """What a session takes and gives, for a message: at most four of each."""
    return f"takes {_tensors(session.get_inputs())} and gives {_tensors(session.get_outputs())}"


def fits(tensor: Any, dims: Sequence[int | None], kind: str = "tensor(float)") -> bool:
    """Whether a session's input or output has that type and those dimensions, as far as it says; None: any."""
    shape = tensor.shape
    if tensor.type != kind:
        return False
    if not shape:  # not said, or a number without dimensions, which a trial tells
        return True
    known = zip(shape, dims, strict=False)
    return len(shape) == len(dims) and all(d is None or not isinstance(s, int) or s == d for s, d in known)


def require_numbers(result: Any, dims: Sequence[int | None], whose: str, advice: str) -> np.ndarray:
    """`result` as an array of those dimensions, floats and all finite; None: any. Raises InputError."""
    shape = getattr(result, "shape", None)
    if not isinstance(result, np.ndarray) or result.dtype.kind != "f":
        found = f"{result.dtype} numbers" if isinstance(result, np.ndarray) else f"a {type(result).__name__}"
        raise InputError(f"{whose} gave {found}, needed are floats; {advice}")
    if len(result.shape) != len(dims) or any(d not in (None, s) for s, d in zip(result.shape, dims, strict=True)):
        needed = " x ".join("any" if d is None else str(d) for d in dims)
        raise InputError(f"{whose} gave numbers of shape {list(shape or ())}, needed are {needed}; {advice}")
    if not np.isfinite(result).all():
        raise InputError(f"{whose} gave numbers that are not finite; {advice}")
    return result


def _tensors(tensors: Sequence[Any]) -> str:
    told = [f"{t.name[:40]} {t.type.removeprefix('tensor(').removesuffix(')')}{t.shape}" for t in tensors[:4]]
    return ", ".join(told) + (f" and {len(tensors) - 4} more" if len(tensors) > 4 else "")

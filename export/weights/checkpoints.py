"""Files of tensors: read strictly, compared with the keys and shapes that a network needs, and fingerprinted.

A .pth file is a pickle, and a pickle can be a program: only plain tensors are read from it, and a file
that asks for more is refused without being run (`export/weights/pickles.py`). Large files are mapped, not
read: memory comes when a tensor is used, and no tensor is larger than its part of the file.
"""

from __future__ import annotations

import hashlib
import pickle
import stat
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines.errors import CheckpointError
from engines.fields import shown
from engines.foreign import foreign
from export.weights.pickles import archive_problem, foreign_global

COUNTER = "num_batches_tracked"  # BatchNorm's, the one published entry that is a whole number

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_NAMED = 3  # of many keys: a wrong file is wrong in every one of them

Shapes = Mapping[str, Sequence[int]]
StateDict = dict[str, torch.Tensor]
Build = Callable[[str], nn.Module]  # a network's name -> the network on the meta device, for its keys and shapes


def module_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a module's state dict; build it on the meta device and this costs nothing."""
    return {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}


def mismatches(state: Mapping[str, torch.Tensor], expected: Shapes) -> list[str]:
    """What is wrong with a state dict, each kind of mistake with some of its keys; empty where nothing is."""
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    misshapen = [
        f"{key} is {tuple(state[key].shape)}, needs {tuple(shape)}"
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != tuple(shape)
    ]
    return [
        f"{len(keys)} {kind} {'key' if len(keys) == 1 else 'keys'}: {_some(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if keys
    ]


def unusable(state: Mapping[str, torch.Tensor]) -> list[str]:
    """Keys whose values no network can compute with; empty where there are none. Reads every tensor once."""
    whole = [
        f"{key} is {value.dtype}"
        for key, value in state.items()
        if value.dtype not in FLOATS and key.rsplit(".", 1)[-1] != COUNTER
    ]
    wild = [k for k, v in state.items() if v.dtype in FLOATS and not bool(torch.isfinite(v).all())]
    return [
        f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} {kind}: {_some(keys)}"
        for kind, keys in (("not of a floating-point type", whole), ("with NaN or infinity", wild))
        if keys
    ]


def read_checkpoint(path: Path, *, inside: str = "") -> StateDict:
    """One file of tensors, .pth or .safetensors. Raises CheckpointError, one line, for anything else.

    `inside`: where the file has this entry and it is a state dict, that is read, and nothing beside it.
    """
    head = head_of(path)
    loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path, head)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__}, needed a state dict (key -> tensor)")
    if isinstance(inner := loaded.get(inside), Mapping):
        loaded = inner
    if strange := [key for key, value in loaded.items() if not isinstance(value, torch.Tensor)]:
        raise CheckpointError(
            f"{path}: not a plain state dict, these entries are no tensors: {_some(strange)}; "
            "save the inner state dict alone"
        )
    if odd := [key for key in loaded if not isinstance(key, str)]:
        raise CheckpointError(f"{path}: not a state dict, these keys are no text: {_some(odd)}; save the state dict")
    if special := [f"{_some([key])} is {kind}" for key, value in loaded.items() if (kind := _special(value))]:
        more = f" and {len(special) - 1} more" if len(special) > 1 else ""
        raise CheckpointError(f"{path}: needed are plain tensors, {special[0]}{more}; save them dense, on the CPU")
    return dict(loaded)


def head_of(path: Path) -> bytes:
    """The first bytes of what may be a checkpoint. Raises CheckpointError for what cannot be one."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path}: is no regular file; give a file of tensors")
        with path.open("rb") as file:
            head = file.read(64)
    except (OSError, ValueError) as error:  # ValueError: a path that no system has
        why = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(f"{path}: cannot be read: {why}; check the file and its permission") from error
    if not head:
        raise CheckpointError(f"{path}: is empty; download it again")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path}: is a Git LFS pointer, not the weights; fetch them: git lfs pull")
    return head


def _special(tensor: torch.Tensor) -> str:
    """What keeps a tensor from being plain: all of its elements in memory of its own. "" for a plain one."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"a {type(tensor).__name__}"
    if tensor.layout is not torch.strided or tensor.is_nested:
        return f"sparse ({tensor.layout})"
    if tensor.device.type != "cpu":
        return f"without values, on the device {tensor.device}"
    if tensor.is_quantized:
        return f"quantised ({tensor.dtype})"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"{tuple(tensor.shape)} of fewer values, expanded"
    return ""


def _some(keys: Sequence[object]) -> str:
    """A few of many, none of them long."""
    words = [key if isinstance(key, str) and len(key) <= 100 else shown(key) for key in keys[:_NAMED]]
    return ", ".join(words) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")


def _read_safetensors(path: Path) -> Any:
    from safetensors.torch import load_file

    with foreign(f"{path}: truncated, or not a safetensors file", "download it again", error=CheckpointError):
        return load_file(path)


def _read_pickle(path: Path, head: bytes) -> Any:
    archive = _is_archive(path)  # what torch.save writes since 1.6, and all that can be mapped
    if head.startswith(b"PK") and not archive:
        raise CheckpointError(f"{path}: truncated, its table of contents is cut off; download it again")
    if archive and (problem := archive_problem(path)):
        raise CheckpointError(f"{path}: {problem}")
    code = foreign_global(path, archive)
    if code and code.startswith("torch.") and code.rpartition(".")[0] in ("torch", "torch._utils"):
        raise CheckpointError(
            f"{path}: needed are plain tensors, these ask for {code[:100]}; save them dense, as floats"
        )
    if code:
        raise CheckpointError(
            f"{path}: a pickle that holds code or objects ({shown(code)[1:-1]}), not just tensors; it was not run. "
            "Use the published file, or save the state dict alone"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about the kind of file; the error below says it once
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception as error:  # torch raises many kinds; each of them means that this is no file of tensors
        if isinstance(error, pickle.UnpicklingError):
            raise CheckpointError(f"{path}: not a checkpoint; download it again") from error
        reason = str(error).splitlines()[0][:160].rstrip(". ") if str(error) else "it ends too early"
        raise CheckpointError(f"{path}: truncated, or not a checkpoint ({reason}); download it again") from error


def _is_archive(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except Exception:  # a table of contents over several disks, a record that is cut off
        return False


def fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 (hex) over the entries sorted by key: key, shape, dtype, bytes. The same weights, the same text."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        dtype = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{key}\0{','.join(map(str, tensor.shape))}\0{dtype}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

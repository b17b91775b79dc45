"""Files of tensors: read strictly, compared with the keys and shapes that a network needs, and fingerprinted.

A .pth file is a pickle, and a pickle can be a program: only tensors are read from it, and a file
that asks for more is refused without being run. Large files are mapped, not read: memory comes when a
tensor is used.
"""

from __future__ import annotations

import hashlib
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines.errors import CheckpointError

# What torch.save writes for a state dict, besides the helpers of torch._utils.
TENSOR_GLOBALS = {"collections.OrderedDict"} | {
    f"torch.{kind}Storage" for kind in "Float Half BFloat16 Double Long Int Short Char Byte Bool".split()
}

COUNTER = "num_batches_tracked"  # BatchNorm's, the one published entry that is a whole number

PICKLE_HEAD_BYTES = 64 << 20  # where code is looked for in a file of torch's old format

Shapes = Mapping[str, Sequence[int]]
StateDict = dict[str, torch.Tensor]
Build = Callable[[str], nn.Module]  # a network's name -> the network on the meta device, for its keys and shapes


def module_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a module's state dict; build it on the meta device and this costs nothing."""
    return {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}


def mismatches(state: Mapping[str, torch.Tensor], expected: Shapes) -> list[str]:
    """What is wrong with a state dict, each kind of mistake with all its keys; empty where nothing is."""
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    misshapen = [
        f"{key} is {tuple(state[key].shape)}, needs {tuple(shape)}"
        for key, shape in expected.items()
        if key in state and tuple(state[key].shape) != tuple(shape)
    ]
    return [
        f"{len(keys)} {kind} {'key' if len(keys) == 1 else 'keys'}: {', '.join(keys)}"
        for kind, keys in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if keys
    ]


def unusable(state: Mapping[str, torch.Tensor]) -> list[str]:
    """Keys whose values no network can compute with; empty where there are none. Reads every tensor once."""
    whole = [
        f"{key} is {value.dtype}"
        for key, value in state.items()
        if not value.is_floating_point() and key.rsplit(".", 1)[-1] != COUNTER
    ]
    wild = [k for k, v in state.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())]
    return [
        f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} {kind}: {', '.join(keys)}"
        for kind, keys in (("not of a floating-point type", whole), ("with NaN or infinity", wild))
        if keys
    ]


def read_checkpoint(path: Path) -> StateDict:
    """One file of tensors, .pth or .safetensors. Raises CheckpointError, one line, for anything else."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; check the file and its permission") from error
    if not head:
        raise CheckpointError(f"{path}: is empty; download it again")
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path}: is a Git LFS pointer, not the weights; fetch them: git lfs pull")
    loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path, head)
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{path}: holds a {type(loaded).__name__}, needed a state dict (key -> tensor)")
    if strange := [str(key) for key, value in loaded.items() if not isinstance(value, torch.Tensor)]:
        raise CheckpointError(
            f"{path}: not a plain state dict, these entries are no tensors: {', '.join(strange)}; "
            "save the inner state dict alone"
        )
    return dict(loaded)


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: truncated, or not a safetensors file ({error}); download it again") from error


def _read_pickle(path: Path, head: bytes) -> Any:
    archive = zipfile.is_zipfile(path)  # what torch.save writes since 1.6, and all that can be mapped
    if head.startswith(b"PK") and not archive:
        raise CheckpointError(f"{path}: truncated, its table of contents is cut off; download it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about the kind of file; the error below says it once
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except Exception as error:  # torch raises many kinds; each of them means that this is no file of tensors
        if "TorchScript" in str(error):
            raise CheckpointError(f"{path}: a TorchScript program, needed a state dict") from error
        if code := foreign_global(path, archive):
            raise CheckpointError(
                f"{path}: a pickle that holds code or objects ({code}), not just tensors; it was not run. "
                "Use the published file, or save the state dict alone"
            ) from error
        if isinstance(error, pickle.UnpicklingError):
            raise CheckpointError(f"{path}: not a checkpoint; download it again") from error
        reason = str(error).splitlines()[0][:160].rstrip(". ") if str(error) else "it ends too early"
        raise CheckpointError(f"{path}: truncated, or not a checkpoint ({reason}); download it again") from error


def foreign_global(path: Path, archive: bool) -> str | None:
    """The first name a pickle asks for that a file of tensors would not, read without running it."""
    try:
        if archive:
            with zipfile.ZipFile(path) as members:
                data = members.read(next(n for n in members.namelist() if n.endswith("/data.pkl")))
        else:
            with path.open("rb") as file:
                data = file.read(PICKLE_HEAD_BYTES)
        strings: list[str] = []
        for opcode, argument, _ in pickletools.genops(data):
            name = None
            if opcode.name == "GLOBAL" and argument is not None:
                name = argument.replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":  # module and name are the two strings pushed before
                name = ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)
            if name and not name.startswith(("torch._utils.", "torch.storage.")) and name not in TENSOR_GLOBALS:
                return name
    except (ValueError, StopIteration, OSError, zipfile.BadZipFile):
        return None  # not a pickle at all
    return None


def fingerprint(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 (hex) over the entries sorted by key: key, shape, dtype, bytes. The same weights, the same text."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        dtype = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{key}\0{','.join(map(str, tensor.shape))}\0{dtype}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

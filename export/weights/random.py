"""Random weights by a rule: every tensor follows from its key and a seed prefix, whatever the order.

The published weights may not be shipped, so benchmarks and golden vectors use these. The scale
of each kind of entry keeps activations near one through the whole network. Legacy numpy
`RandomState`, because its stream is frozen for all time.

Source: the weight rule of the golden README.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import nn

MOST_THREADS = 16
WIDE_KEYS = ("cls_token", "pos_embed", "register_tokens", "mask_token", "latents", "mix_factor", "mood_tokens")


def random_weight(key: str, shape: Sequence[int], *, integer: bool = False, prefix: str = "") -> np.ndarray:
    """The entry `key` of `shape`: float32, or int64 zeros when `integer`."""
    if integer:
        return np.zeros(shape, np.int64)
    last = key.rsplit(".", 1)[-1]
    if last == "pe":
        return position_table(shape)
    seed = zlib.crc32((prefix + key).encode())
    z = np.random.RandomState(seed).standard_normal(math.prod(shape)).astype(np.float32).reshape(shape)
    if last in ("running_var", "weight_g"):
        z = np.abs(1 + 0.1 * z)
    elif last == "running_mean":
        z = 0.1 * z
    elif last in WIDE_KEYS:
        z = 0.5 * z
    elif len(shape) >= 2:
        z /= math.sqrt(math.prod(shape[1:]))
    elif last in ("weight", "gamma"):
        z = 1 + 0.1 * z
    else:
        z = 0.05 * z
    return np.asarray(z, np.float32)


def position_table(shape: Sequence[int]) -> np.ndarray:
    """Sinusoids (1, positions, width) float32: P[p, 2j] = sin(p / 10000^(2j/width)), P[p, 2j+1] the cosine.

    Source: Vaswani et al. 2017, "Attention Is All You Need", 3.5. Motion modules store it among their weights, as `pe`.
    """
    _, positions, width = shape
    angles = np.arange(positions)[:, None] * np.exp(np.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = np.zeros(shape, np.float32)
    table[0, :, 0::2], table[0, :, 1::2] = np.sin(angles), np.cos(angles)
    return table


def random_state_dict(
    target: nn.Module | Mapping[str, Sequence[int]], prefix: str = "", *, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """A whole state dict, for a module (a meta one too) or for key -> shape.

    Memory is that of the result, plus about 16 bytes an element of the entries at work: one a core, since
    numpy's generator works outside of Python's lock. Hand it to `load_state_dict(..., assign=True)` and
    there is no second copy.
    """
    if isinstance(target, nn.Module):
        entries = {k: (tuple(t.shape), not t.is_floating_point()) for k, t in target.state_dict().items()}
    else:
        entries = {k: (tuple(s), k.rsplit(".", 1)[-1] == "num_batches_tracked") for k, s in target.items()}

    def made(key: str) -> torch.Tensor:
        shape, integer = entries[key]
        tensor = torch.from_numpy(np.asarray(random_weight(key, shape, integer=integer, prefix=prefix)))
        return tensor if integer else tensor.to(dtype)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        return dict(zip(entries, pool.map(made, entries), strict=True))


def load_random(module: nn.Module, prefix: str = "") -> nn.Module:
    """Give `module` its random weights (it may live on the meta device) and return it in eval mode."""
    module.load_state_dict(random_state_dict(module, prefix), strict=True, assign=True)
    return module.eval().requires_grad_(False)

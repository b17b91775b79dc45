"""The UNets of a golden case, and what its inputs are to the graphs of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from export.graphs.graph import Graph
from export.hallo2.denoiser_graphs import denoiser_graphs
from export.hallo2.networks.config import UNetConfig
from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.reference_unet import ReferenceUNet
from export.weights.random import load_random
from tests.golden_cases import Case

NETS = {"reference_unet": ReferenceUNet, "denoising_unet": DenoisingUNet}
Run = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]  # a graph: inputs to outputs, both in order


def on_meta(make: Callable[..., nn.Module], *arguments, **options) -> nn.Module:
    with torch.device("meta"):
        return make(*arguments, **options)


def unet_of(name: str, config: UNetConfig, prefix: str = "") -> nn.Module:
    """With the weights of the rule; `prefix` is that of the folder's cases."""
    module = load_random(on_meta(NETS[name], config), f"{prefix}{name}.")
    return module.drop_dead() if isinstance(module, DenoisingUNet) else module


def graphs_of(case: Case) -> dict[str, Graph]:
    """The graphs of a case of a whole UNet, at its sizes."""
    config, latents = UNetConfig.of(case.config), case.inputs["latents"]
    audio = case.inputs["audio_tokens"].shape[1] if "audio_tokens" in case.inputs else 1
    return denoiser_graphs(
        config,
        config,
        latent=latents.shape[2:],
        frames=latents.shape[1] if "audio_tokens" in case.inputs else 1,
        motion_frames=case.options["motion_frames"],
        audio_tokens=audio,
        image_tokens=case.inputs["image_tokens"].shape[1],
    )


def reference_inputs(case: Case) -> list[np.ndarray]:
    """All rows at once: latents for both halves; row r sees token set r mod 2 (SPEC 0.3)."""
    latents = np.concatenate([case.inputs["latents"]] * 2)
    return [latents, case.inputs["image_tokens"][np.arange(len(latents)) % 2]]


def banks_of(config: UNetConfig, banks: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Stacked banks by the names of the case's outputs."""
    return {
        f"bank.{place.name}": banks[bank][place.index] for bank, places in enumerate(config.banks) for place in places
    }


def stacked_banks(case: Case, config: UNetConfig, *, rounded: bool = False) -> list[np.ndarray]:
    """The case's banks as the graphs have them, (n_i, 2(1+m), L_i, C_i); `rounded` to half precision on the way."""
    stacked = [np.stack([case.inputs[f"bank.{place.name}"] for place in places]) for places in config.banks]
    return [bank.astype(np.float16).astype(np.float32) if rounded else bank for bank in stacked]


def rows_of(motion_frames: int) -> tuple[list[int], list[int]]:
    """Which rows of a bank are the two portraits', and which the two halves' motion frames."""
    whole = 1 + motion_frames
    return [0, whole], [*range(1, whole), *range(whole + 1, 2 * whole)]


def denoiser_inputs(case: Case, bank_kv: Run, steps: Run, *, rounded: bool = False) -> list[np.ndarray]:
    """What `talk_denoiser` is given but for its last input, the weights of the halves."""
    config = UNetConfig.of(case.config)
    portraits, motion = rows_of(case.options["motion_frames"])
    banks = stacked_banks(case, config, rounded=rounded)
    levels = range(config.top + 1)
    masks = [np.stack([case.inputs[f"mask.{kind}.{i}"] for kind in ("full", "face", "lip")]) for i in levels]
    (embedding,) = steps([np.array([case.options["timestep"]], np.float32)])
    return [
        np.ascontiguousarray(case.inputs["latents"].swapaxes(0, 1)),
        embedding,
        case.inputs["image_tokens"],
        case.inputs["audio_tokens"],
        case.inputs["face_features"],
        *masks,
        *bank_kv([np.ascontiguousarray(bank[:, portraits]) for bank in banks]),
        *(np.ascontiguousarray(bank[:, motion]) for bank in banks),
        np.array(case.options["motion_scale"], np.float32),
    ]


def halves(denoiser: Run, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """v of each half, (2, 4, F, h, w): each with a weight of 1 beside a 0."""
    apart = [denoiser([*inputs, np.eye(2, dtype=np.float32)[half]])[0] for half in range(2)]
    return np.stack(apart).swapaxes(1, 2)


def one_half(inputs: Sequence[np.ndarray], config: UNetConfig) -> list[np.ndarray]:
    """The same for `talk_denoiser_one`: of the motion features the second half's rows."""
    first = len(inputs) - 1 - (config.top + 1)
    motion = [np.ascontiguousarray(rows[:, rows.shape[1] // 2 :]) for rows in inputs[first:-1]]
    return [*inputs[:first], *motion, inputs[-1]]


def in_torch(module: nn.Module) -> Run:
    def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = module(*(torch.from_numpy(given) for given in inputs))
        return [o.numpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return run

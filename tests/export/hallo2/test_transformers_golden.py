"""The three transformers alone: every golden case in torch and, exported, on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engines.spec import NetworkSpec, TensorSpec
from export.hallo2.networks.folding import folded
from export.hallo2.networks.transformers import (
    MASKS,
    AudioTransformer,
    MotionModule,
    Reference,
    Sound,
    SpatialTransformer,
    split,
)
from export.weights.random import load_random
from tests.export.hallo2.case_unets import on_meta, rows_of
from tests.export.onnx_cache import OnnxCache
from tests.golden_cases import HALLO2_FOLDER, Case, check, golden_cases, load_case

TOLERANCE = 1e-4  # as the vectors recommend for networks: orders of summation differ by 1e-5


def planes(hidden: Tensor) -> Tensor:
    """(pair, C, F, h, w) to (pair*F, C, L)."""
    return hidden.transpose(1, 2).flatten(0, 1).flatten(2)


def hidden_of(cells: Tensor, like: Tensor) -> Tensor:
    pair, channels, _, height, width = like.shape
    return cells.reshape(pair, -1, channels, height, width).transpose(1, 2)


class Spatial(nn.Module):
    """With keys and values made from the bank's two references, as `bank_kv` does."""

    def __init__(self, case: Case, fill: Callable[[nn.Module], nn.Module]):
        super().__init__()
        config = case.config
        sizes = (config["channels"], config["heads"], config["image_token_dim"])
        net = fill(on_meta(SpatialTransformer, *sizes, groups=config["groups"]))
        self.attn1: Any = net.get_submodule("transformer_blocks.0.attn1")
        self.net, self.heads = folded(net), config["heads"]
        self.portraits = rows_of(case.options["motion_frames"])[0]

    def forward(self, hidden: Tensor, image_tokens: Tensor, bank: Tensor) -> Tensor:
        frames, cells = hidden.shape[2], bank.shape[1]
        rows = [self.portraits[(frames + i) % 2] for i in range(frames)]
        seen = torch.cat([bank[row : row + 1] for row in rows])
        keys, values = (split(to(seen), cells, self.heads) for to in (self.attn1.to_k, self.attn1.to_v))
        return hidden_of(self.net(planes(hidden), Reference(keys, values), image_tokens, frames), hidden)


class Audio(nn.Module):
    def __init__(self, case: Case, fill: Callable[[nn.Module], nn.Module]):
        super().__init__()
        config = case.config
        sizes = (config["channels"], config["inner"], config["heads"], config["audio_token_dim"])
        self.net = folded(fill(on_meta(AudioTransformer, *sizes, groups=config["groups"])))
        self.heads = config["heads"]

    def forward(self, hidden: Tensor, audio_tokens: Tensor, masks: Tensor, motion_scale: Tensor) -> Tensor:
        sound = Sound.of(audio_tokens, masks, motion_scale, self.heads)
        return hidden_of(self.net(planes(hidden), sound, hidden.shape[2]), hidden)


class Motion(nn.Module):
    """All frames, of which the first `left_out` are given as motion frames, and dropped."""

    def __init__(self, case: Case, fill: Callable[[nn.Module], nn.Module], left_out: int = 0):
        super().__init__()
        config = case.config
        self.net = folded(fill(on_meta(MotionModule, config["channels"], config["heads"], config["positions"])))
        self.left_out = left_out

    def forward(self, hidden: Tensor) -> Tensor:
        m = self.left_out
        motion = hidden[:, :, :m].transpose(1, 2).flatten(3) if m else None
        clip = hidden[:, :, m:]
        return hidden_of(self.net(planes(clip), motion, clip.shape[2]), clip)


def audio_inputs(case: Case) -> dict[str, np.ndarray]:
    return {
        "hidden": case.inputs["hidden"],
        "audio_tokens": case.inputs["audio_tokens"],
        "masks": np.stack([case.inputs[f"mask.{kind}"] for kind in MASKS]),
        "motion_scale": np.array(case.options["motion_scale"], np.float32),
    }


@dataclass(frozen=True, kw_only=True)
class Target:
    make: Callable[[Case, Callable[[nn.Module], nn.Module]], nn.Module]
    inputs: Callable[[Case], Mapping[str, np.ndarray]] = lambda case: case.inputs


TARGETS = {
    "spatial_transformer": Target(make=Spatial),
    "audio_transformer": Target(make=Audio, inputs=audio_inputs),
    "motion_module": Target(make=Motion),
}


def weighted(case: Case) -> Callable[[nn.Module], nn.Module]:
    return lambda module: load_random(module, f"{case.weight_prefix}block.")


@pytest.fixture(scope="module")
def graphs_cache(cache) -> OnnxCache:
    return OnnxCache(cache, "hallo2")


@golden_cases(kind="network", targets=TARGETS, folder=HALLO2_FOLDER)
def test_a_case_names_our_keys_and_shapes(case_name):
    case, seen = load_case(case_name, HALLO2_FOLDER), []

    def see(module: nn.Module) -> nn.Module:
        seen.append(module)
        return module

    TARGETS[case.facts["target"]].make(case, see)
    assert {f"block.{key}": list(tensor.shape) for key, tensor in seen[0].state_dict().items()} == case.manifest()


@golden_cases(kind="network", targets=TARGETS, folder=HALLO2_FOLDER)
@torch.no_grad()
def test_our_transformer_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    target = TARGETS[case.facts["target"]]
    made = {"hidden": target.make(case, weighted(case))(*map(torch.from_numpy, target.inputs(case).values()))}
    if "motion_features" in case.outputs:
        rows = rows_of(case.options["motion_frames"])[1]  # what the runtime hands on
        made["motion_features"] = case.inputs["bank"][rows].reshape(case.outputs["motion_features"].shape)
    check(case, made, TOLERANCE)


@golden_cases(kind="network", targets=["motion_module"], folder=HALLO2_FOLDER)
@pytest.mark.parametrize("left_out", [1, 2, 3])
@torch.no_grad()
def test_the_motion_frames_change_nothing_when_they_do_not_ask(case_name, left_out):
    case = load_case(case_name, HALLO2_FOLDER)
    hidden = torch.from_numpy(case.inputs["hidden"])
    if left_out >= hidden.shape[2]:
        pytest.skip(f"the case has {hidden.shape[2]} frames")
    before = Motion(case, weighted(case))(hidden)[:, :, :left_out]
    clip = Motion(case, weighted(case), left_out)(hidden)
    check(case, {"hidden": torch.cat([before, clip], dim=2)}, TOLERANCE)


@golden_cases(kind="network", targets=TARGETS, folder=HALLO2_FOLDER)
def test_the_exported_transformer_matches_its_golden_case(case_name, graphs_cache, backend):
    case = load_case(case_name, HALLO2_FOLDER)
    target = TARGETS[case.facts["target"]]
    given = dict(target.inputs(case))
    spec = NetworkSpec(
        name=case.facts["target"],
        inputs=tuple(TensorSpec(name=n, dims=value.shape, dtype="float32") for n, value in given.items()),
        outputs=(TensorSpec(name="made", dims=case.inputs["hidden"].shape, dtype="float32"),),
    )
    facts = [case.facts["target"], case.config, case.options, case.weight_prefix]
    session = graphs_cache.session(
        backend,
        spec,
        facts,
        lambda: target.make(case, weighted(case)),
        lambda: {name: torch.from_numpy(value) for name, value in given.items()},
    )
    made = session.run({name: backend.upload(value) for name, value in given.items()})
    check(case, {"hidden": backend.download(made["made"])}, TOLERANCE, only=["hidden"])

"""Our networks as graphs: every golden network case in torch and, exported, on ONNX Runtime.

The modules are those a bundle is made of, in its own wrappers where there are some, so what is proven here about
folding, frame-wise layouts and single projections is proven against the released networks. Sizes, batches and level
counts are the case's.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engines.onnx_backend import OnnxBackend, OnnxSession
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.blocks import VAEConfig
from export.graphs.autoencoder import VaeDecoder, VaeEncoder
from export.hunyuanportrait.networks.appearance import Appearance, FoldedAdapter, FoldedAppearance, ImageProjection
from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg, translation
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner
from export.hunyuanportrait.networks.pose_guider import PoseGuider
from export.hunyuanportrait.networks.unet import Context, CrossAttention, StepEmbedding, UNet, UNetConfig
from export.hunyuanportrait.networks.vae import VAE
from export.weights.random import load_random
from runtime.decode import chunks
from tests.export.onnx_cache import OnnxCache
from tests.golden_cases import NETWORK_TOLERANCE, SHIPPED, Case, check, discover, facts, golden_cases, load_case


def on_meta(make: Callable[..., nn.Module], *arguments: Any, **config: Any) -> nn.Module:
    with torch.device("meta"):
        return make(*arguments, **config)


Fill = Callable[..., nn.Module]  # (module, key prefix) -> the module with weights, or as it is to see its shapes


class AppearanceTokens(nn.Module):
    """The `appearance` graph with its tokens before the projection as well."""

    def __init__(self, case: Case, fill: Fill) -> None:
        super().__init__()
        config = dict(case.config)
        self.projected = "image_proj" in config
        projection = config.pop("image_proj", None)
        network = fill(on_meta(Appearance, **config))
        if projection is None:  # folding wants one
            projection = {"num_tokens": network.prefix + network.grid_hw[0] * network.grid_hw[1], "num_queries": 1}
        self.folded = FoldedAppearance(network, fill(on_meta(ImageProjection, **projection)))

    def forward(self, image: Tensor, id_embedding: Tensor) -> tuple[Tensor, ...]:
        tokens = self.folded.tokens(image, id_embedding)
        return (tokens, self.folded.image_proj(tokens)) if self.projected else (tokens,)


def make_adapter(case: Case, fill: Fill) -> nn.Module:
    config = dict(case.config)
    block = config.pop("block")
    return FoldedAdapter(fill(on_meta(Appearance, **config).blocks[block].adapter, f"blocks.{block}.adapter."))


class HeadPoseOutputs(nn.Module):
    """As the `motion` graph reads the network, and the translation that it drops."""

    def __init__(self, case: Case, fill: Fill) -> None:
        super().__init__()
        self.network = fill(on_meta(HeadPose, **case.config))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        raw = self.network(image)
        return raw, rotation_deg(raw), translation(raw)


class OneCrossAttention(nn.Module):
    """Each batch entry is a row of one frame."""

    def __init__(self, case: Case, fill: Fill) -> None:
        super().__init__()
        config = case.config
        sizes = (config["query_dim"], config["heads"], config["cross_attention_dim"])
        self.attention = fill(on_meta(CrossAttention, *sizes, motion_scale=config["motion_scale"]))

    def forward(self, hidden_states: Tensor, image_tokens: Tensor, motion_tokens: Tensor) -> Tensor:
        return self.attention(hidden_states, image_tokens, motion_tokens, 1)


class WholeUNet(nn.Module):
    """UNet and step embedding with what a golden case varies and a bundle holds still: image tokens by frame, added
    ids and pose features by row."""

    def __init__(self, case: Case, fill: Fill) -> None:
        super().__init__()
        config = UNetConfig.from_diffusers(case.config)
        self.unet = fill(on_meta(UNet, config, motion_scale=case.options["motion_scale"]))
        self.embedding = StepEmbedding(self.unet)
        self.frames = case.inputs["sample"].shape[1]

    def forward(
        self,
        sample: Tensor,
        added_time_ids: Tensor,
        image_tokens: Tensor,
        motion_tokens: Tensor,
        timestep: Tensor,
        pose_features: Tensor | None = None,
    ) -> Tensor:
        emb = self.embedding(timestep, added_time_ids)
        context = Context(image_tokens, motion_tokens)
        v = self.unet(sample.flatten(0, 1), emb, context, self.frames, pose_features)
        return v.unflatten(0, sample.shape[:2])


def plain(network: type[nn.Module]) -> Callable[[Case, Fill], nn.Module]:
    """A network whose constructor takes the case's config."""
    return lambda case, fill: fill(on_meta(network, **case.config))


def on_vae(wrapper: type[nn.Module]) -> Callable[[Case, Fill], nn.Module]:
    return lambda case, fill: wrapper(fill(on_meta(VAE, VAEConfig.from_diffusers(case.config))))


@dataclass(frozen=True, kw_only=True)
class Target:
    """How a golden target becomes one graph."""

    make: Callable[[Case, Fill], nn.Module]
    outputs: tuple[str, ...]
    any_number: bool = False  # the first dimension of all but ids is free, as in the bundle
    inputs: Callable[[Case], dict[str, np.ndarray]] = lambda case: dict(case.inputs)
    parts: Callable[[Case], list[slice]] = lambda case: [slice(None)]  # run on these, one after the other


def adapter_inputs(case: Case) -> dict[str, np.ndarray]:
    given = dict(case.inputs)
    return {"normed_tokens": given.pop("tokens"), **given}  # a graph's input and output cannot share a name


def refiner_inputs(case: Case) -> dict[str, np.ndarray]:
    return {**case.inputs, **{name: np.array([case.options[name]]) for name in ("head_id", "exp_id")}}


def unet_inputs(case: Case) -> dict[str, np.ndarray]:
    names = ("sample", "added_time_ids", "image_tokens", "motion_tokens")
    given = {name: case.inputs[name] for name in names}
    given["timestep"] = np.array([case.options["timestep"]], np.float32)
    return given | {name: case.inputs[name] for name in ("pose_features",) if name in case.inputs}


def decoder_inputs(case: Case) -> dict[str, np.ndarray]:
    return {"latents": case.inputs["latents"] * np.float32(case.config["scaling_factor"])}  # the graph divides


def decoder_parts(case: Case) -> list[slice]:
    frames = len(case.inputs["latents"])
    plan = chunks(frames, chunk=case.options["chunk_size"], pad_frames=0)
    return [slice(part.start, part.stop) for part in plan]


TARGETS = {
    "appearance": Target(make=AppearanceTokens, outputs=("tokens", "image_tokens")),
    "appearance_adapter": Target(make=make_adapter, outputs=("tokens",), inputs=adapter_inputs),
    "image_proj": Target(make=plain(ImageProjection), outputs=("image_tokens",)),
    "expression": Target(make=plain(Expression), outputs=("features",), any_number=True),
    "head_pose": Target(make=HeadPoseOutputs, outputs=("raw", "rotation", "translation"), any_number=True),
    "motion_refiner": Target(make=plain(MotionRefiner), outputs=("tokens",), any_number=True, inputs=refiner_inputs),
    "pose_guider": Target(make=plain(PoseGuider), outputs=("features",)),
    "cross_attention": Target(make=OneCrossAttention, outputs=("output",)),
    "unet": Target(make=WholeUNet, outputs=("v",), inputs=unet_inputs),
    "vae_encoder": Target(make=on_vae(VaeEncoder), outputs=("mean",)),
    "vae_decoder": Target(
        make=on_vae(VaeDecoder), outputs=("frames",), any_number=True, inputs=decoder_inputs, parts=decoder_parts
    ),
}


def target_of(case: Case) -> Target:
    return TARGETS[case.facts["target"]]


def facts_of(case: Case) -> list[Any]:
    """What decides a case's module, as JSON."""
    frames = case.inputs["sample"].shape[1] if case.facts["target"] == "unet" else None
    return [case.facts["target"], case.config, case.weight_prefix, case.options.get("motion_scale"), frames]


def example(case: Case) -> dict[str, Tensor]:
    """The case's inputs, twice where they are one of a free number: the exporter takes a 1 for a constant."""
    target, given = target_of(case), {}
    for name, value in target.inputs(case).items():
        doubled = target.any_number and not name.endswith("_id") and len(value) == 1
        given[name] = torch.from_numpy(np.concatenate([value, value]) if doubled else value)
    return given


def spec_of(case: Case) -> NetworkSpec:
    target = target_of(case)
    inputs = {name: tensor.to("meta") for name, tensor in example(case).items()}
    with torch.device("meta"), torch.no_grad():
        outputs = target.make(case, lambda module, prefix="": module.eval())(*inputs.values())
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    most = max((len(t) for n, t in inputs.items() if not n.endswith("_id")), default=1)

    def spec(name: str, tensor: Tensor) -> TensorSpec:
        dtype = str(tensor.dtype).removeprefix("torch.")
        free = target.any_number and not name.endswith("_id")
        return TensorSpec(name=name, dims=("many", *tensor.shape[1:]) if free else tuple(tensor.shape), dtype=dtype)

    return NetworkSpec(
        name=case.facts["target"],
        inputs=tuple(spec(name, tensor) for name, tensor in inputs.items()),
        outputs=tuple(spec(name, tensor) for name, tensor in zip(target.outputs, outputs, strict=False)),
        ranges={"many": DimRange(min=1, opt=most, max=most)} if target.any_number else {},
    )


class OneAtATime:
    """Holds one network, as a module or as a session: at full size two would not fit into a small machine."""

    def __init__(self, cache: OnnxCache, backend: OnnxBackend, large_weights: dict[Any, Any]) -> None:
        self._cache, self._backend, self._large_weights = cache, backend, large_weights
        self._key: str | None = None
        self._held: Any = None
        self._large: set[Path] = set()

    def module(self, case: Case) -> nn.Module:
        key = json.dumps(facts_of(case))
        if key != self._key:
            self.clear()
            self._held = target_of(case).make(case, lambda m, prefix="": load_random(m, case.weight_prefix + prefix))
            self._key = key
        return self._held.eval()

    def session(self, case: Case) -> OnnxSession:
        spec = spec_of(case)
        key = json.dumps([spec.to_json(), facts_of(case)])
        if key != self._key:
            path = self._cache.path(spec, facts_of(case), lambda: self.module(case), lambda: example(case))
            self.clear()
            if case.facts["heavy"]:
                self._large.add(path)
                self._large_weights.clear()  # the session has them too
            self._held, self._key = self._backend.load(spec, path), key
        return self._held

    def clear(self) -> None:
        self._held = self._key = None
        gc.collect()

    def close(self) -> None:
        """Gigabytes of weights shall not outlive the tests."""
        self.clear()
        for path in self._large:
            self._cache.discard(path)


@pytest.fixture(scope="module")
def networks(onnx_cache, backend, large_weights) -> Iterator[OneAtATime]:
    held = OneAtATime(onnx_cache, backend, large_weights)
    yield held
    held.close()


def check_outputs(case: Case, run: Callable[[dict[str, np.ndarray]], Sequence[np.ndarray]]) -> None:
    """Run all parts of a case and compare: `mode` is another name of `mean`, and the variance is not in the graph."""
    target = target_of(case)
    parts = []
    for part in target.parts(case):
        given = target.inputs(case)
        parts.append(
            run({n: v if n.endswith("_id") else v[part] for n, v in given.items()} if target.any_number else given)
        )
    made = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)]
    results = dict(zip(target.outputs, made, strict=False))
    if "mean" in results:
        results["mode"] = results["mean"]
    check(case, results, NETWORK_TOLERANCE, only=set(results) & case.outputs.keys())
    assert case.outputs.keys() <= {*results, "logvar"}, "an output that nobody compares"


def test_every_golden_network_but_the_position_table_becomes_a_graph():
    """The table is a constant of the appearance graph: torch's test of it is all there is to ask."""
    for folder_facts in (facts(SHIPPED), facts()):
        networks = {fact["target"] for fact in folder_facts.values() if fact["kind"] == "network"}
        assert networks - {"position_table"} <= TARGETS.keys()
    assert all(discover(kind="network", targets=[target], folder=SHIPPED) for target in TARGETS)


def same_network(fact):
    return fact["config"]


@golden_cases(kind="network", targets=TARGETS, group=same_network)
@torch.no_grad()
def test_our_module_matches_its_golden_case(case_name, networks):
    case = load_case(case_name)
    module = networks.module(case)

    def run(given):
        outputs = module(*(torch.from_numpy(value) for value in given.values()))
        return [o.numpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,))]

    check_outputs(case, run)


# The full-size UNet's module is held to its cases above, and its graph to the module by a full-size build.
@golden_cases(kind="network", targets=TARGETS, group=same_network, long=["unet"])
def test_exported_graph_matches_its_golden_case(case_name, networks, backend):
    case = load_case(case_name)
    session = networks.session(case)

    def run(given):
        made = session.run({name: backend.upload(value) for name, value in given.items()})
        return [backend.download(made[tensor.name]) for tensor in session.spec.outputs]

    check_outputs(case, run)


@golden_cases(kind="network", targets=["vae_encoder"], group=same_network, long=["vae_encoder"])
@torch.no_grad()
def test_the_whole_encoder_matches_its_golden_case(case_name):
    """With the variance, which the graph leaves out; at full size the mean is compared above."""
    case = load_case(case_name)
    vae = load_random(on_meta(VAE, VAEConfig.from_diffusers(case.config)), case.weight_prefix)
    mean, logvar = vae.encode(torch.from_numpy(case.inputs["image"])).chunk(2, dim=1)
    check(case, {"mean": mean, "logvar": logvar, "mode": mean}, NETWORK_TOLERANCE)

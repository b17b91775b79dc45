"""The UNets' graphs: every golden case of a whole net in torch and, exported, on ONNX Runtime.

The modules are those a bundle is made of, so what is proven here about halves apart, folded weights, given keys and
values and what is left out is proven against the released program. Sizes, frames and level counts are the case's.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from export.hallo2.denoiser_graphs import Denoiser
from export.hallo2.networks.config import UNetConfig
from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.skeleton import Block
from tests.export.hallo2.case_unets import (
    NETS,
    Run,
    banks_of,
    denoiser_inputs,
    graphs_of,
    halves,
    in_torch,
    one_half,
    reference_inputs,
    unet_of,
)
from tests.export.onnx_cache import OnnxCache
from tests.golden_cases import HALLO2_FOLDER, Case, check, check_intermediates, golden_cases, load_case

TOLERANCE = 1e-4  # as the vectors recommend for networks: orders of summation differ by 1e-5


def same_network(fact):
    return fact["config"]


class OneNet:
    """The net of a case, held until another is asked for: at full size two would not fit into a small machine."""

    def __init__(self) -> None:
        self._key, self._net = "", nn.Module()

    def __call__(self, case: Case) -> nn.Module:
        key = json.dumps([case.facts["target"], case.config, case.weight_prefix])
        if key != self._key:
            self.clear()
            self._net = unet_of(case.facts["target"], UNetConfig.of(case.config), case.weight_prefix)
            self._key = key
        return self._net

    def clear(self) -> None:
        self._key, self._net = "", nn.Module()
        gc.collect()


@pytest.fixture(scope="module")
def net() -> Iterator[OneNet]:
    held = OneNet()
    yield held
    held.clear()


@pytest.fixture(scope="module")
def graphs_cache(cache) -> OnnxCache:
    return OnnxCache(cache, "hallo2")


def graphs_in_torch(case: Case, net: OneNet) -> dict[str, Run]:
    graphs = graphs_of(case).items()
    return {n: in_torch(g.make(lambda _: net(case)).eval()) for n, g in graphs if case.facts["target"] in g.networks}


class OnOnnxRuntime:
    """The graphs of a case, exported: opened when first run, and alone."""

    def __init__(self, case: Case, net: OneNet, cache: OnnxCache, backend) -> None:
        self._backend, self._specs, self._paths = backend, {}, {}
        for name, graph in graphs_of(case).items():
            if case.facts["target"] not in graph.networks or name == "talk_denoiser_one":
                continue
            facts: list[Any] = [case.config, case.weight_prefix]
            sizes = {dim: max(size, 2) for dim, size in graph.opt_sizes().items()}
            self._specs[name] = graph.spec
            self._paths[name] = cache.path(
                graph.spec,
                facts,
                lambda graph=graph: graph.make(lambda _: net(case)),
                lambda graph=graph, sizes=sizes: graph.example(sizes),
            )
        self._open: tuple[str, Any] = ("", None)

    @property
    def paths(self) -> list[Path]:
        return list(self._paths.values())

    def __getitem__(self, name: str) -> Run:
        def run(inputs):
            if self._open[0] != name:
                self._open = (name, self._backend.load(self._specs[name], self._paths[name]))
            session = self._open[1]
            names = [tensor.name for tensor in session.spec.inputs]
            made = session.run({n: self._backend.upload(value) for n, value in zip(names, inputs, strict=True)})
            return [self._backend.download(made[tensor.name]) for tensor in session.spec.outputs]

        return run


def check_reference(case: Case, run: Run) -> None:
    config = UNetConfig.of(case.config)
    check(case, banks_of(config, run(reference_inputs(case))), TOLERANCE)
    assert len(case.outputs) == len(config.places), "a place that nobody compares"


def check_denoiser(case: Case, runs: Any) -> np.ndarray:
    """Returns v of both halves."""
    inputs = denoiser_inputs(case, runs["bank_kv"], runs["talk_steps"])
    v = halves(runs["talk_denoiser"], inputs)
    check(case, {"v": v}, TOLERANCE)
    if "v_half_bank" in case.intermediates:
        inputs = denoiser_inputs(case, runs["bank_kv"], runs["talk_steps"], rounded=True)
        check_intermediates(case, {"v_half_bank": halves(runs["talk_denoiser"], inputs)}, TOLERANCE)
    return v


@golden_cases(kind="network", targets=NETS, folder=HALLO2_FOLDER)
def test_a_reduced_case_names_our_keys_and_shapes(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    target, manifest = case.facts["target"], case.manifest()
    if manifest is None:
        pytest.skip("of full size: held to the published manifest elsewhere")
    with torch.device("meta"):
        state = NETS[target](UNetConfig.of(case.config)).state_dict()
    assert {f"{target}.{key}": list(tensor.shape) for key, tensor in state.items()} == manifest


@golden_cases(kind="network", targets=["reference_unet"], folder=HALLO2_FOLDER, group=same_network)
def test_the_reference_net_makes_the_banks_of_its_golden_case(case_name, net):
    case = load_case(case_name, HALLO2_FOLDER)
    check_reference(case, graphs_in_torch(case, net)["reference"])


@golden_cases(kind="network", targets=["denoising_unet"], folder=HALLO2_FOLDER, group=same_network)
def test_each_half_of_the_denoiser_matches_its_golden_case(case_name, net):
    case = load_case(case_name, HALLO2_FOLDER)
    runs = graphs_in_torch(case, net)
    unconditional, _ = check_denoiser(case, runs)

    inputs = denoiser_inputs(case, runs["bank_kv"], runs["talk_steps"])
    (alone,) = runs["talk_denoiser_one"](one_half(inputs, UNetConfig.of(case.config)))
    check(case, {"v": np.stack([unconditional, alone.swapaxes(0, 1)])}, TOLERANCE)


def module_that_ends(unet: DenoisingUNet, name: str) -> nn.Module:
    """The module whose output is recorded as `name`: of a block, which is no call of ours, its last one."""
    module: Any = unet.get_submodule(name)
    if not isinstance(module, Block):
        return module
    for last in ("downsamplers", "upsamplers"):
        if hasattr(module, last):
            return getattr(module, last)[0]
    ends_with_motion = hasattr(module, "attentions") and name != "mid_block"
    return (module.motion_modules if ends_with_motion else module.resnets)[-1]


@golden_cases(kind="network", targets=["denoising_unet"], folder=HALLO2_FOLDER, group=same_network)
@torch.no_grad()
def test_every_recorded_part_of_the_denoiser_matches_its_golden_case(case_name, net):
    """With the published keys, as it is trained; the graph's form is held to the whole above."""
    case = load_case(case_name, HALLO2_FOLDER)
    recorded = {name: whole for name, whole in case.intermediates.items() if name != "v_half_bank"}
    if not recorded:
        pytest.skip("nothing was recorded inside")
    unet, runs = net(case), graphs_in_torch(case, net)
    inputs = denoiser_inputs(case, runs["bank_kv"], runs["talk_steps"])
    made = {"time_embedding": np.concatenate([inputs[1]] * 2)}
    hooks = [
        module_that_ends(unet, name).register_forward_hook(
            lambda _module, _inputs, output, name=name: made.update({name: output.numpy()})
        )
        for name in recorded.keys() - made.keys()
    ]
    in_torch(Denoiser(unet, both=True))([*inputs, np.ones(2, np.float32)])
    for hook in hooks:
        hook.remove()

    for name, expected in recorded.items():
        result = made[name]
        if ".motion_modules." in name:
            expected = expected[:, :, case.options["motion_frames"] :]  # ours makes the clip's frames alone
        if name != "time_embedding":
            if name == "conv_in":
                result = np.concatenate([result] * 2)  # the same for both halves
            _, channels, frames, height, width = expected.shape
            result = result.reshape(2, frames, channels, height, width).swapaxes(1, 2)
        error = np.abs(result - expected).max()
        assert error <= TOLERANCE * case.facts["intermediates"][name]["scale"], f"{name}: {error}"


@golden_cases(kind="network", targets=["reference_unet"], folder=HALLO2_FOLDER, group=same_network, long=NETS)
def test_the_exported_reference_net_matches_its_golden_case(case_name, net, graphs_cache, backend):
    case = load_case(case_name, HALLO2_FOLDER)
    runs = OnOnnxRuntime(case, net, graphs_cache, backend)
    net.clear()
    check_reference(case, runs["reference"])
    _let_go(case, runs, graphs_cache)


@golden_cases(kind="network", targets=["denoising_unet"], folder=HALLO2_FOLDER, group=same_network, long=NETS)
def test_the_exported_denoiser_matches_its_golden_case(case_name, net, graphs_cache, backend):
    case = load_case(case_name, HALLO2_FOLDER)
    runs = OnOnnxRuntime(case, net, graphs_cache, backend)
    net.clear()
    check_denoiser(case, runs)
    _let_go(case, runs, graphs_cache)


def _let_go(case: Case, runs: OnOnnxRuntime, cache: OnnxCache) -> None:
    """Gigabytes of weights shall not outlive the tests."""
    if case.facts["heavy"]:
        for path in runs.paths:
            cache.discard(path)

"""The enhancer's networks against the golden vectors, key by key and number by number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from export.enhancer.architecture import NETWORKS, Architecture
from export.enhancer.networks.config import DetectorConfig, ParserConfig, RestorerConfig, UpscalerConfig
from export.enhancer.presets import ENHANCER
from export.weights.checkpoints import module_shapes
from export.weights.random import load_random
from tests.golden_cases import (
    HALLO2_FOLDER,
    HALLO2_MANIFESTS,
    HALLO2_SHIPPED,
    Case,
    check,
    check_intermediates,
    discover,
    golden_cases,
    load_case,
)

NETWORK = 1e-4  # relative to an output's rms: what the vectors recommend, ten times what restating the SPEC cost
FACES = 5e-3  # recommended too: a face is adapted to its encoder's statistics, which amplifies rounding
TARGETS = ("upscaler", "face_restorer", "face_parser", "face_detector")
PUBLISHED = {
    "upscaler": "realesrgan_x2plus",
    "restorer": "enhance_codeformer_temporal",
    "parser": "parsenet",
    "detector": "retinaface_resnet50",
}
MEANS = (104, 117, 123)


def restorer_config(facts: Mapping[str, Any]) -> RestorerConfig:
    lists = {name: tuple(facts[name]) for name in ("channels", "fusion")}
    return RestorerConfig(**{**facts, **lists})


def network_of(case: Case, network: str, **config: Any) -> Any:
    """With the weights of the rule, and the keys of the case's manifest, where it has one."""
    made: nn.Module = load_random(Architecture(**config).build(network), case.weight_prefix)
    if (manifest := case.manifest()) is not None:
        assert {key: list(shape) for key, shape in module_shapes(made).items()} == manifest
    return made


def test_the_shipped_folder_has_a_case_for_every_target():
    assert all(discover(kind="network", targets=[target], folder=HALLO2_SHIPPED) for target in TARGETS)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_full_size_networks_are_the_published_ones_key_by_key(network):
    facts = json.loads((HALLO2_MANIFESTS / "_summary.json").read_text())[PUBLISHED[network]]
    manifest = json.loads((HALLO2_MANIFESTS / f"{PUBLISHED[network]}.json").read_text())["shapes"]
    module = ENHANCER.architecture.build(network)
    assert {key: list(shape) for key, shape in module_shapes(module).items()} == manifest
    assert sum(parameter.numel() for parameter in module.parameters()) == facts["params"]


@golden_cases(kind="network", targets=["upscaler"], folder=HALLO2_FOLDER)
@torch.no_grad()
def test_the_upscaler_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    network = network_of(case, "upscaler", upscaler=UpscalerConfig(**case.config))
    check(case, {"picture": network(torch.from_numpy(case.inputs["picture"])[None])[0]}, NETWORK)


@golden_cases(kind="network", targets=["face_parser"], folder=HALLO2_FOLDER)
@torch.no_grad()
def test_the_parser_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    network = network_of(case, "parser", parser=ParserConfig(**case.config))
    check(case, {"logits": network(torch.from_numpy(case.inputs["face"]))}, NETWORK)


@golden_cases(kind="network", targets=["face_detector"], folder=HALLO2_FOLDER)
@torch.no_grad()
def test_the_detector_matches_its_golden_case(case_name):
    """What is decoded of its outputs is the runtime's, and so are the case's boxes and priors."""
    case = load_case(case_name, HALLO2_FOLDER)
    assert case.config["backbone"] == "resnet50"
    network = network_of(case, "detector", detector=DetectorConfig(width=case.config["width"]))
    picture = np.rint(255 * case.inputs["picture"]).astype(np.float32) - np.array(MEANS, np.float32)
    loc, confidence, points = network(torch.from_numpy(picture).permute(2, 0, 1)[None])
    # The case has scores, of which the network gives logits.
    made = {"loc": loc[0], "confidence": confidence[0].softmax(-1), "landmark_offsets": points[0]}
    check(case, made, NETWORK, only=made)


def several_faces(fact: Mapping[str, Any]) -> bool:
    """A window of them takes a minute of two cores; attention over time is in a single face too, and in the small
    restorer's window."""
    return fact["inputs"]["faces"]["shape"][0] > 1


@golden_cases(kind="network", targets=["face_restorer"], folder=HALLO2_FOLDER, longer=several_faces)
@torch.no_grad()
def test_the_restorer_matches_its_golden_case(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    network = network_of(case, "restorer", restorer=restorer_config(case.config))
    seen = network.see(2 * torch.from_numpy(case.inputs["faces"]) - 1)
    codes = seen.logits.argmax(dim=-1)
    known = {
        "logits": seen.logits,
        "encoder_feature": seen.feature,
        "feature_embedding": seen.embedding,
        "layer0": seen.layers[0],
    }
    check_intermediates(case, known, NETWORK)
    check(case, {"codes": codes}, NETWORK, only=["codes"])
    faces = network.draw(seen, codes, torch.tensor([case.options["fidelity"]]))
    check(case, {"faces": faces}, FACES, only=["faces"])

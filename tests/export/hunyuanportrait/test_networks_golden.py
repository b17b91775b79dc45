"""The torch networks against the golden vectors: every case in the folder, whatever its sizes."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from export.hunyuanportrait.networks.appearance import (
    Adapter,
    Appearance,
    FoldedAppearance,
    ImageProjection,
    resize_positions,
)
from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg, translation
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner
from export.hunyuanportrait.networks.pose_guider import PoseGuider
from export.weights.random import load_random
from tests.golden_cases import NETWORK_TOLERANCE, SHIPPED, Case, check, discover, golden_cases, load_case


def test_the_shipped_folder_has_a_golden_case_for_every_network_of_this_module():
    for target in CALLS:
        assert discover(kind="network", targets=[target], folder=SHIPPED), target


def on_meta(make, **config):
    with torch.device("meta"):
        return make(**config)


def appearance_networks(case: Case) -> tuple[Appearance, ImageProjection | None]:
    config = dict(case.config)
    projection = config.pop("image_proj", None)
    network = load_random(on_meta(Appearance, **config), case.weight_prefix)
    if projection is None:
        return network, None
    return network, load_random(on_meta(ImageProjection, **projection), case.weight_prefix)


def call_appearance(case, image, id_embedding):
    network, projection = appearance_networks(case)
    tokens = network(image, id_embedding)
    if projection is None:
        return {"tokens": tokens}
    return {"tokens": tokens, "image_tokens": projection(tokens)}


def call_adapter(case, tokens, id_embedding):
    config = dict(case.config)
    block = config.pop("block")
    network = on_meta(Appearance, **config)
    adapter: Adapter = network.blocks[block].adapter
    load_random(adapter, f"{case.weight_prefix}blocks.{block}.adapter.")
    return {"tokens": adapter(tokens, id_embedding)}


def call_position_table(case, pos_embed):
    height, width = (side // case.config["patch_size"] for side in case.config["image_hw"])
    return {"positions": resize_positions(pos_embed, (height, width))}


def call_image_proj(case, tokens):
    return {"image_tokens": load_random(on_meta(ImageProjection, **case.config), case.weight_prefix)(tokens)}


def call_expression(case, image):
    return {"features": load_random(on_meta(Expression, **case.config), case.weight_prefix)(image)}


def call_head_pose(case, image):
    raw = load_random(on_meta(HeadPose, **case.config), case.weight_prefix)(image)
    return {"raw": raw, "rotation": rotation_deg(raw), "translation": translation(raw)}


def call_motion_refiner(case, features):
    network = load_random(on_meta(MotionRefiner, **case.config), case.weight_prefix)
    ids = (torch.tensor([case.options[name]]) for name in ("head_id", "exp_id"))
    return {"tokens": network(features, *ids)}


def call_pose_guider(case, image):
    return {"features": load_random(on_meta(PoseGuider, **case.config), case.weight_prefix)(image)}


CALLS = {
    "appearance": call_appearance,
    "appearance_adapter": call_adapter,
    "position_table": call_position_table,
    "image_proj": call_image_proj,
    "expression": call_expression,
    "head_pose": call_head_pose,
    "motion_refiner": call_motion_refiner,
    "pose_guider": call_pose_guider,
}


@golden_cases(kind="network", targets=CALLS)
@torch.no_grad()
def test_network_matches_its_golden_case(case_name):
    case = load_case(case_name)
    inputs = {name: torch.from_numpy(value) for name, value in case.inputs.items()}
    check(case, CALLS[case.facts["target"]](case, **inputs), NETWORK_TOLERANCE)


@golden_cases(kind="network", targets=["appearance"])
@torch.no_grad()
def test_folded_appearance_matches_the_golden_case_too(case_name):
    case = load_case(case_name)
    network, projection = appearance_networks(case)
    if projection is None:
        tokens = network.prefix + network.grid_hw[0] * network.grid_hw[1]
        projection = load_random(ImageProjection(num_tokens=tokens, num_queries=7), case.weight_prefix)
    folded = FoldedAppearance(network, projection)
    image, id_embedding = (torch.from_numpy(case.inputs[name]) for name in ("image", "id_embedding"))
    tokens = folded.tokens(image, id_embedding)
    mixed = F.linear(tokens.transpose(1, 2), projection.weight, projection.bias).transpose(1, 2)
    check(case, {"tokens": tokens, "image_tokens": mixed}, NETWORK_TOLERANCE)
    # Two ways to write one matrix product, so only its summation order differs.
    torch.testing.assert_close(folded(image, id_embedding), mixed, rtol=0, atol=1e-5)

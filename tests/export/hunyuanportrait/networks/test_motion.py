"""Motion tokens: what they are made of, and that their graph keeps the number of frames free."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.hunyuanportrait.networks.expression import Expression
from export.hunyuanportrait.networks.head_pose import HeadPose, rotation_deg
from export.hunyuanportrait.networks.motion import Motion
from export.hunyuanportrait.networks.motion_refiner import MotionRefiner
from export.hunyuanportrait.reference.motion import chunk_motion_tokens
from export.weights.random import load_random


def make_motion(token_dtype=torch.float32) -> Motion:
    """Small, and narrowed by `width`, as a preset would."""
    refiner = {"num_queries": 5, "intensity_embed_dim": 24, "width": 32, "layers": 2, "heads": 4}
    return Motion(
        expression=load_random(Expression(out_dim=12, blocks=[1, 2, 1, 1], norm_groups=1, width=16)),
        motion_refiner=load_random(MotionRefiner(input_dim=12, output_dim=26, **refiner)),
        head_pose=load_random(HeadPose(out_dim=6, blocks=[1, 1, 1, 1], norm_groups=8, width=16)),
        token_dtype=token_dtype,
    ).eval()


def make_inputs(frames: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(frames)
    return {
        "face_images": torch.rand(frames, 3, 64, 64, generator=random),
        "pose_images": torch.rand(frames, 3, 64, 64, generator=random),
        "head_id": torch.tensor([5]),
        "exp_id": torch.tensor([120]),
    }


@torch.no_grad()
def test_tokens_end_in_degrees_and_zeros_for_every_query():
    motion, inputs = make_motion(), make_inputs(3)
    tokens = motion(**inputs)
    rotation = rotation_deg(motion.head_pose(inputs["pose_images"]))
    assert tokens.shape == (3, 5, 32)
    assert torch.equal(tokens[..., 26:29], rotation[:, None].expand(-1, 5, -1))
    assert not tokens[..., 29:].any()


@torch.no_grad()
def test_the_module_equals_the_reference_chunk():
    motion, inputs = make_motion(), make_inputs(4)
    expected = chunk_motion_tokens(
        motion.expression,
        motion.motion_refiner,
        motion.head_pose,
        inputs["face_images"],
        inputs["pose_images"],
        (5, 120),
    )
    assert torch.equal(motion(**inputs), expected)


@torch.no_grad()
def test_frames_do_not_influence_each_other():
    motion, inputs = make_motion(), make_inputs(4)
    alone = motion(**{k: v[2:3] if v.ndim == 4 else v for k, v in inputs.items()})
    # Only the kernels' summation order may depend on the batch; degrees are up to 180.
    torch.testing.assert_close(motion(**inputs)[2:3], alone, rtol=0, atol=2e-4)


@torch.no_grad()
def test_half_precision_tokens_come_from_fp32_networks():
    inputs = make_inputs(2)
    assert torch.equal(make_motion(torch.float16)(**inputs), make_motion()(**inputs).half())


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    import onnxruntime

    path = tmp_path_factory.mktemp("motion") / "motion.onnx"
    inputs, frames = make_inputs(3), torch.export.Dim("frames", min=1, max=64)
    names = list(inputs)
    torch.onnx.export(
        make_motion(),
        tuple(inputs.values()),
        path,
        dynamo=True,
        opset_version=23,
        input_names=names,
        output_names=["motion_tokens"],
        dynamic_shapes={"face_images": {0: frames}, "pose_images": {0: frames}, "head_id": None, "exp_id": None},
        verbose=False,
    )
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("frames", [1, 2, 7])
@torch.no_grad()
def test_the_exported_graph_takes_any_number_of_frames(session, frames):
    inputs = make_inputs(frames)
    (tokens,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    # Two implementations of fp32 convolutions; the rotations are degrees, rms about 100.
    np.testing.assert_allclose(tokens, make_motion()(**inputs).numpy(), rtol=0, atol=1e-3)

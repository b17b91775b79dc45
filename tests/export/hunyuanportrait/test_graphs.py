"""The wrappers round the networks against the released formulas, written out plainly; and what graphs promise."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from export.graphs.stitch import Stitch
from export.hunyuanportrait.graphs import HALF, Denoiser, black_pose_features, bundle_graphs
from export.hunyuanportrait.presets import HUNYUANPORTRAIT, POCKET
from export.hunyuanportrait.reference import schedule
from export.hunyuanportrait.reference.unet import ReferenceUNet
from export.hunyuanportrait.reference.windows import coverage, window_frames, window_starts
from export.weights.random import load_random
from runtime.decode import to_uint8
from runtime.hunyuanportrait.denoise import check_overlap
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import Windows
from runtime.schedule import euler_coefficients, input_scales
from tests.export.hunyuanportrait.case_networks import CaseNetworks
from tests.export.tiny import TINY

FRAMES, SIZE = 3, 16
LATENT = SIZE // TINY.architecture.vae.downscale
TOLERANCE = 2e-5  # a deep network in float32, two orders of summation: 3e-6 was seen at rms 0.6


def graphs(**changes):
    return bundle_graphs(TINY.architecture, **{"size": SIZE, "frames": FRAMES, "motion_px": 32, **changes})


@pytest.fixture(scope="module")
def networks() -> CaseNetworks:
    return CaseNetworks(TINY.architecture, "")


@pytest.fixture(scope="module")
def released(networks) -> ReferenceUNet:
    unet = ReferenceUNet.build(**TINY.architecture.unet.to_diffusers())
    return load_random(unet)


def window(seed: int = 0) -> dict[str, torch.Tensor]:
    """What a window's three rows are made of."""
    random = torch.Generator().manual_seed(seed)
    shapes = {
        "latents": (FRAMES, 4, LATENT, LATENT),
        "image_latents": (4, LATENT, LATENT),
        "image_tokens": (3, 32),
        "motion_tokens": (FRAMES, 4, 32),
    }
    return {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}


def rows_of(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Unconditional, drop-motion, conditional."""
    sees = {"image_latents": (0, 1, 1), "image_tokens": (0, 1, 1), "motion_tokens": (0, 0, 1)}
    return {name: torch.stack([given[name] * s for s in seen]) for name, seen in sees.items()}


def guided(released, networks, given, sigma, *, g1: float, g2: float, pose: torch.Tensor) -> torch.Tensor:
    """v_u + g1 (v_d - v_u) + g2 (v_c - v_d), every row by itself, as released."""
    rows = rows_of(given)
    scaled = schedule.scale_input(given["latents"], sigma)
    v = [
        released.velocity(
            torch.cat([scaled, rows["image_latents"][r].expand(FRAMES, -1, -1, -1)], dim=1)[None],
            0.25 * sigma.log(),
            torch.tensor([[12.5, 0.0, 0.0]]),
            rows["image_tokens"][r].expand(1, FRAMES, -1, -1),
            rows["motion_tokens"][r][None],
            pose.expand(1, FRAMES, -1, -1, -1),
        )[0]
        for r in range(3)
    ]
    return v[0] + g1 * (v[1] - v[0]) + g2 * (v[2] - v[1])


def ours(networks, given, sigma, weights, *, only=(0, 1, 2), **pose) -> torch.Tensor:
    graph = graphs(pose_input=bool(pose))["denoiser"]
    denoiser = graph.make(networks)
    embedding = graphs()["step_embedding"].make(networks)(0.25 * sigma.log()[None], torch.tensor([12.5, 0.0, 0.0]))
    rows = {name: tensor[list(only)] for name, tensor in rows_of(given).items()}
    c_in = torch.from_numpy(input_scales(np.array([sigma.item(), 0.0])))
    return denoiser(given["latents"], c_in, embedding, **rows, row_weights=torch.tensor(weights), **pose)


@pytest.mark.parametrize(("g1", "g2"), [(2.0, 2.0), (1.5, 3.0)])
@torch.no_grad()
def test_the_denoiser_is_the_released_guidance_with_the_black_pose_folded_in(networks, released, g1, g2):
    given, sigma = window(), torch.tensor(7.0)
    black = networks("pose_guider")(torch.zeros(1, 1, 3, SIZE, SIZE))[0, 0]
    expected = guided(released, networks, given, sigma, g1=g1, g2=g2, pose=black)
    velocity = ours(networks, given, sigma, [1 - g1, g1 - g2, g2])
    torch.testing.assert_close(velocity, expected, rtol=0, atol=(1 + 2 * g2) * TOLERANCE)


@torch.no_grad()
def test_rows_of_weight_zero_need_not_be_run(networks):
    given, sigma = window(), torch.tensor(0.4)
    whole = ours(networks, given, sigma, [-1.0, 0.0, 2.0])
    two = ours(networks, given, sigma, [-1.0, 2.0], only=(0, 2))
    torch.testing.assert_close(two, whole, rtol=0, atol=TOLERANCE)
    one = ours(networks, given, sigma, [1.0], only=(2,))
    torch.testing.assert_close(one, ours(networks, given, sigma, [0.0, 0.0, 1.0]), rtol=0, atol=TOLERANCE)


@torch.no_grad()
def test_a_folded_pose_equals_the_same_pose_given(networks):
    given, sigma, weights = window(), torch.tensor(2.0), [-1.0, 0.0, 2.0]
    black = black_pose_features(networks("pose_guider"), (SIZE, SIZE))
    assert black.std() > 1e-3  # black is not nothing: biases, and the padding at the borders
    pose = black.expand(FRAMES, -1, -1, -1)
    assert torch.equal(ours(networks, given, sigma, weights, pose_features=pose), ours(networks, given, sigma, weights))


@pytest.mark.parametrize(("frames", "size", "overlap", "shift"), [(7, 3, 1, 2), (2, 3, 1, 0)])
def test_stitching_is_the_average_of_the_windows_stepped_latents(frames, size, overlap, shift):
    """As released: every window steps its own latents, a frame is the mean of all its copies."""
    random = torch.Generator().manual_seed(frames)
    x = 5 * torch.randn(frames, 4, 2, 2, generator=random)
    starts = window_starts(frames, window=size, overlap=overlap, shift=shift)
    indices = [window_frames(start, frames=frames, window=size) for start in starts]
    velocities = torch.randn(len(indices), size, 4, 2, 2, generator=random)
    sigma, following = torch.tensor(5.0), torch.tensor(3.0)
    total = torch.zeros_like(x)
    for own, v in zip(indices, velocities, strict=True):
        total.index_add_(0, torch.tensor(own), schedule.euler_step(x[own], v, sigma, following))
    expected = total / coverage(indices, frames)[:, None, None, None]

    a, b = (torch.from_numpy(n) for n in euler_coefficients(np.array([5.0, 3.0])))
    flat, shown = velocities.flatten(0, 1), [t for own in indices for t in own]
    for own in indices:  # a window's frames, each with all the velocities of it
        held = [[slot for slot, t in enumerate(shown) if t == frame] for frame in own]
        most = max(map(len, held))
        slots = torch.tensor([[*rows, *[0] * (most - len(rows))] for rows in held])
        weights = torch.tensor([[1 / len(rows)] * len(rows) + [0.0] * (most - len(rows)) for rows in held])
        made = Stitch()(x[own], flat, slots, weights, a, b)
        torch.testing.assert_close(made, expected[own], rtol=0, atol=1e-5)  # float32 at latents of about 10


@torch.no_grad()
def test_a_window_of_one_frame_is_a_window(networks, backend, onnx_cache):
    """No bundle is built so; a golden loop may be."""
    graph = graphs(frames=1)["denoiser"]
    session = networks.session(graph, onnx_cache, backend)
    for rows in (1, 3):
        inputs = graph.example({"rows": rows})
        made = session.run({name: backend.upload(tensor.numpy()) for name, tensor in inputs.items()})["velocity"]
        expected = graph.make(networks)(*inputs.values()).numpy()
        np.testing.assert_allclose(made, expected, rtol=0, atol=5e-5)  # random weights of the rows, rms about 1


def test_a_decoders_pixels_are_those_of_its_frames(networks, backend, onnx_cache):
    decoder = graphs()["vae_decoder"]
    given = {name: 3 * tensor.numpy() for name, tensor in decoder.example({"chunk": 2}).items()}
    made = networks.session(decoder, onnx_cache, backend).run(given)
    np.testing.assert_array_equal(made["pixels"], [*map(to_uint8, made["frames"])])
    assert len(np.unique(made["pixels"])) > 50, "a picture of few colours proves little"
    np.testing.assert_allclose(made["sums"], np.abs(made["frames"].astype(float)).sum((1, 2, 3)), rtol=1e-5)


def test_the_full_size_promises_are_those_of_the_design():
    full_size = bundle_graphs(HUNYUANPORTRAIT.architecture, size=512, frames=25, motion_px=256)
    specs = {name: graph.spec for name, graph in full_size.items()}
    dims = {name: {t.name: t.dims for t in (*spec.inputs, *spec.outputs)} for name, spec in specs.items()}
    assert dims["appearance"] == {
        "image": (1, 3, 224, 224),
        "id_embedding": (1, 512),
        "image_tokens": (1, 64, 1024),
    }
    assert dims["motion"]["motion_tokens"] == ("frames", 64, 1024)
    assert dims["vae_encoder"] == {"image": (1, 3, 512, 512), "mean": (1, 4, 64, 64)}
    assert dims["denoiser"] == {
        "latents": (25, 4, 64, 64),
        "c_in": (1,),
        "step_embedding": (1, 1280),
        "image_latents": ("rows", 4, 64, 64),
        "image_tokens": ("rows", 64, 1024),
        "motion_tokens": ("rows", 25, 64, 1024),
        "row_weights": ("rows",),
        "velocity": (25, 4, 64, 64),
    }
    assert dims["vae_decoder"] == {
        "latents": ("chunk", 4, 64, 64),
        "frames": ("chunk", 3, 512, 512),
        "pixels": ("chunk", 512, 512, 3),
        "sums": ("chunk",),
    }
    limits = specs["denoiser"].ranges["rows"], specs["vae_decoder"].ranges["chunk"]
    assert [(r.min, r.max) for r in limits] == [(1, 3), (1, 8)]


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 25, 256])
def test_the_stitch_takes_windows_that_overlap_and_fits_an_engine(frames):
    spec = bundle_graphs(HUNYUANPORTRAIT.architecture, size=512, frames=frames, motion_px=256)["stitch"].spec
    for tensor in (*spec.inputs, *spec.outputs):
        assert math.prod(spec.ranges[d].max if isinstance(d, str) else d for d in tensor.dims) < 2**31
    session = SimpleNamespace(spec=spec)
    for overlap in {0, min(3, frames - 1), frames // 2}:
        check_overlap(session, Sampling(window=frames, overlap=overlap))
    # The most velocities that a frame has: of a clip shorter than its window, or in windows that all but agree.
    for clip in (1, 2, frames - 1, frames, frames + 1, 3 * frames):
        layout = Windows(max(clip, 1), size=frames, overlap=frames - 1)
        assert max(len(layout.holding(t)) for t in range(max(clip, 1))) <= spec.ranges["held"].max


def test_half_precision_shows_in_the_tokens_alone():
    for name, graph in graphs(half=True).items():
        halves = {t.name for t in (*graph.spec.inputs, *graph.spec.outputs) if t.dtype == "float16"}
        assert halves <= {"image_tokens", "motion_tokens"}, name
        assert graph.half == (name in HALF)


def test_a_picture_may_be_wider_than_high():
    made = graphs(size=(16, 24))
    assert made["vae_encoder"].spec.input("image").dims == (1, 3, 16, 24)
    assert made["denoiser"].spec.output("velocity").dims == (3, 4, 8, 12)
    assert made["vae_decoder"].spec.output("frames").dims == ("chunk", 3, 16, 24)
    assert made["vae_decoder"].spec.output("pixels").dims == ("chunk", 16, 24, 3)


@pytest.mark.parametrize("size", [0, -64, 100, 96, (128, 100)])
def test_a_size_that_does_not_halve_often_enough_says_which_does(size):
    with pytest.raises(ValueError, match="the UNet halves them 3 times: choose a multiple of 64"):
        bundle_graphs(POCKET.architecture, size=size, frames=25, motion_px=128)


def test_half_a_denoiser_takes_and_gives_float32(networks):
    graph = graphs(half=True)["denoiser"]
    denoiser = Denoiser(networks("unet"), stem_bias=None)
    half = copy.deepcopy(denoiser).half()
    inputs = graph.example({"rows": 2})
    with torch.no_grad():
        velocity = half(*inputs.values())
        expected = denoiser(*(tensor.float() for tensor in inputs.values()))
    assert velocity.dtype == torch.float32
    # 11 bits through a shallow network: 0.002 rms was seen in pocket's
    assert (velocity - expected).square().mean().sqrt() < 0.02 * expected.square().mean().sqrt()

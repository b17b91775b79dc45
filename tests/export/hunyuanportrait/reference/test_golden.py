"""The reference against the golden vectors: schedule, windows, UNet, VAE, and whole loops."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers.models.attention_processor import Attention

from export.hunyuanportrait.reference import schedule
from export.hunyuanportrait.reference.motion import motion_ids
from export.hunyuanportrait.reference.networks import build_network, random_networks
from export.hunyuanportrait.reference.sample import LoopResult, SamplingOptions, sample
from export.hunyuanportrait.reference.unet import MotionAttention
from export.hunyuanportrait.reference.vae import decode, encode
from export.hunyuanportrait.reference.windows import coverage, shifts, window_frames, window_starts
from export.weights.random import load_random
from tests.golden_cases import (
    LOOP_TOLERANCE,
    MANIFESTS,
    NETWORK_TOLERANCE,
    Case,
    check,
    check_intermediates,
    golden_cases,
    load_case,
)


def tensors(case: Case) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in case.inputs.items()}


def sampling_options(options: dict) -> SamplingOptions:
    return SamplingOptions(**{name: options[name] for name in SamplingOptions.__dataclass_fields__ if name in options})


def configs(case: Case) -> dict[str, dict]:
    """The case's networks; the motion scale is an option there and a part of the UNet here."""
    unet = {**case.config["unet"], "motion_scale": case.options["motion_scale"]}
    return {**case.config, "unet": unet}


@golden_cases(kind="schedule")
def test_schedule_matches_its_golden_case(case_name):
    case = load_case(case_name)
    inputs, config = tensors(case), case.config
    steps = case.options["num_inference_steps"]
    sigmas = schedule.sigmas(steps, sigma_min=config["sigma_min"], sigma_max=config["sigma_max"], rho=config["rho"])
    x, scaled, prev, clean = inputs["x0"], [], [], []
    for i, v in enumerate(inputs["model_outputs"]):
        scaled.append(schedule.scale_input(x, sigmas[i]))
        clean.append(schedule.predict_clean(x, v, sigmas[i]))
        x = schedule.euler_step(x, v, sigmas[i], sigmas[i + 1])
        prev.append(x)
    noised = [
        schedule.add_noise(inputs["add_noise_original"], inputs["add_noise_noise"], sigmas[i])
        for i in case.options["add_noise_at"]
    ]
    results = {
        "sigmas": sigmas,
        "timesteps": schedule.timesteps(sigmas),
        "init_noise_sigma": sigmas[:1],  # not used by the pipeline
        "scaled": torch.stack(scaled),
        "prev": torch.stack(prev),
        "pred_x0": torch.stack(clean),
        "noised": torch.stack(noised),
    }
    check(case, results, NETWORK_TOLERANCE)


@golden_cases(kind="windows")
def test_windows_match_their_golden_case(case_name):
    case = load_case(case_name)
    frames, window = case.options["num_frames"], case.options["window"]
    moved = shifts(case.options["steps"], window=window, shift_offset=case.options["shift_offset"])
    starts = [window_starts(frames, window=window, overlap=case.options["overlap"], shift=s) for s in moved]
    windows = [[window_frames(s, frames=frames, window=window) for s in step] for step in starts]
    results = {
        "window_starts": torch.tensor(starts),
        "window_frames": torch.tensor(windows),
        "coverage": torch.stack([coverage(step, frames) for step in windows]),
    }
    check(case, results, 0.0)


@golden_cases(kind="preprocess", targets=["motion_ids"])
def test_motion_ids_match_their_golden_case(case_name):
    case = load_case(case_name)
    landmarks = torch.from_numpy(case.inputs["landmarks"])
    chunks = landmarks.split(case.inputs["frame_counts"].tolist())
    check(case, {"ids": torch.tensor([motion_ids(chunk) for chunk in chunks])}, 0.0)


@golden_cases(kind="network", targets=["cross_attention"])
@torch.no_grad()
def test_cross_attention_matches_its_golden_case(case_name):
    case = load_case(case_name)
    config = dict(case.config)
    scale = config.pop("motion_scale")
    inner_dim = config["heads"] * config["dim_head"]
    processor = MotionAttention(query_dim=inner_dim, cross_attention_dim=config["cross_attention_dim"], scale=scale)
    attention = Attention(**config)
    attention.set_processor(processor)
    load_random(attention, case.weight_prefix)
    inputs = tensors(case)
    output = processor.attend(attention, inputs["hidden_states"], inputs["image_tokens"], inputs["motion_tokens"])
    check(case, {"output": output}, NETWORK_TOLERANCE)


@pytest.fixture(scope="module")
def unets():
    """One UNet at a time: the full-size cases share theirs, which takes a minute to fill and 6 GB to hold."""
    held: dict[str, torch.nn.Module] = {}

    def get(case: Case) -> torch.nn.Module:
        config = {**case.config, "motion_scale": case.options["motion_scale"]}
        key = json.dumps([config, case.weight_prefix], sort_keys=True)
        if key not in held:
            held.clear()
            held[key] = load_random(build_network("unet", config), case.weight_prefix)
        return held[key]

    yield get
    held.clear()


# At full size every change holds our own module to these cases, and the released program to the small ones.
@golden_cases(kind="network", targets=["unet"], long=["unet"])
@torch.no_grad()
def test_unet_matches_its_golden_case(case_name, unets):
    case = load_case(case_name)
    unet, inputs = unets(case), tensors(case)
    seen: dict[str, torch.Tensor] = {}
    batch, frames = inputs["sample"].shape[:2]

    def keep(name, per_frame):
        def hook(module, arguments, output):
            output = output[0] if isinstance(output, tuple) else output
            output = getattr(output, "sample", output)
            seen[name] = output.unflatten(0, (batch, frames)) if per_frame else output

        return hook

    # `prepend`: the recorded conv_in is the one before the pose features are added, which a hook does.
    hooks = [
        unet.get_submodule(name).register_forward_hook(keep(name, not name.endswith("embedding")), prepend=True)
        for name in case.intermediates
    ]
    v = unet.velocity(
        inputs["sample"],
        case.options["timestep"],
        inputs["added_time_ids"],
        inputs["image_tokens"],
        inputs["motion_tokens"],
        inputs.get("pose_features"),
    )
    for hook in hooks:
        hook.remove()
    check(case, {"v": v}, NETWORK_TOLERANCE)
    assert seen.keys() == case.intermediates.keys()
    check_intermediates(case, seen, NETWORK_TOLERANCE)


@golden_cases(kind="network", targets=["vae_encoder"])
@torch.no_grad()
def test_vae_encoder_matches_its_golden_case(case_name):
    case = load_case(case_name)
    vae = load_random(build_network("vae", case.config), case.weight_prefix)
    mean, logvar = encode(vae, tensors(case)["image"])
    check(case, {"mean": mean, "logvar": logvar, "mode": mean}, NETWORK_TOLERANCE)


@golden_cases(kind="network", targets=["vae_decoder"])
@torch.no_grad()
def test_vae_decoder_matches_its_golden_case(case_name):
    case = load_case(case_name)
    vae = load_random(build_network("vae", case.config), case.weight_prefix)
    frames = decode(vae, tensors(case)["latents"], chunk=case.options["chunk_size"])
    check(case, {"frames": frames}, NETWORK_TOLERANCE)


@golden_cases(kind="loop")
def test_loop_matches_its_golden_case(case_name):
    case = load_case(case_name)
    networks = random_networks(configs(case), case.weight_prefix)
    seen: list[dict[str, torch.Tensor]] = []
    result = sample(
        networks,
        sampling_options(case.options),
        **tensors(case),
        observe=lambda step, window, tensors: seen.append(dict(tensors)),
    )
    check(case, {name: getattr(result, name) for name in LoopResult.__dataclass_fields__}, LOOP_TOLERANCE)
    first = {f"unet0_{name}": seen[0][name] for name in ("sample", "motion_tokens", "v")}
    windows = {name: torch.stack([s[name] for s in seen]) for name in ("window_latents", "window_prediction")}
    check_intermediates(case, {**first, **windows}, LOOP_TOLERANCE)


@pytest.mark.parametrize(
    ("network", "manifest", "file"),
    [
        ("unet", "unet", "unet.pth"),
        ("vae", "vae", "diffusion_pytorch_model.fp16.safetensors"),
        ("appearance", "dino", "dino.pth"),
        ("image_proj", "image_proj", "image_proj.pth"),
        ("expression", "headexpression", "expression.pth"),
        ("head_pose", "headpose", "headpose.pth"),
        ("motion_refiner", "motion_proj", "motion_proj.pth"),
        ("pose_guider", "pose_guider", "pose_guider.pth"),
    ],
)
def test_full_size_keys_shapes_and_norms_equal_the_manifest(network, manifest, file):
    from export.hunyuanportrait.upstream import NETWORK_FILES
    from export.weights.checkpoints import module_shapes
    from tests.export.hunyuanportrait.full_size import FULL_SIZE

    published = json.loads((MANIFESTS / f"{manifest}.json").read_text())
    module = build_network(network, FULL_SIZE[network])
    assert module_shapes(module) == {key: tuple(shape) for key, shape in published["keys"].items()}
    assert published["checkpoint_file"] == NETWORK_FILES[network][0]
    if (norms := MANIFESTS / f"{manifest}.norms.json").exists():
        assert describe_norms(module) == json.loads(norms.read_text())


def describe_norms(module: torch.nn.Module) -> dict[str, list]:
    described = {}
    for name, norm in module.named_modules():
        if isinstance(norm, torch.nn.GroupNorm):
            described[name] = ["GroupNorm", norm.num_groups, norm.num_channels, norm.eps]
        elif isinstance(norm, torch.nn.LayerNorm):
            described[name] = ["LayerNorm", list(norm.normalized_shape), norm.eps, norm.elementwise_affine]
        elif isinstance(norm, torch.nn.BatchNorm2d):
            described[name] = ["BatchNorm2d", norm.num_features, norm.eps]
    return described


@pytest.mark.parametrize("case_name", ["unet", "vae"])
def test_reduced_golden_manifests_equal_the_modules(case_name):
    """Cases that name a manifest list the exact keys of their reduced network."""
    from export.weights.checkpoints import module_shapes
    from tests.golden_cases import discover

    targets = {"unet": ["unet"], "vae": ["vae_encoder", "vae_decoder"]}[case_name]
    for name in discover(kind="network", targets=targets):
        case = load_case(name)
        if (manifest := case.manifest()) is not None:
            module = build_network(case_name, case.config)
            assert module_shapes(module) == {key: tuple(shape) for key, shape in manifest.items()}, name

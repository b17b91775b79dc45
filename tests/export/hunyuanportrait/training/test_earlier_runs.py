"""Runs that `python -m export.pocket.train` and `python -m export.pocket.distill` began, before these were called
`export.train` and `export.distill`: their folders, written down here as those commands left them, and resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from export.hunyuanportrait.networks.unet import UNetConfig
from export.hunyuanportrait.training.auxiliary_losses import AuxiliaryLosses
from export.hunyuanportrait.training.denoiser import DenoiserPhase
from export.hunyuanportrait.training.distillation import DistillAmounts, Distillation
from export.hunyuanportrait.training.student import StudentPhase
from export.hunyuanportrait.weights import live_weights
from export.train import main
from export.training.phase import Settings
from export.weights.random import random_state_dict
from export.weights.source import RandomWeights
from tests.export.tiny import TINY
from tests.hp_trt.command_line import as_typed

# Windows as long as the decoders' chunks; initial weights need eight norm groups of eight channels in the UNet, and a
# refiner that is wider than what it is told.
SMALL = replace(
    TINY,
    frames=8,
    sampling={"steps": 2},
    architecture=replace(
        TINY.architecture,
        motion_refiner={**TINY.architecture.motion_refiner, "width": 32},
        unet=UNetConfig(
            block_out_channels=(64, 32),
            num_attention_heads=(1, 1),
            layers_per_block=(1, 1),
            transformer_layers_per_block=(1, 1),
            cross_attention_dim=32,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
            down_attention=(True, False),
            up_attention=(False, True),
            norm_groups=8,
        ),
    ),
)
STATES = 16  # entries of a drawn state
SIDE, LATENT_SIDE, MOTION_SIDE = SMALL.size, SMALL.size // 2, SMALL.motion_px
ADAM = {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.01, "amsgrad": False, "maximize": False, "foreach": None}
ADAM |= {"capturable": False, "differentiable": False, "fused": True, "decoupled_weight_decay": True}
LATE = ("temporal", "time_mixer", "time_pos_embed")  # parts of the names of what learns twice as fast in the denoiser


def network(name: str) -> torch.nn.Module:
    made = SMALL.architecture.build(name, device="cpu")
    made.load_state_dict(random_state_dict(made))
    return made


def save_arrays(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def save_clip(folder: Path, frames: int) -> None:
    rng = np.random.default_rng(0)
    save_arrays(
        folder,
        {
            "pictures": rng.integers(0, 256, (frames, SIDE, SIDE, 3), np.uint8),
            "faces": rng.integers(0, 256, (frames, MOTION_SIDE, MOTION_SIDE, 3), np.uint8),
            "poses": rng.integers(0, 256, (frames, MOTION_SIDE, MOTION_SIDE, 3), np.uint8),
            "states": rng.normal(size=(frames, STATES)).astype(np.float32),
            "points": rng.uniform(0, SIDE, (frames, 24, 2)).astype(np.float32),
            "ids": np.array([40, 60], np.int64),
        },
    )


def save_phase(path: Path, modules: Mapping[str, torch.nn.Module], step: int, late: tuple[str, ...] = ()) -> None:
    """A state in the middle of a phase, or at its end; AdamW has begun nothing yet."""
    weights = {name: module.state_dict() for name, module in modules.items()}
    names = [name for module in modules.values() for name, p in module.named_parameters() if p.requires_grad]
    fast = [any(part in name for part in late) for name in names]
    groups = []
    for factor in (1.0, 2.0) if late else (1.0,):
        first = sum(len(group["params"]) for group in groups)
        count = fast.count(factor == 2.0)
        params = list(range(first, first + count))
        groups.append({"lr": 1e-3, **ADAM, "factor": factor, "params": params})
    optimizer = {"state": {}, "param_groups": groups}
    torch.save({"step": step, "weights": weights, "average": weights, "optimizer": optimizer}, path)


def save_end(folder: Path, phase: str, modules: Mapping[str, torch.nn.Module]) -> str:
    """What a phase left; the name under which it saw things."""
    path = folder / f"{phase}.done.pt"
    torch.save({name: module.state_dict() for name, module in modules.items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def save_seen(folder: Path, vae: str, motion: str, frames: int) -> dict[Path, int]:
    """Latents and features of the one clip, by the hashes of the ends that looked; the files and their times."""
    rng = np.random.default_rng(1)
    found = {}
    for path, array in (
        (folder / "latents" / vae / "0.npy", rng.normal(size=(frames, 4, LATENT_SIDE, LATENT_SIDE)).astype(np.float16)),
        (folder / "features" / motion / "0.npy", rng.normal(size=(frames, STATES + 3)).astype(np.float32)),
    ):
        path.parent.mkdir(parents=True)
        np.save(path, array)
        found[path] = path.stat().st_mtime_ns
    return found


@pytest.fixture
def vae():
    return network("vae")


def test_a_run_of_export_pocket_train_goes_on_in_the_middle_of_its_denoiser(tmp_path, monkeypatch, capfd, vae):
    run = tmp_path / "run"
    save_clip(run / "clips" / f"1000000-8x{SIDE}-{MOTION_SIDE}", frames=8)
    frames = {name: np.zeros((8, MOTION_SIDE, MOTION_SIDE, 3), np.uint8) for name in ("faces", "poses")}
    driving_clip = run / "drivers" / f"2000000-8x{SIDE}-{MOTION_SIDE}"
    save_arrays(driving_clip, {**frames, "states": np.zeros((8, STATES), np.float32)})
    motion = {name: network(name) for name in ("expression", "head_pose")}
    save_phase(run / "autoencoder.pt", {"vae": vae}, step=1)
    save_phase(run / "motion.pt", motion, step=1)
    seen = save_seen(run, save_end(run, "autoencoder", {"vae": vae}), save_end(run, "motion", motion), frames=8)
    denoiser = {name: network(name) for name in ("appearance", "image_proj", "motion_refiner", "unet")}
    state = {**denoiser, "hints": AuxiliaryLosses(denoiser["unet"], STATES)}
    save_phase(run / "denoiser.pt", state, step=3, late=LATE)
    (run / "denoiser.csv").write_text("step,loss,hints,x0_high,x0_middle,x0_low\n")

    steps, begun, loss = [], {}, DenoiserPhase.loss

    def noted(self, step, rng):
        if not steps:
            begun.update({name: key.clone() for name, key in self.modules["unet"].state_dict().items()})
        steps.append(step)
        return loss(self, step, rng)

    monkeypatch.setattr(DenoiserPhase, "loss", noted)
    monkeypatch.setattr("export.hunyuanportrait.presets.POCKET", SMALL)
    words = f"""--run {run} --clips 1 --frames 8 --drivers 1 --autoencoder-steps 1 --motion-steps 1
        --denoiser-steps 5 --made 1 --decoder-steps 1 --threads 1 --json"""
    said = as_typed(main, "train", *words.split(), patch=monkeypatch, capture=capfd)
    assert said.code == 0, said.err
    assert json.loads(said.out.splitlines()[-1])["complete"]
    assert steps == [3, 3, 4, 4]  # two batches a step
    assert all(torch.equal(value, begun[name]) for name, value in denoiser["unet"].state_dict().items())
    assert {path: path.stat().st_mtime_ns for path in seen} == seen  # nobody looked again
    assert [path.name for path in (run / "latents").iterdir()] == [next(iter(seen)).parent.name]
    assert (run / "denoiser.csv").read_text().splitlines()[1].startswith("5,")
    written = load_file(run / "pocket.safetensors")
    assert torch.equal(written["vae/encoder.conv_in.weight"], vae.encoder.conv_in.weight.half())
    for key, value in motion["expression"].state_dict().items():
        assert torch.equal(written[f"expression/{key}"], value.half())


def test_a_run_of_export_pocket_distill_goes_on_in_the_middle_of_its_student(tmp_path, monkeypatch, vae):
    run = tmp_path / "run"
    teacher = RandomWeights(SMALL.architecture.build)
    trained = {
        "autoencoder": ("vae",),
        "motion": ("expression", "head_pose"),
        "denoiser": ("appearance", "image_proj", "motion_refiner", "unet"),
    }
    save_clip(run / "clips" / f"1000000-25x{SIDE}-{MOTION_SIDE}", frames=25)
    ends = {phase: save_end(run, phase, {n: network(n) for n in names}) for phase, names in trained.items()}
    fingerprints = {n: teacher.fingerprint(n) for names in trained.values() for n in names}
    (run / "teacher.json").write_text(json.dumps(fingerprints))
    seen = save_seen(run, ends["autoencoder"], ends["motion"], frames=25)
    student = network("live_unet")
    for frozen in (student.time_embedding, student.add_embedding):
        frozen.requires_grad_(False)
    with torch.no_grad():
        student.conv_out.bias.fill_(0.25)
    save_phase(run / "student.pt", {"live_unet": student}, step=2)

    steps, begun, loss = [], [], StudentPhase.loss

    def noted(self, step, rng):
        steps.append(step)
        begun.append(self.student.conv_out.bias.detach().clone())
        return loss(self, step, rng)

    monkeypatch.setattr(StudentPhase, "loss", noted)
    amounts = DistillAmounts(clips=1, frames=25, student_steps=4, batch_frames=5)
    distillation = Distillation(SMALL, amounts, Settings(folder=run, device=torch.device("cpu")), teacher)
    before = (run / "denoiser.done.pt").read_bytes()
    for stage in ("latents", "features", "student"):
        assert distillation.stages()[stage](lambda *_: None) in (None, True)
    assert steps == [2, 3]
    assert torch.equal(begun[0], torch.full((4,), 0.25))
    assert {path: path.stat().st_mtime_ns for path in seen} == seen  # nobody looked again
    assert (run / "denoiser.done.pt").read_bytes() == before
    distillation.write(tmp_path / "live.safetensors")
    assert live_weights(SMALL.architecture, tmp_path / "live.safetensors", preset="tiny").networks == ("live_unet",)

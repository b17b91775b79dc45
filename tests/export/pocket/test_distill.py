"""Distillation as the command runs it: what cannot be done is one clear line, and a run knows its teacher."""

from __future__ import annotations

import sys

import pytest
import torch

from engines.errors import InputError
from export.architecture import NETWORKS
from export.pocket.distill import main
from export.pocket.distillation import FIRST_HELD_OUT_SEED, Distillation, DistillPlan, denoise
from export.pocket.stage import Settings
from export.pocket.training import Plan
from export.pocket.weights import LiveWeights
from export.weights import random_state_dict
from export.weights_source import RandomWeights
from runtime import schedule
from tests.export.tiny import TINY


def run(tmp_path, prefix: str = "", **plan) -> Distillation:
    settings = Settings(folder=tmp_path / "run", device=torch.device("cpu"))
    source = RandomWeights(TINY.architecture, prefix)
    return Distillation(TINY, DistillPlan(clips=1, **plan), settings, source)


def test_a_run_belongs_to_one_teacher(tmp_path):
    before = run(tmp_path)._need("denoiser").read_bytes()
    assert run(tmp_path)._need("denoiser").read_bytes() == before
    with pytest.raises(InputError, match="a run with another teacher's weights; give the run another folder"):
        run(tmp_path, "other/")


def test_a_run_of_training_is_not_taken_for_one_of_distillation(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "motion.done.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"a run of export\.pocket\.train; give the run another folder"):
        run(tmp_path)


def test_what_is_complete_is_written_and_knows_its_teacher(tmp_path):
    distillation = run(tmp_path)
    with pytest.raises(InputError, match="neither the student nor the tiny decoder is complete"):
        distillation.write(tmp_path / "live.safetensors")
    state = random_state_dict(TINY.architecture.build("tiny_decoder"))
    torch.save({"tiny_decoder": state}, tmp_path / "run" / "tiny_decoder.done.pt")
    distillation.write(tmp_path / "live.safetensors")
    live = LiveWeights(TINY.architecture, tmp_path / "live.safetensors", preset="tiny")
    assert live.networks == ("tiny_decoder",)
    assert live.teacher == RandomWeights(TINY.architecture).fingerprint("unet")


def test_measuring_draws_nobody_that_was_trained_on():
    assert 1_000_000 + max(Plan().clips, DistillPlan().clips) <= FIRST_HELD_OUT_SEED
    assert FIRST_HELD_OUT_SEED + DistillPlan().held_out <= 2_000_000  # from there on are drivers


@pytest.mark.parametrize("evaluations", [1, 2, 3])
def test_denoising_asks_at_the_first_levels_of_the_released_schedule(evaluations):
    """A network that knows the answer gives it, whatever the noise, and is asked as often as said."""
    asked = []

    class Knows:
        def velocity(self, unet, noisy, sigma, told):
            s = float(sigma)
            asked.append(s)
            return (noisy / (s**2 + 1) - 0.3) * (s**2 + 1) ** 0.5 / s

    made = denoise(Knows(), None, None, 700 * torch.randn(2, 4, 2, 2), evaluations)
    torch.testing.assert_close(made, torch.full_like(made, 0.3), rtol=0, atol=1e-3)  # float32 of numbers up to 2000
    assert asked == pytest.approx([float(s) for s in schedule.sigmas(evaluations + 1)[:evaluations]])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--stage", "studnt"), "there is no stage 'studnt'; there are clips, latents"),
        (("--device", "tpu0"), "the device 'tpu0' cannot be used"),
        (("--weights", "."), "the published weights cannot be distilled here, there is no data for them"),
        (("--weights", "/no/such.safetensors"), "/no/such.safetensors: cannot be read"),
        (("--stage", "student"), "no clips are drawn"),
    ],
)
def test_what_cannot_be_distilled_is_one_clear_line(monkeypatch, capfd, tmp_path, words, says):
    monkeypatch.setattr(sys, "argv", ["distill", "--run", str(tmp_path / "run"), *words])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capfd.readouterr().err.splitlines()
    assert ended.value.code == 2 and says in line


def test_the_teachers_networks_are_all_that_the_stages_need(tmp_path):
    distillation = run(tmp_path)
    left = {name for stage in ("autoencoder", "motion", "denoiser") for name in distillation._finished(stage)}
    assert left == set(NETWORKS) - {"pose_guider"}

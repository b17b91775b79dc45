"""Consistency distillation: the levels, the formula of the target, and what the student may change."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from export.hunyuanportrait.training.rows import TrainingRow
from export.hunyuanportrait.training.student import StudentPhase, batch_sizes, clean, levels
from runtime import schedule
from runtime.hunyuanportrait.guidance import Row


class Scaled(nn.Module):
    """A UNet whose every prediction of x0 is `gain` times the clip, whatever it sees; with parameters as a UNet's."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))
        self.time_embedding, self.add_embedding = nn.Linear(1, 1), nn.Linear(1, 1)


class Portrait(NamedTuple):
    clip: int
    frame: int


class Teacher:
    """As DenoiserPhase, for a clip of ones, of three clips' portraits."""

    numbers = (7, 8, 9)

    def __init__(self, gain: float) -> None:
        self.modules = {"unet": Scaled(gain)}
        self.portraits: list[list[Portrait | None]] = []  # of each batch

    def portrait_frame(self, clip, frame):
        return Portrait(clip=clip, frame=frame)

    def row(self, rng, size):
        return TrainingRow(
            latents=torch.ones(size, 4, 2, 2),
            points=torch.zeros(size, 3, 2),
            sees=Row.UNCONDITIONAL,
            portrait=None,
            **dict.fromkeys(("features", "degrees", "states", "ramps", "ids")),
        )

    def conditions(self, portraits, rows):
        assert all(row.sees is Row.CONDITIONAL for row in rows)  # the student never goes without its conditions
        self.portraits.append(portraits)
        return SimpleNamespace()

    def guided(self, unet, noisy, sigma, told, guidance):
        s = sigma[..., None, None, None]
        x0 = unet.gain * torch.ones_like(noisy)
        return (noisy / (s.square() + 1) - x0) * (s.square() + 1).sqrt() / s


def test_the_levels_are_those_of_the_schedules_of_one_to_four_steps():
    known = {float(f"{s:.4g}") for steps in (1, 2, 3, 4) for s in schedule.sigmas(steps)}
    made = levels()
    assert {float(f"{s:.4g}") for s in made} == known
    assert (np.diff(made) < 0).all() and (made[0], made[-1]) == (700, 0)


def test_an_estimate_means_the_latents_that_its_velocity_was_made_of():
    torch.manual_seed(0)
    x0, noise = torch.randn(2, 50, dtype=torch.float64)
    for sigma in (0.01, 1.0, 700.0):
        noisy = x0 + sigma * noise
        v = (sigma**2 + 1) ** 0.5 / sigma * (noisy / (sigma**2 + 1) - x0)
        assert torch.allclose(clean(noisy, v, sigma), x0, atol=1e-9)
    assert torch.equal(clean(noisy, v, 0.0), noisy)  # the boundary that consistency models ask for


@torch.no_grad()
def test_a_way_ends_where_the_students_average_says_it_does_after_one_step_of_the_teacher():
    """By hand: x_j = x0_T + s_j (x_i - x0_T) / s_i; its end is what the average predicts there."""
    phase = StudentPhase(Teacher(0.7), Scaled(0.7), steps=10)
    phase.follow(0)
    phase.average.gain.fill_(0.4)
    noisy = 1 + 700 * torch.randn(1, 2, 4, 2, 2)
    end = phase.end(noisy, 0, None)
    assert torch.allclose(end, torch.full_like(end, 0.4), atol=1e-3)  # of numbers up to 2000, in float32
    last = len(phase.levels) - 2
    noisy = 1 + 0.002 * torch.randn(1, 2, 4, 2, 2)
    assert torch.allclose(phase.end(noisy, last, None), torch.tensor(0.7), atol=1e-4)  # the teacher's own, at 0


def batches(phase: StudentPhase, count: int):
    """The losses of `count` batches, with whether their portraits were other clips'; gradients of the last."""
    for seed in range(count):
        phase.student.zero_grad()
        losses = phase.loss(seed, np.random.default_rng(seed))
        losses["loss"].backward()
        yield "strangers" in losses, losses


def test_half_of_what_is_learnt_is_the_clip_and_half_is_the_end():
    phase = StudentPhase(Teacher(0.5), Scaled(0.5), steps=10)  # both say 0.5 of 1
    for strangers, losses in batches(phase, 10):
        if not strangers:
            assert losses["teacher"].item() == pytest.approx(0.25, abs=0.01)
            # (0.5 - 0.75)^2, times the weight of cells near landmarks; towards the clip.
            assert losses["loss"].item() > 0.06
            assert phase.student.gain.grad < 0


def test_with_portraits_of_other_clips_the_teachers_answer_is_all_that_is_learnt():
    phase = StudentPhase(Teacher(0.5), Scaled(0.4), steps=10)
    found = [losses for strangers, losses in batches(phase, 60) if strangers]
    # 0.6 of the batches are of the first level, half of these; within two deviations of 60 draws
    assert 11 <= len(found) <= 25
    for losses in found:
        # float32 of numbers up to 2000
        assert losses["strangers"].item() == pytest.approx((0.4 - 0.5) ** 2, abs=2e-3)
        assert losses.keys() == {"loss", "strangers"}
    shown = [portrait for portraits in phase.teacher.portraits for portrait in portraits if portrait]
    assert {p.clip for p in shown} == {0, 1, 2} and {p.frame for p in shown} == {0}


def test_time_embeddings_and_the_teacher_stay_as_they_are():
    teacher = Teacher(0.5)
    phase = StudentPhase(teacher, Scaled(0.5), steps=10)
    phase.loss(0, np.random.default_rng(0))["loss"].backward()
    learns = {name for name, parameter in phase.student.named_parameters() if parameter.requires_grad}
    assert learns == {"gain"}
    assert all(parameter.grad is None for parameter in teacher.modules["unet"].parameters())
    assert phase.modules.keys() == {"live_unet"}


def test_the_average_follows_the_student_once_a_step():
    phase = StudentPhase(Teacher(0.5), Scaled(0.5), steps=10)
    phase.follow(0)
    with torch.no_grad():
        phase.student.gain.fill_(1.5)
    phase.follow(0)  # another batch of the same step
    assert phase.average.gain.item() == 0.5
    phase.follow(1)
    assert 0.5 < phase.average.gain.item() < 0.6


@pytest.mark.parametrize(
    ("window", "most", "sizes", "often"),
    [
        (25, 25, [(5, 5), (3, 8), (1, 25)], [0.4, 0.45, 0.15]),
        (25, 50, [(10, 5), (6, 8), (2, 25)], [0.4, 0.45, 0.15]),
        (25, 8, [(1, 5), (1, 8)], [0.4 / 0.85, 0.45 / 0.85]),  # what does not fit is left out
        (8, 8, [(1, 5), (1, 8)], [0.4 / 0.85, 0.45 / 0.85]),  # no length twice
        (12, 7, [(1, 5)], [1.0]),
    ],
)
def test_a_batch_has_the_windows_that_fit(window, most, sizes, often):
    found, chances = batch_sizes(window, most)
    assert found == sizes
    assert chances.tolist() == pytest.approx(often)

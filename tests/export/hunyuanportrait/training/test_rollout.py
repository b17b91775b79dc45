"""The student on its own windows: that these are live mode's, and what it learns from them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from export.hunyuanportrait.graphs import Denoiser
from export.hunyuanportrait.live_graphs import LiveStitch
from export.hunyuanportrait.networks.unet import StepEmbedding
from export.hunyuanportrait.training import rollout
from export.hunyuanportrait.training.denoiser import DenoiserPhase
from export.hunyuanportrait.training.rollout import LiveStream, RolloutPhase, noise_levels, stream_frames, stream_places
from export.hunyuanportrait.training.rows import TrainingRow
from export.weights.random import random_state_dict
from runtime import schedule
from runtime.hunyuanportrait.guidance import Row
from runtime.hunyuanportrait.live import LiveLoop
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.hunyuanportrait.noise import NoiseStream
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_windows import LiveWindows
from tests.export.tiny import TINY
from tests.fakes import FakeBackend, spec
from tests.runtime.hunyuanportrait.fake_networks import embed, fake_clip, identity_of, velocity
from tests.runtime.hunyuanportrait.test_live import live_sessions

SIDE_PX = 8
UNGUIDED = {"guidance_appearance": (1.0, 1.0), "guidance_motion": (1.0, 1.0)}


@pytest.mark.parametrize(
    ("windows", "sampling"),
    [
        (LiveWindows(size=8, overlap=1, lead_in=0), Sampling(steps=1, **UNGUIDED)),  # the profile live
        (LiveWindows(size=5, overlap=2, lead_in=2), Sampling(steps=3, skip_last=1, **UNGUIDED)),
        (LiveWindows(size=5, overlap=3, lead_in=1), Sampling(steps=4, **UNGUIDED)),  # the next keeps what was kept
        (LiveWindows(size=4, overlap=0, lead_in=1), Sampling(steps=2, **UNGUIDED)),
    ],
)
def test_a_stream_is_the_runtimes_live_loop_on_the_same_numbers(windows, sampling):
    places, ramps = stream_places(windows, 4, clip=40, first=3)
    frames = len(places) - windows.lead_in
    clip, backend = fake_clip(frames), FakeBackend()
    sessions = live_sessions(backend, windows.size)
    loop = LiveLoop(
        backend, sessions, identity=identity_of(backend, clip), sampling=sampling, windows=windows, side_px=SIDE_PX
    )
    told, at = [], 0
    for number in range(4):
        count = windows.new_frames(number)
        told.append(backend.download(loop.window(backend.upload(clip["motion_tokens"][at : at + count]))).copy())
        at += count
    assert at == frames

    sigmas = sampling.sigmas()
    times = schedule.timesteps(sigmas)
    ids = np.array([sampling.fps, sampling.motion_bucket_id, sampling.noise_aug_strength])
    embeddings, scales = embed(times, ids), schedule.input_scales(sigmas)
    motion = clip["motion_tokens"][places - 3] * ramps[:, None, None]
    noise = NoiseStream(sampling.seed, SIDE_PX, SIDE_PX)
    stream = LiveStream(windows, sigmas)
    start = torch.from_numpy(sampling.scaling_factor * clip["start_latents"])[None]
    made = []
    for number in range(4):
        first = number * (windows.size - windows.overlap)
        seen = (clip["image_latents"][0], clip["image_tokens"][0], motion[first : first + windows.size])

        def says(step, x, seen=seen):
            v = velocity(x[0].numpy() * scales[step], *seen, embeddings[step])
            return torch.from_numpy(v)[None].float()

        drawn = torch.from_numpy(noise.draw((stream.wanted, *start.shape[2:])))[None]
        latents, _ = stream.window(says, start, drawn)
        made.append(latents[0, windows.size - windows.new_frames(number) :].numpy())
    # float32 sums in another order, through at most four steps of a tanh network; latents near one in the end.
    np.testing.assert_allclose(np.concatenate(made), np.concatenate(told), atol=2e-4)


def network(name: str) -> nn.Module:
    made = TINY.architecture.build(name, device="cpu")
    made.load_state_dict(random_state_dict(made, name))
    return made


def tiny_teacher(frames: int) -> DenoiserPhase:
    """Random networks of the tiny preset, and two clips of noise."""
    rng = np.random.default_rng(0)
    drawn = SimpleNamespace(
        pictures=rng.integers(0, 256, (frames, TINY.size, TINY.size, 3), np.uint8),
        points=rng.uniform(0, TINY.size, (frames, 5, 2)).astype(np.float32),
        ids=np.array([40, 60]),
    )
    return DenoiserPhase(
        {name: network(name) for name in ("appearance", "image_proj", "motion_refiner", "unet")},
        clips=SimpleNamespace(load=lambda number: drawn),
        latents=[rng.normal(size=(frames, 4, 8, 8)).astype(np.float16) for _ in range(2)],
        features=[rng.normal(size=(frames, 19)).astype(np.float32) for _ in range(2)],
        numbers=[0, 1],
        steps=1,
        window=5,
        pad=0,
        scaling_factor=0.18215,
        device=torch.device("cpu"),
        cell_px=2,
        appearance_px=28,
    )


def graphs(backend: FakeBackend, student: nn.Module, teacher: nn.Module, size: int):
    """What live mode's graphs compute, by the modules that are exported. Time embeddings are the teacher's."""

    def called(module):
        def formula(**inputs):
            with torch.no_grad():
                made = module(**{name: torch.from_numpy(array) for name, array in inputs.items()})
            return made.numpy()

        return formula

    denoiser, embedding, stitch = map(called, (Denoiser(student, stem_bias=None), StepEmbedding(teacher), LiveStitch()))
    cell, tokens, width = ("frames", 4, 8, 8), 3, TINY.architecture.unet.cross_attention_dim
    inputs = {
        "latents": cell,
        "c_in": (1,),
        "step_embedding": (1, TINY.architecture.unet.embedding_dim),
        "image_latents": ("rows", 4, 8, 8),
        "image_tokens": ("rows", tokens, width),
        "motion_tokens": ("rows", size, 4, width),
        "row_weights": ("rows",),
    }
    steps = {"timesteps": ("steps",), "added_time_ids": (3,)}
    pair = {"latents": cell, "velocities": cell, "matrix": ("frames", "frames"), "a": (1,), "b": (1,)}
    embeddings = {"embeddings": ("steps", TINY.architecture.unet.embedding_dim)}
    return {
        "denoiser": backend.session(
            spec("denoiser", inputs, {"velocity": cell}, repeated=True), lambda **seen: {"velocity": denoiser(**seen)}
        ),
        "step_embedding": backend.session(
            spec("step_embedding", steps, embeddings), lambda **seen: {"embeddings": embedding(**seen)}
        ),
        "stitch": backend.session(
            spec("stitch", pair, {"next_latents": cell}), lambda **seen: {"next_latents": stitch(**seen)}
        ),
    }


@pytest.mark.parametrize("evaluations", [1, 2])
def test_what_the_student_learns_from_is_what_the_exported_graphs_make_of_its_stream(monkeypatch, evaluations):
    """The phase's own windows beside the runtime's loop, over the modules that a bundle's graphs are exported from."""
    windows = LiveWindows(size=5, overlap=2, lead_in=1)
    teacher, student = tiny_teacher(frames=stream_frames(windows, 3)), network("live_unet")
    phase = RolloutPhase(teacher, student, windows=windows, most_windows=3, steps=1, most_frames=windows.size)
    sampling = Sampling(steps=evaluations + 1, skip_last=1, pad_frames=0, **UNGUIDED)
    assert noise_levels(evaluations).tolist() == sampling.sigmas().tolist()

    noise: list[NoiseStream] = []  # of the runtime, from its beginning
    monkeypatch.setattr(rollout, "_OFTEN", {evaluations: 1.0})
    monkeypatch.setattr(torch, "randn", lambda rows, *shape, device: torch.from_numpy(noise[-1].draw(shape))[None])
    made, told, window, conditions = [], [], LiveStream.window, teacher.conditions

    def kept(self, *given):
        latents, begun = window(self, *given)
        made.append(latents[0].detach().numpy())
        return latents, begun

    def noted(portraits, rows):
        told.append((portraits[0], conditions(portraits, rows)))
        return told[-1][1]

    monkeypatch.setattr(LiveStream, "window", kept)
    monkeypatch.setattr(teacher, "conditions", noted)
    for seed in range(20):
        made.clear()
        noise.append(NoiseStream(sampling.seed, SIDE_PX, SIDE_PX))
        phase.loss(0, np.random.default_rng(seed))
        if len(made) == 3:
            break
    assert len(made) == 3

    portrait, seen = told[-1]
    backend = FakeBackend()
    identity = Identity(
        image_tokens=backend.upload(seen.tokens.detach().numpy()),
        image_latents=backend.upload(seen.latents.numpy()),
        start_latents=(portrait.latents / teacher.scaling_factor)[None].numpy(),
    )
    sessions = graphs(backend, student.eval(), teacher.modules["unet"], windows.size)
    loop = LiveLoop(backend, sessions, identity=identity, sampling=sampling, windows=windows, side_px=SIDE_PX)
    motion, at = seen.motion[0].detach().numpy(), windows.lead_in
    for number, latents in enumerate(made):
        count = windows.new_frames(number)
        frames = backend.download(loop.window(backend.upload(motion[at : at + count])))
        at += count
        # float32 sums in another order; latents near one.
        np.testing.assert_allclose(latents[windows.size - count :], frames, atol=1e-5, err_msg=f"window {number}")


class Clip:
    """As DenoiserPhase: clips of ones; a network says `x0` of frames, whatever it sees, as a function of its call."""

    numbers = (7, 8)

    def __init__(self, frames: int, says: float, windows: LiveWindows) -> None:
        self.modules = {"unet": Says(lambda call: says)}
        self.latents = [np.ones((frames, 4, 4, 4), np.float16)] * 2
        self.windows, self.rows = windows, []

    def portrait_frame(self, clip, frame):
        return SimpleNamespace(clip=clip, frame=frame, latents=torch.ones(4, 4, 4))

    def frames_row(self, clip, frames, ramps, portrait):
        self.rows.append((clip, portrait.clip, len(frames)))
        nothing = dict.fromkeys(("features", "degrees", "states", "ids"))
        return TrainingRow(
            latents=torch.ones(len(frames), 4, 4, 4),
            points=torch.zeros(len(frames), 3, 2),
            sees=Row.CONDITIONAL,
            portrait=portrait,
            ramps=ramps,
            **nothing,
        )

    def conditions(self, portraits, rows):
        return rollout.Conditions(tokens=None, motion=torch.zeros(len(rows), len(rows[0].latents), 1, 1), latents=None)

    def guided(self, unet, noisy, sigma, told, guidance):
        assert told.motion.shape[1] == noisy.shape[1] == self.windows.size
        s = sigma[..., None, None, None]
        x0 = unet.gain * unet.says(unet.calls) * torch.ones_like(noisy)
        unet.calls += 1
        return (noisy / (s.square() + 1) - x0) * (s.square() + 1).sqrt() / s


class Says(nn.Module):
    def __init__(self, says) -> None:
        super().__init__()
        self.gain, self.says, self.calls = nn.Parameter(torch.tensor(1.0)), says, 0
        self.time_embedding, self.add_embedding = nn.Linear(1, 1), nn.Linear(1, 1)


WINDOWS = LiveWindows(size=8, overlap=1, lead_in=0)
LATER = 1 - np.arange(1, 8) / 8  # of the step to the window before, what each new frame is given


def learn(says, teacher_says: float, monkeypatch, *, windows: int, strangers: bool):
    """A batch of one window of one evaluation, after `windows` - 1 others: its losses, and the student."""
    monkeypatch.setattr(rollout, "_OFTEN", {1: 1.0})
    monkeypatch.setattr(rollout, "_STRANGERS", float(strangers))
    for seed in range(50):
        teacher, student = Clip(40, teacher_says, WINDOWS), Says(says)
        phase = RolloutPhase(teacher, student, windows=WINDOWS, most_windows=3, steps=1, most_frames=16)
        torch.manual_seed(0)
        losses = phase.loss(0, np.random.default_rng(seed))
        if student.calls == windows:
            losses["loss"].backward()
            assert [frames for _, _, frames in teacher.rows] == [stream_frames(WINDOWS, windows)] * 2  # rows of 8
            return losses, student, teacher
    raise AssertionError("no such rollout is drawn")


def test_a_stream_that_goes_dark_is_told_by_its_anchor_and_its_seam(monkeypatch):
    """The first window says 1, the second 0.8; by hand: a new frame misses 0.2 less what it is given of the step."""
    losses, student, _ = learn(lambda call: (1.0, 0.8)[call], 1.0, monkeypatch, windows=2, strangers=False)
    missed = -0.2 + 0.2 * LATER
    # What is left of noise of 700 after a step is a 700th of a deviation.
    assert losses["anchor"].item() == pytest.approx((missed**2).mean(), abs=1e-3)
    assert losses["clip"].item() == pytest.approx((missed**2).mean(), abs=1e-3)
    assert losses["seam"].item() == pytest.approx((np.diff([0, *missed]) ** 2).mean(), abs=1e-3)
    assert losses["teacher"].item() == pytest.approx(0, abs=1e-3)
    assert losses.keys() == {"loss", "teacher", "clip", "seam", "anchor"}
    assert student.gain.grad < 0  # brighter again


def test_what_is_wrong_from_the_first_frame_on_is_no_drift(monkeypatch):
    losses, _, _ = learn(lambda call: 0.7, 1.0, monkeypatch, windows=3, strangers=False)
    assert losses["anchor"].item() == pytest.approx(0, abs=1e-3)
    assert losses["seam"].item() == pytest.approx(0, abs=1e-3)
    assert losses["clip"].item() == pytest.approx(0.09, abs=1e-3)


def test_half_of_what_is_learnt_is_the_clip_and_half_the_teachers_answer(monkeypatch):
    """Both say 0.5 of 1: what is wanted lies at 0.75. Three cells at a corner weigh up to four times as much."""
    losses, _, _ = learn(lambda call: 0.5, 0.5, monkeypatch, windows=1, strangers=False)
    assert losses["teacher"].item() == pytest.approx(0.25, abs=1e-3)
    weight = losses["loss"].item() / 0.25**2
    assert 1 < weight < 2


def test_of_other_clips_portraits_the_teachers_answer_is_all_that_is_learnt(monkeypatch):
    losses, _, teacher = learn(lambda call: 0.4, 0.7, monkeypatch, windows=2, strangers=True)
    assert losses.keys() == {"loss", "strangers"}
    assert losses["strangers"].item() == pytest.approx(0.09, abs=1e-3)
    shown = set()
    for seed in range(8):
        teacher.rows.clear()
        phase = RolloutPhase(teacher, Says(lambda call: 1.0), windows=WINDOWS, most_windows=1, steps=1)
        phase.loss(0, np.random.default_rng(seed))
        shown |= {(clip, portrait) for clip, portrait, _ in teacher.rows}
    assert shown == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_gradients_end_where_the_window_begins(monkeypatch):
    """A new frame is x + w (B - x_O) of one gain: the window before, B, is what it is, so its slope is 1 - w."""
    losses, student, _ = learn(lambda call: 0.4, 0.7, monkeypatch, windows=2, strangers=True)
    slope = 0.4 * 2 * (0.4 - 0.7) * (1 - LATER).mean()
    weight = losses["loss"].item() / 0.3**2
    assert student.gain.grad.item() == pytest.approx(weight * slope, rel=0.01)


def test_time_embeddings_and_the_teacher_stay_as_they_are(monkeypatch):
    _, student, teacher = learn(lambda call: 0.5, 1.0, monkeypatch, windows=2, strangers=False)
    assert {name for name, parameter in student.named_parameters() if parameter.requires_grad} == {"gain"}
    assert all(parameter.grad is None for parameter in teacher.modules["unet"].parameters())


def test_a_stream_longer_than_its_clip_is_no_stream():
    assert stream_frames(WINDOWS, 3) == 22 and stream_frames(LiveWindows(size=5, overlap=2, lead_in=1), 3) == 10
    with pytest.raises(ValueError, match="3 windows take 22 frames from 4 on, the clip has 25"):
        stream_places(WINDOWS, 3, clip=25, first=4)


def test_made_up_frames_fade_in_before_the_first():
    places, ramps = stream_places(LiveWindows(size=4, overlap=1, lead_in=2), 2, clip=9, first=3)
    assert places.tolist() == [3, 3, 3, 4, 5, 6, 7] and ramps.tolist() == [0, 0.5, 1, 1, 1, 1, 1]

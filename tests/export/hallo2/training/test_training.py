"""All of training, stage after stage, killed and started again, to one file of weights."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch

from engines.errors import InputError
from export.hallo2.networks.vae import VAE
from export.hallo2.presets import TALK_POCKET
from export.hallo2.training.lips import unpacked
from export.hallo2.training.talk import TalkWindows
from export.hallo2.training.training import LEAVES, Amounts, Training
from export.hallo2.weights import open_source
from export.train import main
from tests.export.hallo2.training.small_training import SMALL_TALK, quiet, small_training
from tests.hp_trt.command_line import as_typed, refused


@pytest.fixture
def run(prepared_run, tmp_path):
    return shutil.copytree(prepared_run, tmp_path / "run")


@pytest.fixture
def train(monkeypatch, capfd):
    """Runs the command in this process."""
    return lambda *words: as_typed(main, "train", *words, patch=monkeypatch, capture=capfd)


@pytest.mark.heavy
def test_all_stages_end_with_a_file_that_builds_take(run):
    training = small_training(run)
    for act in training.stages().values():
        assert act(quiet) in (True, None)
    path = run / "talk_pocket.safetensors"
    training.write(path)
    assert path.stat().st_size <= 16 << 20
    source = open_source(TALK_POCKET.architecture, path, preset="talk_pocket")
    assert source.kind == "trained"
    card = path.with_suffix(".md").read_text()
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card and "3 synthetic sentences" in card
    denoiser = TALK_POCKET.architecture.load("denoising_unet", source.state("denoising_unet"))
    assert all(torch.isfinite(parameter).all() for parameter in denoiser.parameters())


def test_lips_that_are_killed_end_as_those_that_are_not(run, tmp_path):
    class Killed(Exception):
        pass

    broken = shutil.copytree(run, tmp_path / "broken")
    training = small_training(broken, lips_steps=3, save_every_s=0)
    phase = training.lips_phase()
    whole = phase.loss
    phase.loss = lambda step, rng: whole(step, rng) if step < 2 else (_ for _ in ()).throw(Killed)
    training.lips_phase = lambda: phase
    with pytest.raises(Killed):
        training.lips(quiet)
    for folder in (run, broken):
        assert small_training(folder, lips_steps=3).lips(quiet)
    ends = [small_training(folder).run.end("lips") for folder in (run, broken)]
    for name, state in ends[0].items():
        assert all(torch.equal(value, ends[1][name][key]) for key, value in state.items())


def test_the_last_place_makes_of_what_it_was_given_what_the_whole_net_makes(run):
    phase = small_training(run).lips_phase()
    windows, frames = phase.windows, phase.windows.cut.window
    item = unpacked(phase.items[0][0], frames, windows.talker.denoiser.config.channels[0])
    rng = np.random.default_rng([windows.numbers[0], 94])
    told = windows.told(0, 0, rng, begins=True, nobody=True)
    noise = windows.tensor(rng.normal(size=(frames, *told.portrait.shape[1:])))
    with torch.no_grad():
        whole = windows.talker.velocity(noise, torch.tensor([999]), windows.talker.conditions(told))
        state, motion = windows.tensor(item.state), windows.tensor(item.motion)[None]
        last = phase.modules["last_place"](state, motion, windows.tokens(0, 0), windows.masks(0)[0])
    assert torch.allclose(last, whole, atol=0.02 * float(whole.abs().max()))  # it was kept in half precision


@pytest.mark.heavy
def test_what_the_last_place_learnt_stands_in_the_net_that_goes_on(run):
    training = small_training(run, lips_steps=2)
    training.lips(quiet)
    learnt = training.run.end("lips")["last_place"]["conv.weight"]
    training.roll(quiet)
    denoiser = training.steady_phase().windows.talker.denoiser
    assert torch.equal(denoiser.conv_out.weight, learnt)
    assert not torch.equal(training.run.end("plain")["denoising_unet"]["conv_out.weight"], learnt)
    assert [len(items) for items in training.run.seen("rolled", "lips", [0, 2])] == [2, 2]
    with pytest.raises(InputError, match="rolled of 1 of 1 clips are missing"):  # 1 is happy
        training.run.seen("rolled", "lips", [1])


def test_windows_tell_the_mood_of_their_clip_but_for_those_that_are_silent_or_have_it_dropped(run):
    training = small_training(run)
    windows = TalkWindows(
        {name: SMALL_TALK.architecture.build(name) for name in LEAVES["talk"]},  # none of them is run
        clips=training.clips,
        seen=training.run.seen("seen", "vae", [0, 1]),
        heard=training.run.seen("heard", "speech", [0, 1]),
        numbers=[0, 1],
        cut=training.cut,
        vae=cast(VAE, SMALL_TALK.architecture.build("vae")),  # nor is this
        device=torch.device("cpu"),
    )
    told = [windows.told(1, 0, np.random.default_rng(seed)).mood[0] for seed in range(60)]
    mood = torch.from_numpy(np.array(windows.clip(1).mood))
    dropped = sum(not bool(one.any()) for one in told)
    assert mood[0] == pytest.approx(1 - float(mood[1])) and 0.5 <= mood[1] <= 1, "clip 1 is happy"
    assert all(torch.equal(one, mood) for one in told if one.any()) and 2 <= dropped <= 18  # 15 % of 60 are 9
    silent = windows.told(1, 0, np.random.default_rng(0), silent=True)
    assert not silent.mood.any() and not silent.audio_tokens.any()
    assert windows.beginning(0).mood.tolist() == [[1, 0, 0, 0, 0, 0]], "clip 0 is neutral, and says so"


def test_a_window_goes_on_behind_a_few_that_the_net_made_and_the_last_of_them_is_the_one_before_it(run, monkeypatch):
    windows = small_training(run).lips_phase().windows
    heard = []

    def made(_talker, told, noise, *, steps):
        heard.append(told.audio_tokens)
        return torch.full_like(noise, 0.1 * len(heard))

    monkeypatch.setattr("export.hallo2.training.talk.made_latents", made)
    counts, before = [], len(windows.cut.starts) - 1
    for seed in range(40):
        heard.clear()
        motion = windows._made(0, before + 1, np.random.default_rng(seed))
        counts.append(len(heard))
        assert torch.equal(heard[-1], windows.tokens(0, before))
        assert motion.shape == windows.seen(0).motion[0].shape
    assert set(counts) == {1, 2, 3, 4} and 1.2 < np.mean(counts) < 2.6  # half of them one, 1.9 on average


def test_motion_frames_of_what_was_made_are_decoded_and_dropped_as_the_application_does(run):
    windows = small_training(run).lips_phase().windows
    made = windows.target(0, 0)
    motion = windows.again(0, made, np.random.default_rng(3))
    pixels = windows.vae.decode(made[-windows.cut.motion_frames :] / windows.vae.config.scaling_factor).clamp(-1, 1)
    field = np.random.default_rng(3).uniform(size=pixels.shape[2:]).astype(np.float32)
    region = windows.clip(0).face_region
    pixels = torch.where(torch.from_numpy((field > 0.25) | (np.array(region) != 0)), pixels, torch.zeros(()))
    expected = windows.vae.encode(pixels)[:, :4] * windows.vae.config.scaling_factor
    assert torch.allclose(motion, expected, atol=1e-5)


def test_the_plain_answer_is_better_than_none_on_the_clips_it_is_fitted_to(run):
    training = small_training(run)
    windows = training.lips_phase().windows
    told, target = windows.beginning(0), windows.target(0)
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        v = windows.talker.velocity(noise, torch.tensor([999]), windows.talker.conditions(told))
    assert (v + target).square().mean() < 0.75 * target.square().mean()


@pytest.mark.parametrize(
    ("amounts", "says"),
    [
        ({"clips": 3, "sentences": 2}, "3 clips need a sentence each"),
        ({"frames": 9}, "a clip has 10 to 150 frames"),
        ({"espeak": 1.5}, "a share of the sentences, 0 to 1, got 1.5"),
        ({"espeak": float("nan")}, "a share of the sentences, 0 to 1, got nan"),
    ],
)
def test_amounts_that_do_not_fit_are_refused(tmp_path, amounts, says):
    with pytest.raises(InputError, match=says):
        Training(replace(SMALL_TALK), Amounts(**amounts), small_training(tmp_path).settings)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--preset", "hallo2"], "there is no preset 'hallo2' that is trained; there are pocket, talk_pocket"),
        (["--preset", "talk_pocket", "--drivers", "3"], "--drivers is not of talk_pocket"),
        (["--unet-steps", "3"], "--unet-steps is not of pocket"),
        (["--espeak", "0.5"], "--espeak is not of pocket"),
        (["--preset", "talk_pocket", "--espeak", "1.5"], "--espeak"),
        (["--preset", "talk_pocket", "--stage", "motion"], "there is no stage 'motion'; there are sentences, speech"),
        (["--preset", "talk_pocket", "--stage", "speech"], "no sentences are drawn yet"),
        (["--preset", "talk_pocket", "--stage", "seen"], "the stage vae is not complete"),
        (["--preset", "talk_pocket", "--stage", "lips"], "no clips are drawn yet"),
        (["--preset", "talk_pocket", "--stage", "write"], "the stage speech is not complete"),
    ],
)
def test_what_cannot_be_trained_is_one_clear_line(train, tmp_path, arguments, says):
    refused(train("--run", tmp_path / "run", *arguments), says)


def test_no_minutes_left_says_which_stage_goes_on(train, tmp_path):
    words = ["--sentences", "1", "--clips", "1", "--stage", "sentences", "--stage", "speech", "--minutes", "0"]
    ended = train("--preset", "talk_pocket", "--run", tmp_path, *words)
    assert ended.code == 0 and "speech is not complete yet" in ended.out + ended.err


def test_espeak_that_is_not_installed_is_told_before_anything_is_drawn(train, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    refused(
        train("--preset", "talk_pocket", "--run", tmp_path / "run", "--espeak", "0.5"),
        "needs espeakng_loader, which is not installed; pip install '.[espeak]'",
    )
    assert not list((tmp_path / "run").rglob("*-6x*"))


def test_the_card_says_who_spoke(tmp_path):
    pytest.importorskip("espeakng_loader")
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"weights")
    settings = small_training(tmp_path).settings
    own, some = (
        Training(SMALL_TALK, Amounts(sentences=40, clips=3, frames=10, espeak=share), settings)._card(weights)
        for share in (0.0, 0.25)
    )
    assert "the synthesiser of this repository speaks every sentence" in own and "--espeak" not in own
    assert "--threads 1 --espeak 0.25`" in some and "(GPL, version 3 or later" in some
    said = int(re.search(r"speaks (\d+) of the 40 sentences", some).group(1))
    assert 4 <= said <= 16

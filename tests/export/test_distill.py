"""Distillation as the command runs it: what cannot be done is one clear line, and a run knows its teacher."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from engines.errors import CheckpointError, InputError
from export.distill import main
from export.hunyuanportrait.architecture import NETWORKS
from export.hunyuanportrait.training.clips import FIRST_DRIVING_SEED
from export.hunyuanportrait.training.distill_config import DistillConfig
from export.hunyuanportrait.training.distillation import FIRST_HELD_OUT_SEED, DistillAmounts, Distillation, denoise
from export.hunyuanportrait.training.recorded import RecordedClips, Recording
from export.hunyuanportrait.training.rollout import RolloutPhase
from export.hunyuanportrait.training.student import StudentPhase
from export.hunyuanportrait.training.training import Amounts
from export.hunyuanportrait.upstream import NETWORK_FILES
from export.hunyuanportrait.weights import live_weights, open_source
from export.training.phase import Settings
from export.weights.packed import write_weights
from export.weights.random import random_state_dict
from export.weights.source import RandomWeights
from procedural.clip import FIRST_TRAINING_SEED
from runtime import schedule
from tests.export.hunyuanportrait.training.videos import write_video
from tests.export.tiny import TINY, make_known
from tests.hp_trt.command_line import as_typed, refused


def run(tmp_path, prefix: str = "", **amounts) -> Distillation:
    settings = Settings(folder=tmp_path / "run", device=torch.device("cpu"))
    source = RandomWeights(TINY.architecture.build, prefix)
    return Distillation(TINY, DistillAmounts(clips=1, **amounts), settings, source)


def test_a_run_belongs_to_one_teacher(tmp_path):
    before = run(tmp_path).run.end_path("denoiser").read_bytes()
    assert run(tmp_path).run.end_path("denoiser").read_bytes() == before
    with pytest.raises(InputError, match="a run with another teacher's weights; give the run another folder"):
        run(tmp_path, "other/")


def test_a_run_of_training_is_not_taken_for_one_of_distillation(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "motion.done.pt").write_bytes(b"")
    with pytest.raises(InputError, match=r"a run of export\.train; give the run another folder"):
        run(tmp_path)


def test_what_is_complete_is_written_and_knows_its_teacher(tmp_path):
    distillation = run(tmp_path)
    with pytest.raises(InputError, match="neither the student nor the tiny decoder is complete"):
        distillation.write(tmp_path / "live.safetensors")
    state = random_state_dict(TINY.architecture.build("tiny_decoder"))
    torch.save({"tiny_decoder": state}, tmp_path / "run" / "tiny_decoder.done.pt")
    distillation.write(tmp_path / "live.safetensors")
    live = live_weights(TINY.architecture, tmp_path / "live.safetensors", preset="tiny")
    assert live.networks == ("tiny_decoder",)
    assert live.teacher == RandomWeights(TINY.architecture.build).fingerprint("unet")


def test_measuring_draws_nobody_that_was_trained_on():
    assert FIRST_TRAINING_SEED + max(Amounts().clips, DistillAmounts().clips) <= FIRST_HELD_OUT_SEED
    assert FIRST_HELD_OUT_SEED + DistillAmounts().held_out <= FIRST_DRIVING_SEED


@pytest.mark.parametrize("evaluations", [1, 2, 3])
def test_denoising_asks_at_the_first_levels_of_the_released_schedule(evaluations):
    """A network that knows the answer gives it, whatever the noise, and is asked as often as said."""
    asked = []

    class Knows:
        def guided(self, unet, noisy, sigma, told, guidance):
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
        (("--preset", "poket"), "there is no preset 'poket'; did you mean pocket?"),
        (("--preset", "hunyuanportrait", "--weights", "."), "hunyuanportrait needs --videos FOLDER: its weights know"),
        (("--preset", "hunyuanportrait", "--videos", "."), "hunyuanportrait needs --weights DIR, upstream's"),
        (("--arcface", "a.onnx"), "--locator, --locator-file and --arcface are for --videos"),
        (("--videos", "/no/such"), "/no/such is not a folder; --videos needs one with .mp4, .mov"),
        (
            ("--videos", "VIDEOS", "--locator", "har"),
            "there is no locator 'har'; did you mean haar? There are: haar, yunet, yoloface",
        ),
        (("--videos", "VIDEOS", "--locator", "yunet"), "the face locator 'yunet' needs a file and none was given"),
        (("--videos", "VIDEOS", "--arcface", "/no/a.onnx"), "/no/a.onnx: no such file"),
        (("--videos", "VIDEOS", "--stage", "student"), "no clips are drawn"),
        (("--weights", "/no/such.safetensors"), "/no/such.safetensors: cannot be read"),
        (("--stage", "student"), "no clips are drawn"),
        (("--stage", "rollout"), "the stage rollout needs --rollout N, how many windows the student makes"),
        (("--rollout-steps", "5"), "--rollout-steps and --rollout-rate are for --rollout N, which is not given"),
        (("--rollout", "5"), "a rollout of 5 windows takes 36 frames, clips have 32; lower --rollout, or draw longer"),
        (("--rollout", "2", "--stage", "rollout"), "no clips are drawn"),
        (("--live-weights", "/no/such.safetensors"), "/no/such.safetensors: cannot be read"),
    ],
)
def test_what_cannot_be_distilled_is_one_clear_line(monkeypatch, capfd, tmp_path, words, says):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    given = [str(tmp_path / "videos") if word == "VIDEOS" else word for word in words]
    ended = as_typed(main, "distill", "--run", tmp_path / "run", *given, patch=monkeypatch, capture=capfd)
    (line,) = ended.err.splitlines()
    assert ended.code == 2 and says in line


EIGHT = replace(TINY, frames=8, sampling={"steps": 2})  # a window as long as the tiny decoder's chunks


def upstream(folder):
    """Upstream's folder with random weights of the tiny preset."""
    source = RandomWeights(TINY.architecture.build)
    for network, names in NETWORK_FILES.items():
        path = folder / names[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {key: value.contiguous() for key, value in source.state(network).items()}
        save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return folder


def test_every_stage_runs_on_videos_and_upstreams_weights_and_a_build_takes_the_result(monkeypatch, tmp_path, capfd):
    make_known(monkeypatch, EIGHT)
    for seed in (1, 2):
        write_video(tmp_path / "videos" / f"{seed}.mp4", seed, frames=25)
    write_video(tmp_path / "videos" / "3.mp4", 3, frames=5)
    weights = upstream(tmp_path / "weights")
    begin = functools.partial(as_typed, main, "distill", "--run", tmp_path / "run", patch=monkeypatch, capture=capfd)
    words = f"""--preset tiny --weights {weights} --videos {tmp_path}/videos --clips 2
        --held-out 1 --frames 25 --student-steps 3 --student-rate 1e-5 --batch-frames 8 --checkpointing
        --rollout 2 --rollout-steps 2 --made 1 --decoder-steps 2 --threads 1 --json"""
    ended = begin(*words.split())
    told = ended.out.splitlines()
    assert ended.code == 0
    assert any("1 of 3 videos give no clip (3.mp4: a face for 5 frames" in line for line in told)
    measured = json.loads(told[-1])["measured"]
    assert {"x0_teacher_1", "x0_student_1", "psnr_student_2_tiny_to_full"} <= measured.keys()
    live = live_weights(TINY.architecture, tmp_path / "run" / "tiny_live.safetensors", preset="tiny")
    assert live.networks == ("live_unet", "tiny_decoder")
    source = open_source(TINY.architecture, weights, preset="tiny", live=tmp_path / "run" / "tiny_live.safetensors")
    assert source.fingerprint("live_unet") == live.fingerprint("live_unet")
    written = begin(*words.split(), "--stage", "write")
    assert "1 of 3 videos give no clip" in written.out, "on every call, and not where clips are cut alone"
    says = "is a run on videos; give --videos again, or another folder"
    refused(begin("--preset", "pocket", "--stage", "write"), says)


def test_who_people_are_is_said_by_the_arcface_of_the_weights_folder_or_the_one_given(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr("export.hunyuanportrait.training.distill_config.open_arcface", opened.append)
    (tmp_path / "a.mp4").touch()
    for name in ("arcface.onnx", "own.onnx"):
        (tmp_path / name).touch()
    found = [
        DistillConfig(videos=tmp_path, arcface=given, weights=weights).recording().arcface
        for given, weights in ((None, tmp_path), (tmp_path / "own.onnx", tmp_path), (None, tmp_path / "w.safetensors"))
    ]
    assert found == [tmp_path / "arcface.onnx", tmp_path / "own.onnx", None] and opened == found[:2]


def quiet(*_):
    pass


def recorded_clips(folder) -> RecordedClips:
    """One clip of 12 frames to learn from."""
    write_video(folder / "videos" / "1.mp4", 1, frames=24)
    return RecordedClips(
        folder=folder / "run" / "clips",
        recording=Recording(videos=folder / "videos"),
        count=1,
        held_out=1,
        frames=12,
        px=EIGHT.size,
        motion_px=EIGHT.motion_px,
    )


def distillation_of(folder, recorded: RecordedClips, live=None, **amounts) -> Distillation:
    settings = Settings(folder=folder / "run", device=torch.device("cpu"), save_every_s=0)
    given = DistillAmounts(clips=1, frames=12, batch_frames=5, **amounts)
    return Distillation(EIGHT, given, settings, RandomWeights(TINY.architecture.build), recorded=recorded, live=live)


def interrupt_at(monkeypatch, phase, step: int) -> list[int]:
    """The steps that `phase` does from now on, -1 where it is stopped, which is once, before `step`."""
    seen, loss = [], phase.loss

    def kept(self, now, rng):
        if now == step and -1 not in seen:
            seen.append(-1)
            raise KeyboardInterrupt
        seen.append(now)
        return loss(self, now, rng)

    monkeypatch.setattr(phase, "loss", kept)
    return seen


def test_a_student_that_is_stopped_goes_on_to_all_of_its_steps(monkeypatch, tmp_path):
    recorded = recorded_clips(tmp_path)
    first, again = (distillation_of(tmp_path, recorded, student_steps=5) for _ in range(2))
    first.draw(quiet), first.frozen.latents(quiet), first.frozen.features(quiet)
    seen = interrupt_at(monkeypatch, StudentPhase, 3)
    with pytest.raises(KeyboardInterrupt):
        first.student(quiet)
    assert again.student(quiet)
    assert seen == [0, 1, 2, -1, 3, 4]
    assert "rollout" not in again.stages()  # nobody asked for one
    again.write(tmp_path / "live.safetensors")
    assert live_weights(TINY.architecture, tmp_path / "live.safetensors", preset="tiny").networks == ("live_unet",)


def live_file(path, seed: str = "", teacher: str | None = None):
    """A file of live weights of the tiny preset, of the random teacher."""
    states = {n: random_state_dict(TINY.architecture.build(n), seed + n) for n in ("live_unet", "tiny_decoder")}
    teacher = teacher or RandomWeights(TINY.architecture.build).fingerprint("unet")
    write_weights(path, states, preset="tiny", teacher=teacher)
    return live_weights(TINY.architecture, path, preset="tiny")


def test_a_given_student_is_rolled_out_and_goes_on_where_it_was_stopped(monkeypatch, tmp_path):
    """Nothing of the student's own training is done; the other network of live mode comes out as it went in."""
    recorded, live = recorded_clips(tmp_path), live_file(tmp_path / "begun.safetensors")
    first, again = (distillation_of(tmp_path, recorded, live, rollout=1, rollout_steps=4) for _ in range(2))
    first.draw(quiet), first.frozen.latents(quiet), first.frozen.features(quiet)
    assert list(first.stages()) == ["latents", "features", "rollout"]
    seen = interrupt_at(monkeypatch, RolloutPhase, 2)
    with pytest.raises(KeyboardInterrupt):
        first.rollout(quiet)
    again.write(tmp_path / "before.safetensors")
    assert (tmp_path / "before.safetensors").read_bytes() == (tmp_path / "begun.safetensors").read_bytes()
    assert again.rollout(quiet)
    assert seen == [0, 1, -1, 2, 3]
    again.write(tmp_path / "after.safetensors")
    written = live_weights(TINY.architecture, tmp_path / "after.safetensors", preset="tiny")
    assert written.networks == live.networks and written.teacher == live.teacher
    assert written.fingerprint("tiny_decoder") == live.fingerprint("tiny_decoder")
    assert written.fingerprint("live_unet") != live.fingerprint("live_unet")
    frozen = "time_embedding.linear_1.weight"
    assert torch.equal(written.state("live_unet")[frozen], live.state("live_unet")[frozen])


def test_a_run_belongs_to_one_students_weights(tmp_path):
    recorded, live = recorded_clips(tmp_path), live_file(tmp_path / "a.safetensors")
    distillation_of(tmp_path, recorded, live)
    with pytest.raises(InputError, match="is a run with other live weights; give the run another folder"):
        distillation_of(tmp_path, recorded, live_file(tmp_path / "b.safetensors", "other/"))
    with pytest.raises(InputError, match="is a run with live weights; give --live-weights again"):
        distillation_of(tmp_path, recorded)
    (tmp_path / "run" / "live.json").unlink()
    with pytest.raises(InputError, match="is a run that learns its own live weights; give the run another folder"):
        distillation_of(tmp_path, recorded, live)


def test_live_weights_of_another_teacher_are_refused(monkeypatch, tmp_path):
    make_known(monkeypatch, EIGHT)
    live_file(tmp_path / "live.safetensors", teacher="f" * 64)
    (tmp_path / "a.mp4").touch()
    config = DistillConfig(
        preset="tiny", weights=upstream(tmp_path / "w"), videos=tmp_path, live_weights=tmp_path / "live.safetensors"
    )
    with pytest.raises(CheckpointError, match="its live_unet was distilled from another unet"):
        config.live(config.teacher())


def test_the_teachers_networks_are_all_that_the_phases_need(tmp_path):
    distillation = run(tmp_path)
    left = {name for phase in ("autoencoder", "motion", "denoiser") for name in distillation.run.end(phase)}
    assert left == set(NETWORKS) - {"pose_guider"}

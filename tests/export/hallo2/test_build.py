"""A whole bundle of this model, by the build that every model has."""

from __future__ import annotations

import pytest

from engines.bundle import Bundle
from engines.errors import InputError
from export.build import BuildConfig
from export.build_engines import main
from export.hallo2.graphs import ORDER
from export.hallo2.model import Hallo2
from export.models import find_model
from hp_trt.hallo2.promises import DENOISERS
from runtime.hallo2.presets import HALF, MODEL
from tests.export.hallo2.tiny import TINY_TALK, make_known
from tests.hp_trt.command_line import as_typed


@pytest.fixture
def known(monkeypatch):
    make_known(monkeypatch, TINY_TALK)


@pytest.mark.parametrize(
    ("preset", "precision"), [("tiny_talk", "fp32"), ("tiny_talk", "fp16"), ("tiny_moods", "fp16")]
)
def test_a_whole_bundle_is_built_and_every_graph_compared_with_its_network(bundle_of, preset, precision):
    manifest = Bundle.open(bundle_of(preset=preset, precision=precision)).manifest
    for name in DENOISERS:
        assert manifest.graphs[name].spec.has_input("mood") == (preset == "tiny_moods")
    assert (manifest.model, tuple(manifest.graphs)) == (MODEL, ORDER)
    assert (manifest.size, manifest.frames) == ((32, 32), TINY_TALK.frames)
    assert manifest.geometry["motion_frames"] == TINY_TALK.motion_frames
    assert manifest.sampling["steps"] == 2  # the preset's
    for name, record in manifest.graphs.items():
        assert record.parity["max"] <= (5e-5 if precision == "fp32" else 0.2), name
        assert record.precision == ("fp16" if precision == "fp16" and name in HALF else "fp32")
    released = {name: record.flops for name, record in manifest.graphs.items() if "released" in record.flops}
    assert list(released) == ["reference", "talk_denoiser"]
    assert all(flops["released"] > flops["call"] for flops in released.values())


def test_graphs_of_one_networks_weights_have_them_once_on_the_disk(bundle_of):
    made = Bundle.open(bundle_of(preset="tiny_talk", precision="fp32")).manifest.graphs
    for name in ("bank_kv", "talk_denoiser_one"):
        assert made[name].built["weights_bytes"] > 0


def test_a_second_build_has_nothing_to_do_and_another_size_has_all(bundle_of, known, monkeypatch, capfd):
    folder = bundle_of(preset="tiny_talk", precision="fp32")
    words = ("--preset", "tiny_talk", "--random-weights", "--bundle", folder, "--dry-run")
    again = as_typed(main, "build_engines", *words, patch=monkeypatch, capture=capfd)
    assert again.code == 0 and f"0 would be built, {len(ORDER)} reused" in again.out
    longer = as_typed(main, "build_engines", *words, "--frames", "2", patch=monkeypatch, capture=capfd)
    assert "graph talk_denoiser: build, its tensors change" in longer.out
    assert "graph speech_encoder: reuse" in longer.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--live",), "preset talk_pocket has no graphs for --live"),
        (("--reuse",), "preset talk_pocket has no graphs for --reuse"),
        (("--quantize", "int8"), "preset talk_pocket has no graphs for --quantize"),
        (("--live-weights", "my.safetensors"), "has no live mode, and my.safetensors is for one"),
        (("--frames", "0"), "choose 1 to 30 frames (released: 16)"),
        (("--frames", "31"), "choose 1 to 30 frames (released: 16)"),
        (("--size", "100"), "choose a multiple of 64"),
        (("--only", "denoiser"), "there is no graph denoiser; choose from speech_encoder, audio_tokens"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_line(words, says, tmp_path, monkeypatch, capfd):
    place = ("--preset", "talk_pocket", "--random-weights", "--bundle", tmp_path / "bundle")
    ended = as_typed(main, "build_engines", *place, *words, patch=monkeypatch, capture=capfd)
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert ended.code == 2 and says in line
    assert not (tmp_path / "bundle").exists()


def test_a_clip_of_one_frame_may_be_built(tmp_path):
    config = BuildConfig(preset="talk_pocket", bundle=tmp_path, frames=1)
    assert config.graphs()["talk_vae_decoder"].spec.ranges["chunk"].max == 2


def test_the_first_models_windows_keep_their_limits(tmp_path):
    with pytest.raises(InputError, match=r"a window of 1 frames cannot be built; choose 2 to 256 \(released: 25\)"):
        BuildConfig(preset="pocket", bundle=tmp_path, frames=1)


def test_the_tiny_preset_is_this_models(known):
    assert isinstance(find_model("tiny_talk"), Hallo2)

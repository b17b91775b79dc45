"""What the sync judge learns from, and that its files compute what its networks do."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from export.judge.sync_clips import MARGIN, SpokenClips, batches, spoken_clips
from export.judge.sync_judge import auc, card, distances, in_seconds, told, write_onnx
from export.judge.sync_network import SyncNetworks, contrast
from hp_trt.measure.metrics.sound_features import QUIETEST
from hp_trt.measure.metrics.sync_judge import MOUTH_PX, SyncJudge, picture_windows, sound_windows
from hp_trt.shipped import SYNC_PICTURES, SYNC_SOUND


@pytest.fixture(scope="module")
def clips() -> SpokenClips:
    return spoken_clips(600_000, 2, 30)


def test_a_clip_is_its_seeds_and_has_a_margin_all_round(clips):
    assert clips.mouths.shape == (2, 30, MOUTH_PX[0] + 2 * MARGIN, MOUTH_PX[1] + 2 * MARGIN, 3)
    assert clips.heard.shape[:2] == (2, 120) and clips.heard.min() >= QUIETEST
    again = spoken_clips(600_000, 1, 30)
    np.testing.assert_array_equal(again.mouths[0], clips.mouths[0])
    np.testing.assert_array_equal(again.heard[0], clips.heard[0])


def test_a_batch_has_windows_in_a_row_with_the_sound_that_belongs_to_them(clips):
    pictures, sound = next(batches(clips, 2, 10, np.random.default_rng(0)))
    assert pictures.shape == (20, 15, *MOUTH_PX) and sound.shape[:2] == (20, 20)
    np.testing.assert_array_equal(pictures[0, 3:], pictures[1, :-3])
    np.testing.assert_array_equal(sound[0, 4:], sound[1, :-4])


def test_vectors_that_agree_only_with_their_own_have_no_loss():
    own = torch.eye(6)[None].repeat(2, 1, 1)
    sharp = torch.tensor(5.0)
    assert contrast(own, own, sharp).item() == pytest.approx(0, abs=1e-5)
    assert contrast(own, own.roll(1, dims=1), sharp).item() > 10


def test_the_files_compute_what_the_networks_do_to_half_precision(clips, tmp_path):
    torch.manual_seed(0)
    networks = SyncNetworks()
    seen = clips.mouths[0, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
    inputs = torch.from_numpy(picture_windows(seen)), torch.from_numpy(sound_windows(clips.heard[0]))
    networks.train()
    networks.pictures(inputs[0])  # norms that are not the identity
    networks.sound(inputs[1])
    networks.eval()
    with torch.no_grad():
        plain = copy.deepcopy(networks)
        expected = plain.pictures(inputs[0]).numpy(), plain.sound(inputs[1]).numpy()
    files = tmp_path / "pictures.onnx", tmp_path / "sound.onnx"
    write_onnx(networks, *files)
    judge = SyncJudge(*files, threads=1)
    np.testing.assert_allclose(judge.of_pictures(seen), expected[0], atol=5e-3)
    np.testing.assert_allclose(judge.of_sound(clips.heard[0]), expected[1], atol=5e-3)
    assert sum(file.stat().st_size for file in files) < 2_000_000


def test_an_auc_counts_pairs_that_are_the_right_way_round():
    assert auc(np.array([1.0, 2]), np.array([3.0, 4])) == 1
    assert auc(np.array([3.0, 4]), np.array([1.0, 2])) == 0
    assert auc(np.array([1.0, 3]), np.array([1.0, 2])) == pytest.approx((0.5 + 1 + 0 + 0) / 4)


def test_a_lag_pairs_pictures_with_the_sound_before_them_and_seconds_are_whole():
    rows = np.arange(50.0)[:, None]
    np.testing.assert_array_equal(distances(rows, rows, 3), np.full(47, 3.0))
    np.testing.assert_array_equal(distances(rows, rows, -2), np.full(48, 2.0))
    np.testing.assert_allclose(in_seconds(rows[:, 0]), [10, 31])


def test_the_card_says_what_is_measured():
    held_out = spoken_clips(500_000, 4, 60)
    text, summary = card(SYNC_PICTURES, SYNC_SOUND, held_out, steps=320, clips=240, seed=0)
    found = told(SyncJudge(threads=1), SpokenClips(mouths=held_out.mouths[::2], heard=held_out.heard[::2]))
    assert f"AUC of {found.second_auc:.3f}" in summary and summary in " ".join(text.split())
    assert f"| clips of 4 s whose best lag is 0 | {found.in_time:.3f} |" in text
    assert "compare only among themselves" in text

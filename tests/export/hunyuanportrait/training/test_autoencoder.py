"""The autoencoder's phase: where it looks, and the scale of its latents."""

import numpy as np
import pytest
import torch

from export.blocks import VAEConfig
from export.hunyuanportrait.networks.vae import VAE
from export.hunyuanportrait.training.autoencoder import Autoencoder, near, space_only
from export.hunyuanportrait.training.clips import Clips, as_planes
from export.hunyuanportrait.training.initial_weights import with_initial_weights


@pytest.fixture(scope="module")
def phase(tmp_path_factory):
    clips = Clips(folder=tmp_path_factory.mktemp("clips"), count=2, frames=8, px=32, motion_px=16)
    list(clips.draw_missing())
    torch.manual_seed(0)
    vae = with_initial_weights(VAE(VAEConfig(block_out_channels=(32, 32))))
    return Autoencoder(vae, clips, [0, 1], 10, torch.device("cpu"))


def test_landmarks_weigh_four_times_the_far_background():
    points = torch.tensor([[[10.0, 20.0]]])
    weight = near(points, 64, reach=2.0)
    assert weight[0, 20, 10].item() == pytest.approx(4)
    assert weight[0, 60, 60].item() == pytest.approx(1)
    crowd = near(points.repeat(1, 24, 1), 64, reach=2.0)
    assert crowd.max().item() == pytest.approx(4)


def test_without_the_time_layers_frames_do_not_see_each_other(phase):
    latents = torch.randn(4, 4, 16, 16)
    with torch.no_grad(), space_only(phase.vae.decoder):
        together = phase.vae.decode(latents)
        alone = torch.cat([phase.vae.decode(one[None]) for one in latents])
    assert torch.allclose(together, alone, atol=1e-5)  # convolutions of another batch size add in another order


def test_a_fresh_decoder_begins_without_time(phase):
    latents = torch.randn(3, 4, 16, 16)
    with torch.no_grad():
        whole = phase.vae.decode(latents)
        with space_only(phase.vae.decoder):
            assert torch.allclose(phase.vae.decode(latents), whole, atol=1e-5)


def test_finishing_scales_latents_to_one_and_changes_no_picture(phase):
    pictures = as_planes(np.array(phase.clips.load(0).pictures), torch.device("cpu")) * 2 - 1
    with torch.no_grad():
        before = phase.vae.decode(phase.vae.encode(pictures)[:, :4])
        phase.finish(phase.modules)
        latents = phase.vae.encode(pictures)[:, :4]
        assert torch.allclose(phase.vae.decode(latents), before, atol=1e-4)  # scaled and unscaled in float32
    spread = (latents * phase.vae.config.scaling_factor).std(dim=(0, 2, 3))
    assert ((spread > 0.5) & (spread < 2)).all()  # of one of the two clips it was measured on


def test_both_halves_of_the_phase_give_a_loss_that_reaches_what_they_train(phase):
    for step, trains_time in ((0, False), (9, True)):
        phase.vae.zero_grad(set_to_none=True)
        losses = phase.loss(step, np.random.default_rng(step))
        losses["loss"].backward()
        assert set(losses) >= set(phase.curves)
        assert (phase.vae.decoder.time_conv_out.weight.grad is not None) == trains_time


def test_pictures_that_are_no_faces_are_a_share_of_a_batch_and_weigh_alike_everywhere(phase):
    with_others = Autoencoder(phase.vae, phase.clips, [0, 1], 10, torch.device("cpu"), pictures=1.0, times=2)
    losses = with_others.loss(0, np.random.default_rng(3))
    assert torch.isfinite(losses["loss"]) and torch.isfinite(losses["psnr"])
    far = near(torch.full((1, 27, 2), -1e4), 32, reach=4.0)
    assert torch.equal(far, torch.ones_like(far))

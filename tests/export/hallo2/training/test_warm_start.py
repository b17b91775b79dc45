import torch

from export.hallo2.presets import TALK_POCKET
from export.hallo2.training.warm_start import pocket_states, warm_unet, warm_vae


def test_the_autoencoder_is_all_pockets():
    own = TALK_POCKET.architecture.build("vae", device="cpu").state_dict()
    pocket = pocket_states(("vae",))["vae"]
    warm = warm_vae(own, pocket)
    assert {key: value.shape for key, value in warm.items()} == {key: value.shape for key, value in own.items()}
    assert torch.equal(warm["encoder.conv_in.weight"], pocket["encoder.conv_in.weight"])
    latents = torch.randn(1, 4, 2, 2)
    passed = torch.nn.functional.conv2d(latents, warm["post_quant_conv.weight"], warm["post_quant_conv.bias"])
    assert torch.equal(passed, latents)


def test_each_net_sees_its_half_of_pockets_stem():
    config = TALK_POCKET.architecture.denoising_unet
    pocket = pocket_states(("unet",))["unet"]
    own = TALK_POCKET.architecture.build("reference_unet", device="cpu").state_dict()
    noisy, portrait = warm_unet(own, pocket, config), warm_unet(own, pocket, config, portrait=2.0)
    assert torch.equal(noisy["conv_in.weight"], pocket["conv_in.weight"][:, :4])
    assert torch.equal(portrait["conv_in.weight"], 2 * pocket["conv_in.weight"][:, 4:])
    kept = [key for key in own if torch.equal(noisy[key], own[key]) and own[key].any()]
    assert kept and all(key.startswith("time_embedding") for key in kept if not key.endswith("norm.weight"))

"""The released algorithm in PyTorch: on our own networks it computes the same, and its clip runs the faster way."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.gpu.comparing import difference
from tests.gpu.sizes import SIZES


def test_our_networks_arranged_as_the_released_ones_compute_the_same(monkeypatch):
    torch = pytest.importorskip("torch")
    from export.hunyuanportrait.graphs import black_pose_features
    from tests.gpu import released
    from tests.gpu.conditions import ClipInputs
    from tests.gpu.networks import Networks, architecture_of, graphs_of

    size = SIZES["mini"]
    networks, architecture = Networks(architecture_of(size), "cpu"), architecture_of(size)
    spec = graphs_of(size)["denoiser"].spec
    window = ClipInputs.of(spec, size.sampling, frames=size.clip_frames).window(size.sampling)
    seen = {name: torch.from_numpy(array).float() for name, array in window.items()}
    unet, vae = networks("unet"), networks("vae")
    with torch.no_grad():
        pose = black_pose_features(networks("pose_guider"), (size.px, size.px))
        released.keep_positions(unet, frames=size.frames)
        theirs = released.Released(architecture, unet, vae, pose)
        monkeypatch.setattr(released, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: None)))
        ours = released.Released(architecture, unet, vae, pose)
        assert (theirs.with_diffusers, ours.with_diffusers) == (True, False)
        expected = theirs.velocity(seen, guidance=(2.0, 1.5)).numpy()
        # fp32 through a deep network in another order of summation.
        assert difference("denoiser", ours.velocity(seen, guidance=(2.0, 1.5)).numpy(), expected).relative_l2 < 1e-4
        batched = ours.velocity(seen, guidance=(2.0, 1.5), batched=True).numpy()
        assert difference("denoiser", batched, expected).relative_l2 < 1e-4
        latents = seen["latents"][:2] / 700
        frames = ours.decode(latents).numpy()
        assert difference("denoiser", frames, theirs.decode(latents).numpy()).relative_l2 < 1e-4


@pytest.mark.parametrize(
    ("one_by_one_s", "at_once_s", "batched"), [(0.5, 0.4, True), (0.4, 0.5, False), (0.4, None, False)]
)
def test_the_released_clip_runs_in_the_faster_arrangement(
    tmp_path, lines, monkeypatch, one_by_one_s, at_once_s, batched
):
    torch = pytest.importorskip("torch")
    from tests.gpu import part_torch
    from tests.gpu.stopwatch import Times

    seen = []

    def velocity(window, *, guidance, batched):
        seen.append(batched)
        return torch.zeros(1)

    part = part_torch.TorchPart(lines, SIZES["mini"], "cpu", tmp_path, (), compiled=False)
    part.made = {"seen": {}, "released": SimpleNamespace(velocity=velocity, decode=None, kind="")}
    part.row_flops = lambda released: 1
    seconds = {False: one_by_one_s, True: at_once_s}
    monkeypatch.setattr(
        part_torch, "measure", lambda call, *_, **__: Times(seconds=(seconds[call.keywords["batched"]],))
    )
    part.released_step()
    if at_once_s is not None:  # else its line had no memory, or no time
        part.released_step(batched=True)
    step, _ = part.clip_calls("released")
    step(*4 * [torch.zeros(1)])
    assert seen[-1] is batched

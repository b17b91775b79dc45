"""What is watched of the literal program, against attention whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.hallo2.looking.attention import FROM_MOOD, FROM_MOTION, FROM_PORTRAIT, READ, Watched, watching
from export.hallo2.reference.chain import Options, run_chain
from export.hallo2.reference.raced import configs_of
from export.hallo2.reference.weights import load_networks
from export.hallo2.weights import open_source
from tests.export.hallo2.tiny import TINY_MOODS, TINY_TALK

STEPS, CLIPS = 2, 2


@pytest.fixture(scope="module", params=[TINY_TALK, TINY_MOODS], ids=lambda preset: preset.name)
def chain(request):
    """Networks of seconds, and what a chain of them is given."""
    preset = request.param
    architecture = preset.architecture
    networks = load_networks(configs_of(architecture), open_source(architecture, None, preset=preset.name).state)
    side, frames = preset.size, preset.frames
    torch.manual_seed(0)
    levels = len(networks.config.channels)
    masks = [torch.ones((side // 8 >> level) ** 2) for level in range(levels)]
    speech = architecture.audioproj
    options = Options(
        frames_per_clip=frames,
        motion_frames=preset.motion_frames,
        num_inference_steps=STEPS,
        bank_dtype="float32",
        size=side,
    )

    def run(watched: Watched):
        with torch.no_grad(), watching(networks, watched):
            return run_chain(
                networks,
                options,
                source_picture=torch.rand(3, side, side) * 2 - 1,
                face_region=torch.ones(3, side, side),
                embedding=torch.zeros(512),
                audio_features=torch.randn(CLIPS * frames, speech.layers, speech.channels),
                masks=dict.fromkeys(("full", "face", "lip"), masks),
                noise=torch.randn(CLIPS, 4, frames, side // 8, side // 8),
                fields=torch.rand(CLIPS, side, side),
            )

    return networks, preset, run


def test_every_level_is_seen_in_the_last_clip_alone_and_shares_are_shares(chain):
    networks, preset, run = chain
    watched = Watched(clips=CLIPS, steps=STEPS, motion_frames=preset.motion_frames, frames=preset.frames)
    run(watched)
    assert watched.calls == STEPS * CLIPS
    for level, sums in watched.levels.items():
        places = sum(place.bank == level for place in networks.config.places)
        assert sums.read.count == sums.reading.count == places * STEPS and sums.motion.count == 2 * places * STEPS
    maps = watched.maps()
    moods = {FROM_MOOD} if networks.config.moods else set()
    assert {one.what for one in maps} == {READ, FROM_PORTRAIT, FROM_MOTION, *moods}
    assert {one.even for one in maps if one.what == FROM_MOOD} <= {1 / 3}, "two tokens of the face, and the mood's"
    for one in maps:
        side = preset.size // 8 >> one.level
        assert one.values.shape == (side, side)
        if one.what == READ:
            assert one.values.mean() == pytest.approx(1, abs=1e-4) and one.values.min() >= 0
        else:
            assert one.values.min() >= 0 and one.values.max() <= 1


def test_a_net_whose_queries_are_zeros_attends_to_everything_alike(chain):
    networks, preset, run = chain
    kept = {}
    for name, parameter in networks.denoising_unet.named_parameters():
        if name.endswith("to_q.weight"):
            kept[name] = parameter.clone()
            parameter.zero_()
    watched = Watched(clips=CLIPS, steps=STEPS, motion_frames=preset.motion_frames, frames=preset.frames)
    try:
        run(watched)
    finally:
        for name, value in kept.items():
            networks.denoising_unet.get_parameter(name).copy_(value)
    for one in watched.maps():
        np.testing.assert_allclose(one.values, one.even, rtol=1e-4)


def test_watching_changes_nothing_and_leaves_nothing_behind(chain):
    networks, preset, run = chain
    hooks = [len(module._forward_pre_hooks) for module in networks.denoising_unet.modules()]
    run(Watched(clips=CLIPS, steps=STEPS, motion_frames=preset.motion_frames, frames=preset.frames))
    assert hooks == [len(module._forward_pre_hooks) for module in networks.denoising_unet.modules()]

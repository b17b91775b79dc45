"""Our UNets against the released ones on configurations of their own: every rewriting of the forward pass is exact.

In float64, where other orders of summation are no matter.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from engines.errors import CheckpointError
from export.hallo2.denoiser_graphs import BankKV, Denoiser, ReferenceBanks
from export.hallo2.networks.config import UNetConfig
from export.hallo2.networks.denoising_unet import DenoisingUNet
from export.hallo2.networks.reference_unet import ReferenceUNet
from export.hallo2.reference import unets as released
from export.weights.random import load_random, position_table
from tests.export.hallo2.case_unets import NETS, on_meta, rows_of
from tests.golden_cases import HALLO2_MANIFESTS

TOLERANCE = 1e-11  # 3e-14 was seen, at outputs of about 1

CONFIGS = {
    "two levels, one head": UNetConfig(
        channels=(32, 64), heads=1, layers_per_block=1, image_token_dim=24, audio_token_dim=20, groups=8, motion_heads=4
    ),
    "two levels, three moods": UNetConfig(
        channels=(32, 32), heads=2, layers_per_block=1, image_token_dim=16, audio_token_dim=12, groups=8, moods=3
    ),
    "three levels, uneven": UNetConfig(
        channels=(64, 32, 96), heads=4, image_token_dim=16, audio_token_dim=12, groups=16, motion_heads=2
    ),
}
SIZES = [(1, 1, (4, 4)), (3, 2, (4, 8)), (4, 3, (4, 4))]  # F, m, cells of latents


@dataclass(frozen=True, kw_only=True)
class Given:
    """A clip's conditions, as the released net has them."""

    latents: Tensor  # (F, 4, h, w)
    image_tokens: Tensor  # (2, n, D)
    audio_tokens: Tensor  # (F, k, Da)
    face_features: Tensor  # (C_0, h, w)
    masks: list[Tensor]  # (3, L_i)
    motion_scale: Tensor
    mood: Tensor  # (1, moods)
    banks: dict[str, Tensor]  # place -> (2(1+m), L, C)
    motion_frames: int

    @classmethod
    def random(cls, config: UNetConfig, frames: int, motion_frames: int, cells: tuple[int, int]) -> Given:
        generator = torch.Generator().manual_seed(frames)

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator, dtype=torch.float64)

        def of_bank(bank: int) -> int:
            return config.cells(cells, bank)

        return cls(
            latents=normal(frames, 4, *cells),
            image_tokens=normal(2, 3, config.image_token_dim),
            audio_tokens=normal(frames, 5, config.audio_token_dim),
            face_features=normal(config.channels[0], *cells),
            masks=[normal(3, of_bank(bank)).abs() for bank in range(config.top + 1)],
            motion_scale=normal(3),
            mood=normal(1, config.moods),
            banks={p.name: normal(2 * (1 + motion_frames), of_bank(p.bank), p.channels) for p in config.places},
            motion_frames=motion_frames,
        )

    def stacked(self, config: UNetConfig, rows: list[int]) -> list[Tensor]:
        return [torch.stack([self.banks[p.name][rows] for p in places]) for places in config.banks]

    def inputs(self, config: UNetConfig, unet: nn.Module, emb: Tensor, *, both: bool = True) -> list[Tensor]:
        """As `talk_denoiser` takes them, but for the weights of the halves."""
        portraits, motion = rows_of(self.motion_frames)
        assert isinstance(unet, DenoisingUNet)
        return [
            self.latents,
            emb,
            self.image_tokens,
            self.audio_tokens,
            self.face_features,
            *self.masks,
            *BankKV(unet)(*self.stacked(config, portraits)),
            *self.stacked(config, motion if both else motion[self.motion_frames :]),
            self.motion_scale,
            *([self.mood] if config.moods else []),
        ]


def both_nets(config: UNetConfig) -> tuple[DenoisingUNet, released.DenoisingUNet]:
    ours = load_random(DenoisingUNet(config)).double()
    theirs = released.DenoisingUNet(config)
    theirs.load_state_dict(ours.state_dict(), strict=True)  # the keys are the published ones
    theirs.time_proj.register_forward_hook(lambda _module, _inputs, output: output.double())
    assert isinstance(ours, DenoisingUNet)
    return ours, theirs.double().eval()


def released_v(theirs: released.DenoisingUNet, given: Given) -> tuple[Tensor, Tensor]:
    """v of both halves, (2, F, 4, h, w), and the time embedding (1, E) it was made with."""
    latents = given.latents.transpose(0, 1).expand(2, -1, -1, -1, -1)
    frames, timestep = given.latents.shape[0], torch.tensor(321.0)
    tokens = given.image_tokens
    if given.mood.numel():
        tokens = theirs.with_mood(tokens, given.mood[0].tolist())
    conditions = released.Conditions(
        image_tokens=tokens,
        audio_tokens=torch.stack([torch.zeros_like(given.audio_tokens), given.audio_tokens]),
        masks={name: [mask[j] for mask in given.masks] for j, name in enumerate(released.MASKS)},
        motion_scale=given.motion_scale.tolist(),
        banks=given.banks,
    )
    face = torch.stack([torch.zeros_like(given.face_features), given.face_features])
    v = theirs(latents, timestep, face[:, :, None].expand(-1, -1, frames, -1, -1), conditions)
    return v.transpose(1, 2), theirs.time_embedding(theirs.time_proj(timestep[None]))


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_the_denoiser_is_the_released_one(name):
    config = CONFIGS[name]
    ours, theirs = both_nets(config)
    weights = torch.tensor([-2.5, 3.5], dtype=torch.float64)
    for frames, motion_frames, cells in SIZES:
        given = Given.random(config, frames, motion_frames, cells)
        halves, emb = released_v(theirs, given)
        expected = weights[0] * halves[0] + weights[1] * halves[1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tensor, "float", lambda tensor: tensor)  # v is added up in float32, which rounds
            for net in (ours, ours.folded()):
                v = Denoiser(net, both=True)(*given.inputs(config, ours, emb), weights)
                assert (v - expected).abs().max() < TOLERANCE
                alone = Denoiser(net, both=False)(*given.inputs(config, ours, emb, both=False))
                assert (alone - halves[1]).abs().max() < TOLERANCE


@torch.no_grad()
def test_the_unconditional_half_sees_no_mood_and_one_that_is_dropped_is_a_token_of_zeros():
    config = CONFIGS["two levels, three moods"]
    ours, _ = both_nets(config)
    given = Given.random(config, 3, 2, (4, 8))
    emb = torch.ones(1, config.embedding_dim, dtype=torch.float64)

    def half(which: int, mood: list[float]) -> Tensor:
        told = replace(given, mood=torch.tensor([mood], dtype=torch.float64))
        weights = torch.eye(2, dtype=torch.float64)[which]
        return Denoiser(ours, both=True)(*told.inputs(config, ours, emb), weights)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "float", lambda tensor: tensor)
        for mood in ([1.0, 0, 0], [0, 0.5, 0.5], [0.0, 0, 0]):
            assert torch.equal(half(0, mood), half(0, [0, 0, 1.0]))
            assert (half(1, mood) - half(1, [0, 0, 1.0])).abs().max() > 1e-3
        dropped = half(1, [0.0, 0, 0])
        ours.mood_tokens.zero_()
        assert torch.equal(half(1, [0, 1.0, 0]), dropped)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_the_reference_net_is_the_released_one_whichever_rows_are_asked_for(name):
    config, cells = CONFIGS[name], (4, 8)
    ours = load_random(ReferenceUNet(config)).double()
    theirs = released.build_reference_unet(config)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for motion_frames in (1, 2):
        given = Given.random(config, 2 * (1 + motion_frames), motion_frames, cells)
        banks = released.reference_banks(theirs.double().eval(), config, given.latents, given.image_tokens)
        expected = [torch.stack([banks[p.name] for p in places]) for places in config.banks]
        tokens = given.image_tokens[torch.arange(len(given.latents)) % 2]
        portraits, motion = rows_of(motion_frames)
        for net, rows in itertools.product((ours, ours.folded()), (portraits, motion, [0, *motion, *portraits[1:]])):
            made = ReferenceBanks(net)(given.latents[rows], tokens[rows])
            for bank, whole in zip(made, expected, strict=True):
                assert (bank - whole[:, rows]).abs().max() < TOLERANCE


@torch.no_grad()
def test_the_conditional_half_alone_reads_nothing_of_the_other():
    config = CONFIGS["two levels, one head"]
    unet = load_random(DenoisingUNet(config)).double()
    given = Given.random(config, 3, 2, (4, 4))
    inputs = given.inputs(config, unet, torch.ones(1, config.embedding_dim, dtype=torch.float64), both=False)
    alone = Denoiser(unet, both=False)
    v = alone(*inputs)
    inputs[2] = torch.cat([torch.full_like(inputs[2][:1], torch.nan), inputs[2][1:]])
    assert torch.equal(alone(*inputs), v)


@pytest.mark.parametrize("name", NETS)
def test_keys_and_shapes_are_the_published_ones(name):
    state = on_meta(NETS[name]).state_dict()
    published = json.loads((HALLO2_MANIFESTS / f"{name}.json").read_text())["shapes"]
    assert {key: list(tensor.shape) for key, tensor in state.items()} == published


@torch.no_grad()
def test_what_never_runs_is_let_go_of_and_changes_nothing():
    config = CONFIGS["three levels, uneven"]
    unet = load_random(DenoisingUNet(config))
    given = Given.random(config, 2, 1, (4, 4))
    weights = torch.tensor([1.0, 1.0])
    inputs = [t.float() for t in given.inputs(config, unet.double(), torch.ones(1, config.embedding_dim).double())]
    before = Denoiser(unet.float(), both=True)(*inputs, weights)
    keys = unet.state_dict().keys()

    assert unet.drop_dead() is unet
    gone = keys - unet.state_dict().keys()
    dead = {key for key in keys if key.startswith(("down_blocks.2.motion_modules", "up_blocks.0.motion_modules"))}
    assert gone == dead | {key for key in keys if key.endswith(".pe")}
    assert len({key.split(".temporal")[0] for key in dead}) == 5
    unet.drop_dead()  # a second time there is nothing to do
    assert torch.equal(Denoiser(unet, both=True)(*inputs, weights), before)


PE = "mid_block.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.pos_encoder.pe"
DEAD_PE = PE.replace("mid_block", "up_blocks.0")


def with_table(key: str, table: Tensor) -> DenoisingUNet:
    unet = load_random(DenoisingUNet(CONFIGS["two levels, one head"]))
    unet.load_state_dict({**unet.state_dict(), key: table})
    assert isinstance(unet, DenoisingUNet)
    return unet


def test_a_table_stored_in_half_precision_is_the_formula():
    exact = torch.from_numpy(position_table((1, 32, 64)))
    unet = with_table(PE, exact.half().float()).drop_dead()
    assert torch.equal(unet.get_submodule(PE.removesuffix(".pe")).pe, exact)


@pytest.mark.parametrize("key", [PE, DEAD_PE])
def test_another_table_is_refused_by_its_key(key):
    table = torch.from_numpy(position_table((1, 32, 64))).roll(1, dims=1)
    with pytest.raises(CheckpointError, match=f"{key} is off the sinusoids of its positions by .*another model"):
        with_table(key, table).drop_dead()
    with pytest.raises(CheckpointError, match="by nan"):
        with_table(key, torch.full((1, 32, 64), torch.nan)).drop_dead()

"""Presets so small that all their graphs are exported in seconds; every part of the published model is in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from export import models
from export.blocks import VAEConfig
from export.hunyuanportrait import presets
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.networks.tiny_decoder import TinyDecoderConfig
from export.hunyuanportrait.networks.unet import UNetConfig
from export.hunyuanportrait.presets import Preset

TINY = Preset(
    name="tiny",
    architecture=Architecture(
        appearance={
            "image_hw": (28, 28),
            "img_size": 42,
            "patch_size": 14,
            "embed_dim": 32,
            "depth": 2,
            "num_heads": 2,
            "mlp_ratio": 2,
            "init_values": 1.0,
            "register_tokens": 1,
            "adapter_layers": (1,),
            "adapter_dim": 32,
            "id_dim": 512,
            "adapter_attention_dim": 16,
            "adapter_attention_heads": 2,
            "adapter_scale": 0.2,
        },
        image_proj={"num_tokens": 6, "num_queries": 3},
        expression={"out_dim": 16, "blocks": (1, 1, 1, 1), "norm_groups": 1, "width": 8},
        head_pose={"out_dim": 6, "blocks": (1, 1, 1, 1), "norm_groups": 4, "width": 8},
        motion_refiner={
            "input_dim": 16,
            "output_dim": 26,
            "num_queries": 4,
            "intensity_embed_dim": 16,
            "width": 16,
            "layers": 1,
            "heads": 2,
        },
        pose_guider={"out_channels": 32, "block_out_channels": (8, 16)},
        unet=UNetConfig(
            block_out_channels=(32, 64),
            num_attention_heads=(1, 2),
            layers_per_block=(1, 1),
            transformer_layers_per_block=(1, 1),
            cross_attention_dim=32,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
            down_attention=(True, False),
            up_attention=(False, True),
        ),
        vae=VAEConfig(block_out_channels=(32, 32)),
        tiny_decoder=TinyDecoderConfig(channels=(8,), blocks=1),
    ),
    size=16,
    frames=3,
    motion_px=32,
)


# Latents an eighth of the picture, as the runtime knows them.
SMALL = replace(
    TINY,
    name="small",
    architecture=replace(
        TINY.architecture,
        pose_guider={"out_channels": 32, "block_out_channels": (8, 8, 16, 16)},
        vae=VAEConfig(block_out_channels=(32, 32, 32, 32)),
    ),
    size=64,
)


def make_known(patch: pytest.MonkeyPatch, *more: Preset) -> None:
    """Until `patch` is undone, builds take these presets by name."""
    for preset in more:
        patch.setitem(presets.PRESETS, preset.name, preset)
        patch.setitem(models.MODELS, preset.name, models.MODELS["pocket"])

"""The two models we build bundles for.

`hunyuanportrait` is the published one. `pocket` is the same networks with the same state-dict keys, as narrow as two
things ask for: its weights are to come with the package, 16 MB in half precision at most, and two CPU cores have to
train it. Depth is as published: every level, layer, adapter, and 64 image and 64 motion tokens. Widths are not:
tokens are as wide as the finest level, not three times as wide, every attention has one head, 64 or 32 wide, and
group norms have fewer groups. In half precision all but the appearance network's still have fused kernels
(`export/plans/attention.py`). What both are used at is in `runtime/hunyuanportrait/presets.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from export.blocks import VAEConfig
from export.hunyuanportrait.architecture import Architecture
from export.hunyuanportrait.networks.tiny_decoder import TinyDecoderConfig
from export.hunyuanportrait.networks.unet import UNetConfig
from runtime.hunyuanportrait import presets as facts


@dataclass(frozen=True, kw_only=True)
class Preset:
    """An architecture with the sizes and the sampling it is used at."""

    name: str
    architecture: Architecture
    size: int  # pixels along a side of the crop and of the result
    frames: int  # F, the denoiser's window
    motion_px: int  # side of the face and pose images
    sampling: Mapping[str, Any] = field(default_factory=dict)  # where it differs from the released defaults


HUNYUANPORTRAIT = Preset(
    name="hunyuanportrait",
    architecture=Architecture(
        appearance={
            "image_hw": (224, 224),
            "img_size": 526,
            "patch_size": 14,
            "embed_dim": 1024,
            "depth": 24,
            "num_heads": 16,
            "mlp_ratio": 4,
            "init_values": 1.0,
            "register_tokens": 4,
            "adapter_layers": (3, 7, 11, 15, 19, 23),
            "adapter_dim": 384,
            "id_dim": 512,
            "adapter_attention_dim": 256,
            "adapter_attention_heads": 8,
            "adapter_scale": 0.2,
        },
        image_proj={"num_tokens": 261, "num_queries": 64},
        expression={"out_dim": 512, "blocks": (3, 4, 6, 3), "norm_groups": 1},
        head_pose={"out_dim": 6, "blocks": (2, 2, 2, 2), "norm_groups": 32},
        motion_refiner={
            "input_dim": 512,
            "output_dim": 1018,
            "num_queries": 64,
            "intensity_embed_dim": 768,
            "width": 768,
            "layers": 6,
            "heads": 8,
        },
        pose_guider={"out_channels": 320, "block_out_channels": (16, 32, 96, 256)},
        unet=UNetConfig(),
        vae=VAEConfig(),
        tiny_decoder=TinyDecoderConfig(),
    ),
    motion_px=256,
    size=facts.PRESETS["hunyuanportrait"].size,
    frames=facts.PRESETS["hunyuanportrait"].window,
    sampling=facts.PRESETS["hunyuanportrait"].sampling,
)

POCKET = Preset(
    name="pocket",
    architecture=Architecture(
        appearance={
            **HUNYUANPORTRAIT.architecture.appearance,
            "embed_dim": 64,
            "num_heads": 1,
            "mlp_ratio": 2,
            "adapter_dim": 32,
            "adapter_attention_dim": 64,
            "adapter_attention_heads": 1,
        },
        image_proj={"num_tokens": 261, "num_queries": 64},
        expression={"out_dim": 32, "blocks": (3, 4, 6, 3), "norm_groups": 1, "width": 8},
        head_pose={"out_dim": 6, "blocks": (2, 2, 2, 2), "norm_groups": 8, "width": 8},
        motion_refiner={
            "input_dim": 32,
            "output_dim": 58,
            "num_queries": 64,
            "intensity_embed_dim": 64,
            "width": 64,
            "layers": 6,
            "heads": 1,
        },
        pose_guider={"out_channels": 64, "block_out_channels": (16, 16, 32, 64)},
        unet=UNetConfig(
            in_channels=32,
            out_channels=16,
            block_out_channels=(64, 32, 32, 32),
            num_attention_heads=(1, 1, 1, 1),
            cross_attention_dim=64,
            addition_time_embed_dim=32,
            projection_class_embeddings_input_dim=96,
            norm_groups=8,
        ),
        vae=VAEConfig(latent_channels=16, block_out_channels=(32, 32, 32, 64), norm_groups=4),
        tiny_decoder=TinyDecoderConfig(latent_channels=16, channels=(16, 32, 64), blocks=1),
        live_layers=(1, 1, 1, 1),
    ),
    motion_px=96,
    size=facts.PRESETS["pocket"].size,
    frames=facts.PRESETS["pocket"].window,
    sampling=facts.PRESETS["pocket"].sampling,
)

PRESETS: Mapping[str, Preset] = {p.name: p for p in (HUNYUANPORTRAIT, POCKET)}

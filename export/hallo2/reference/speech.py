"""The speech encoder as released: transformers' wav2vec 2.0, stretched to the video's frames before its projection.

Source: SPEC 5, 7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from export.hallo2.networks.config import SpeechConfig

# The position convolution is stored as older versions of torch spell its weight norm; a newer one makes other names.
SPELLINGS = {
    "encoder.pos_conv_embed.conv.parametrizations.weight.original0": "encoder.pos_conv_embed.conv.weight_g",
    "encoder.pos_conv_embed.conv.parametrizations.weight.original1": "encoder.pos_conv_embed.conv.weight_v",
}


class SpeechEncoder(Wav2Vec2Model):
    """Features of every layer for every frame of the video."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__(
            Wav2Vec2Config(
                hidden_size=config.hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.mlp,
                conv_dim=(config.conv_dim,) * 7,
                num_conv_pos_embeddings=config.pos_kernel,
                num_conv_pos_embedding_groups=config.pos_groups,
            )
        )
        self.register_state_dict_post_hook(_spell_as_published)
        self.register_load_state_dict_pre_hook(_spell_as_torch)

    def conv_features(self, normalised: torch.Tensor, frames: int) -> torch.Tensor:
        """(samples) -> (frames, conv_dim), stretched to the frames with both end points kept."""
        features = self.feature_extractor(normalised[None])
        return F.interpolate(features, size=frames, mode="linear", align_corners=True)[0].T

    def forward(self, normalised: torch.Tensor, frames: int) -> torch.Tensor:
        """(samples) normalised at 16 kHz -> (frames, layers, hidden): the outputs of the layers, not their input."""
        hidden, _ = self.feature_projection(self.conv_features(normalised, frames)[None])
        outputs: list[torch.Tensor] = []
        hooks = [
            layer.register_forward_hook(lambda _m, _i, output: outputs.append(output)) for layer in self.encoder.layers
        ]
        try:
            self.encoder(hidden)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack(outputs, dim=2)[0]


def normalise(wave: np.ndarray) -> np.ndarray:
    """(samples) float32 -> zero mean and unit variance over the whole piece, as transformers' extractor does it."""
    return Wav2Vec2FeatureExtractor()(wave, sampling_rate=16000).input_values[0]


def encode_piece(
    encoder: SpeechEncoder, wave: np.ndarray, *, frames: int, padding_frames: int, padding_samples: int
) -> torch.Tensor:
    """One piece of the track: (samples) float32 in [-1, 1] -> (frames + padding_frames, layers, hidden)."""
    padded = np.pad(normalise(wave), (0, padding_samples))
    return encoder(torch.from_numpy(padded), frames + padding_frames)


def _spell_as_published(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    for new, old in SPELLINGS.items():
        if prefix + new in state:
            state[prefix + old] = state.pop(prefix + new)


def _spell_as_torch(module: nn.Module, state: dict[str, Any], prefix: str, *_unused: Any) -> None:
    for new, old in SPELLINGS.items():
        if prefix + old in state:
            state[prefix + new] = state.pop(prefix + old)

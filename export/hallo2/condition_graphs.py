"""The graphs of what a video is conditioned on, and of the way between pictures and latents.

All of them take and give float32, but for the tokens and the decoder, which live in the bundle's precision. Letters: F
frames of a clip, m motion frames, n image tokens and D their width, k audio tokens a frame and Da their width, C0 the
UNets' finest width; H, W pixels and h, w latent cells.

Source: SPEC 1, 5 and 7.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from export.graphs.autoencoder import VaeDecoder, VaeEncoder
from export.graphs.graph import Graph, spec, tensor
from export.graphs.pixels import WithPixels, decoder_outputs
from export.hallo2.architecture import Architecture
from export.hallo2.networks.face_locator import FaceLocator
from export.hallo2.networks.projections import AudioProjection, ImageProjection
from export.hallo2.networks.speech_encoder import SpeechEncoder, positions
from runtime.hallo2.presets import FPS, PIECE_S, SAMPLE_RATE

LEAST_SAMPLES = 400  # one position behind the convolutions
MOST_SAMPLES = 1_100_000  # a piece, and room for what a clip is padded with behind it
MOST_PIECE_FRAMES = 1600
MOST_WINDOWS = 64  # of audio tokens at a time
DECODE_CHUNK = 8  # frames decoded at a time, at most


class SpeechFeatures(nn.Module):
    """The speech encoder with the weight of its position convolution folded."""

    def __init__(self, encoder: SpeechEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        with torch.no_grad():
            self.register_buffer("position_weight", encoder.encoder.pos_conv_embed.conv.weight())

    def forward(self, wave: Tensor, left: Tensor, fraction: Tensor) -> Tensor:
        return self.encoder(wave, left, fraction, self.position_weight)


class AudioTokens(nn.Module):
    """Windows of speech features ("frames", window, layers, channels) -> tokens ("frames", k, Da)."""

    def __init__(self, projection: AudioProjection, token_dtype: torch.dtype) -> None:
        super().__init__()
        self.projection, self.token_dtype = projection, token_dtype

    def forward(self, windows: Tensor) -> Tensor:
        return self.projection(windows).to(self.token_dtype)


class Identity(nn.Module):
    """Who it is, and where the face is. Row 0 of the image tokens is the unconditional one: the projection of zeros,
    which is not zero (SPEC 0.4)."""

    def __init__(self, projection: ImageProjection, locator: FaceLocator, token_dtype: torch.dtype) -> None:
        super().__init__()
        self.projection, self.locator, self.token_dtype = projection, locator, token_dtype

    def forward(self, embedding: Tensor, face_region: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.projection(torch.cat([torch.zeros_like(embedding), embedding]))
        return tokens.to(self.token_dtype), self.locator(face_region)[0]


def condition_graphs(
    architecture: Architecture,
    *,
    pixels: tuple[int, int],
    latent: tuple[int, int],
    frames: int,
    motion_frames: int,
    half: bool,
) -> dict[str, Graph]:
    """The speech encoder, audio tokens, identity, encoder and decoder; all but the decoder compute in float32.

    `pixels`: (H, W); `latent`: (h, w). `frames`: F; `motion_frames`: m. `half`: whether tokens are in half precision.
    """
    speech, audio, face = architecture.speech_encoder, architecture.audioproj, architecture.imageproj
    channels = architecture.vae.latent_channels
    token, token_dtype = ("float16", torch.float16) if half else ("float32", torch.float32)
    samples, chunk = SAMPLE_RATE * PIECE_S, max(min(DECODE_CHUNK, frames), 2)
    graphs = (
        Graph(
            spec=spec(
                "speech_encoder",
                [tensor("wave", "samples"), tensor("left", "frames", dtype="int64"), tensor("fraction", "frames")],
                [tensor("features", "frames", speech.layers, speech.hidden)],
                unit="frames",
                samples=(LEAST_SAMPLES, samples, MOST_SAMPLES),
                frames=(1, FPS * PIECE_S, MOST_PIECE_FRAMES),
            ),
            networks=("speech_encoder",),
            make=lambda networks: SpeechFeatures(networks("speech_encoder")),
            # It is tried on a usual wave, whatever the number of frames that are read from it.
            ranges_of_input={"left": (0, positions(samples)), "fraction": (0, 1)},
            uneven=("frames",),
            tied=("samples",),
        ),
        Graph(
            spec=spec(
                "audio_tokens",
                [tensor("windows", "frames", audio.window, audio.layers, audio.channels)],
                [tensor("tokens", "frames", audio.tokens, audio.width, dtype=token)],
                unit="frames",
                frames=(1, min(frames, MOST_WINDOWS), MOST_WINDOWS),
            ),
            networks=("audioproj",),
            make=lambda networks: AudioTokens(networks("audioproj"), token_dtype),
        ),
        Graph(
            spec=spec(
                "talk_identity",
                [tensor("embedding", 1, face.embedding), tensor("face_region", 1, 3, *pixels)],
                [
                    tensor("image_tokens", 2, face.tokens, face.width, dtype=token),
                    tensor("face_features", architecture.face_locator.out_channels, *latent),
                ],
            ),
            networks=("imageproj", "face_locator"),
            make=lambda networks: Identity(networks("imageproj"), networks("face_locator"), token_dtype),
            ranges_of_input={"face_region": (0, 1)},
        ),
        Graph(
            spec=spec(
                "talk_vae_encoder",
                [tensor("pictures", "pictures", 3, *pixels)],
                [tensor("mean", "pictures", channels, *latent)],
                unit="pictures",
                pictures=(1, 2, max(1 + motion_frames, 2)),
            ),
            networks=("vae",),
            make=lambda networks: VaeEncoder(networks("vae")),
            ranges_of_input={"pictures": (-1, 1)},
        ),
        Graph(
            spec=spec(
                "talk_vae_decoder",
                [tensor("latents", "chunk", channels, *latent)],
                decoder_outputs(pixels),
                unit="chunk",
                lane="decode",
                repeated=True,
                chunk=(1, chunk, chunk),
            ),
            networks=("vae",),
            make=lambda networks: WithPixels(VaeDecoder(networks("vae"))),
        ),
    )
    return {graph.name: graph for graph in graphs}

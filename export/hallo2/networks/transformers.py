"""The three transformers of a layer with attention, cut for the graph: in space, with the audio, along time.

Keys and shapes are the published ones. All three take and give cells plane by plane, (N, C, L), as group norms want
them, and work on tokens (N, L, C) in between; frames travel folded into the batch, N = R*F. Against the released
forward pass these steps are rewritten, each exactly (SPEC 10):

- The unconditional half asks itself alone; the conditional one has the reference's keys and values given.
- Image tokens are the same for all frames of a half: K and V once a half, which the cells of all its frames ask.
- Without audio an attention gives the bias of its output. So the unconditional half gets a constant of the video, which
  the conditional half has in its sum as well: Z(M (A W + b)) = M A (W Z) + M (b Z).
- The three attentions to the audio are one of three times as many heads, and what follows them is one product.
- In a motion module the last queries, the feed-forward and the last projection of the motion frames are left out.

Letters: R halves (unconditional, conditional), or the conditional one alone; F frames of the clip, m motion frames,
L = h*w cells, C channels, W channels inside an audio transformer, k audio tokens a frame, n image tokens.
Source: SPEC 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import FeedForward
from export.weights.random import position_table

MOTION_GROUPS = 32  # of a motion module's group norm, whatever the other norms of its net have (SPEC 4.5)
MASKS = ("full", "face", "lip")  # where the audio moves what: the pose, the face, the lips


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, stored as one, applied to tokens (N, L, C)."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, :, 0, 0], self.bias)


class Projections(nn.Module):
    """The four matrices of an attention; who asks whom stands where it is used."""

    def __init__(self, width: int, context_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def heads_of(self, x: Tensor, context: Tensor, *, asked: int, tokens: int) -> tuple[Tensor, Tensor, Tensor]:
        """q of `x`, k and v of `context`, split: (..., heads, asked or tokens, head width)."""
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        return split(q, asked, self.heads), split(k, tokens, self.heads), split(v, tokens, self.heads)

    def ask(self, x: Tensor, context: Tensor, *, asked: int, tokens: int) -> Tensor:
        """Every row of `asked` cells of `x` asks its `tokens` of `context`. Returns the shape of `x`."""
        attended = F.scaled_dot_product_attention(*self.heads_of(x, context, asked=asked, tokens=tokens))
        return self.to_out[0](merge(attended, x.shape[1]))


def split(x: Tensor, length: int, heads: int) -> Tensor:
    """(N, S, heads*d) to (N*S/length, heads, length, d): rows as long as those who ask need them."""
    width = x.shape[-1] // heads
    if heads == 1:
        return x.reshape(-1, 1, length, width)  # there is nothing to bring to the front
    return x.reshape(-1, length, heads, width).transpose(1, 2)


def merge(x: Tensor, length: int) -> Tensor:
    """The way back: (N, heads, S, d) to (N*S/length, length, heads*d)."""
    _, heads, _, width = x.shape
    return (x if heads == 1 else x.transpose(1, 2)).reshape(-1, length, heads * width)


class SpatialBlock(nn.Module):
    """Cells of a frame ask each other, then the image tokens; feed-forward."""

    def __init__(self, width: int, heads: int, image_token_dim: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Projections(width, width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Projections(width, image_token_dim, heads)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def alone(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cells (N, L, C) ask their own frame: the state after it, and what they were asked as, LN(norm1) x."""
        n1, cells = self.norm1(x), x.shape[1]
        return x + self.attn1.ask(n1, n1, asked=cells, tokens=cells), n1

    def with_reference(self, x: Tensor, reference: Reference, frames: int) -> Tensor:
        """Of x (R*F, L, C) the last F rows, the conditional half, see the reference beside their own frame."""
        n1, cells = self.norm1(x), x.shape[1]
        q, k, v = self.attn1.heads_of(n1, n1, asked=cells, tokens=cells)
        attended = []
        if x.shape[0] > frames:
            (own_q, q), (own_k, k), (own_v, v) = (t.chunk(2) for t in (q, k, v))
            attended.append(F.scaled_dot_product_attention(own_q, own_k, own_v))
        k, v = torch.cat([k, reference.keys], dim=2), torch.cat([v, reference.values], dim=2)
        attended.append(F.scaled_dot_product_attention(q, k, v))
        together = torch.cat(attended) if len(attended) > 1 else attended[0]
        return x + self.attn1.to_out[0](merge(together, cells))

    def rest(self, x: Tensor, image_tokens: Tensor, frames: int) -> Tensor:
        """All that follows: x (R*F, L, C), image tokens (R, n, D)."""
        asked, tokens = frames * x.shape[1], image_tokens.shape[1]
        x = x + self.attn2.ask(self.norm2(x), image_tokens, asked=asked, tokens=tokens)
        return x + self.ff(self.norm3(x))


class Reference(NamedTuple):
    """What the conditional half sees of the reference, for every frame: keys and values (F, heads, L, head width)."""

    keys: Tensor
    values: Tensor


class SpatialTransformer(nn.Module):
    """`attentions.*`, of both nets."""

    def __init__(self, channels: int, heads: int, image_token_dim: int, *, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = Pointwise(channels, channels)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(channels, heads, image_token_dim)])
        self.proj_out = Pointwise(channels, channels)

    def forward(self, x: Tensor, reference: Reference, image_tokens: Tensor, frames: int) -> Tensor:
        """x (R*F, C, L), image tokens (R, n, D). Returns the shape of x."""
        tokens = self.tokens(x)
        tokens = self._block.with_reference(tokens, reference, frames)
        return x + self.proj_out(self._block.rest(tokens, image_tokens, frames)).transpose(1, 2)

    def read(self, x: Tensor, image_tokens: Tensor) -> tuple[Tensor, Tensor]:
        """In the reference net, row by row: x (N, C, L), image tokens (N, n, D). The state, and the bank (N, L, C)."""
        tokens, bank = self._block.alone(self.tokens(x))
        return x + self.proj_out(self._block.rest(tokens, image_tokens, 1)).transpose(1, 2), bank

    def bank(self, x: Tensor) -> Tensor:
        """The bank alone: of the last place nothing else is read."""
        return self._block.norm1(self.tokens(x))

    def tokens(self, x: Tensor) -> Tensor:
        return self.proj_in(self.norm(x).transpose(1, 2))

    @property
    def _block(self) -> Any:  # a SpatialBlock; a ModuleList does not know what it holds
        return self.transformer_blocks[0]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What an audio transformer is given beside the state. `weights` are masks times scales, M_j s_j."""

    tokens: Tensor  # (F, k, Da), of the conditional half
    weights: Tensor  # (3*heads, L, 1), of every cell for every head: those of `full`, of `face`, of `lip`
    shares: Tensor  # (L, 6): of every cell M_j s_j, then s_j

    @classmethod
    def of(cls, tokens: Tensor, masks: Tensor, motion_scale: Tensor, heads: int) -> Sound:
        """`masks` (3, L), `motion_scale` (3): of pose, face and lip."""
        scales = motion_scale[:, None].expand(-1, masks.shape[1])
        scaled = masks * scales
        by_head = scaled[:, None].expand(-1, heads, -1).reshape(3 * heads, -1, 1)
        return cls(tokens=tokens, weights=by_head, shares=torch.cat([scaled, scales]).transpose(0, 1))


class CrossWeights(NamedTuple):
    """Three cross-attentions, and the convolution behind each, as one. Matrices are used from the right, x @ q."""

    q: Tensor  # (W, 3W)
    k: Tensor  # (Da, 3W)
    v: Tensor  # (Da, 3W)
    out: Tensor  # (3W, W): to_out and zero_conv, multiplied
    silent: Tensor  # (6, W): what M_j s_j adds where there is no sound, then what s_j adds


class AudioBlock(nn.Module):
    """Cells of a frame ask each other, then the frame's audio tokens, three times; feed-forward."""

    def __init__(self, width: int, heads: int, audio_token_dim: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Projections(width, width, heads)
        self.norm2 = nn.LayerNorm(width)
        for j, mask in enumerate(MASKS):
            setattr(self, f"attn2_{j}", Projections(width, audio_token_dim, heads))
            setattr(self, f"zero_conv_{mask}", nn.Conv2d(width, width, 1))
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, sound: Sound, frames: int) -> Tensor:
        """x (R*F, L, W)."""
        n1, cells = self.norm1(x), x.shape[1]
        x = x + self.attn1.ask(n1, n1, asked=cells, tokens=cells)
        weights = self.cross_weights()
        silence = sound.shares @ weights.silent
        if x.shape[0] > frames:
            silent, heard = x.chunk(2)
            x = torch.cat([silent, heard + self._heard(heard, sound, weights)]) + silence
        else:
            x = x + self._heard(x, sound, weights) + silence
        return x + self.ff(self.norm3(x))

    def _heard(self, x: Tensor, sound: Sound, weights: CrossWeights) -> Tensor:
        """What the sound adds to that of silence: x (F, L, W), of the conditional half."""
        cells, tokens, heads = x.shape[1], sound.tokens.shape[1], 3 * self.heads
        q = split(self.norm2(x) @ weights.q, cells, heads)
        k, v = (split(sound.tokens @ weight, tokens, heads) for weight in (weights.k, weights.v))
        attended = F.scaled_dot_product_attention(q, k, v) * sound.weights
        return merge(attended, cells) @ weights.out

    def cross_weights(self) -> CrossWeights:
        if hasattr(self, "cross"):
            return self.cross.weights()
        attentions = [getattr(self, f"attn2_{j}") for j in range(len(MASKS))]
        convs = [getattr(self, f"zero_conv_{mask}") for mask in MASKS]
        after = [conv.weight[:, :, 0, 0] for conv in convs]  # (W, W) each
        outs = [attention.to_out[0] for attention in attentions]

        def beside(name: str) -> Tensor:
            return torch.cat([getattr(attention, name).weight for attention in attentions]).transpose(0, 1)

        return CrossWeights(
            q=beside("to_q"),
            k=beside("to_k"),
            v=beside("to_v"),
            out=torch.cat([(z @ out.weight).transpose(0, 1) for z, out in zip(after, outs, strict=True)]),
            silent=torch.stack([z @ out.bias for z, out in zip(after, outs, strict=True)] + [c.bias for c in convs]),
        )

    def fold(self) -> None:
        """Let the weights of the cross-attentions be one of each kind from here on; their keys are gone."""
        self.cross = FoldedCross(self.cross_weights())
        for j, mask in enumerate(MASKS):
            delattr(self, f"attn2_{j}")
            delattr(self, f"zero_conv_{mask}")


class FoldedCross(nn.Module):
    """The weights of an audio block's cross-attentions, multiplied out."""

    def __init__(self, weights: CrossWeights):
        super().__init__()
        for name, tensor in weights._asdict().items():
            setattr(self, name, nn.Parameter(tensor.detach(), requires_grad=False))

    def weights(self) -> CrossWeights:
        return CrossWeights(*(getattr(self, name) for name in CrossWeights._fields))


class AudioTransformer(nn.Module):
    """`audio_modules.*`, as wide inside as its layer's place is at the input (SPEC 4.4)."""

    def __init__(self, channels: int, inner: int, heads: int, audio_token_dim: int, *, groups: int):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = Pointwise(channels, inner)
        self.transformer_blocks = nn.ModuleList([AudioBlock(inner, heads, audio_token_dim)])
        self.proj_out = Pointwise(inner, channels)

    def forward(self, x: Tensor, sound: Sound, frames: int) -> Tensor:
        """x (R*F, C, L). Returns the same shape."""
        tokens = self.proj_in(self.norm(x).transpose(1, 2))
        return x + self.proj_out(self.transformer_blocks[0](tokens, sound, frames)).transpose(1, 2)


class PositionTable(nn.Module):
    """Of every frame's place in its sequence, (1, positions, C): stored by the published files, and known."""

    pe: Tensor

    def __init__(self, width: int, positions: int):
        super().__init__()
        self.register_buffer("pe", torch.tensor(position_table((1, positions, width))))

    def forward(self, frames: int) -> Tensor:
        return self.pe[0, :frames]


class TimeAttention(Projections):
    """Frames of a cell ask each other."""

    def __init__(self, width: int, heads: int, positions: int):
        super().__init__(width, width, heads)
        self.pos_encoder = PositionTable(width, positions)

    def forward(self, x: Tensor, *, left_out: int = 0) -> Tensor:
        """x (R*L, T, C), normalised. The first `left_out` frames are asked and do not ask."""
        frames = x.shape[1]
        x = x + self.pos_encoder(frames)
        asking = x[:, left_out:] if left_out else x
        return self.ask(asking, x, asked=frames - left_out, tokens=frames)


class MotionBlock(nn.Module):
    """Two attentions along time, and a feed-forward."""

    def __init__(self, width: int, heads: int, positions: int):
        super().__init__()
        self.attention_blocks = nn.ModuleList(TimeAttention(width, heads, positions) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ff = FeedForward(width)
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, motion_frames: int) -> Tensor:
        """x (R*L, m+F, C) to (R*L, F, C): of the motion frames the last attention needs keys and values alone."""
        x = x + self.attention_blocks[0](self.norms[0](x))
        seen = self.attention_blocks[1](self.norms[1](x), left_out=motion_frames)
        x = (x[:, motion_frames:] if motion_frames else x) + seen
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    """The wrap of a motion module: its projections are linear, its group norm has 32 groups."""

    def __init__(self, channels: int, heads: int, positions: int):
        super().__init__()
        self.norm = nn.GroupNorm(MOTION_GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([MotionBlock(channels, heads, positions)])
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, motion: Tensor | None, frames: int) -> Tensor:
        """As `MotionModule.forward`."""
        _, channels, cells = x.shape
        clip = x.reshape(-1, frames, channels, cells)
        together = clip if motion is None else torch.cat([motion, clip], dim=1)
        length = together.shape[1]
        normed = self.norm(together.reshape(-1, channels, cells)).reshape(-1, length, channels, cells)
        by_cell = normed.permute(0, 3, 1, 2).reshape(-1, length, channels)
        made = self.proj_out(self.transformer_blocks[0](self.proj_in(by_cell), length - frames))
        made = made.reshape(-1, cells, frames, channels).permute(0, 2, 3, 1).reshape(-1, channels, cells)
        return x + made


class MotionModule(nn.Module):
    """`motion_modules.*`: every cell along time, from the motion frames through the clip."""

    def __init__(self, channels: int, heads: int, positions: int):
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, heads, positions)

    def forward(self, x: Tensor, motion: Tensor | None, frames: int) -> Tensor:
        """x (R*F, C, L); motion (R, m, C, L), or None for a clip that nothing goes before. Returns the shape of x."""
        return self.temporal_transformer(x, motion, frames)

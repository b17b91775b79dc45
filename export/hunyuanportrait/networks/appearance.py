"""Appearance extractor: DINOv2 with registers and identity adapters, and the projection of its tokens.

Two forms of one network. `Appearance` is the published one, key for key, and the reference.
`FoldedAppearance` is made from it for export: it holds what the theorem below leaves over.

An adapter's queries are convolutions of the image, but key and value come from ONE identity
token. A softmax over one key is 1, so the attention returns that token's value whatever the
query is: one vector c(id) a block, for every patch. The convolutions are dead weights.

    prefix tokens:  D_fc2(2 relu(D_fc1 n))          patches:  D_fc2(relu(D_fc1 n) + c(id))

Source: SPEC 2.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

RESIZE_OFFSET = 0.1  # upstream adds it to the target grid before it divides: it moves every sample a little


def resize_positions(positions: torch.Tensor, grid_hw: tuple[int, int]) -> torch.Tensor:
    """Fit a position table to a patch grid: (1, 1 + g*g, C) -> (1, 1 + h*w, C), class position first.

    Bicubic without antialiasing, and the scale that enters the coordinates is (h + 0.1) / g
    instead of h / g. A grid of the stored size is taken as it is, as DINOv2 does.
    """
    dtype = positions.dtype
    cls_position, patches = positions[:, :1].float(), positions[:, 1:].float()
    side = math.isqrt(patches.shape[1])
    if grid_hw == (side, side):
        return positions
    patches = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = tuple((cells + RESIZE_OFFSET) / side for cells in grid_hw)
    patches = F.interpolate(patches, scale_factor=scale, mode="bicubic", antialias=False)
    assert patches.shape[-2:] == grid_hw, (patches.shape, grid_hw)
    return torch.cat([cls_position, patches.permute(0, 2, 3, 1).flatten(1, 2)], dim=1).to(dtype)


class ImageProjection(nn.Linear):
    """Mixes over the TOKEN axis: out[b, q, c] = sum_t W[q, t] tokens[b, t, c] + bias[q]."""

    def __init__(self, *, num_tokens: int, num_queries: int) -> None:
        super().__init__(num_tokens, num_queries)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, num_tokens, C) -> (B, num_queries, C)."""
        return self.weight @ tokens + self.bias.unsqueeze(1)


class ConvNormRelu(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bn(self.conv(x)))


class IdentityAttention(nn.Module):
    """Image tokens ask, the identity token answers."""

    def __init__(self, dim: int, id_dim: int, attention_dim: int, heads: int) -> None:
        super().__init__()
        self.multihead_attn = nn.MultiheadAttention(attention_dim, heads, batch_first=True)
        self.image_proj = nn.Linear(dim, attention_dim)
        self.id_proj = nn.Linear(id_dim, attention_dim)
        self.back_proj = nn.Linear(attention_dim, dim)

    def forward(self, patches: torch.Tensor, id_embedding: torch.Tensor) -> torch.Tensor:
        identity = self.id_proj(id_embedding).unsqueeze(1)
        answer, _ = self.multihead_attn(self.image_proj(patches), identity, identity, need_weights=False)
        return self.back_proj(answer)


class Adapter(nn.Module):
    """The published adapter (IMAdapter), dead branches included. `prefix` tokens come before the patches."""

    def __init__(
        self,
        dim: int,
        adapter_dim: int,
        id_dim: int,
        attention_dim: int,
        heads: int,
        prefix: int,
        grid_hw: tuple[int, int],
    ) -> None:
        super().__init__()
        self.prefix = prefix
        self.grid_hw = grid_hw
        half, quarter, narrow = adapter_dim // 2, adapter_dim // 4, adapter_dim // 16
        self.branch1 = ConvNormRelu(adapter_dim, half, 1)
        self.branch2 = nn.Sequential(ConvNormRelu(adapter_dim, narrow, 1), ConvNormRelu(narrow, quarter, 3))
        self.branch3 = nn.Sequential(ConvNormRelu(adapter_dim, narrow, 1), ConvNormRelu(narrow, quarter, 5))
        self.D_fc1 = nn.Linear(dim, adapter_dim)
        self.D_fc2 = nn.Linear(adapter_dim, dim)
        self.cross_attn = IdentityAttention(adapter_dim, id_dim, attention_dim, heads)

    def forward(self, tokens: torch.Tensor, id_embedding: torch.Tensor) -> torch.Tensor:
        """(B, prefix + h*w, dim) normalised tokens, (B, id_dim) -> same shape as the tokens."""
        x = F.relu(self.D_fc1(tokens))
        prefix, patches = x[:, : self.prefix], x[:, self.prefix :]
        grid = patches.transpose(1, 2).unflatten(2, self.grid_hw)
        grid = torch.cat([self.branch1(grid), self.branch2(grid), self.branch3(grid)], dim=1)
        answer = self.cross_attn(grid.flatten(2).transpose(1, 2), id_embedding)
        return self.D_fc2(torch.cat([prefix, answer], dim=1) + x)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    def __init__(self, dim: int, init_values: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init_values)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gamma


class Block(nn.Module):
    """A pre-norm transformer block; an adapter, where there is one, works beside the feed-forward."""

    adapter: nn.Module | None

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float,
        init_values: float,
        adapter: nn.Module | None,
        adapter_scale: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.ls1 = LayerScale(dim, init_values)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = FeedForward(dim, int(dim * mlp_ratio))
        self.ls2 = LayerScale(dim, init_values)
        self.adapter = adapter
        self.adapter_scale = adapter_scale

    def forward(self, x: torch.Tensor, id_embedding: torch.Tensor) -> torch.Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        normed = self.norm2(x)
        y = self.mlp(normed)
        if self.adapter is not None:
            y = y + self.adapter_scale * self.adapter(normed, id_embedding)
        return x + self.ls2(y)


class Appearance(nn.Module):
    """The published network. `image_hw` is the size it will see; `img_size` only sets the stored position grid."""

    def __init__(
        self,
        *,
        image_hw: Sequence[int],
        img_size: int,
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        mlp_ratio: float,
        init_values: float,
        register_tokens: int,
        adapter_layers: Sequence[int],
        adapter_dim: int,
        id_dim: int,
        adapter_attention_dim: int,
        adapter_attention_heads: int,
        adapter_scale: float,
    ) -> None:
        super().__init__()
        height, width = image_hw
        if height % patch_size or width % patch_size:
            raise ValueError(
                f"the appearance image is {height}x{width}, "
                f"its sides must be multiples of {patch_size}; change image_hw"
            )
        self.grid_hw = (height // patch_size, width // patch_size)
        self.prefix = 1 + register_tokens
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (img_size // patch_size) ** 2, embed_dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, register_tokens, embed_dim))
        self.mask_token = nn.Parameter(torch.zeros(1, embed_dim))  # a published key that inference never reads
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, embed_dim, patch_size, stride=patch_size)})

        def adapter() -> Adapter:
            return Adapter(
                embed_dim,
                adapter_dim,
                id_dim,
                adapter_attention_dim,
                adapter_attention_heads,
                self.prefix,
                self.grid_hw,
            )

        self.blocks = nn.ModuleList(
            Block(
                embed_dim, num_heads, mlp_ratio, init_values, adapter() if i in adapter_layers else None, adapter_scale
            )
            for i in range(depth)
        )
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)

    def prefix_tokens(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The tokens that no image changes, (1, 1 + R, C), and the positions of the patches, (1, h*w, C)."""
        positions = resize_positions(self.pos_embed, self.grid_hw)
        return torch.cat([self.cls_token + positions[:, :1], self.register_tokens], dim=1), positions[:, 1:]

    def forward(self, image: torch.Tensor, id_embedding: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) ImageNet-normalised, (B, id_dim) of unit length or zero
        -> (B, 1 + R + P, C): class token, registers, patches row by row."""
        prefix, positions = self.prefix_tokens()
        patches = self.patch_embed["proj"](image).flatten(2).transpose(1, 2) + positions
        x = torch.cat([prefix.expand(image.shape[0], -1, -1), patches], dim=1)
        for block in self.blocks:
            x = block(x, id_embedding)
        return self.norm(x)


class FoldedAdapter(nn.Module):
    """What is left of an adapter: two linears, and the chain from id to c(id) multiplied out."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self.prefix = adapter.prefix
        self.D_fc1 = copy.deepcopy(adapter.D_fc1)
        self.D_fc2 = copy.deepcopy(adapter.D_fc2)
        self.identity = compose_linears(
            adapter.cross_attn.id_proj,
            value_projection(adapter.cross_attn.multihead_attn),
            adapter.cross_attn.multihead_attn.out_proj,
            adapter.cross_attn.back_proj,
        )

    def forward(self, tokens: torch.Tensor, id_embedding: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.D_fc1(tokens))
        prefix, patches = x[:, : self.prefix], x[:, self.prefix :]
        c = self.identity(id_embedding).unsqueeze(1)
        return self.D_fc2(torch.cat([prefix + prefix, patches + c], dim=1))


class FoldedAppearance(nn.Module):
    """The `appearance` graph: tokens of a portrait in one go, position table and dead branches folded away.

    Made from loaded networks, whose parameters it copies; it has no published keys of its own.
    Computes in its parameters' dtype, which is also the dtype of what it returns.
    """

    prefix: torch.Tensor  # (1, 1 + R, C)
    positions: torch.Tensor  # (1, P, C)
    patch_embed: nn.Module

    def __init__(self, appearance: Appearance, image_proj: ImageProjection) -> None:
        super().__init__()
        with torch.no_grad():
            prefix, positions = appearance.prefix_tokens()
        self.register_buffer("prefix", prefix.clone())
        self.register_buffer("positions", positions.clone())
        self.patch_embed = copy.deepcopy(appearance.patch_embed["proj"])
        self.blocks = nn.ModuleList()
        for block in appearance.blocks:
            assert isinstance(block, Block)
            folded = FoldedAdapter(block.adapter) if isinstance(block.adapter, Adapter) else None
            kept = copy.deepcopy(block)
            kept.adapter = folded
            self.blocks.append(kept)
        self.norm = copy.deepcopy(appearance.norm)
        self.image_proj = copy.deepcopy(image_proj)

    def tokens(self, image: torch.Tensor, id_embedding: torch.Tensor) -> torch.Tensor:
        """As `Appearance.forward`: (B, 3, H, W), (B, id_dim) -> (B, 1 + R + P, C)."""
        image, id_embedding = image.to(self.prefix.dtype), id_embedding.to(self.prefix.dtype)
        patches = self.patch_embed(image).flatten(2).transpose(1, 2) + self.positions
        x = torch.cat([self.prefix.expand(image.shape[0], -1, -1), patches], dim=1)
        for block in self.blocks:
            x = block(x, id_embedding)
        return self.norm(x)

    def forward(self, image: torch.Tensor, id_embedding: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) ImageNet-normalised, (B, id_dim) -> image tokens (B, n, C)."""
        return self.image_proj(self.tokens(image, id_embedding))


def value_projection(attention: nn.MultiheadAttention) -> nn.Linear:
    """The last third of a MultiheadAttention's input projection, as a linear that shares its storage."""
    dim = attention.embed_dim
    linear = nn.Linear(dim, dim, device="meta")
    linear.weight = nn.Parameter(attention.in_proj_weight.detach()[2 * dim :])
    linear.bias = nn.Parameter(attention.in_proj_bias.detach()[2 * dim :])
    return linear


def compose_linears(first: nn.Linear, *rest: nn.Linear) -> nn.Linear:
    """One linear that does what these do one after the other, multiplied out in float64."""
    weight, bias = first.weight.detach().double(), first.bias.detach().double()
    for linear in rest:
        step = linear.weight.detach().double()
        weight, bias = step @ weight, step @ bias + linear.bias.detach().double()
    folded = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    folded.weight = nn.Parameter(weight.to(first.weight.dtype))
    folded.bias = nn.Parameter(bias.to(first.bias.dtype))
    return folded

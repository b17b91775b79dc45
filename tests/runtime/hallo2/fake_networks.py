"""Stand-ins for the networks: small, non-linear, and sensitive to everything a network sees.

The same formulas serve the fake graphs of the chain and the plain program that judges it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from runtime.hallo2.presets import MOODS
from tests.fakes import FakeBackend, FakeSession, decoded, decoder_spec, spec

H = W = 16
CELL = (4, H // 8, W // 8)
FACE_CHANNELS = 3
TOKENS, FEATURES = 2, 5  # n, D
AUDIO_TOKENS, AUDIO_FEATURES = 3, 4  # k, Da
EMBEDDING = 6  # E
BANKS = ((2, 4, 3), (1, 1, 2))  # n_i, L_i, C_i


def embed(timesteps):
    """(steps, E) from (steps,)."""
    return np.cos(timesteps[:, None] * np.arange(1, EMBEDDING + 1) / 100)


def identity(embedding, face_region):
    """Image tokens of nobody and of the face (2, n, D), face features (C0, h, w)."""
    weights = np.sin(np.arange(TOKENS * FEATURES * 512)).reshape(TOKENS, FEATURES, 512)
    tokens = np.stack([np.tanh(weights @ e + 0.3) for e in (0 * embedding[0], embedding[0])])
    return tokens, np.tanh(pooled(face_region)[0] * np.arange(1, 1 + FACE_CHANNELS).reshape(-1, 1, 1))


def pooled(pictures):
    """(P, 3, h, w): means of blocks of 8 pixels."""
    p, c, height, width = pictures.shape
    return pictures.reshape(p, c, height // 8, 8, width // 8, 8).mean((3, 5))


def encode(pictures):
    """Means (P, 4, h, w)."""
    small, spread = pooled(pictures), pooled(pictures**2)
    return np.concatenate([3 * small, spread.mean(1, keepdims=True)], axis=1)


def reference(latent, tokens):
    """One row's banks: (n_i, L_i, C_i) each."""
    seen = np.sin(np.arange(latent.size) + 1) @ latent.ravel() + tokens.mean()
    return [np.tanh(seen + np.cos(np.arange(np.prod(bank)).reshape(bank))) for bank in BANKS]


def key_value(bank):
    return 1.1 * bank + 0.1, np.tanh(2 * bank)


def half(x, embedding, image_tokens, motion, conditions=None):
    """One half's v (F, 4, h, w). motion: of every bank (m, n_i, L_i, C_i). conditions, of the conditional half: audio
    tokens, face features, masks, motion scale, and of every frame the keys and values that it attends to."""
    frames = len(x)
    index = np.arange(frames).reshape(frames, 1, 1, 1)
    order = 1 + np.arange(len(motion[0]))  # which motion frame comes when matters
    seen = sum(float(order @ bank.mean((1, 2, 3))) for bank in motion) + image_tokens.mean()
    v = np.tanh(x + 0.5 * np.roll(x, 1, axis=0) + 0.3 * seen + 0.05 * index) + 0.1 * embedding.mean()
    if conditions is None:
        return v
    audio, face, masks, scale, keys, values = conditions
    sound = np.stack([float(a.mean()) * sum(float((scale @ m).mean()) for m in masks) for a in audio])
    looked = np.array(
        [sum(float(k.mean() * 2 - v.mean()) for k, v in zip(*kv, strict=True)) for kv in zip(keys, values, strict=True)]
    )
    return v + 0.4 * face.mean(0) + (0.3 * sound + 0.2 * looked).reshape(frames, 1, 1, 1)


def felt(mood):
    """What a mood (1, moods) adds to the conditional half's v."""
    return 0.2 * float(mood[0] @ np.arange(1, 1 + len(MOODS)))


def decode(latents):
    """(chunk, 3, H, W), each frame by itself; some values are beyond [-1, 1]."""
    return (1.2 * np.tanh(latents[:, :3] + latents[:, 3:])).repeat(8, axis=2).repeat(8, axis=3)


def fake_sessions(
    backend: FakeBackend,
    *,
    frames: int,
    motion_frames: int,
    token_dtype: str = "float32",
    both: bool = True,
    moods: bool = False,
    most_chunk: int = 8,
) -> dict[str, FakeSession]:
    """The graphs by what the loop calls them, named and shaped as in a bundle."""
    f, m, banks = frames, motion_frames, range(len(BANKS))
    rows = m * (2 if both else 1)

    def to(dtype, **arrays):
        return {name: np.asarray(array).astype(dtype) for name, array in arrays.items()}

    def run_identity(embedding, face_region):
        tokens, features = identity(embedding, face_region)
        return to(token_dtype, image_tokens=tokens) | to("float32", face_features=features)

    def run_reference(latents, tokens):
        made = [reference(latent, t.astype("f4")) for latent, t in zip(latents, tokens, strict=True)]
        return to(token_dtype, **{f"bank_{i}": np.stack([row[i] for row in made], axis=1) for i in banks})

    def run_bank_kv(**given):
        made = [key_value(given[f"bank_{i}"].astype("f4")) for i in banks]
        keys = {f"key_{i}": key for i, (key, _) in enumerate(made)}
        return to(token_dtype, **keys, **{f"value_{i}": value for i, (_, value) in enumerate(made)})

    def run_denoiser(
        latents,
        step_embedding,
        image_tokens,
        audio_tokens,
        face_features,
        motion_scale,
        mood=None,
        row_weights=None,
        **kept,
    ):
        kept = {name: array.astype("f4") for name, array in kept.items()}
        motion = [kept[f"motion_{i}"].swapaxes(0, 1) for i in banks]
        sees = [(f + i) % 2 for i in range(f)]
        keys, values = ([[kept[f"{name}_{b}"][:, r] for b in banks] for r in sees] for name in ("key", "value"))
        masks = [kept[f"mask_{i}"] for i in banks]
        conditions = (audio_tokens.astype("f4"), face_features, masks, motion_scale, keys, values)
        tokens = image_tokens.astype("f4")
        v = half(latents, step_embedding, tokens[1], [bank[-m:] for bank in motion], conditions)
        if mood is not None:
            v = v + felt(mood)
        if row_weights is not None:
            v = (
                row_weights[0] * half(latents, step_embedding, tokens[0], [bank[:m] for bank in motion])
                + row_weights[1] * v
            )
        return to("float32", velocity=v)

    def run_stitch(latents, velocities, slots, weights, a, b):
        mean = (weights[:, :, None, None, None] * velocities[slots]).sum(1)
        return to("float32", next_latents=a * latents + b * mean)

    token = {"slots": "int64"} | dict.fromkeys(
        ["tokens", "image_tokens", "audio_tokens"]
        + [f"{name}_{i}" for name in ("bank", "key", "value", "motion") for i in banks],
        token_dtype,
    )
    portrait = {f"bank_{i}": (n, 2, cells, c) for i, (n, cells, c) in enumerate(BANKS)}
    kept = {f"{name}_{i}": (n, 2, cells, c) for name in ("key", "value") for i, (n, cells, c) in enumerate(BANKS)}
    denoiser = {
        "latents": (f, *CELL),
        "step_embedding": (1, EMBEDDING),
        "image_tokens": (2, TOKENS, FEATURES),
        "audio_tokens": (f, AUDIO_TOKENS, AUDIO_FEATURES),
        "face_features": (FACE_CHANNELS, *CELL[1:]),
        **{f"mask_{i}": (3, cells) for i, (_, cells, _) in enumerate(BANKS)},
        **kept,
        **{f"motion_{i}": (n, rows, cells, c) for i, (n, cells, c) in enumerate(BANKS)},
        "motion_scale": (3,),
        **({"mood": (1, len(MOODS))} if moods else {}),
        **({"row_weights": (2,)} if both else {}),
    }
    stitch = {
        "latents": (f, *CELL),
        "velocities": ("total", *CELL),
        "slots": (f, "held"),
        "weights": (f, "held"),
        "a": (1,),
        "b": (1,),
    }
    reference_banks = {f"bank_{i}": (n, "rows", cells, c) for i, (n, cells, c) in enumerate(BANKS)}
    chunk = {"unit": "chunk", "lane": "decode", "repeated": True, "most": most_chunk}
    name = "talk_denoiser" if both else "talk_denoiser_one"

    def session(formula, *args, **kwargs):
        return backend.session(spec(*args, dtypes=token, **kwargs), formula)

    return {
        "identity": session(
            run_identity,
            "talk_identity",
            {"embedding": (1, 512), "face_region": (1, 3, H, W)},
            {"image_tokens": (2, TOKENS, FEATURES), "face_features": (FACE_CHANNELS, *CELL[1:])},
        ),
        "vae_encoder": session(
            lambda pictures: to("float32", mean=encode(pictures)),
            "talk_vae_encoder",
            {"pictures": ("pictures", 3, H, W)},
            {"mean": ("pictures", *CELL)},
            most=1 + m,
        ),
        "reference": session(
            run_reference,
            "reference",
            {"latents": ("rows", *CELL), "tokens": ("rows", TOKENS, FEATURES)},
            reference_banks,
            most=2 * (1 + m),
        ),
        "bank_kv": session(run_bank_kv, "bank_kv", portrait, kept),
        "steps": session(
            lambda timesteps: to("float32", embeddings=embed(timesteps)),
            "talk_steps",
            {"timesteps": ("steps",)},
            {"embeddings": ("steps", EMBEDDING)},
        ),
        "denoiser": session(run_denoiser, name, denoiser, {"velocity": (f, *CELL)}, repeated=True),
        "stitch": session(run_stitch, "stitch", stitch, {"next_latents": (f, *CELL)}),
        "decoder": backend.session(
            decoder_spec("talk_vae_decoder", CELL, H, W, **chunk), lambda latents: decoded(decode(latents))
        ),
    }


def fake_portrait(seed: int = 0) -> dict[str, np.ndarray | Sequence[np.ndarray]]:
    """What a video is made from, as host arrays."""
    rng = np.random.default_rng(seed)
    region = np.zeros((3, H, W), np.float32)
    region[:, 5:11, 4:9] = 1
    return {
        "picture": rng.uniform(-1, 1, (1, 3, H, W)).astype(np.float32),
        "embedding": rng.standard_normal((1, 512), dtype=np.float32),
        "face_region": region,
        "masks": [rng.uniform(0, 1, (3, cells)).astype(np.float32) for _, cells, _ in BANKS],
    }


def fake_speech(clips: int, frames: int, *, token_dtype: str = "float32", seed: int = 0) -> list[np.ndarray]:
    """Audio tokens (F, k, Da) of each clip."""
    rng = np.random.default_rng(seed)
    shape = (frames, AUDIO_TOKENS, AUDIO_FEATURES)
    return [rng.standard_normal(shape, dtype=np.float32).astype(token_dtype) for _ in range(clips)]


Portrait = Mapping[str, np.ndarray | Sequence[np.ndarray]]


def motion_frames(sessions) -> int:
    """m of some sessions, as their denoiser's motion banks promise it."""
    spec = sessions["denoiser"].spec
    return spec.input("motion_0").dims[1] // (2 if spec.has_input("row_weights") else 1)

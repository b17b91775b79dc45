"""What a video keeps: the portrait, its face and its masks, as the networks see them, and which row sees which tokens.

The released program shows the reference net a list of 2 (1 + m) pictures, the portrait and the motion frames once for
each half of guidance, and gives row r the token set r mod 2: 0 are the image tokens of nobody, 1 those of the face.
A row knows nothing of the others, so the two of the portrait go through the net once a video, those of the motion
frames once a clip, and each keeps the token set of its place in that list.

Source: SPEC 0.3 (rows and tokens), 8 and 10 (what is constant).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.backend import Backend, Buffer, Session
from runtime.finite import require_finite
from runtime.stages import Stages


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """A portrait, encoded once, then used for any number of clips and videos. Bank i has n_i places of L_i cells."""

    image_tokens: Buffer  # (2, n, D), the bundle's token dtype: of nobody, and of the face
    face_features: Buffer  # (C0, h, w) float32
    masks: tuple[Buffer, ...]  # of bank i: (3, L_i) float32; rows full, face, lips
    keys: tuple[Buffer, ...]  # of bank i: (n_i, 2, L_i, C_i), token dtype, of the portrait's two rows
    values: tuple[Buffer, ...]  # likewise
    picture: np.ndarray  # (1, 3, H, W) float32 in [-1, 1], which the first clip goes on from
    face_region: np.ndarray  # (3, H, W) float32 in [0, 1]: where it is not 0 no pixel is dropped
    motion_frames: int  # m, that the bundle was built for

    def of_denoiser(self) -> dict[str, Buffer]:
        """Those of the denoiser's inputs that no clip and no step changes."""
        return {
            "image_tokens": self.image_tokens,
            "face_features": self.face_features,
            **{f"mask_{i}": mask for i, mask in enumerate(self.masks)},
            **{f"key_{i}": key for i, key in enumerate(self.keys)},
            **{f"value_{i}": value for i, value in enumerate(self.values)},
        }


def encode_conditions(
    backend: Backend,
    sessions: Mapping[str, Session],
    *,
    picture: np.ndarray,
    embedding: np.ndarray,
    face_region: np.ndarray,
    masks: Sequence[np.ndarray],
    motion_frames: int,
    scaling_factor: float,
    stages: Stages | None = None,
) -> Conditions:
    """Run `identity`, `vae_encoder`, `reference` and `bank_kv` on one portrait.

    picture (1, 3, H, W) float32 in [-1, 1]; embedding (1, 512) float32, raw, zeros where there is no face; face_region
    (3, H, W) float32 in [0, 1]; masks, of bank i, (3, L_i) float32 in [0, 1]: rows full, face, lips; motion_frames, m
    that the bundle was built for. Raises NonFiniteError.
    """
    stages = stages or Stages(most_spans=0)
    stages.begin("portrait", total=3)
    with stages.unit("portrait"):
        made = sessions["identity"].run(
            {"embedding": backend.upload(embedding), "face_region": backend.upload(face_region[None])}
        )
        image_tokens, face_features = made["image_tokens"], made["face_features"]
        for name, output in made.items():
            require_finite(backend.download(output), f"{sessions['identity'].spec.name}: {name}")
    with stages.unit("portrait"):
        latents = encode_pictures(backend, sessions["vae_encoder"], picture, scaling_factor, what="the portrait")
        sets = portrait_sets(motion_frames)
        banks = sessions["reference"].run(
            {
                "latents": backend.upload(np.repeat(latents, len(sets), axis=0)),
                "tokens": rows_of(backend, image_tokens, sets),
            }
        )
    with stages.unit("portrait"):
        # 50 MB in half at 512 pixels, once a video: a NaN is found here, not in some clip's first step.
        for name, bank in banks.items():
            require_finite(backend.download(bank), f"{sessions['reference'].spec.name}: {name} of the portrait")
        kept = sessions["bank_kv"].run(banks)
    stages.end("portrait")
    return Conditions(
        image_tokens=image_tokens,
        face_features=face_features,
        masks=tuple(backend.upload(mask) for mask in masks),
        keys=tuple(kept[f"key_{i}"] for i in range(len(banks))),
        values=tuple(kept[f"value_{i}"] for i in range(len(banks))),
        picture=picture,
        face_region=face_region,
        motion_frames=motion_frames,
    )


def encode_pictures(
    backend: Backend, vae_encoder: Session, pictures: np.ndarray, scaling_factor: float, *, what: str
) -> np.ndarray:
    """The scaled latents (n, 4, h, w) float32 of pictures (n, 3, H, W) float32 in [-1, 1]: waits for them.

    `what` the pictures are is for the message of the NonFiniteError that this may raise.
    """
    mean = vae_encoder.run({"pictures": backend.upload(pictures)})["mean"]
    return require_finite(backend.download(mean), f"{vae_encoder.spec.name}: {what}") * np.float32(scaling_factor)


def rows_of(backend: Backend, image_tokens: Buffer, sets: Sequence[int]) -> Buffer:
    """Token sets as rows of the reference net: (len(sets), n, D)."""
    rows = backend.empty((len(sets), *image_tokens.shape[1:]), str(image_tokens.dtype))
    backend.take(image_tokens, sets, rows)
    return rows


def portrait_sets(m: int) -> tuple[int, int]:
    """The token sets of the portrait's two rows: at places 0 and 1 + m of the list. With m odd both are of nobody."""
    return 0, (1 + m) % 2


def motion_sets(m: int, *, both: bool) -> tuple[int, ...]:
    """The token sets of the motion frames: the unconditional half's m, if `both` halves run, then the conditional's."""
    halves = (0, 1 + m) if both else (1 + m,)
    return tuple((half + j) % 2 for half in halves for j in range(1, m + 1))


def guided(denoiser: Session) -> bool:
    """Whether it runs both halves; else the conditional one alone."""
    return denoiser.spec.has_input("row_weights")


def knows_moods(denoiser: Session) -> bool:
    """Whether it is told how much there is of each of `runtime.hallo2.presets.MOODS`."""
    return denoiser.spec.has_input("mood")

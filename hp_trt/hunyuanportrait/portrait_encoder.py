"""The portrait: from a picture to what the networks keep of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.backend import Backend, Session
from hp_trt.faces.arcface import Embed
from hp_trt.faces.face import FaceLocator
from hp_trt.hunyuanportrait.crops import reference_image, transformed_image
from hp_trt.hunyuanportrait.portrait import PortraitCrop, portrait_crop
from hp_trt.media.images import load_picture
from hp_trt.media.paste import PasteBack
from hp_trt.media.photograph import PHOTOGRAPH_NOTE, photographed
from hp_trt.media.portrait import Picture, Portrait
from runtime.hunyuanportrait import noise
from runtime.hunyuanportrait.encode import encode_portrait
from runtime.hunyuanportrait.memory_bank import Identity
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Stages

Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class EncodedPortrait:
    """What HunyuanPortrait keeps of a portrait: the model's part of a `hp_trt.media.portrait.Portrait`."""

    box: Box  # x0, y0, x1, y1 in the picture: where to paste back
    square: np.ndarray  # (S, S, 3) uint8 RGB, the box of it: what the networks see
    embedding: np.ndarray  # (1, 512) float32: who it is
    identity: Identity


def encoded(portrait: Portrait) -> EncodedPortrait:
    """The model's part of `portrait`. Raises InputError for a portrait that another model has encoded."""
    return portrait.encoded_by(EncodedPortrait)


class PortraitEncoder:
    """Encodes portraits with a bundle's sessions, by graph; `geometry` is its manifest's, `embed` says who it is.

    `drawn`: the weights know drawn people alone, and a photograph gets a note.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        geometry: Mapping[str, int],
        embed: Embed,
        *,
        drawn: bool = False,
    ) -> None:
        self._backend, self._sessions = backend, sessions
        self._geometry, self._embed, self._drawn = geometry, embed, drawn

    def portrait(self, image: Picture, locator: FaceLocator, stages: Stages) -> Portrait:
        """Of a file, or (H, W, 3) uint8 RGB. Raises InputError for what is no picture, FaceNotFound, NonFiniteError."""
        with stages.unit("portrait_crop"):
            picture = load_picture(image)
            pixels = picture.pixels
            crop = portrait_crop(
                pixels,
                locator,
                crop_px=self._geometry["crop_px"],
                appearance_px=self._geometry["appearance_px"],
                what="the portrait" if isinstance(image, np.ndarray) else str(image),
            )
        embedding = self._embed(crop.arcface)
        return Portrait(
            image=pixels,
            path=None if isinstance(image, np.ndarray) else Path(image),
            paste=PasteBack(pixels, crop.box),
            notes=(
                *picture.notes,
                *crop.notes,
                *([PHOTOGRAPH_NOTE] if self._drawn and photographed(crop.face) else []),
            ),
            encoded=EncodedPortrait(
                box=crop.box,
                square=crop.crop,
                embedding=embedding,
                identity=self._encode(crop.reference, crop.transformed, stages, embedding),
            ),
            box=crop.box,
            key=_key(pixels, crop, embedding),
        )

    def identity(self, portrait: Portrait, sampling: Sampling, stages: Stages) -> Identity:
        """The portrait's, its condition with as much noise on it as `sampling` asks for. Raises NonFiniteError."""
        own = encoded(portrait)
        if not sampling.noise_aug_strength:
            return own.identity
        side = self._geometry["crop_px"]
        noise_aug = noise.noise_aug(sampling.seed, side, side)
        return self._encode(
            reference_image(own.square),
            transformed_image(own.square, self._geometry["appearance_px"]),
            stages,
            own.embedding,
            noise_aug=noise_aug,
            strength=sampling.noise_aug_strength,
        )

    def _encode(
        self,
        reference: np.ndarray,
        transformed: np.ndarray,
        stages: Stages,
        embedding: np.ndarray,
        *,
        noise_aug: np.ndarray | None = None,
        strength: float = 0.0,
    ) -> Identity:
        return encode_portrait(
            self._backend,
            self._sessions,
            image=reference[None],
            appearance_image=transformed[None],
            id_embedding=embedding,
            noise_aug=noise_aug,
            noise_aug_strength=strength,
            stages=stages,
        )


def _key(picture: np.ndarray, crop: PortraitCrop, embedding: np.ndarray) -> str:
    """Of all that decides what networks and picture make of it."""
    digest = hashlib.sha256(f"{picture.shape} {crop.box}".encode())
    for part in (picture, crop.reference, crop.transformed, embedding):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()

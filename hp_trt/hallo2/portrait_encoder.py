"""The portrait: from a picture to what the networks keep of it for a video."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.backend import Backend, Session
from hp_trt.faces.arcface import Embed, no_identity
from hp_trt.faces.face import FaceLocator
from hp_trt.hallo2.portrait import TalkPortrait, talk_portrait
from hp_trt.hallo2.regions import Box
from hp_trt.media.images import load_picture
from hp_trt.media.paste import PasteBack
from hp_trt.media.photograph import PHOTOGRAPH_NOTE, photographed
from hp_trt.media.portrait import Picture, Portrait
from runtime.hallo2.conditions import Conditions, encode_conditions
from runtime.stages import Stages

_NO_IDENTITY = (
    "no identity network is given: the face's identity vector is zero, and the person may be less like the portrait; "
    "give the published glintr100.onnx as --arcface"
)


@dataclass(frozen=True, kw_only=True)
class EncodedTalkPortrait:
    """What Hallo2 keeps of a portrait: the model's part of a `hp_trt.media.portrait.Portrait`."""

    box: Box  # in the picture: where to paste back
    conditions: Conditions
    crop: TalkPortrait | None = None  # what the conditions were made of; None: they are a file's


def encoded(portrait: Portrait) -> EncodedTalkPortrait:
    """The model's part of `portrait`. Raises InputError for a portrait that another model has encoded."""
    return portrait.encoded_by(EncodedTalkPortrait)


class TalkPortraitEncoder:
    """Encodes portraits with a bundle's sessions, by role; `geometry` is its manifest's.

    `levels` of masks, as the denoiser takes them. `embed` says who it is, by a vector as the network gives it
    (`hp_trt.faces.arcface.open_raw_arcface`); None: nobody does, and a note says so. `drawn`: the weights know drawn
    people alone, whose numbers no network gives, and a photograph gets a note.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        geometry: Mapping[str, Any],
        embed: Embed | None,
        *,
        levels: int,
        scaling_factor: float,
        drawn: bool = False,
    ) -> None:
        self._backend, self._sessions, self._geometry = backend, sessions, geometry
        self._embed, self._levels, self._scaling_factor, self._drawn = embed, levels, scaling_factor, drawn

    def portrait(self, image: Picture, locator: FaceLocator, stages: Stages) -> Portrait:
        """Of a file, or (H, W, 3) uint8 RGB. Raises InputError for what is no picture, FaceNotFound, NonFiniteError."""
        with stages.unit("portrait_crop"):
            picture = load_picture(image)
            crop = talk_portrait(
                picture.pixels,
                locator,
                side_px=self._geometry["crop_px"],
                levels=self._levels,
                face_ratio=self._geometry["face_ratio"],
                lip_ratio=self._geometry["lip_ratio"],
                what="the portrait" if isinstance(image, np.ndarray) else str(image),
            )
        embedding = (self._embed or no_identity)(crop.arcface)
        return Portrait(
            image=picture.pixels,
            path=None if isinstance(image, np.ndarray) else Path(image),
            paste=PasteBack(picture.pixels, crop.box, fade_at_edges=False),
            notes=(*picture.notes, *crop.notes, *self._notes(crop)),
            encoded=EncodedTalkPortrait(box=crop.box, conditions=self._encode(crop, embedding, stages), crop=crop),
            box=crop.box,
            key=_key(picture.pixels, crop, embedding),
        )

    def _notes(self, crop: TalkPortrait) -> tuple[str, ...]:
        if self._drawn:  # a drawn person's numbers are of no network
            return (PHOTOGRAPH_NOTE,) if photographed(crop.face) else ()
        return () if self._embed else (_NO_IDENTITY,)

    def _encode(self, crop: TalkPortrait, embedding: np.ndarray, stages: Stages) -> Conditions:
        return encode_conditions(
            self._backend,
            self._sessions,
            picture=crop.source,
            embedding=embedding,
            face_region=crop.masks.face_region,
            masks=crop.masks.levels,
            motion_frames=self._geometry["motion_frames"],
            scaling_factor=self._scaling_factor,
            stages=stages,
        )


def _key(picture: np.ndarray, crop: TalkPortrait, embedding: np.ndarray) -> str:
    """Of all that decides what networks and picture make of it."""
    digest = hashlib.sha256(f"{picture.shape} {crop.box}".encode())
    for part in (picture, crop.source, crop.masks.face_region, *crop.masks.levels, embedding):
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()

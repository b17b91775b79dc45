"""An encoded portrait as a file, and such a file in the place of a picture."""

from __future__ import annotations

import numpy as np

from engines.backend import Backend
from engines.bundle import Bundle
from hp_trt.encoded.encoded_file import Encoded, EncodedFile
from hp_trt.encoded.kept_portrait import PICTURE, keep_portrait, read_portrait
from hp_trt.hunyuanportrait.portrait_encoder import EncodedPortrait, encoded
from hp_trt.media.paste import PasteBack
from hp_trt.media.portrait import Portrait
from runtime.hunyuanportrait.memory_bank import Identity

GRAPHS = ("appearance", "vae_encoder")
TOKENS, LATENTS, SQUARE, EMBEDDING = "image_tokens", "latents", "square", "embedding"


def portrait_to_keep(backend: Backend, bundle: Bundle, portrait: Portrait) -> Encoded:
    """What becomes its file. Raises InputError for a portrait of another model."""
    own = encoded(portrait)
    said, tensors, notes = keep_portrait(portrait, own.box)
    return Encoded(
        kind="portrait",
        model=bundle.manifest.model,
        graphs={name: bundle.manifest.graphs[name].key for name in GRAPHS},
        about={**said, "made_for": _made_for(bundle)},
        tensors={
            **tensors,
            TOKENS: backend.download(own.identity.image_tokens),
            LATENTS: own.identity.start_latents,
            SQUARE: own.square,
            EMBEDDING: own.embedding.astype(np.float32),
        },
        notes=notes,
    )


def portrait_of_file(backend: Backend, bundle: Bundle, file: EncodedFile) -> Portrait:
    """The portrait, as it was encoded. Raises InputError for a file of another model, of other graphs, or damaged."""
    file.check_model(bundle)
    file.check_graphs(bundle, GRAPHS)
    file.check_made_for(bundle, _made_for(bundle))
    side, graphs = bundle.manifest.geometry["crop_px"], bundle.manifest.graphs
    for name, graph in ((TOKENS, "appearance"), (LATENTS, "vae_encoder")):
        made = graphs[graph].spec.outputs[0]
        file.require(name, made.dtype, [int(dim) for dim in made.dims])
    file.require(SQUARE, "uint8", (side, side, 3))
    file.require(EMBEDDING, "float32", (1, 512))
    file.require_only(PICTURE, TOKENS, LATENTS, SQUARE, EMBEDDING)
    kept, latents = read_portrait(file), file.array(LATENTS)
    identity = Identity(
        image_tokens=backend.upload(file.array(TOKENS)),
        image_latents=backend.upload(latents),
        start_latents=latents,
    )
    return Portrait(
        image=kept.pixels,
        path=file.path,
        paste=PasteBack(kept.pixels, kept.box),
        notes=file.notes,
        encoded=EncodedPortrait(
            box=kept.box, square=file.array(SQUARE), embedding=file.array(EMBEDDING), identity=identity
        ),
        box=kept.box,
        key=kept.key,
    )


def _made_for(bundle: Bundle) -> dict[str, int]:
    """What of a bundle decides the squares, beside its graphs."""
    return {name: bundle.manifest.geometry[name] for name in ("crop_px", "appearance_px")}

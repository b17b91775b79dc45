"""An encoded portrait as a file, and such a file in the place of a picture.

Most of it is what the denoiser sees of the portrait in every step, a key and a value of each place of attention: 50 MB
in half at 512 pixels.
"""

from __future__ import annotations

import numpy as np

from engines.backend import Backend
from engines.bundle import Bundle
from hp_trt.encoded.encoded_file import Encoded, EncodedFile
from hp_trt.encoded.kept_portrait import PICTURE, keep_portrait, read_portrait
from hp_trt.hallo2.masks import CELL_PX
from hp_trt.hallo2.portrait import source_picture
from hp_trt.hallo2.portrait_encoder import EncodedTalkPortrait, encoded
from hp_trt.hallo2.promises import levels_of
from hp_trt.media.paste import PasteBack
from hp_trt.media.portrait import Portrait
from runtime.hallo2.conditions import Conditions
from runtime.hallo2.sampling import Sampling

GRAPHS = ("talk_identity", "talk_vae_encoder", "reference", "bank_kv")
REGION = "face_region"
_MAKERS = ("talk_identity", "bank_kv")  # graphs whose outputs are kept, each under its own name


def portrait_to_keep(backend: Backend, bundle: Bundle, portrait: Portrait) -> Encoded:
    """What becomes its file. Raises InputError for a portrait of another model."""
    own = encoded(portrait)
    said, tensors, notes = keep_portrait(portrait, own.box)
    kept = {name: backend.download(buffer) for name, buffer in own.conditions.of_denoiser().items()}
    return Encoded(
        kind="portrait",
        model=bundle.manifest.model,
        graphs={name: bundle.manifest.graphs[name].key for name in GRAPHS},
        about={**said, "made_for": _made_for(bundle)},
        tensors={**tensors, **kept, REGION: own.conditions.face_region.astype(np.float32)},
        notes=notes,
    )


def portrait_of_file(backend: Backend, bundle: Bundle, file: EncodedFile) -> Portrait:
    """The portrait, as it was encoded. Raises InputError for a file of another model, of other graphs, or damaged."""
    file.check_model(bundle)
    file.check_graphs(bundle, GRAPHS)
    file.check_made_for(bundle, _made_for(bundle))
    geometry, levels = bundle.manifest.geometry, levels_of(bundle.manifest)
    side = geometry["crop_px"]
    made = [tensor for name in _MAKERS for tensor in bundle.manifest.graphs[name].spec.outputs]
    for tensor in made:
        file.require(tensor.name, tensor.dtype, [int(dim) for dim in tensor.dims])
    masks = [f"mask_{level}" for level in range(levels)]
    for level, name in enumerate(masks):
        file.require(name, "float32", (3, (side // CELL_PX >> level) ** 2))
    file.require(REGION, "float32", (3, side, side))
    file.require_only(PICTURE, REGION, *masks, *(tensor.name for tensor in made))
    kept = read_portrait(file)
    buffers = {name: backend.upload(file.array(name)) for name in (*masks, *(tensor.name for tensor in made))}
    x0, y0, x1, y1 = kept.box
    conditions = Conditions(
        image_tokens=buffers["image_tokens"],
        face_features=buffers["face_features"],
        masks=tuple(buffers[name] for name in masks),
        keys=tuple(buffers[f"key_{level}"] for level in range(levels)),
        values=tuple(buffers[f"value_{level}"] for level in range(levels)),
        picture=source_picture(np.ascontiguousarray(kept.pixels[y0:y1, x0:x1]), side),
        face_region=file.array(REGION),
        motion_frames=geometry["motion_frames"],
    )
    return Portrait(
        image=kept.pixels,
        path=file.path,
        paste=PasteBack(kept.pixels, kept.box, fade_at_edges=False),
        notes=file.notes,
        encoded=EncodedTalkPortrait(box=kept.box, conditions=conditions),
        box=kept.box,
        key=kept.key,
    )


def _made_for(bundle: Bundle) -> dict[str, float]:
    """What of a bundle decides what networks see and give, beside its graphs."""
    geometry = bundle.manifest.geometry
    numbers = {name: geometry[name] for name in ("crop_px", "motion_frames", "face_ratio", "lip_ratio")}
    return {**numbers, "scaling_factor": Sampling.from_manifest(bundle.manifest.sampling).scaling_factor}

"""What a bundle of Hallo2 must be, before anything of it is used: geometry, sampling, and graphs that fit.

A manifest's own hash says that nobody edited it by accident. Whoever makes a bundle makes the hash, so the numbers that
pictures are cut and memory is taken by are held against the graphs, and the graphs against each other: a letter below
is one size in all of them. How many levels of attention, and so of banks and masks, there are is read from the graphs,
and whether the denoisers are told of a mood: both are, or none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from engines.bundle import Bundle
from engines.errors import BundleError, InputError
from engines.fields import Field, shown
from engines.manifest import Manifest, mending
from engines.spec import Dim, NetworkSpec
from hp_trt.hallo2.masks import CELL_PX
from runtime.hallo2.presets import AUDIO_WINDOW, MOODS
from runtime.hallo2.sampling import Sampling

LARGEST_PX = 2048  # along a side of anything: what a build takes at most
LONGEST_CLIP = 256  # frames, likewise
MOST_LEVELS = 8
DENOISERS = ("talk_denoiser", "talk_denoiser_one")
_LARGEST_RATIO = 10  # of a box: more is the whole picture
_LARGEST = 1 << 16  # of what else a letter stands for: channels, cells, tokens

# Size by name: a number, a letter that is one number in all graphs, or "*", which is known at run time.
Tensors = Mapping[str, tuple[Dim, ...]]
_CELLS: tuple[Dim, ...] = ("channels", "rows", "columns")
_IMAGE_TOKENS: tuple[Dim, ...] = ("image tokens", "width")
_PICTURE: tuple[Dim, ...] = (3, "crop_px", "crop_px")
_TOKENS = re.compile(r"(image_|audio_|)tokens|(bank|key|value|motion)_[0-9]+")  # in half in a bundle in fp16


def graphs(levels: int, *, moods: bool = False) -> Mapping[str, tuple[Tensors, Tensors]]:
    """Graph -> what it takes, what it gives, where there are so many levels; `moods`: the denoisers are told of one."""

    def of_levels(name: str, *between: Dim) -> Tensors:
        return {f"{name}_{i}": (f"places {i}", *between, f"cells {i}", f"channels {i}") for i in range(levels)}

    portrait = {**of_levels("key", 2), **of_levels("value", 2)}
    one: Tensors = {
        "latents": ("F", *_CELLS),
        "step_embedding": (1, "embedding"),
        "image_tokens": (2, *_IMAGE_TOKENS),
        "audio_tokens": ("F", "audio tokens", "audio width"),
        "face_features": ("channels 0", "rows", "columns"),
        **{f"mask_{i}": (3, f"cells {i}") for i in range(levels)},
        **portrait,
        "motion_scale": (3,),
        **({"mood": (1, len(MOODS))} if moods else {}),
    }
    velocity: Tensors = {"velocity": ("F", *_CELLS)}
    return {
        "speech_encoder": (
            {"wave": ("*",), "left": ("*",), "fraction": ("*",)},
            {"features": ("*", "layers", "hidden")},
        ),
        "audio_tokens": (
            {"windows": ("*", AUDIO_WINDOW, "layers", "hidden")},
            {"tokens": ("*", "audio tokens", "audio width")},
        ),
        "talk_identity": (
            {"embedding": (1, 512), "face_region": (1, *_PICTURE)},
            {"image_tokens": (2, *_IMAGE_TOKENS), "face_features": ("channels 0", "rows", "columns")},
        ),
        "talk_vae_encoder": ({"pictures": ("*", *_PICTURE)}, {"mean": ("*", *_CELLS)}),
        "reference": ({"latents": ("*", *_CELLS), "tokens": ("*", *_IMAGE_TOKENS)}, of_levels("bank", "*")),
        "bank_kv": (of_levels("bank", 2), portrait),
        "talk_steps": ({"timesteps": ("*",)}, {"embeddings": ("*", "embedding")}),
        "talk_denoiser": ({**one, **of_levels("motion", "motion rows"), "row_weights": (2,)}, velocity),
        "talk_denoiser_one": ({**one, **of_levels("motion", "motion frames")}, velocity),
        "stitch": (
            {
                "latents": ("F", *_CELLS),
                "velocities": ("*", *_CELLS),
                "slots": ("F", "*"),
                "weights": ("F", "*"),
                "a": (1,),
                "b": (1,),
            },
            {"next_latents": ("F", *_CELLS)},
        ),
        "talk_vae_decoder": (
            {"latents": ("*", *_CELLS)},
            {"frames": ("*", *_PICTURE), "pixels": ("*", "crop_px", "crop_px", 3), "sums": ("*",)},
        ),
    }


def dtype_of(tensor: str, precision: str) -> str:
    """NumPy's name of what `tensor` of any graph is in, in a bundle in that precision."""
    if tensor in ("left", "slots"):
        return "int64"
    if tensor == "pixels":
        return "uint8"
    return "float16" if precision == "fp16" and _TOKENS.fullmatch(tensor) else "float32"


def levels_of(manifest: Manifest) -> int:
    """How many levels of attention the bundle's graphs have. ValueError where none says so, or they say too many."""
    kinds = {"talk_denoiser": "mask_", "talk_denoiser_one": "mask_", "bank_kv": "bank_", "reference": "bank_"}
    for name, kind in kinds.items():
        if name in manifest.graphs:
            spec = manifest.graphs[name].spec
            count = sum(tensor.name.startswith(kind) for tensor in (*spec.inputs, *spec.outputs))
            if not 1 <= count <= MOST_LEVELS:
                raise ValueError(f"{name} has {count} tensors {kind}0, {kind}1, ...; needed are 1 to {MOST_LEVELS}")
            return count
    raise ValueError(f"there is no graph of {', '.join(kinds)}, and one is needed")


def knows_moods(manifest: Manifest) -> bool:
    """Whether the bundle's denoisers are told of a mood: those of the published weights are not."""
    found = (manifest.graphs[name].spec for name in DENOISERS if name in manifest.graphs)
    return any(spec.has_input("mood") for spec in found)


def check_bundle(bundle: Bundle) -> None:
    """Raises BundleError that names the field or the graph which does not fit."""
    try:
        _check(bundle.manifest)
    except (ValueError, InputError) as error:
        raise BundleError(
            f"{bundle.path} cannot be used: {error}; {mending(bundle.path, bundle.manifest.to_json())}"
        ) from error


def _check(manifest: Manifest) -> None:
    levels = levels_of(manifest)
    geometry = Field(manifest.geometry, "geometry")
    coarsest = CELL_PX << (levels - 1)  # pixels along a side of a cell of the coarsest level
    side = geometry["crop_px"].whole(coarsest, LARGEST_PX)
    if side % coarsest:
        raise geometry["crop_px"].wrong(f"a multiple of {coarsest}, for {levels} levels")
    if manifest.size != (side, side):
        raise ValueError(f"geometry.crop_px is {side}, size is {list(manifest.size)}, needed is a square of it")
    if manifest.frames > LONGEST_CLIP:
        raise ValueError(f"frames must be 1 to {LONGEST_CLIP}, got {manifest.frames}")
    motion_frames = geometry["motion_frames"].whole(1, LONGEST_CLIP)
    for name in ("face_ratio", "lip_ratio"):
        geometry[name].number(1, _LARGEST_RATIO)
    Sampling.from_manifest(manifest.sampling)
    cells = side // CELL_PX
    sizes = {
        "crop_px": side,
        "F": manifest.frames,
        "rows": cells,
        "columns": cells,
        "motion frames": motion_frames,
        "motion rows": 2 * motion_frames,
    }
    sizes |= {f"cells {i}": (cells >> i) ** 2 for i in range(levels)}
    needed = graphs(levels, moods=knows_moods(manifest))
    for name, record in manifest.graphs.items():
        if name in needed:
            Field(record.flops, f"graphs.{name}.flops")["call"].number(0, 1e30)
            _fit(record.spec, *needed[name], sizes, manifest.precision)


def _fit(spec: NetworkSpec, takes: Tensors, gives: Tensors, sizes: dict[str, int], precision: str) -> None:
    """Hold a promise against what the loops give and take; `sizes` gains what each letter is."""
    for kind, found, needed in (("inputs", spec.inputs, takes), ("outputs", spec.outputs, gives)):
        names = [tensor.name for tensor in found]
        if set(names) != set(needed):
            raise ValueError(f"{spec.name} has the {kind} {_listed(names)}, needed are {_listed(needed)}")
        for tensor in found:
            dims = needed[tensor.name]
            if len(dims) != len(tensor.dims) or not all(map(_fits, dims, tensor.dims, [sizes] * len(dims))):
                words = ", ".join(str(sizes.get(dim, dim)) if isinstance(dim, str) else str(dim) for dim in dims)
                raise ValueError(f"{spec.name} has {tensor.name} of {shown(tensor.dims)}, needed is ({words})")
            if tensor.dtype != (dtype := dtype_of(tensor.name, precision)):
                raise ValueError(f"{spec.name} has {tensor.name} of {tensor.dtype}, needed is {dtype}")


def _fits(needed: Dim, found: Dim, sizes: dict[str, int]) -> bool:
    if needed == "*":
        return isinstance(found, str)
    if isinstance(found, str) or found > _LARGEST:
        return False
    return found == (sizes.setdefault(needed, found) if isinstance(needed, str) else needed)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name[:40] for name in sorted(names))

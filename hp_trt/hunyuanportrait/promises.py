"""What a bundle of HunyuanPortrait must be, before anything of it is used: geometry, sampling, and graphs that fit.

A manifest's own hash says that nobody edited it by accident. Whoever makes a bundle makes the hash, so the numbers that
pictures are cut and memory is taken by are held against the graphs, and the graphs against each other: a letter below
is one size in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from engines.bundle import Bundle
from engines.errors import BundleError, InputError
from engines.fields import Field, shown
from engines.manifest import Manifest, mending
from engines.spec import Dim, NetworkSpec
from runtime.hunyuanportrait.sampling import Sampling

LEAST_PX = 8  # a latent cell
LARGEST_PX = 2048  # along a side of anything: what a build takes at most
LONGEST_WINDOW = 256  # frames, likewise
_LARGEST = 1 << 16  # of what else a letter stands for: channels, cells, tokens

# Size by name: a number, a letter that is one number in all graphs, or "*", which is known at run time.
_LATENT = ("channels", "rows", "columns")
_WINDOW: Mapping[str, tuple[Dim, ...]] = {  # what every denoiser takes; F frames
    "latents": ("F", *_LATENT),
    "c_in": (1,),
    "step_embedding": (1, "embedding"),
    "image_latents": ("*", *_LATENT),
    "image_tokens": ("*", "image tokens", "width"),
    "motion_tokens": ("*", "F", "motion tokens", "width"),
}
_DEEP: tuple[Dim, ...] = ("*", "*", "deep", "rows", "columns")
_FREE: Mapping[str, tuple[Dim, ...]] = {
    name: tuple("*" if dim == "F" else dim for dim in dims) for name, dims in _WINDOW.items()
}
_EULER: Mapping[str, tuple[Dim, ...]] = {"a": (1,), "b": (1,)}
_ANY_LATENTS: tuple[Dim, ...] = ("*", *_LATENT)
_LIVE: tuple[Mapping[str, tuple[Dim, ...]], Mapping[str, tuple[Dim, ...]]] = (
    {**_FREE, "row_weights": ("*",)},
    {"velocity": _ANY_LATENTS},
)
_FULL: tuple[Mapping[str, tuple[Dim, ...]], Mapping[str, tuple[Dim, ...]]] = (
    {**_WINDOW, "row_weights": ("*",)},
    {"velocity": ("F", *_LATENT)},
)
_DECODER: tuple[Mapping[str, tuple[Dim, ...]], Mapping[str, tuple[Dim, ...]]] = (
    {"latents": _ANY_LATENTS},
    {"frames": ("*", 3, "crop_px", "crop_px"), "pixels": ("*", "crop_px", "crop_px", 3), "sums": ("*",)},
)
_WHOLE: Mapping[str, str] = {"head_id": "int64", "exp_id": "int64", "slots": "int64", "pixels": "uint8"}

# Graph -> what it takes, what it gives.
GRAPHS: Mapping[str, tuple[Mapping[str, tuple[Dim, ...]], Mapping[str, tuple[Dim, ...]]]] = {
    "appearance": (
        {"image": (1, 3, "appearance_px", "appearance_px"), "id_embedding": (1, 512)},
        {"image_tokens": (1, "image tokens", "width")},
    ),
    "motion": (
        {
            "face_images": ("*", 3, "motion_px", "motion_px"),
            "pose_images": ("*", 3, "motion_px", "motion_px"),
            "head_id": (1,),
            "exp_id": (1,),
        },
        {"motion_tokens": ("*", "motion tokens", "width")},
    ),
    "vae_encoder": ({"image": (1, 3, "crop_px", "crop_px")}, {"mean": (1, *_LATENT)}),
    "step_embedding": ({"timesteps": ("*",), "added_time_ids": (3,)}, {"embeddings": ("*", "embedding")}),
    "denoiser": _FULL,
    "denoiser_int8": _FULL,
    "denoiser_fp8": _FULL,
    "stitch": (
        {
            "latents": ("F", *_LATENT),
            "velocities": _ANY_LATENTS,
            "slots": ("F", "*"),
            "weights": ("F", "*"),
            **_EULER,
        },
        {"next_latents": ("F", *_LATENT)},
    ),
    "vae_decoder": _DECODER,
    "live_denoiser": _LIVE,
    "live_denoiser_int8": _LIVE,
    "live_denoiser_fp8": _LIVE,
    "live_stitch": (
        {"latents": _ANY_LATENTS, "velocities": _ANY_LATENTS, "matrix": ("*", "*"), **_EULER},
        {"next_latents": _ANY_LATENTS},
    ),
    "tiny_decoder": _DECODER,
    "denoiser_inner": (_FREE, {"deep_features": _DEEP}),
    "denoiser_outer": (
        {**_FREE, "row_weights": ("*",), "deep_features": _DEEP},
        {"velocity": _ANY_LATENTS},
    ),
}


def check_bundle(bundle: Bundle) -> None:
    """Raises BundleError that names the field or the graph which does not fit."""
    try:
        _check(bundle.manifest)
    except (ValueError, InputError) as error:
        raise BundleError(
            f"{bundle.path} cannot be used: {error}; {mending(bundle.path, bundle.manifest.to_json())}"
        ) from error


def _check(manifest: Manifest) -> None:
    geometry = Field(manifest.geometry, "geometry")
    sizes = {name: geometry[name].whole(LEAST_PX, LARGEST_PX) for name in ("crop_px", "appearance_px", "motion_px")}
    if manifest.size != (sizes["crop_px"], sizes["crop_px"]):
        raise ValueError(
            f"geometry.crop_px is {sizes['crop_px']}, size is {list(manifest.size)}, needed is a square of it"
        )
    if manifest.frames > LONGEST_WINDOW:
        raise ValueError(f"frames must be 1 to {LONGEST_WINDOW}, got {manifest.frames}")
    sampling = Sampling.from_manifest(manifest.sampling)
    if sampling.window != manifest.frames:
        raise ValueError(f"sampling.window is {sampling.window}, the bundle's frames are {manifest.frames}")
    sizes["F"] = manifest.frames
    for name, record in manifest.graphs.items():
        if name in GRAPHS:
            Field(record.flops, f"graphs.{name}.flops")["call"].number(0, 1e30)
            _fit(record.spec, *GRAPHS[name], sizes)


def _fit(
    spec: NetworkSpec,
    takes: Mapping[str, tuple[Dim, ...]],
    gives: Mapping[str, tuple[Dim, ...]],
    sizes: dict[str, int],
) -> None:
    """Hold a promise against what the loops give and take; `sizes` gains what each letter is."""
    for kind, found, needed in (("inputs", spec.inputs, takes), ("outputs", spec.outputs, gives)):
        names = [tensor.name for tensor in found]
        if set(names) != set(needed):
            raise ValueError(
                f"{spec.name} has the {kind} {shown(sorted(names))}, needed are {', '.join(sorted(needed))}"
            )
        for tensor in found:
            dims = needed[tensor.name]
            if len(dims) != len(tensor.dims) or not all(map(_fits, dims, tensor.dims, [sizes] * len(dims))):
                words = ", ".join(str(sizes.get(dim, dim)) if isinstance(dim, str) else str(dim) for dim in dims)
                raise ValueError(f"{spec.name} has {tensor.name} of {shown(tensor.dims)}, needed is ({words})")
            whole = _WHOLE.get(tensor.name)
            if tensor.dtype not in ((whole,) if whole else ("float32", "float16")):
                raise ValueError(f"{spec.name} has {tensor.name} of {tensor.dtype}, needed is {whole or 'float'}")


def _fits(needed: Dim, found: Dim, sizes: dict[str, int]) -> bool:
    if needed == "*":
        return isinstance(found, str)
    if isinstance(found, str) or found > _LARGEST:
        return False
    return found == (sizes.setdefault(needed, found) if isinstance(needed, str) else needed)

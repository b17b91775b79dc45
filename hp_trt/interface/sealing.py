"""Of what a run's files are made, for the seal that they get: hashes and names, never a path."""

from __future__ import annotations

import hashlib
import math
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.file_record import FileRecord, hash_file
from engines.manifest import OWN_SOURCE
from hp_trt.config import RuntimeConfig
from hp_trt.interface.speech import plain
from hp_trt.media.portrait import Portrait
from hp_trt.model import Model
from hp_trt.profiles import Profile
from hp_trt.provenance.run_seal import Prepared, RunSeal
from hp_trt.provenance.sidecar import Input, Origin, without_folders

_PACKAGES = ("numpy", "av", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "openvino", "c2pa-python")
_RESEARCH = "for academic research only, as upstream says (NOTICE)"
_NAMES = {
    "the driving video": "driving video",
    "the sound": "speech",
    "the driving faces' file": "driving landmarks",
    "the portrait's face's file": "portrait landmarks",
    "the file of profiles": "profiles",
    "the face finder's network": "face finder",
    "the network of the identity vector": "identity network",
    "the network that separates vocals": "vocals network",
}


def seal_of_run(
    prepared: Prepared | None,
    model: Model,
    bundle: Bundle,
    config: RuntimeConfig,
    profile: Profile,
    portrait: Portrait,
    inputs: Mapping[str, Path | str | None],
    driven_by: object = None,
    notes: Iterable[str] = (),
) -> RunSeal | None:
    """The seal of a run that animates `portrait`, with everything hashed that goes in; None where none is asked for.

    `inputs`: the files that are read, by what a message calls each (`RuntimeConfig.inputs`). `driven_by`: samples and
    their rate, where no file drives it and no stream does. `notes`: what is told of the runtime.
    """
    if prepared is None:
        return None
    found = files_of_run(inputs)
    moves = what_moves(model)
    if moves not in found:
        found[moves] = _samples(*driven_by) if isinstance(driven_by, tuple) else _stream()
    paths = {str(bundle.path), *(str(path) for path in inputs.values() if path is not None)}
    hidden = tuple({*paths, *(str(Path(path).absolute()) for path in paths)})
    found = {"portrait": _portrait(portrait), **found}
    seal = prepared.seal(origin_of(model, bundle, config, profile, found, hidden=hidden))
    told = (*notes, *portrait.notes)
    seal.told = lambda: told
    return seal


def what_moves(model: Model | type[Model]) -> str:
    """Which input of a run moves the portrait, as sidecars call it."""
    return "speech" if model.driver == "audio" else "driving video"


def files_of_run(
    inputs: Mapping[str, Path | str | None], hashed: Callable[[Path], FileRecord] = hash_file
) -> dict[str, Input]:
    """Of the files that are read, by what a message calls each, those that sidecars tell of, but for the portrait.

    Raises OSError.
    """
    return {
        _NAMES[what]: file_input(Path(path), hashed)
        for what, path in inputs.items()
        if path is not None and what in _NAMES
    }


def origin_of(
    model: Model | type[Model],
    bundle: Bundle,
    config: RuntimeConfig,
    profile: Profile,
    inputs: Mapping[str, Input],
    *,
    hidden: tuple[str, ...] = (),
) -> Origin:
    """What sidecars say of a run. Of the bundle only the manifest is looked at, and no graph is opened. `hidden`: paths
    that no text may tell."""
    manifest = bundle.manifest
    return Origin(
        version=str(import_module("hp_trt").__version__),  # which imports us
        inputs=inputs,
        driver=what_moves(model),
        bundle=bundle_facts(bundle, licence(manifest.weights), hidden),
        profile=profile.name,
        sampling=_of_json({**manifest.sampling, **plain(profile.sampling), "seed": model.seed(bundle, profile)}),
        versions={"python": platform.python_version(), **versions_here()},
        locator=config.locator,
        hidden=hidden,
    )


def bundle_facts(bundle: Bundle, licence: str, hidden: tuple[str, ...] = ()) -> dict[str, Any]:
    """What sidecars say of a bundle and the `licence` of its weights. `hidden`: paths that no text may tell."""
    manifest = bundle.manifest
    weights = {key: manifest.weights.get(key) for key in ("kind", "source", "fingerprint")}
    weights["source"] = without_folders(str(weights["source"] or ""), hidden)
    return {
        "model": manifest.model,
        "preset": manifest.preset,
        "precision": manifest.precision,
        "sha256": manifest.to_json()["sha256"],
        "weights": weights,
        "licence": licence,
    }


def licence(weights: Mapping[str, Any]) -> str:
    """Under which terms weights may be used, as far as we know."""
    kind, source = weights.get("kind"), weights.get("source")
    if kind == "published":
        return _RESEARCH
    if kind == "random":
        return "none: random numbers"
    return "Apache-2.0" if source == OWN_SOURCE else "of whoever trained them"


def _portrait(portrait: Portrait) -> Input:
    if portrait.path is not None:
        with suppress(OSError):  # it was encoded long ago, and is gone
            return file_input(portrait.path)
    return Input(name=None, sha256=_sha256(portrait.image, str(portrait.image.shape)), of="picture")


def file_input(path: Path, hashed: Callable[[Path], FileRecord] = hash_file) -> Input:
    """A file that goes in. Raises OSError."""
    name = os.fsencode(path.name).decode(errors="replace")  # half a character is no JSON
    return Input(name=name or None, sha256=hashed(path).sha256, of="file")


def _samples(samples: np.ndarray, rate: int) -> Input:
    return Input(name=None, sha256=_sha256(samples, f"{samples.shape} {samples.dtype} {rate}"), of="samples")


def _stream() -> Input:
    """Not even its name: an address may hold a password."""
    return Input(name=None, sha256=None, of="stream")


def _sha256(array: np.ndarray, head: str) -> str:
    return hashlib.sha256(head.encode() + np.ascontiguousarray(array).tobytes()).hexdigest()


def versions_here() -> dict[str, str]:
    """Of the packages that decide what a run writes, those that are installed."""
    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _of_json(value: Any) -> Any:
    """As JSON can say it: what is infinite in words."""
    if isinstance(value, Mapping):
        return {str(key): _of_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_of_json(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

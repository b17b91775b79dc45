"""All that decides the frames which a driving video makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.config import RuntimeConfig
from hp_trt.interface.speech import check_parts, file_fact, plain
from hp_trt.media.portrait import Portrait
from hp_trt.profiles import Profile


def driven_facts(
    bundle: Bundle,
    config: RuntimeConfig,
    profile: Profile,
    graphs: Mapping[str, str],
    portrait: Portrait,
    video: Path,
    landmarks: object = None,
) -> dict[str, Any]:
    """Everything that decides the frames of a render, as JSON: another value makes other frames.

    `graphs`: by role, those that the profile runs. `landmarks`: a file, or whoever says where the driving faces are,
    known by its name alone. Threads and what runs the graphs are not among them, as in `run_facts`: a render that
    goes on with others differs by roundings from there. Raises InputError for a profile of mode live, whose clips
    cannot be gone on with, and where NVENC is asked for.
    """
    check_parts(config)
    if profile.mode != "clip":
        raise InputError(
            f"resume: only for whole clips, the profile {profile.name} is of mode {profile.mode}; leave it out, or "
            "take a profile of mode clip"
        )
    faces = {"locator": config.locator, "file": file_fact(config.locator_file)}
    if isinstance(landmarks, Path | str):
        faces = {"landmarks": file_fact(landmarks)}
    elif landmarks is not None:
        faces = {"locator": str(getattr(landmarks, "name", type(landmarks).__name__))}
    return {
        "the portrait": portrait.key,
        "the driving video": file_fact(video),
        "the driving faces": faces,
        "the bundle's graphs": {role: bundle.manifest.graphs[name].key for role, name in graphs.items()},
        "geometry": dict(bundle.manifest.geometry),
        "sampling": {**bundle.manifest.sampling, **plain(profile.sampling)},
        "cuts": profile.cuts,
        "precision": profile.precision,
    }

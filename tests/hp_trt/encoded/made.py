"""Motion and portrait files of the bundles that come with the package, and files that somebody has forged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundle import Bundle
from hp_trt import Runtime
from hp_trt.encoded.tensor_file import read_tensor_file, write_tensor_file
from hp_trt.sample import write_driving, write_portrait, write_speech_sample
from hp_trt.shipped import bundle_folder

FRAMES = 5
BRIEF = {"steps": 1, "pad_frames": 0, "seed": 3}  # of a clip that need not be good


@dataclass(frozen=True, kw_only=True)
class Made:
    """Read only."""

    folder: Path
    portrait: Path  # pictures, videos, sounds
    driving: Path
    motion: Path  # of whole clips
    portable: Path
    live: Path  # of live sessions
    portrait_file: Path


def make(folder: Path, runtime: Runtime, live: Runtime) -> Made:
    """By runtimes of `shipped:pocket`, of whole clips and of live sessions: a portrait, five frames with sound."""
    made = Made(
        folder=folder,
        portrait=folder / "me.png",
        driving=folder / "driver.mp4",
        motion=folder / "driver.motion.safetensors",
        portable=folder / "portable.motion.safetensors",
        live=folder / "live.motion.safetensors",
        portrait_file=folder / "me.portrait.safetensors",
    )
    write_portrait(made.portrait, seed=0)
    write_driving(made.driving, seed=1, frames=FRAMES)
    runtime.write_motion(made.motion, driving=made.driving)
    runtime.write_motion(made.portable, driving=made.driving, portable=True)
    runtime.write_portrait(made.portrait_file, made.portrait)
    live.write_motion(made.live, driving=made.driving)
    return made


@dataclass(frozen=True, kw_only=True)
class MadeTalk:
    """Read only."""

    portrait: Path
    sound: Path
    motion: Path
    portrait_file: Path


def make_talk(folder: Path, runtime: Runtime) -> MadeTalk:
    """Of `shipped:talk_pocket`, a portrait and a speech of six frames."""
    portrait, sound = write_speech_sample(folder, frames=6)
    motion, portrait_file = folder / "speech.motion.safetensors", folder / "me.portrait.safetensors"
    made = MadeTalk(portrait=portrait, sound=sound, motion=motion, portrait_file=portrait_file)
    runtime.write_motion(made.motion, audio=sound)
    runtime.write_portrait(made.portrait_file, portrait)
    return made


def shipped_bundle(name: str = "shipped:pocket") -> Bundle:
    return Bundle.open(bundle_folder(name), family="onnxruntime")


def with_other_graph(bundle: Bundle, graph: str) -> Bundle:
    """The same bundle, one of whose graphs is said to be another."""
    record = replace(bundle.manifest.graphs[graph], key="f" * 64)
    return replace(bundle, manifest=replace(bundle.manifest, graphs={**bundle.manifest.graphs, graph: record}))


def forged(
    source: Path,
    path: Path,
    *,
    about: Callable[[Any], None] = lambda about: None,
    tensors: Callable[[dict[str, np.ndarray]], None] = lambda tensors: None,
    format: str | None = None,
) -> Path:
    """A copy of a file with something in it that is other, and with the hash of that."""
    file = read_tensor_file(source)
    said, arrays = json.loads(file.about), {name: file.array(name) for name in file.tensors}
    about(said)
    tensors(arrays)
    write_tensor_file(path, format=format or file.format, about=said, tensors=arrays)
    return path

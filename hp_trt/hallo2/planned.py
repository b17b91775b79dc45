"""Hallo2 behind `hp_trt.measure.planning.planned_model.PlannedRoom`: what a plan asks of it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engines.bundle import Bundle
from hp_trt.hallo2.counts import LIKE, SHAPES, Shapes, counts_of, shapes_of
from hp_trt.hallo2.profiles import PROFILES, check_choices, roles, sampling_of
from hp_trt.hallo2.work import profile_work
from hp_trt.measure.planning.counts import Counts
from hp_trt.measure.planning.pieces import CLIP_FRAMES, Piece
from hp_trt.measure.planning.planned_model import Order, PlannedModel, rounds
from hp_trt.profiles import Profile, Profiles
from runtime.hallo2.presets import AUDIO_WINDOW, FPS, HALF, PIECE_S, PRESETS, SAMPLES_PER_FRAME
from runtime.hallo2.sampling import Sampling
from runtime.work import Call, Work

if TYPE_CHECKING:
    from hp_trt.api import Runtime

_CLIP = ("motion_frames", "reference", "denoise", "stitch")


class PlannedHallo2:
    """A `PlannedRoom`. Its facts: "shapes", `hp_trt.hallo2.counts.Shapes`."""

    driver: ClassVar[Literal["audio"]] = "audio"
    order: ClassVar[Order] = Order(
        stages=("portrait_crop", "portrait", "speech", *_CLIP, "decode", "write"),
        before=("portrait_crop", "portrait"),
        on_device=("speech", *_CLIP, "decode"),
        on_host=(),
        lanes=(("speech", *_CLIP), ("decode",), ("write",)),
        # A clip's last frame is moved by the features of the frames behind it too.
        ahead=AUDIO_WINDOW // 2,
    )
    presets: ClassVar[Mapping[str, tuple[int, int]]] = {
        name: (facts.size, facts.clip) for name, facts in PRESETS.items()
    }
    half: ClassVar[Container[str]] = HALF
    like: ClassVar[Mapping[str, tuple[str, ...]]] = LIKE
    profiles: ClassVar[Profiles] = PROFILES
    added_by: ClassVar[Mapping[str, str]] = {}  # every build makes every graph

    def preset_sampling(self, preset: str, window: int) -> Sampling:
        return Sampling.from_manifest(PRESETS[preset].sampling)

    def bundle_sampling(self, own: Mapping[str, Any]) -> Sampling:
        return Sampling.from_manifest(own)

    def preset_facts(self, preset: str) -> Mapping[str, Any]:
        return {"shapes": SHAPES[preset]}

    def bundle_facts(self, bundle: Bundle) -> Mapping[str, Any]:
        return {"shapes": shapes_of(bundle)}

    def counts(self, preset: str, graph: str) -> Counts | None:
        return counts_of(preset, graph)

    def counted_frames(self, call: Call) -> int:
        """Of the speech encoder those of the piece, over all of which it looks."""
        return call.units if call.graph == "speech_encoder" else call.frames

    def sizes(self, call: Call) -> Mapping[str, int]:
        return {"samples": call.units * SAMPLES_PER_FRAME} if call.graph == "speech_encoder" else {}

    def fitted(self, profile: Profile, model: PlannedModel) -> Profile:
        check_choices(profile)
        sampling_of(vars(model.sampling), profile)
        return profile

    def graphs(self, profile: Profile, model: PlannedModel) -> tuple[str, ...]:
        return tuple(roles(profile, sampling_of(vars(model.sampling), profile)).values())

    def work(self, profile: Profile, model: PlannedModel, frames: int, *, steps: int | None = None) -> Work:
        shapes: Shapes = model.facts["shapes"]
        return profile_work(
            profile, model.sampling, frames, clip=model.window, motion_frames=shapes.motion_frames, steps=steps
        )

    def later_s(self, work: Work, seconds: Mapping[str, float]) -> float:
        """All clips but the first, all pieces of sound but the first; and the first clip's frames behind the chunk of
        its first one. Its last m, which the next clip goes on from, are decoded before."""
        clips = rounds(work)
        encoder = [call for call in work.graphs["speech"] if call.graph == "speech_encoder"]
        heard = max(call.units for call in encoder) / sum(call.units * call.times for call in encoder)
        (motion,) = work.graphs["motion_frames"]
        chunk = max(call.units for call in work.graphs["decode"])
        decoded = min(motion.units + chunk, work.window) / (clips * work.window)
        later_s = sum(seconds[name] for name in _CLIP) * (clips - 1) / clips
        return later_s + seconds["decode"] * (1 - decoded) + seconds["speech"] * (1 - heard)

    def clip_bytes(self, work: Work, model: PlannedModel) -> float:
        """Banks of the portrait and of the motion frames, tokens, features, masks and latents of a clip, and the speech
        features of a piece."""
        shapes: Shapes = model.facts["shapes"]
        halves = work.rows // work.steps
        row = sum(places * (model.cells >> 2 * level) * width for level, (places, width) in enumerate(shapes.banks))
        cells = sum(model.cells >> 2 * level for level in range(len(shapes.banks)))
        banks = (2 * 2 + halves * shapes.motion_frames) * row  # keys and values of two rows; the motion frames
        tokens = work.window * shapes.audio_tokens * shapes.audio_width
        latents = 4 * work.window * 4 * model.cells  # two of latents, two of velocities
        features = min(work.frames, PIECE_S * FPS) * shapes.speech_layers * shapes.speech_width
        floats = latents + features + shapes.face_width * model.cells + 3 * cells
        return float((banks + tokens) * model.token_bytes + 4 * floats)

    def notes(self, asked: Profile, model: PlannedModel, bundle: Path | None) -> Iterator[str]:
        yield from ()

    def host_pieces(self, runtime: Runtime, *, make: bool, live: bool) -> Mapping[str, Piece]:
        from hp_trt.hallo2.host_work import host_pieces

        return host_pieces(runtime, frames=CLIP_FRAMES, make=make)

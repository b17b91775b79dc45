"""HunyuanPortrait behind `hp_trt.measure.planning.planned_model.PlannedRoom`: what a plan asks of it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from engines.bundle import Bundle
from hp_trt.hunyuanportrait.counts import LIKE, TOKENS, counts_of, tokens_of
from hp_trt.hunyuanportrait.profiles import (
    ADDED_BY,
    DISTILLED,
    PROFILES,
    SMALL_DECODER,
    fitted,
    graphs,
    misses_small_decoder,
)
from hp_trt.hunyuanportrait.work import profile_work
from hp_trt.measure.planning.counts import Counts
from hp_trt.measure.planning.pieces import CLIP_FRAMES, Piece
from hp_trt.measure.planning.planned_model import Order, PlannedModel
from hp_trt.profiles import Profile, Profiles
from runtime.hunyuanportrait.presets import HALF, PRESETS
from runtime.hunyuanportrait.sampling import Sampling
from runtime.work import Call, Work

if TYPE_CHECKING:
    from hp_trt.api import Runtime


class PlannedHunyuanPortrait:
    """A `PlannedRoom`. Its facts: "token_shape", (m, D) of a frame's motion tokens."""

    driver: ClassVar[Literal["video"]] = "video"
    order: ClassVar[Order] = Order(
        stages=(
            *("portrait_crop", "portrait", "first_face", "read", "crop", "motion"),
            *("denoise", "stitch", "decode", "write"),
        ),
        before=("portrait_crop", "portrait", "first_face"),
        on_device=("motion", "denoise", "stitch", "decode"),
        on_host=("crop",),
        lanes=(("read",), ("crop", "motion"), ("denoise", "stitch"), ("decode",), ("write",)),
    )
    presets: ClassVar[Mapping[str, tuple[int, int]]] = {
        name: (facts.size, facts.window) for name, facts in PRESETS.items()
    }
    half: ClassVar[Container[str]] = HALF
    like: ClassVar[Mapping[str, tuple[str, ...]]] = LIKE
    profiles: ClassVar[Profiles] = PROFILES
    added_by: ClassVar[Mapping[str, str]] = ADDED_BY

    def preset_sampling(self, preset: str, window: int) -> Sampling:
        return Sampling.from_manifest({**PRESETS[preset].sampling, "window": window})

    def bundle_sampling(self, own: Mapping[str, Any]) -> Sampling:
        return Sampling.from_manifest(own)

    def preset_facts(self, preset: str) -> Mapping[str, Any]:
        return {"token_shape": TOKENS[preset]}

    def bundle_facts(self, bundle: Bundle) -> Mapping[str, Any]:
        return {"token_shape": tokens_of(bundle)}

    def counts(self, preset: str, graph: str) -> Counts | None:
        return counts_of(preset, graph)

    def counted_frames(self, call: Call) -> int:
        return call.frames

    def sizes(self, call: Call) -> Mapping[str, int]:
        return {}

    def fitted(self, profile: Profile, model: PlannedModel) -> Profile:
        return fitted(profile, _has(model))

    def graphs(self, profile: Profile, model: PlannedModel) -> tuple[str, ...]:
        return graphs(profile)

    def work(self, profile: Profile, model: PlannedModel, frames: int, *, steps: int | None = None) -> Work:
        return profile_work(profile, model.sampling, frames, steps=steps)

    def later_s(self, work: Work, seconds: Mapping[str, float]) -> float:
        chunks = sum(call.times for call in work.graphs["decode"])
        waved = seconds["denoise"] + seconds["stitch"]
        return waved * (1 - work.first) + seconds["decode"] * (chunks - 1) / chunks

    def clip_bytes(self, work: Work, model: PlannedModel) -> float:
        """Tokens, latents and a few velocities; where steps reuse deep features, these too."""
        m, width = model.facts["token_shape"]
        latent = 4 * model.cells * 4  # four channels, fp32
        if work.mode == "clip":
            # Of a window: gathered, its velocities, those that wait for another window, and what the stitch gives.
            clip = work.padded * m * width * model.token_bytes + (work.held + 4 * work.window) * latent
        else:
            clip = work.padded * (m * width * model.token_bytes + 2 * latent)
        calls = [call for calls in work.graphs.values() for call in calls]
        if rows := max((call.units for call in calls if call.graph == work.kept), default=0):
            # Those of the window at hand, and in a clip those of every held frame: its windows slide.
            clip += rows * model.given_bytes(work.kept) * (work.window + work.held)
        return float(clip)

    def notes(self, asked: Profile, model: PlannedModel, bundle: Path | None) -> Iterator[str]:
        if misses_small_decoder(asked, _has(model)):
            where = f"{bundle} has" if bundle is not None else f"the weights of {model.preset} have"
            yield f"{where} no small decoder: the full one is planned; it comes with {SMALL_DECODER}"

    def host_pieces(self, runtime: Runtime, *, make: bool, live: bool) -> Mapping[str, Piece]:
        from hp_trt.hunyuanportrait.host_work import host_pieces

        return host_pieces(runtime, frames=CLIP_FRAMES, make=make, live=live)


def _has(model: PlannedModel) -> Container[str]:
    """Graphs of live mode that not all weights make: the bundle's, or those that the preset's own weights make."""
    return model.graphs or DISTILLED.get(model.preset, frozenset())

"""Nodes that make a video: Animate, which follows a video, and Talk, which follows speech.

What they write lies among ComfyUI's outputs with all that says where it comes from. The VIDEO that they give is that
file; a node that writes it again, as SaveVideo does, keeps the mark and loses the rest.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import io

from hp_trt import Provenance
from runtime.hallo2.presets import MOODS

from .encoding import CATEGORY, one_of_them
from .host import Place, watched
from .values import file_of_audio, file_of_video
from .wires import Encoded, MotionWire, PortraitWire

NO_MOOD = "none"  # for weights that know none
_MOST_SEED = 2**32 - 1


def how_inputs(prefix: str) -> list[Any]:
    """The widgets that both have."""
    return [
        io.Int.Input("steps", default=0, min=0, max=1000, tooltip="Denoising steps; 0: the profile's own."),
        io.Int.Input("seed", default=-1, min=-1, max=_MOST_SEED, tooltip="Of the noise; -1: the bundle's own."),
        *carried_inputs(prefix),
    ]


def carried_inputs(prefix: str) -> list[Any]:
    """The widgets that say what a file carries of its origin, and where it lies."""
    return [
        io.Boolean.Input("mark", default=True, tooltip="An invisible mark in every picture."),
        io.Boolean.Input("credentials", default=True, tooltip="Content Credentials in the file."),
        io.Boolean.Input("sidecar", default=True, tooltip="A JSON beside the file: what went in, what made it."),
        io.Boolean.Input("label", default=False, tooltip="A visible sign in the corner."),
        io.String.Input("filename_prefix", default=prefix),
        io.String.Input("consent", default="", optional=True, tooltip="What to say of whoever is shown."),
    ]


def provenance_of(*, mark: bool, credentials: bool, sidecar: bool, label: bool, consent: str = "") -> Provenance:
    """What those widgets say."""
    return Provenance(mark=mark, credentials=credentials, sidecar=sidecar, label=label, consent=consent.strip() or None)


def made(
    node_id: str | None,
    portrait: Encoded,
    driver: dict[str, Any],
    *,
    steps: int,
    seed: int,
    filename_prefix: str,
    mood: str | None = None,
    **carried: Any,
) -> io.NodeOutput:
    """Write the clip, and give it as a VIDEO with its notes."""
    provenance = provenance_of(**carried)
    sampling: dict[str, Any] = {"steps": steps or None, "seed": None if seed < 0 else seed}
    if mood is not None:
        sampling["mood"] = mood
    place = Place.free(filename_prefix, ".mp4")
    with watched(node_id) as stages:
        done = portrait.opened.runtime.animate(
            portrait.portrait, out=place.path, provenance=provenance, stages=stages, **driver, **sampling
        )
    return io.NodeOutput(place.video(), "\n".join(done.notes), ui=place.shown())


class AnimateNode(io.ComfyNode):
    """The portrait, moving as a driving video moves."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtAnimate",
            display_name="Animate (hp-trt)",
            category=CATEGORY,
            description="Write a video of the portrait that follows a driving video, with its times and its sound.",
            inputs=[
                PortraitWire.Input("portrait"),
                io.Video.Input("driving", optional=True, tooltip="A face to follow."),
                MotionWire.Input("motion", optional=True, tooltip="Or its motion file."),
                *how_inputs("hp-trt/animated"),
            ],
            outputs=[io.Video.Output("video"), io.String.Output("notes")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls, portrait: Encoded, driving: Any = None, motion: Path | None = None, consent: str = "", **how: Any
    ) -> io.NodeOutput:
        one_of_them(driving=driving, motion=motion)
        with nullcontext(motion) if driving is None else file_of_video(driving) as file:
            return made(cls.hidden.unique_id, portrait, {"driving": file}, consent=consent, **how)


class TalkNode(io.ComfyNode):
    """The portrait, speaking."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtTalk",
            display_name="Talk (hp-trt)",
            category=CATEGORY,
            description="Write a video of the portrait that speaks, 25 frames a second, with the sound.",
            inputs=[
                PortraitWire.Input("portrait"),
                io.Audio.Input("audio", optional=True, tooltip="Speech."),
                MotionWire.Input("motion", optional=True, tooltip="Or its motion file."),
                io.Combo.Input("mood", options=[NO_MOOD, *MOODS], default=NO_MOOD),
                io.Float.Input("mood_strength", default=1.0, min=0.0, max=1.0, step=0.05),
                *how_inputs("hp-trt/talking"),
            ],
            outputs=[io.Video.Output("video"), io.String.Output("notes")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        portrait: Encoded,
        mood: str,
        mood_strength: float,
        audio: Any = None,
        motion: Path | None = None,
        consent: str = "",
        **how: Any,
    ) -> io.NodeOutput:
        one_of_them(audio=audio, motion=motion)
        words = None if mood == NO_MOOD else f"{mood}:{mood_strength:.3f}"
        with nullcontext(motion) if audio is None else file_of_audio(audio) as file:
            return made(cls.hidden.unique_id, portrait, {"audio": file}, mood=words, consent=consent, **how)

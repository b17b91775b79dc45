"""Nodes that make pictures larger and restore the face in them: Enhancer, Enhance (IMAGE), Enhance Video (VIDEO).

A batch of IMAGEs is in memory as a whole where ComfyUI hands it on, so what Enhance gives is too: 12 bytes of a pixel,
of every frame. Between the two its frames stream. Enhance Video goes from a file to a file, and holds neither.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import Any

from comfy_api.v0_0_2 import io

from hp_trt import InputError, RuntimeConfig
from hp_trt.enhancer.asked import check_fits, options_for
from hp_trt.enhancer.pipeline import SCALES
from hp_trt.provenance.mark import InvisibleMark, InvisibleMarkFinder
from hp_trt.shipped import ENHANCER_POCKET_BUNDLE

from .encoding import CATEGORY
from .host import Place, watched
from .making import carried_inputs, provenance_of
from .values import Pictures, empty_images, file_of_video
from .wires import EnhancerWire, OpenedEnhancer, bundle_stamp, device_inputs

_BUNDLE = "A folder made by export.build_engines --preset enhancer, or shipped:enhancer_pocket, which restores no face."
_FIDELITY = "0: the restorer's own idea of the face, 1: nearer to the video; -1: the enhancer's own, 0.5."
_OWN = -1.0
_LOOKED_AT = 100  # frames, for a mark
_PIXEL_BYTES = 12  # of an IMAGE: three floats


def enlarging_inputs() -> list[Any]:
    """The widgets that both have."""
    return [
        io.Combo.Input(
            "scale", options=[str(scale) for scale in SCALES], default="2", tooltip="Times as wide and high."
        ),
        io.Float.Input("fidelity", default=_OWN, min=_OWN, max=1.0, step=0.05, tooltip=_FIDELITY),
        io.Boolean.Input("face_upsample", default=False, tooltip="The upscaler enlarges the restored face too."),
    ]


def _options(scale: str, fidelity: float, face_upsample: bool) -> dict[str, Any]:
    """As `hp_trt.Enhancer` takes them."""
    return {
        "scale": int(scale),
        "fidelity": None if fidelity == _OWN else fidelity,
        "face_upsample": face_upsample,
    }


class EnhancerNode(io.ComfyNode):
    """A bundle of the enhancer, opened on a device."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtEnhancer",
            display_name="Enhancer (hp-trt)",
            category=CATEGORY,
            description="Open a bundle of the enhancer. Its licence and what else to know of it come out as notes.",
            inputs=[
                io.String.Input("bundle", default=ENHANCER_POCKET_BUNDLE, tooltip=_BUNDLE),
                *device_inputs(),
            ],
            outputs=[EnhancerWire.Output("enhancer"), io.String.Output("notes")],
        )

    @classmethod
    def fingerprint_inputs(cls, bundle: str, **_widgets: Any) -> Any:
        """Another when the bundle was built anew."""
        return bundle_stamp(bundle)

    @classmethod
    def execute(cls, bundle: str, family: str, provider: str, device: int, threads: int) -> io.NodeOutput:
        choices: dict[str, Any] = {"family": family, "provider": provider}
        opened = OpenedEnhancer(bundle, RuntimeConfig(device_id=device, threads=threads or None, **choices))
        return io.NodeOutput(opened, "\n".join(opened.enhancer.notes))


class EnhanceNode(io.ComfyNode):
    """A batch of frames, larger."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtEnhance",
            display_name="Enhance (hp-trt)",
            category=CATEGORY,
            description="Enlarge frames, and restore the face in them. All are in memory: a long VIDEO is better given "
            "to Enhance Video.",
            inputs=[
                EnhancerWire.Input("enhancer"),
                io.Image.Input("images", tooltip="The frames of a video, in order."),
                io.Float.Input(
                    "fps", default=25.0, min=0.01, max=1000.0, step=0.01, tooltip="Of the frames; passed on."
                ),
                *enlarging_inputs(),
                io.Boolean.Input("mark", default=True, tooltip="An invisible mark in every picture."),
            ],
            outputs=[io.Image.Output("enlarged"), io.Float.Output("frame_rate"), io.String.Output("notes")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        enhancer: OpenedEnhancer,
        images: Any,
        fps: float,
        scale: str,
        fidelity: float,
        face_upsample: bool,
        mark: bool,
    ) -> io.NodeOutput:
        opened, pictures, options = enhancer.enhancer, Pictures(images), _options(scale, fidelity, face_upsample)
        larger = len(pictures), pictures.height * options["scale"], pictures.width * options["scale"]
        _check_batch(enhancer, pictures, options)
        marked = _mark_of(pictures) if mark else None
        faces = 0
        with watched(cls.hidden.unique_id) as stages:
            stages.begin("upscale", len(pictures))
            frames = opened.frames(pictures, stages=stages, **options)
            made, memory = empty_images(images, larger)
            with closing(frames):
                for frame in frames:
                    faces += frame.has_face
                    memory[frame.index] = frame.image if marked is None else marked.embed(frame.image)
                    memory[frame.index] /= 255
        notes = [*opened.notes]
        if opened.restores and faces < len(pictures):
            notes.append(f"{len(pictures) - faces} of {len(pictures)} frames show no face: they are enlarged alone")
        return io.NodeOutput(made, fps, "\n".join(notes))


class EnhanceVideoNode(io.ComfyNode):
    """A video, larger, from a file to a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtEnhanceVideo",
            display_name="Enhance Video (hp-trt)",
            category=CATEGORY,
            description="Write a larger video with its face restored, its times and its sound. Memory does not grow "
            "with its length.",
            inputs=[
                EnhancerWire.Input("enhancer"),
                io.Video.Input("video", tooltip="Of any size, from anywhere."),
                *enlarging_inputs(),
                *carried_inputs("hp-trt/enhanced"),
            ],
            outputs=[io.Video.Output("enlarged"), io.String.Output("notes")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        enhancer: OpenedEnhancer,
        video: Any,
        scale: str,
        fidelity: float,
        face_upsample: bool,
        filename_prefix: str,
        **carried: Any,
    ) -> io.NodeOutput:
        place, options = Place.free(filename_prefix, ".mp4"), _options(scale, fidelity, face_upsample)
        with file_of_video(video) as file, watched(cls.hidden.unique_id) as stages:
            done = enhancer.enhancer.enhance(
                file, place.path, provenance=provenance_of(**carried), stages=stages, **options
            )
        return io.NodeOutput(place.video(), "\n".join(done.notes), ui=place.shown())


def _check_batch(enhancer: OpenedEnhancer, pictures: Pictures, options: dict[str, Any]) -> None:
    """Raises InputError where the frames that would be given do not fit into memory beside the work."""
    bundle = enhancer.enhancer.bundle
    chosen = options_for(bundle, **options)
    held = len(pictures) * pictures.height * pictures.width * options["scale"] ** 2 * _PIXEL_BYTES
    size, name = (pictures.width, pictures.height), f"a batch of {len(pictures)} images"
    try:
        check_fits(name, size, bundle, chosen, writes=False, held_bytes=held)
    except InputError as error:
        raise InputError(f"{error}; a VIDEO given to Enhance Video is never in memory as a whole") from error


def _mark_of(pictures: Pictures) -> InvisibleMark:
    """With the id of the mark that they carry, which comes through the enlargement and would hide another one."""
    found = InvisibleMarkFinder().find(pictures[number] for number in range(min(len(pictures), _LOOKED_AT)))
    return InvisibleMark(secrets.randbits(32) if found.payload is None else found.payload)

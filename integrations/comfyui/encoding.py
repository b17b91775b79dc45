"""Nodes that open a bundle and encode what goes into a clip: Bundle, Portrait, Motion."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from comfy_api.v0_0_2 import io

from hp_trt import InputError, RuntimeConfig
from hp_trt.faces.locators import LOCATORS
from hp_trt.shipped import POCKET_BUNDLE

from .host import Place, watched
from .values import file_of_audio, file_of_video, picture_of
from .wires import Encoded, MotionWire, Opened, PortraitWire, RuntimeWire, bundle_stamp, device_inputs, stamp

CATEGORY = "hp-trt"
_BUNDLE = "A folder made by export.build_engines, or shipped:pocket (video moves it), shipped:talk_pocket (speech)."
_NETWORK = "A file of yours, by its whole path; empty: none."


class BundleNode(io.ComfyNode):
    """A bundle, opened on a device."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtBundle",
            display_name="Bundle (hp-trt)",
            category=CATEGORY,
            description="Open a bundle of graphs. Its licence and what else to know of it come out as notes.",
            inputs=[
                io.String.Input("bundle", default=POCKET_BUNDLE, tooltip=_BUNDLE),
                io.String.Input("profile", default="exact", tooltip="exact, balanced, live, or FILE.toml[:NAME]."),
                *device_inputs(),
                io.Combo.Input("locator", options=list(LOCATORS), default=LOCATORS[0], tooltip="Who finds the faces."),
                io.String.Input("locator_file", default="", optional=True, tooltip=_NETWORK),
                io.String.Input("arcface", default="", optional=True, tooltip=_NETWORK),
                io.String.Input("vocals", default="", optional=True, tooltip=_NETWORK),
            ],
            outputs=[RuntimeWire.Output("runtime"), io.String.Output("notes")],
        )

    @classmethod
    def fingerprint_inputs(cls, bundle: str, **_widgets: Any) -> Any:
        """Another when the bundle was built anew."""
        return bundle_stamp(bundle)

    @classmethod
    def execute(
        cls,
        bundle: str,
        profile: str,
        family: str,
        provider: str,
        device: int,
        threads: int,
        locator: str,
        locator_file: str = "",
        arcface: str = "",
        vocals: str = "",
    ) -> io.NodeOutput:
        choices: dict[str, Any] = {"family": family, "provider": provider, "locator": locator}
        config = RuntimeConfig(
            profile=profile,
            device_id=device,
            threads=threads or None,
            locator_file=locator_file or None,
            arcface=arcface or None,
            vocals=vocals or None,
            **choices,
        )
        opened = Opened(bundle, config)
        return io.NodeOutput(opened, "\n".join(opened.runtime.notes))


class PortraitNode(io.ComfyNode):
    """A portrait, encoded once for any number of clips."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtPortrait",
            display_name="Portrait (hp-trt)",
            category=CATEGORY,
            description="Find the face in an image, or in a file, and encode it.",
            inputs=[
                RuntimeWire.Input("runtime"),
                io.Image.Input("image", optional=True, tooltip="One image with one face."),
                io.String.Input("file", default="", optional=True, tooltip="Or a picture or a portrait file, by path."),
            ],
            outputs=[PortraitWire.Output("portrait")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str = "", **_others: Any) -> Any:
        return stamp(file)

    @classmethod
    def execute(cls, runtime: Opened, image: Any = None, file: str = "") -> io.NodeOutput:
        one_of_them(image=image, file=file)
        source = file if image is None else picture_of(image)
        with watched(cls.hidden.unique_id) as stages:
            portrait = runtime.runtime.portrait(source, stages=stages)
        return io.NodeOutput(Encoded(opened=runtime, portrait=portrait))


class MotionNode(io.ComfyNode):
    """What moves a portrait, encoded once into a file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="HpTrtMotion",
            display_name="Motion (hp-trt)",
            category=CATEGORY,
            description="Encode a driving video, or speech, into a motion file among the outputs, or take one by path.",
            inputs=[
                RuntimeWire.Input("runtime", optional=True, tooltip="Not needed for a file."),
                io.Video.Input("driving", optional=True, tooltip="A face to follow."),
                io.Audio.Input("audio", optional=True, tooltip="Or speech, for a bundle that speaks."),
                io.String.Input("file", default="", optional=True, tooltip="Or a motion file, by path."),
                io.Boolean.Input("portable", default=False, tooltip="For other bundles too. It shows the driver."),
                io.String.Input("filename_prefix", default="hp-trt/motion"),
            ],
            outputs=[MotionWire.Output("motion"), io.String.Output("path")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, file: str = "", **_others: Any) -> Any:
        return stamp(file)

    @classmethod
    def execute(
        cls,
        portable: bool,
        filename_prefix: str,
        runtime: Opened | None = None,
        driving: Any = None,
        audio: Any = None,
        file: str = "",
    ) -> io.NodeOutput:
        one_of_them(driving=driving, audio=audio, file=file)
        if file:
            path = Path(file)
            if not path.is_file():
                raise InputError(f"there is no motion file at {path}; give the whole path of one")
            return io.NodeOutput(path, str(path))
        if runtime is None:
            raise InputError("what encodes motion is a bundle's graph, and runtime is empty; connect a Bundle")
        place = Place.free(filename_prefix, ".motion.safetensors")
        video = nullcontext() if driving is None else file_of_video(driving)
        sound = nullcontext() if audio is None else file_of_audio(audio)
        with watched(cls.hidden.unique_id) as stages, video as seen, sound as heard:
            options: dict[str, Any] = {"portable": True} if portable else {}
            runtime.runtime.write_motion(place.path, driving=seen, audio=heard, stages=stages, **options)
        return io.NodeOutput(place.path, str(place.path))


def one_of_them(**given: Any) -> None:
    """Raises InputError where not just one input is connected, or filled in."""
    found = [name for name, value in given.items() if value is not None and value != ""]
    if len(found) != 1:
        names = list(given)
        raise InputError(
            f"one of {', '.join(names[:-1])} and {names[-1]} is needed, got {' and '.join(found) or 'none'}; "
            "connect one of them, or fill it in"
        )

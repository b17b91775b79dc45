"""The model `hp_trt` of Triton's Python backend: one Runtime, whose frames are sent one by one as they are made.

`python -m integrations.triton.export` copies this file into the repository, where it has nothing of this checkout
beside it: it needs hp-trt in the backend's Python, and the bundle in its own folder.

A request has `portrait`, the bytes of a picture or a portrait file, and `driving` or `audio`, the bytes of a video, of
a sound or of a motion file, whichever the bundle is moved by. `options` is a JSON object; each may be left out:

    steps, seed, mood   as in `Runtime.animate`
    crop                the square around the face alone, in place of the whole portrait [false]
    mark, mark_id       an invisible mark in every frame [true], and its 8 hex digits [random ones]
    label               a visible sign in the corner [false]

Answers are `frame`, (H, W, 3) uint8 RGB, `index`, from 0, `time_s`, on the driver's clock, and `mark_id`, -1 without a
mark. The last one is empty and final. An error is one line of ours: INVALID_ARG is the client's turn. Requests of an
instance come one after the other; one that is cancelled ends within a unit of work.

Source: README.md of https://github.com/triton-inference-server/python_backend.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from engines.fields import Field, parse_json
from engines.temporary import temporary_folder
from hp_trt import Cancelled, Event, Frame, HpTrtError, InputError, Runtime, RuntimeConfig, Stages
from hp_trt.provenance.label import labelled
from hp_trt.provenance.mark import InvisibleMark

BUNDLE = Path(__file__).with_name("bundle")
OPTIONS = ("steps", "seed", "mood", "crop", "mark", "mark_id", "label")
_NUMBERS = ("threads", "max_frames")  # of the parameters, which are text
_ASK_S = 0.05  # asking whether a request is cancelled is a message to the server
_MOST_STEPS, _MOST_SEED, _LONGEST_OPTIONS = 1000, 2**64 - 1, 10_000


class TritonPythonModel:
    """What the backend looks for, by this name."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Open the runtime. `args` is Triton's. Raises TritonModelException, with a line of ours."""
        config = json.loads(args["model_config"])
        if not pb_utils.using_decoupled_model_transaction_policy(config):
            raise pb_utils.TritonModelException(
                f"{args['model_name']} answers with many frames; set model_transaction_policy {{ decoupled: true }} "
                "in its config.pbtxt"
            )
        try:
            self._runtime = Runtime(BUNDLE, runtime_config(config, args))
        except HpTrtError as error:
            raise pb_utils.TritonModelException(str(error)) from error

    def execute(self, requests: list[Any]) -> None:
        """Answer each request, by its own sender."""
        for request in requests:
            answer(self._runtime, request)

    def finalize(self) -> None:
        """Let go of the graphs and of the device."""
        self._runtime.close()


def runtime_config(config: Mapping[str, Any], args: Mapping[str, str]) -> RuntimeConfig:
    """What the model's parameters say, on the device of this instance. Raises InputError."""
    parameters = config.get("parameters", {}).items()  # in capitals those of the backend itself
    said: dict[str, Any] = {name: value["string_value"] for name, value in parameters if name.islower()}
    try:
        said |= {name: int(said[name]) for name in _NUMBERS if name in said}
        if args.get("model_instance_kind") == "GPU":
            said["device_id"] = int(args["model_instance_device_id"])
        return RuntimeConfig(**said)
    except (TypeError, ValueError) as error:
        raise InputError(f"a parameter in config.pbtxt cannot be used: {error}; export the repository again") from error


def answer(runtime: Runtime, request: Any) -> None:
    """Send the frames of a request, and that there are no more: whatever happens, a client waits for that."""
    sender = request.get_response_sender()
    try:
        with closing(frames(runtime, request, sender.is_cancelled)) as made:
            for tensors in made:
                sender.send(pb_utils.InferenceResponse(output_tensors=tensors))
    except Exception as error:
        failed = pb_utils.InferenceResponse(output_tensors=[], error=told(error))
        sender.send(failed, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    else:
        sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def told(error: Exception) -> Any:
    """An error as Triton has it: one line, and whose turn it is."""
    if isinstance(error, Cancelled):
        return pb_utils.TritonError(str(error), pb_utils.TritonError.CANCELLED)
    if isinstance(error, InputError):
        return pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    text = str(error) if isinstance(error, HpTrtError) else f"this is our mistake: {type(error).__name__}: {error}"
    return pb_utils.TritonError(text, pb_utils.TritonError.INTERNAL)


def frames(runtime: Runtime, request: Any, is_cancelled: Callable[[], bool]) -> Generator[list[Any], None, None]:
    """The output tensors of each frame. Raises what a Runtime raises, Cancelled once the client has gone."""
    portrait, driving, audio = (_bytes_of(request, name) for name in ("portrait", "driving", "audio"))
    options = options_of(pb_utils.get_input_tensor_by_name(request, "options"))
    if portrait is None:
        raise InputError("a portrait is needed, got none; send the bytes of a picture")
    if (driving is None) == (audio is None):
        raise InputError(
            f"a portrait is moved by one of driving and audio, got {'neither' if audio is None else 'both'}; send what "
            f"the bundle's are moved by, {runtime.model.driver}"
        )
    mark = InvisibleMark(options["mark_id"]) if options["mark"] else None
    stages, check = watched(is_cancelled)
    with temporary_folder("triton") as folder, unnamed(folder):
        who, driver = folder / "portrait", folder / "driver"
        who.write_bytes(portrait)
        driver.write_bytes(driving if driving is not None else audio or b"")
        sampling = {name: options[name] for name in ("steps", "seed", "mood") if name in options}
        make = runtime.frames if audio is None else runtime.talk
        with closing(make(who, driver, stages=stages, **sampling)) as made:
            for frame in made:
                check()
                yield tensors_of(frame, options, mark)


@contextmanager
def unnamed(folder: Path) -> Iterator[None]:
    """What a client has sent wrong is told without the names of this machine's folders."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(f"{folder}/", "the ").replace(str(BUNDLE), "the bundle")) from error


def tensors_of(frame: Frame, options: Mapping[str, Any], mark: InvisibleMark | None) -> list[Any]:
    """One frame, as the model's outputs."""
    picture = frame.crop if options["crop"] else frame.full()
    if options["label"]:
        picture = labelled(picture)
    if mark is not None:
        picture = mark.embed(picture)
    values = {
        "frame": np.ascontiguousarray(picture),
        "index": np.array([frame.index], np.int64),
        "time_s": np.array([np.nan if frame.time_s is None else float(frame.time_s)], np.float64),
        "mark_id": np.array([-1 if mark is None else mark.payload], np.int64),
    }
    return [pb_utils.Tensor(name, value) for name, value in values.items()]


def options_of(tensor: Any) -> dict[str, Any]:
    """The options of a request, with those that are always there. Raises InputError."""
    text = "{}" if tensor is None else tensor.as_numpy().reshape(-1)[0]
    found: dict[str, Any] = {"crop": False, "label": False, "mark": True, "mark_id": secrets.randbits(32)}
    try:
        if len(text) > _LONGEST_OPTIONS:
            raise ValueError(f"they have {len(text)} letters, at most {_LONGEST_OPTIONS} are read")
        for name, field in parse_json(text).entries():
            if name not in OPTIONS:
                raise ValueError(f"there is no {name[:100]!r}, there are {', '.join(OPTIONS)}")
            found[name] = _option(name, field)
    except ValueError as error:
        raise InputError(f"the options cannot be used: {error}; send a JSON object") from error
    return found


def _option(name: str, field: Field) -> Any:
    """ValueError."""
    if name == "steps":
        return field.whole(1, _MOST_STEPS)
    if name == "seed":
        return field.whole(0, _MOST_SEED)
    if name == "mood":
        return field.text(most=100)
    if name != "mark_id":
        return field.flag()
    text = field.text(most=8)
    if len(text) != 8 or not set(text) <= set("0123456789abcdef"):
        raise field.wrong("8 hex digits")
    return int(text, 16)


def watched(is_cancelled: Callable[[], bool]) -> tuple[Stages, Callable[[], None]]:
    """Stages that end once the client has gone, and a check of that between frames, which raises Cancelled."""
    cancel, asked_s = threading.Event(), [0.0]

    def ask(_event: Event | None = None) -> None:
        now = time.monotonic()
        if not cancel.is_set() and now - asked_s[0] >= _ASK_S:
            asked_s[0] = now
            if is_cancelled():
                cancel.set()

    def check() -> None:
        if cancel.is_set() or is_cancelled():
            raise Cancelled("the client has cancelled the request; what it has is all there is")

    return Stages(ask, most_spans=0, cancel=cancel), check


def _bytes_of(request: Any, name: str) -> bytes | None:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy().tobytes()

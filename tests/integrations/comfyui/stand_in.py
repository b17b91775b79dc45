"""What of ComfyUI the nodes are run on here: the parts of its API that they use, and no name that it has not.

`published_api.json` has the names, and a test holds this against it. The rest, with a leading underscore, is the
test's: where outputs lie, what bars have shown, whether somebody has pressed stop.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any


class _Given:
    """An object that keeps what it was made with, by name."""

    def __init__(self, **given: Any) -> None:
        self._given = given

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_given":
            raise AttributeError(name)
        return self._given[name]


def _type(name: str, input_: Any, output: Any) -> Any:
    return type(
        name, (), {"io_type": name, "Input": type("Input", (input_,), {}), "Output": type("Output", (output,), {})}
    )


class _Input(_Given):
    def __init__(self, id, display_name=None, optional=False, tooltip=None):
        super().__init__(id=id, display_name=display_name, optional=optional, tooltip=tooltip)


class _Output(_Given):
    def __init__(self, id=None, display_name=None, tooltip=None):
        super().__init__(id=id, display_name=display_name, tooltip=tooltip)


class _StringInput(_Given):
    def __init__(self, id, display_name=None, optional=False, tooltip=None, multiline=False, default=None):
        super().__init__(id=id, optional=optional, tooltip=tooltip, default=default)


class _BooleanInput(_Given):
    def __init__(self, id, display_name=None, optional=False, tooltip=None, default=None):
        super().__init__(id=id, optional=optional, tooltip=tooltip, default=default)


class _NumberInput(_Given):
    def __init__(
        self, id, display_name=None, optional=False, tooltip=None, default=None, min=None, max=None, step=None
    ):
        super().__init__(id=id, optional=optional, tooltip=tooltip, default=default, min=min, max=max)
        assert min <= default <= max


class _ComboInput(_Given):
    def __init__(self, id, options=None, display_name=None, optional=False, tooltip=None, default=None):
        super().__init__(id=id, options=options, optional=optional, tooltip=tooltip, default=default)
        assert default in options


class Hidden(StrEnum):
    unique_id = "UNIQUE_ID"


class FolderType(StrEnum):
    output = "output"


@dataclass
class Schema:
    node_id: str
    display_name: str = ""
    category: str = "sd"
    inputs: Any = None
    outputs: Any = None
    hidden: Any = None
    description: str = ""
    is_output_node: bool = False


class NodeOutput:
    def __init__(self, *args, ui=None):
        self._args, self._ui = args, ui


class ComfyNode:
    hidden: Any = None


def _custom(io_type):
    return _type(io_type, _Input, _Output)


io = SimpleNamespace(
    Boolean=_type("BOOLEAN", _BooleanInput, _Output),
    Int=_type("INT", _NumberInput, _Output),
    Float=_type("FLOAT", _NumberInput, _Output),
    String=_type("STRING", _StringInput, _Output),
    Combo=_type("COMBO", _ComboInput, _Output),
    Image=_type("IMAGE", _Input, _Output),
    Audio=_type("AUDIO", _Input, _Output),
    Video=_type("VIDEO", _Input, _Output),
    Custom=_custom,
    Schema=Schema,
    NodeOutput=NodeOutput,
    Hidden=Hidden,
    FolderType=FolderType,
    ComfyNode=ComfyNode,
)


class SavedResult(dict):
    def __init__(self, filename, subfolder, type):
        super().__init__(filename=filename, subfolder=subfolder, type=type.value)


class PreviewVideo:
    def __init__(self, values, **kwargs):
        self._values = values


class PreviewText:
    def __init__(self, value, **kwargs):
        self._value = value


ui = SimpleNamespace(SavedResult=SavedResult, PreviewVideo=PreviewVideo, PreviewText=PreviewText)


class ComfyExtension:
    async def get_node_list(self):
        raise NotImplementedError


class _Execution:
    def set_progress(self, value, max_value, node_id=None):
        assert 0 <= value <= max_value
        _seen.bars.append((node_id, value / max_value))


class ComfyAPISync:
    def __init__(self):
        self.execution = _Execution()


class VideoFromFile:
    """A video as a file, or as bytes in memory."""

    def __init__(self, file):
        self._file = file

    def get_stream_source(self):
        if isinstance(self._file, BytesIO):
            self._file.seek(0)
        return self._file

    def save_to(self, path):
        shutil.copyfile(self._file, path)


class InterruptProcessingException(Exception):
    pass


def processing_interrupted():
    return _seen.interrupted


def throw_exception_if_processing_interrupted():
    if _seen.interrupted:
        _seen.interrupted = False
        raise InterruptProcessingException


def interrupt_current_processing(value=True):
    _seen.interrupted = value


def get_output_directory():
    return str(_seen.outputs)


def get_save_image_path(filename_prefix, output_dir):
    folder = Path(output_dir, filename_prefix).parent
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(filename_prefix).name
    counter = 1 + max((int(path.name[len(name) + 1 :][:5]) for path in folder.glob(f"{name}_*")), default=0)
    return str(folder), name, counter, str(Path(filename_prefix).parent), filename_prefix


class Seen:
    """What a test arranges, and looks at."""

    def __init__(self) -> None:
        self.outputs, self.interrupted = Path("nowhere"), False
        self.bars: list[tuple[str | None, float]] = []


_seen = Seen()


def modules() -> dict[str, ModuleType]:
    """By the names that nodes import them under."""
    own = globals()
    parts = {
        "comfy_api": {},
        "comfy_api.v0_0_2": {
            "ComfyExtension": ComfyExtension,
            "ComfyAPISync": ComfyAPISync,
            "InputImpl": SimpleNamespace(VideoFromFile=VideoFromFile),
            "io": io,
            "ui": ui,
        },
        "comfy": {},
        "comfy.model_management": {
            name: own[name]
            for name in (
                "InterruptProcessingException",
                "interrupt_current_processing",
                "processing_interrupted",
                "throw_exception_if_processing_interrupted",
            )
        },
        "folder_paths": {name: own[name] for name in ("get_output_directory", "get_save_image_path")},
    }
    made = {name: ModuleType(name) for name in parts}
    for name, content in parts.items():
        vars(made[name]).update(content)
    return made


def seen() -> Seen:
    return _seen


def ran(node: Any, **inputs: Any) -> NodeOutput:
    """What a node gives, as ComfyUI calls it: widgets at their defaults, inputs by their ids, hidden ones on a copy."""
    schema = node.define_schema()
    given = {
        one.id: one.default
        for one in schema.inputs
        if "default" in one._given and not (one.optional and one.id in inputs)
    }
    unknown = set(inputs) - {one.id for one in schema.inputs}
    assert not unknown, unknown
    hidden = SimpleNamespace(**{one.name: "7" for one in schema.hidden or ()})
    made = type(node.__name__, (node,), {"hidden": hidden}).execute(**given | inputs)
    assert isinstance(made, NodeOutput) and len(made._args) == len(schema.outputs)
    return made

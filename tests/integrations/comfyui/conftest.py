from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.integrations.comfyui import stand_in

PACK = Path(__file__).parents[3] / "integrations" / "comfyui"


@pytest.fixture(scope="module")
def pack() -> ModuleType:
    """The nodes, imported as ComfyUI does: by their folder, under a name that is its path."""
    with pytest.MonkeyPatch.context() as patch:
        for name, module in stand_in.modules().items():
            patch.setitem(sys.modules, name, module)
        name = str(PACK).replace(".", "_x_")
        spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        yield module
        for other in [other for other in sys.modules if other.startswith(f"{name}.")]:
            del sys.modules[other]


@pytest.fixture(scope="module")
def parts(pack):
    """A module of the pack by its name."""
    return lambda name: sys.modules[f"{pack.__name__}.{name}"]


@pytest.fixture(scope="module")
def nodes(pack):
    """By the ends of their ids."""
    found = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
    return {node.define_schema().node_id.removeprefix("HpTrt"): node for node in found}


@pytest.fixture(autouse=True)
def seen(tmp_path) -> stand_in.Seen:
    """What ComfyUI has seen; its outputs lie in a folder of the test's own."""
    found = stand_in.seen()
    found.outputs, found.interrupted, found.bars = tmp_path / "output", False, []
    found.outputs.mkdir()
    return found

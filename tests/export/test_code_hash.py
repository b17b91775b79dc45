"""What decides a graph is in its content key: no module that a graph is made by is left out of the hash."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import export
from export.build import GRAPH_CODE
from export.code_hash import code_files, code_hash
from export.models import find_model
from export.plans.plan_target import PLAN_CODE

HERE = Path(export.__file__).parent


def imported(module: Path) -> set[Path]:
    """The modules of `export/` that a module imports, itself too, and so on."""
    found, waiting = set(), [module]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("export."):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                files = [HERE.parent / f"{name.replace('.', '/')}.py" for name in names]
                waiting += [file for file in files if file.is_file()]
    return found


@pytest.mark.parametrize("preset", ["hunyuanportrait", "pocket"])
def test_every_module_that_makes_a_graph_decides_its_key(preset):
    model = find_model(preset)
    covered = set(code_files(*GRAPH_CODE, *model.code))
    room = HERE / model.name
    makers = {room / name for name in ("graphs.py", "live_graphs.py", "reuse_graphs.py", "presets.py")}
    makers |= {HERE / "graphs" / name for name in ("build_graph.py", "build_quantized.py")}
    assert makers <= covered
    assert not {module for maker in makers for module in imported(maker)} - covered


def test_every_module_that_makes_a_plan_decides_its_key():
    others = imported(HERE / "plans" / "plan.py") - set(code_files(*PLAN_CODE))
    assert not others


def test_another_name_or_content_is_another_hash(tmp_path, monkeypatch):
    monkeypatch.setattr("export.code_hash.EXPORT", tmp_path)
    code_hash.cache_clear()
    hashes = set()
    for name, content in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", "x = 2")):
        for old in tmp_path.glob("room/*"):
            old.unlink()
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / "room" / name).write_text(content)
        hashes.add(code_hash("room"))
        code_hash.cache_clear()
    assert len(hashes) == 3


def test_a_room_that_is_not_there_is_a_mistake():
    with pytest.raises(ValueError, match="export/attic holds no module"):
        code_files("attic")

"""The rules of the house, read from imports and strings: storeys, circles, rooms of models, names of graphs.

Imports inside functions and for typing count like any other: who names a module knows it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STOREYS = {
    "engines": set(),
    "procedural": set(),
    "runtime": {"engines"},
    "hp_trt": {"engines", "procedural", "runtime"},
    "export": {"engines", "procedural", "runtime", "hp_trt"},
    "integrations": {"engines", "runtime", "hp_trt"},
    "manual": {"engines", "hp_trt"},
}
# They parse, make a config and call one function: only they may import upwards, and nobody imports them.
DOORS = re.compile(
    r"hp_trt\.(__main__|commands\.(?!options)[a-z_]+|apps\..*)|runtime\.bench"
    r"|export\.(build_engines|train|distill|(shipping|attention_maps)\.__main__)|integrations\..*"
)
# ComfyUI imports it under a name of its own, so its modules find each other by relative imports.
ELSEWHERE = "integrations.comfyui"
# Any of them may be missing: `engines.families.load` says how to install it.
FAMILY_MODULES = {"onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"}
MODEL_FLOORS = ("runtime", "hp_trt", "export")
# What opens a model's room by its name.
TABLES = {"hp_trt.models", "export.models"}
# What knows no model. Measuring is of one loop or another, so `hp_trt.measure` may look into rooms.
FREE = re.compile(
    r"engines\..*|runtime\.[a-z_]+|hp_trt\.[a-z_]+|hp_trt\.(encoded|faces|fetch|interface|media|live|resume|streams|doctor)\..*"
    r"|export\.[a-z_]+|export\.(graphs|plans|weights|training|judge)\..*"
)


@cache
def sources() -> Mapping[str, ast.Module]:
    """Module name -> its syntax tree."""
    found = {}
    for storey in STOREYS:
        for path in sorted((ROOT / storey).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = ast.parse(path.read_text(), str(path))
    return found


def imports(name: str, trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """The modules of ours that a module names, wherever in it."""
    for node in ast.walk(trees[name]):
        if isinstance(node, ast.ImportFrom):
            module = node.module
            if node.level and name.startswith(ELSEWHERE):
                assert node.level == 1, f"{name}: nothing of the house is above it where it is imported"
                module = f"{ELSEWHERE}.{module}"
            else:
                assert not node.level, f"{name}: a relative import hides its arrow"
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                if inner in trees:
                    yield inner
                elif module in trees:
                    yield module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in trees)


def arrows(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    return {name: set(imports(name, trees)) - {name} for name in trees}


def upward(trees: Mapping[str, ast.Module]) -> list[str]:
    """Imports against the storeys, and of doors."""
    wrong = []
    for name, targets in arrows(trees).items():
        if DOORS.fullmatch(name):
            continue
        own = name.split(".")[0]
        for target in sorted(targets):
            if target.split(".")[0] not in STOREYS[own] | {own} or DOORS.fullmatch(target):
                wrong.append(f"{name} -> {target}")
    return wrong


def circles(trees: Mapping[str, ast.Module]) -> list[list[str]]:
    """Groups of modules that import each other (Tarjan 1972, strongly connected components)."""
    graph, order, low, stack, found = arrows(trees), {}, {}, [], []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in order:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], order[target])
        if low[name] == order[name]:
            at = stack.index(name)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for name in graph:
        if name not in order:
            visit(name)
    return [group for group in found if len(group) > 1]


@cache
def models() -> set[str]:
    """A model is one name in three storeys."""
    floors = ({path.parent.name for path in (ROOT / floor).glob("*/__init__.py")} for floor in MODEL_FLOORS)
    return set.intersection(*floors)


def model_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in models() else None


def strangers(trees: Mapping[str, ast.Module]) -> list[str]:
    """Imports of a model's room from another model's, or from a room that knows no model."""
    wrong = []
    for name, targets in arrows(trees).items():
        if name in TABLES or DOORS.fullmatch(name):
            continue
        for target in sorted(targets):
            theirs, own = model_of(target), model_of(name)
            if theirs and theirs != own and (own or FREE.fullmatch(name)):
                wrong.append(f"{name} -> {target}")
    return wrong


def graph_names(trees: Mapping[str, ast.Module]) -> set[str]:
    """Names of graphs that are no everyday words: those with an underscore, as the models' rooms in export say them."""
    found = set()
    for name, tree in trees.items():
        if name.startswith("export.") and model_of(name) and "graphs" in name.rsplit(".", 1)[-1]:
            for node in ast.walk(tree):
                called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "spec"
                row = isinstance(node, ast.Tuple) and len(node.elts) > 1
                first = node.args[:1] if called else node.elts[:1] if row else []
                found |= {e.value for e in first if isinstance(e, ast.Constant) and isinstance(e.value, str)}
    return {name for name in found if re.fullmatch(r"[a-z]+(_[a-z]+)+", name)}


def strings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string, docstrings too, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def named_graphs(trees: Mapping[str, ast.Module]) -> list[str]:
    names = graph_names(trees)
    words = re.compile(rf"\b({'|'.join(sorted(names))})(_int8|_fp8)?\b(?!\.py)")  # a module may be called as a graph is
    return [
        f"{name}:{line} {text[:60]!r}"
        for name, tree in trees.items()
        if not model_of(name)
        for line, text in strings(tree)
        if words.search(text)
    ]


def test_nothing_imports_against_the_storeys_but_doors():
    assert upward(sources()) == []


def test_what_is_imported_elsewhere_knows_itself_and_the_house_alone():
    found = {target for name, targets in arrows(sources()).items() if name.startswith(ELSEWHERE) for target in targets}
    strange = {name for name in found if name.startswith("integrations") and not name.startswith(f"{ELSEWHERE}.")}
    assert not strange and f"{ELSEWHERE}.wires" in found
    model = arrows(sources())["integrations.triton.model"]
    assert not {name for name in model if name.split(".")[0] not in ("engines", "hp_trt")}, "it is copied away"


def test_no_modules_import_each_other_in_a_circle():
    assert circles(sources()) == []


def test_a_models_room_is_opened_by_its_name_alone():
    assert models() == {"enhancer", "hallo2", "hunyuanportrait"}
    assert strangers(sources()) == []


def test_graphs_have_names_in_their_models_rooms_alone():
    assert {"vae_decoder", "live_denoiser", "denoiser_inner", "tiny_decoder"} <= graph_names(sources())
    assert named_graphs(sources()) == []


def test_a_library_that_runs_graphs_is_loaded_by_families_below_export():
    bare = {
        name
        for name, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and not name.startswith("export.")
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        if str(module).split(".")[0] in FAMILY_MODULES
    }
    assert bare == {"engines.onnx_backend"}, "which calls `families.load` first"


def test_every_package_says_that_it_is_one():
    for storey in STOREYS:
        for path in (ROOT / storey).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), f"{path.parent} has no __init__.py"


@pytest.mark.parametrize(("folder", "most"), [("hp_trt", 11), ("export", 10), ("runtime", 11)])
def test_a_storeys_loose_modules_are_few(folder, most):
    assert len(list((ROOT / folder).glob("*.py"))) <= most


def test_a_module_fits_a_reader_and_a_commands_function_a_page():
    """Networks are as long as their papers' tables."""
    modules = [path for storey in STOREYS for path in (ROOT / storey).rglob("*.py") if "networks" not in path.parts]
    assert not [path for path in modules if len(path.read_text(encoding="utf-8").splitlines()) > 400]
    functions = {
        f"{name}.{node.name}": node.end_lineno - node.lineno + 1
        for name, tree in sources().items()
        for node in ast.walk(tree)
        if DOORS.fullmatch(name) and isinstance(node, ast.FunctionDef)
    }
    assert len(functions) > 50 and not {name for name, lines in functions.items() if lines > 60}


def turned(name: str, line: str) -> dict[str, ast.Module]:
    """The tree with one more line in one module."""
    return dict(sources()) | {name: ast.parse(ast.unparse(sources()[name]) + "\n" + line)}


@pytest.mark.parametrize(
    ("name", "line", "rule", "found"),
    [
        ("engines.spec", "import runtime.decode", upward, "engines.spec -> runtime.decode"),
        ("runtime.decode", "def f():\n    import hp_trt.media.paste", upward, "runtime.decode -> hp_trt.media.paste"),
        ("hp_trt.media.paste", "import export.graphs.trace", upward, "hp_trt.media.paste -> export.graphs.trace"),
        ("hp_trt.api", "import runtime.bench", upward, "hp_trt.api -> runtime.bench"),
        ("hp_trt.api", "import integrations.triton.pbtxt", upward, "hp_trt.api -> integrations.triton.pbtxt"),
        (
            "runtime.schedule",
            "import runtime.hunyuanportrait.sampling",
            strangers,
            "runtime.schedule -> runtime.hunyuanportrait.sampling",
        ),
        ("runtime.decode", "X = 'vae_decoder'", named_graphs, "runtime.decode:"),
        ("runtime.decode", "def f():\n    'Runs vae_decoder.'", named_graphs, "runtime.decode:"),
    ],
)
def test_an_arrow_that_is_turned_round_is_found(name, line, rule, found):
    wrong = rule(turned(name, line))
    assert any(entry.startswith(found) for entry in wrong), wrong


def test_a_circle_is_found_also_where_it_is_for_typing_alone():
    arrow = "import runtime.hunyuanportrait.denoise"
    line = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {arrow}"
    groups = circles(turned("runtime.hunyuanportrait.sampling", line))
    assert any("runtime.hunyuanportrait.sampling" in group for group in groups)

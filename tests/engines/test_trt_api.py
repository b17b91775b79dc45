"""Every name that we take from TensorRT exists in all three versions that we mean to work with.

Two of them cannot be installed where this is developed, so their names come from lists (`tensorrt_api/`: class ->
attributes). The sources are read, not run: what is taken from the module `trt`, and what from its instances, which go
by the names in `INSTANCES` in every file that has to do with `trt`, and nothing else does.

Names that only TensorRT for RTX has may stand in functions whose names end in `_rtx`, and behind an `if` that compares
with `families.RTX.name` or "tensorrt-rtx"; they are held against that list alone.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = {
    path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "tensorrt_api").glob("*.json"))
}
RTX = {name: classes for name, classes in API.items() if name.startswith("tensorrt-rtx")}
SOURCES = sorted(path for folder in ("engines", "export") for path in (ROOT / folder).rglob("*.py"))
INSTANCES = {  # variable -> what it may be
    "logger": ("ILogger",),
    "builder": ("Builder",),
    "network": ("INetworkDefinition",),
    "config": ("IBuilderConfig",),
    "profile": ("IOptimizationProfile",),
    "parser": ("OnnxParser",),
    "cache": ("ITimingCache",),
    "layer": ("ILayer", "IAttentionInputLayer"),
    "attention": ("IAttention",),
    "tensor": ("ITensor",),
    "runtime": ("Runtime",),
    "engine": ("ICudaEngine",),
    "context": ("IExecutionContext",),
    "inspector": ("EngineInspector",),
    "refitter": ("Refitter",),
    "parser_refitter": ("OnnxParserRefitter",),
    "runtime_config": ("IRuntimeConfig",),
    "runtime_cache": ("IRuntimeCache",),
}
Own = dict[str, set[str]]  # class of `trt` -> attributes
RESULTS = {"get_error": ("ParserError",)}  # of a call, used at once


def wrong_names(source: str, *, file: str = "x.py") -> list[str]:
    """`file:line: what` for each name in `source` that a list lacks."""
    tree = ast.parse(source)
    if not _uses_trt(tree, file):
        return []
    own = _own_attributes([tree, *_trees()])
    return [f"{file}:{problem}" for problem in _walk(tree, API, own)]


@cache
def _trees() -> list[ast.AST]:
    return [ast.parse(path.read_text()) for path in SOURCES]


def _uses_trt(tree: ast.AST, file: str) -> bool:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    fields = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return "trt" in names | arguments or "_trt" in fields or Path(file).name.startswith("trt_")


def _own_attributes(trees: Iterable[ast.AST]) -> Own:
    """What classes of ours add to the classes of `trt` that they extend, wherever they stand."""
    own: Own = {}
    for node in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for kind in (_trt_path(base)[-1] for base in node.bases if _trt_path(base)):
            names = own.setdefault(kind, set())
            names |= {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
            names |= {n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and _name(n.value) == "self"}
    return own


def _walk(node: ast.AST, lists: dict, own: Own) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef) and node.name.endswith("_rtx"):
        lists = RTX
    if isinstance(node, ast.If) and _asks_for_rtx(node.test):
        for child in (node.test, *node.orelse):
            yield from _walk(child, lists, own)
        for child in node.body:
            yield from _walk(child, RTX, own)
        return
    if isinstance(node, ast.Assign) and len(_trt_path(node.value)) == 1 and _name(node.targets[0]) != "__class__":
        yield f"{node.lineno}: trt.{_trt_path(node.value)[0]} under another name would not be seen here"
    if isinstance(node, ast.Attribute):
        yield from _check(node, lists, own)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, lists, own)


def _check(node: ast.Attribute, lists: dict, own: Own) -> Iterator[str]:
    if node.attr.startswith("__"):
        return
    path = _trt_path(node)
    if len(path) == 1:
        kinds, what = ("",), f"trt.{path[0]}"
        lacking = [version for version, classes in lists.items() if path[0] not in classes]
    elif len(path) == 2:
        kinds, what = (path[0],), f"trt.{'.'.join(path)}"
        lacking = [version for version, classes in lists.items() if path[1] not in classes.get(path[0], [path[1]])]
    elif kinds := _instance(node.value):
        what = f"{'/'.join(kinds)}.{node.attr}"
        known = {version: {a for kind in kinds for a in classes.get(kind, ())} for version, classes in lists.items()}
        ours = {name for kind in kinds for name in own.get(kind, ())}
        lacking = [version for version, attributes in known.items() if node.attr not in attributes | ours]
    else:
        return
    if lacking:
        yield f"{node.lineno}: {what} does not exist in {', '.join(lacking)}"


def _trt_path(node: ast.AST) -> list[str]:
    """["A", "B"] of trt.A.B, nothing of anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
        if _name(node) in ("trt", "_trt"):
            return parts
    return []


def _instance(node: ast.AST) -> tuple[str, ...]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return RESULTS.get(node.func.attr, ())
    return INSTANCES.get(_name(node).lstrip("_"), ())


def _name(node: ast.AST) -> str:
    """The last name of `x`, `self.x`, `anything.x`."""
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _asks_for_rtx(test: ast.expr) -> bool:
    """Whether it is a plain comparison for equality with the RTX family's name."""
    if not (isinstance(test, ast.Compare) and [type(op) for op in test.ops] == [ast.Eq]):
        return False
    wanted = test.comparators[0]
    return ast.unparse(wanted) in ("families.RTX.name", "RTX.name", "'tensorrt-rtx'")


def test_there_is_a_list_for_each_version_we_mean():
    assert sorted(API) == ["tensorrt-10.16.1.11", "tensorrt-11.4.0.106", "tensorrt-rtx-1.7.1.116"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_name_exists_in_every_version(path):
    assert wrong_names(path.read_text(), file=str(path.relative_to(ROOT))) == []


def test_the_walk_reaches_the_backend_and_the_builder():
    reached = {p.name for p in SOURCES if _uses_trt(ast.parse(p.read_text()), p.name)}
    assert reached >= {"trt_plan.py", "trt_session.py", "trt_backend.py", "plan.py"}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("trt.Nonsense", "trt.Nonsense does not exist in tensorrt-10.16.1.11, tensorrt-11.4.0.106, tensorrt-rtx"),
        ("trt.DataType.HALV", "trt.DataType.HALV does not exist in"),
        ("trt.BuilderFlag.FP16", "trt.BuilderFlag.FP16 does not exist in tensorrt-11"),  # gone with strong typing
        ("self._trt.Nonsense", "trt.Nonsense does not exist"),
        ("trt; engine.device_memory_size", "ICudaEngine.device_memory_size does not exist in tensorrt-11.4.0.106"),
        ("trt; self._engine.nonsense", "ICudaEngine.nonsense does not exist"),
        ("trt; engine.create_execution_context_without_device_memory()", "does not exist in tensorrt-11.4.0.106"),
        ("trt; self._context.is_stream_capturable(1)", "IExecutionContext.is_stream_capturable does not exist in"),
        ("trt; parser.get_error(0).descr()", "ParserError.descr does not exist"),
        ("trt; runtime.last_error()", "Runtime.last_error does not exist"),  # our logger's, not the runtime's
        ("trt; layer.nonsense", "ILayer/IAttentionInputLayer.nonsense does not exist"),
        ("types = trt.DataType", "trt.DataType under another name would not be seen here"),
        ("trt.EngineValidity.VALID", "trt.EngineValidity does not exist in tensorrt-10.16.1.11, tensorrt-11.4.0.106"),
        ("def f_rtx(trt): trt.EngineValidity.VALIDD", "VALIDD does not exist in tensorrt-rtx-1.7.1.116"),
        ("def f(trt):\n if family.name != 'tensorrt-rtx': trt.EngineValidity", "2: trt.EngineValidity does not exist"),
        (
            "def f(trt):\n if family.name == 'tensorrt-rtx': trt.Nope",
            "trt.Nope does not exist in tensorrt-rtx-1.7.1.116",
        ),
        ("def f(trt):\n if a == 'tensorrt-rtx': 1\n else: trt.EngineValidity", "3: trt.EngineValidity does not exist"),
    ],
)
def test_a_wrong_name_is_found(source, problem):
    found = wrong_names(source)
    assert found and problem in found[0]


@pytest.mark.parametrize(
    "source",
    [
        "trt.DataType.HALF; trt.__version__",
        "trt; engine.device_memory_size_v2; self._context.execute_async_v3(1)",
        "def f_rtx(trt): trt.EngineValidity.VALID",
        "def f(trt):\n if family == families.RTX.name: trt.EngineValidity.VALID",
        "class L(trt.ILogger):\n def log(self): self.last = 1\ndef f(logger): logger.last",
        "engine.nonsense",  # nothing to do with trt
    ],
)
def test_a_right_name_is_not_complained_about(source):
    assert wrong_names(source) == []

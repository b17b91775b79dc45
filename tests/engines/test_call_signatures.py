"""Every call of TensorRT and CUDA has as many arguments, by the names, as the libraries' own signatures.

`tensorrt_api/signatures/`: of each version we mean, class -> method -> its overloads, each a list of the arguments'
names; one that may be left out ends in "=". They are from the docstrings of the bindings' wheels, which load over empty
libraries with the dozen C functions that they ask for. `cuda_api/`: the same of `cuda.bindings.runtime`, from
`inspect.signature`. The sources are read, not run, as in `test_trt_api`, which says what is taken for an instance of
what, and where names of TensorRT for RTX alone may stand.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.engines import test_trt_api as names

HERE = Path(__file__).parent


def recorded(folder: str) -> dict:
    return {path.stem: json.loads(path.read_text()) for path in sorted((HERE / folder).glob("*.json"))}


TRT, CUDA = recorded("tensorrt_api/signatures"), recorded("cuda_api")
SOURCES = names.SOURCES


def misfit(call: ast.Call, overloads: Sequence[Sequence[str]], given: Sequence[ast.expr]) -> str:
    """Why none of the overloads takes the call; empty where one does. `given`: its arguments without names."""
    if any(isinstance(argument, ast.Starred) for argument in given) or any(k.arg is None for k in call.keywords):
        return "" if overloads else "takes nothing"  # how many these are, the source does not say
    named = [keyword.arg for keyword in call.keywords]
    for overload in overloads:
        plain = [name.rstrip("=") for name in overload]
        left = plain[len(given) :]
        needed = [name for name in overload[len(given) :] if not name.endswith("=")]
        if len(given) <= len(plain) and set(needed) <= set(named) <= set(left):
            return ""
    words = " or ".join(f"({', '.join(overload)})" for overload in overloads)
    return f"takes {words}, is given {len(given)} and {named}"


def wrong_trt_calls(source: str, *, file: str = "x.py") -> list[str]:
    tree = ast.parse(source)
    if not names._uses_trt(tree, file):
        return []
    own = names._own_attributes([tree, *names._trees()])
    return [f"{file}:{problem}" for problem in _walk(tree, TRT, own)]


def _walk(node: ast.AST, versions: dict, own: names.Own) -> Iterator[str]:
    rtx = {version: classes for version, classes in TRT.items() if version in names.RTX}
    if isinstance(node, ast.FunctionDef) and node.name.endswith("_rtx"):
        versions = rtx
    if isinstance(node, ast.If) and names._asks_for_rtx(node.test):
        for child in (node.test, *node.orelse):
            yield from _walk(child, versions, own)
        for child in node.body:
            yield from _walk(child, rtx, own)
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        yield from _check(node, node.func, versions, own)
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, versions, own)


def _check(call: ast.Call, func: ast.Attribute, versions: dict, own: names.Own) -> Iterator[str]:
    given = call.args
    path = names._trt_path(func)
    if path and path[-1] == "__init__":  # of a class that extends one of theirs: the first argument is the object
        kinds, method, given = (path[0],), "__init__", call.args[1:]
    elif len(path) == 1:
        kinds, method = (path[0],), "__init__"
    else:
        kinds, method = names._instance(func.value), func.attr
    if not kinds or any(method in own.get(kind, ()) for kind in kinds if method != "__init__"):
        return
    for version, classes in versions.items():
        overloads = [o for kind in kinds for o in classes.get(kind, {}).get(method, ())]
        if not any(kind in classes and method in classes[kind] for kind in kinds):
            yield f"{call.lineno}: {'/'.join(kinds)}.{method} is not recorded of {version}"
        elif problem := misfit(call, overloads, given):
            yield f"{call.lineno}: {'/'.join(kinds)}.{method} of {version} {problem}"


def wrong_cuda_calls(source: str) -> list[str]:
    """`self._call("cudaMalloc", size)` and `cuda.cudaMalloc(size)`."""
    return list(_cuda_problems(ast.parse(source)))


def _cuda_problems(tree: ast.AST) -> Iterator[str]:
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if found := _cuda_call(call):
            name, given = found
            for version, functions in CUDA.items():
                if name not in functions:
                    yield f"{call.lineno}: {name} does not exist in {version}"
                elif problem := misfit(call, [functions[name]], given):
                    yield f"{call.lineno}: {name} of {version} {problem}"


def _cuda_call(call: ast.Call) -> tuple[str, list[ast.expr]] | None:
    if names._name(call.func) == "_call" and call.args and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value), call.args[1:]
    if isinstance(call.func, ast.Attribute) and names._name(call.func.value) in ("cuda", "_cuda", "runtime"):
        return (call.func.attr, call.args) if call.func.attr.startswith("cuda") else None
    return None


def test_there_are_signatures_of_each_version_we_mean():
    assert sorted(TRT) == sorted(names.API)
    assert sorted(CUDA) == ["cuda-bindings-12.9.4", "cuda-bindings-13.0.3", "cuda-bindings-13.4.4"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(names.ROOT)))
def test_every_call_is_taken_by_every_version(path):
    source = path.read_text()
    assert wrong_trt_calls(source, file=str(path.relative_to(names.ROOT))) + wrong_cuda_calls(source) == []


def test_the_walk_reaches_the_calls_of_the_backend_the_session_the_builder_and_the_driver():
    """Taken from all, as if no version had any."""
    calls = set()
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        uses_trt = names._uses_trt(tree, path.name)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if found := _cuda_call(call):
                calls.add(found[0])
            elif isinstance(call.func, ast.Attribute) and uses_trt:
                theirs = names._instance(call.func.value) or names._trt_path(call.func)
                calls |= {call.func.attr} if theirs else set()
    assert calls >= {
        "cudaMalloc", "cudaGraphInstantiate", "cudaGetDeviceCount", "cudaEventQuery", "Runtime", "OnnxParserRefitter",
        "deserialize_cuda_engine", "get_engine_validity", "set_device_memory", "update_device_memory_size_for_shapes",
        "execute_async_v3", "create_execution_context", "build_serialized_network", "set_shape", "set_preview_feature",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("trt; context.set_device_memory(a)", "IExecutionContext.set_device_memory of tensorrt-10.16.1.11 takes (mem"),
        ("trt; context.set_device_memory(a, b, c)", "is given 3 and []"),
        ("trt; context.set_device_memory(a, bytes=3)", "takes (memory, size), is given 1 and ['bytes']"),
        ("trt; engine.create_execution_context(runtime=a)", "takes (strategy=) or (runtime_config="),
        ("trt; engine.nonsense(a)", "ICudaEngine.nonsense is not recorded of tensorrt-10.16.1.11"),
        ("trt.Runtime()", "Runtime.__init__ of tensorrt-10.16.1.11 takes (logger), is given 0"),
        ("trt.Refitter(a)", "Refitter.__init__ of tensorrt-10.16.1.11 takes (engine, logger), is given 1"),
        ("trt; runtime.get_engine_validity(a)", "Runtime.get_engine_validity is not recorded of tensorrt-10.16.1.11"),
        ("def f_rtx(trt): runtime.get_engine_validity()", "Runtime.get_engine_validity of tensorrt-rtx-1.7.1.116 tak"),
    ],
)  # fmt: skip
def test_a_wrong_call_of_tensorrt_is_found(source, problem):
    found = wrong_trt_calls(source)
    assert found and problem in found[0]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ('self._call("cudaMalloc")', "cudaMalloc of cuda-bindings-12.9.4 takes (size), is given 0"),
        ('self._call("cudaMemcpyAsync", a, b, c, d)', "takes (dst, src, count, kind, stream), is given 4"),
        ('self._call("cudaMallok", a)', "cudaMallok does not exist in cuda-bindings-12.9.4"),
        ("cuda.cudaEventQuery(a, b)", "takes (event), is given 2"),
        ("self._cuda.cudaSetDevice()", "takes (device), is given 0"),
    ],
)
def test_a_wrong_call_of_cuda_is_found(source, problem):
    found = wrong_cuda_calls(source)
    assert found and problem in found[0]


@pytest.mark.parametrize(
    "source",
    [
        "trt; context.set_device_memory(a, size=b); engine.create_execution_context(c); trt.Runtime(logger)",
        "trt; engine.create_execution_context(); profile.set_shape(name, *sizes)",
        "class L(trt.ILogger):\n def __init__(self): trt.ILogger.__init__(self)\n def forget(self): pass\n"
        "def f(logger): logger.forget()",
        "def f(trt):\n if family.name == 'tensorrt-rtx': runtime.get_engine_validity(plan)",
        'self._call("cudaMemcpyAsync", a, b, c, d, e); cuda.cudaGetDeviceCount()',
    ],
)
def test_a_right_call_is_not_complained_about(source):
    assert wrong_trt_calls(source) + wrong_cuda_calls(source) == []


def test_the_installed_bindings_have_the_recorded_signatures():
    """Of the versions that are here; the record would else be nobody's."""
    import importlib.metadata
    import inspect

    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed")
    version = importlib.metadata.version("cuda-bindings")
    functions = CUDA.get(f"cuda-bindings-{version}")
    if functions is None:
        pytest.skip(f"nobody recorded cuda-bindings {version}")
    for name, recorded_names in functions.items():
        assert list(inspect.signature(getattr(runtime, name)).parameters) == [n.rstrip("=") for n in recorded_names]

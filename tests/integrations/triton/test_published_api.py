"""What stands in for Triton's utilities has no name that they have not: `published_api.json` says from where."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path

import pytest

from tests.integrations.recorded import public, strange
from tests.integrations.triton import stand_in

HERE = Path(__file__).parent
MODEL = HERE.parents[2] / "integrations" / "triton" / "model.py"
RECORDED = json.loads((HERE / "published_api.json").read_text())
NAMES = RECORDED["names"]


def test_the_list_says_where_it_is_from_and_of_when():
    assert RECORDED["source"].startswith("https://") and RECORDED["documentation"].startswith("https://")
    assert re.fullmatch("[0-9a-f]{40}", RECORDED["commit"]) and re.fullmatch(r"\d{4}-\d\d-\d\d", RECORDED["date"])


@pytest.mark.parametrize("name", [*stand_in.NAMES, "InferenceRequest", "InferenceResponseSender"])
def test_names_and_parameters_are_published(name):
    found = getattr(stand_in, name)
    if not callable(found):
        assert found == RECORDED["values"][name]
        return
    wrong = []
    if inspect.isclass(found):
        codes = {one for one in vars(found) if one.isupper()}
        assert codes in (set(), set(RECORDED["error_codes"]))
        methods = {one: method for one, method in public(found) if not one.isupper()}
        wrong = [strange(method, NAMES[f"{name}.{one}"]) for one, method in methods.items()]
    if NAMES.get(name) is not None:
        wrong.append(strange(found, NAMES[name]))
    assert not [text for text in wrong if text]


def test_the_model_takes_nothing_else_of_them():
    tree = ast.parse(MODEL.read_text())
    taken = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pb_utils"
    }
    assert taken == set(stand_in.NAMES)


def test_the_model_is_what_the_backend_looks_for():
    tree = ast.parse(MODEL.read_text())
    (model,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    assert model.name == "TritonPythonModel"
    methods = {node.name: [arg.arg for arg in node.args.args][1:] for node in model.body if hasattr(node, "args")}
    assert methods == RECORDED["model"]
    read = {node.slice.value for node in ast.walk(tree) if is_read_of(node, "args")}
    assert read <= set(RECORDED["args"])


def is_read_of(node: ast.AST, name: str) -> bool:
    named = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == name
    return named and isinstance(node.slice, ast.Constant)

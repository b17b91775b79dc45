"""What `import hp_trt` gives an application: its names."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module

import pytest

import hp_trt
from engines import errors


def test_every_name_is_that_of_the_home_that_a_type_checker_is_told():
    tree = ast.parse(inspect.getsource(hp_trt))
    (typing,) = (n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    homes = {alias.name: node.module for node in typing.body for alias in node.names}
    assert {*homes, "__version__"} == set(hp_trt.__all__) and hp_trt.__all__ == sorted(hp_trt.__all__)
    for name, home in homes.items():
        assert getattr(hp_trt, name) is getattr(import_module(home), name)


def test_all_errors_that_we_raise_on_purpose_can_be_caught():
    ours = {
        name for name, found in vars(errors).items() if inspect.isclass(found) and found.__module__ == errors.__name__
    }
    assert ours <= set(hp_trt.__all__)


def test_a_name_that_does_not_exist_is_an_error_as_in_any_module():
    with pytest.raises(AttributeError, match="module 'hp_trt' has no attribute 'Runtme'"):
        hp_trt.Runtme  # noqa: B018
    assert "Runtime" in dir(hp_trt)

"""What `import hp_trt` gives an application: its names, and no library before it is used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import hp_trt
from engines import errors
from hp_trt import _HOMES

HEAVY = ("torch", "onnx", "onnxruntime", "cv2", "av", "PIL", "skimage")


def test_every_name_is_that_of_its_home():
    homes = {name: home for home, names in _HOMES.items() for name in names.split()}
    assert {*homes, "__version__"} == set(hp_trt.__all__) and hp_trt.__all__ == sorted(hp_trt.__all__)
    for name, home in homes.items():
        assert getattr(hp_trt, name) is getattr(import_module(home), name)


def test_a_type_checker_is_told_the_same_homes():
    tree = ast.parse(inspect.getsource(hp_trt))
    (typing,) = (n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    assert {node.module: " ".join(alias.name for alias in node.names) for node in typing.body} == _HOMES


def test_all_errors_that_we_raise_on_purpose_can_be_caught():
    ours = {
        name for name, found in vars(errors).items() if inspect.isclass(found) and found.__module__ == errors.__name__
    }
    assert ours <= set(hp_trt.__all__)


def test_a_name_that_does_not_exist_is_an_error_as_in_any_module():
    with pytest.raises(AttributeError, match="module 'hp_trt' has no attribute 'Runtme'"):
        hp_trt.Runtme  # noqa: B018
    assert "Runtime" in dir(hp_trt)


def test_the_import_loads_nothing_and_the_names_load_numpy_alone():
    code = f"""
import sys, hp_trt
assert not [m for m in ("numpy", "hp_trt.api", *{HEAVY}) if m in sys.modules]
for name in hp_trt.__all__:
    getattr(hp_trt, name)
assert "numpy" in sys.modules
print(*(m for m in {HEAVY} if m in sys.modules))
"""
    root = Path(hp_trt.__file__).parents[1]
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []

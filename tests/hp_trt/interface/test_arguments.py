"""What no command can use is refused as it is typed: numbers without end, paths that no file system has."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.interface.arguments import check_value
from tests.hp_trt.command_line import refused


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (10**30, "--x is a whole number of at most 9223372036854775807, got one of 31 digits"),
        (math.nan, "--x is a finite number of at most 1e+15, got nan"),
        (-math.inf, "--x is a finite number of at most 1e+15, got -inf"),
        ([1.0, 1e308], "got 1e+308"),
        (Path("/tmp") / ("x" * 256), "--x has a name of 256 bytes in a path of 261, file systems take 255 and 4095"),
        (Path("ü" * 128), "--x has a name of 256 bytes"),
        (Path("a/" * 2500), "in a path of 4999"),
        ((Path("ok"), Path("no\0name")), "no name may have a zero in it"),
        (Path("\udcff.png"), "which is no UTF-8; give the file a name of readable letters"),
        ("camera:\udcff", "which is no UTF-8"),
    ],
)
def test_what_no_command_can_use_names_its_option(value, says):
    with pytest.raises(InputError) as caught:
        check_value("--x", value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "value", [0, -1, 2**63 - 1, 0.5, True, None, Path("a") / ("x" * 255), "https://a/" + "x" * 999, []]
)
def test_what_some_command_may_use_passes(value):
    check_value("--x", value)


def test_a_path_is_refused_before_the_command_begins(hp_trt, tmp_path):
    for path in ("x" * 300, "\udcff"):
        refused(hp_trt("inspect", tmp_path / path), "bundle")
        refused(hp_trt("sample", "--out", tmp_path / path), "--out")
        refused(hp_trt("animate", "--bundle=b", "--portrait=p", "--driving=d", f"--out={path}"), "--out")

"""What `hp-trt` says of itself."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["animate", "live", "evaluate", "plan"])
def test_help_says_what_holds_where_an_option_is_not_given(command):
    # rich would take what stands in brackets for its own markup, and swallow it
    help_text = subprocess.run(
        [sys.executable, "-m", "hp_trt", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "[every core]" in help_text


def test_the_version_is_told(hp_trt):
    ended = hp_trt("--version")
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"hp-trt \d+\.\d+\.\d+\n", ended.out)

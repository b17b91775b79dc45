"""Names of files, as bytes of UTF-8 for libraries of C++."""

from __future__ import annotations

import os

import pytest

from engines.file_names import utf8_name


def test_a_name_is_text_of_utf8():
    assert utf8_name("/a/nötz.onnx") == "/a/nötz.onnx"


@pytest.mark.parametrize("name", [os.fsdecode(b"n\xff"), "\ud800"])
def test_what_is_no_utf8_is_a_value_error(name):
    with pytest.raises(ValueError, match="codec can't"):
        utf8_name(name)

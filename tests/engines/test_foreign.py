"""Whatever a foreign parser raises becomes ours."""

from __future__ import annotations

import json
import struct

import pytest

from engines.errors import BundleError, CheckpointError, InputError
from engines.foreign import foreign, reason


class PanicException(BaseException):  # as pyo3 names its own
    pass


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("odd"),
        RuntimeError(""),
        KeyError("k"),
        struct.error("short"),
        RecursionError(),
        PanicException("odd"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_error_becomes_ours(raised):
    with (
        pytest.raises(CheckpointError, match=r"^a\.bin is no checkpoint \(.+\); give another$"),
        foreign("a.bin is no checkpoint", "give another", error=CheckpointError),
    ):
        raise raised


def test_our_own_errors_pass():
    with pytest.raises(BundleError, match=r"^as it is$"), foreign("a", "b"):
        raise BundleError("as it is")


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_passes(raised):
    with pytest.raises(raised), foreign("a", "b"):
        raise raised


def test_a_forbidden_file_is_told_with_what_to_do():
    told = r"a cannot be read \(x: permission denied\); change its permissions, or do b"
    with pytest.raises(InputError, match=told), foreign("a cannot be read", "do b"):
        raise PermissionError(13, "Permission denied", "x")


def test_memory_that_is_not_there_is_told():
    with pytest.raises(InputError, match="more memory than there is"), foreign("a", "b"):
        raise MemoryError


def test_a_reason_is_one_short_line():
    assert reason(OSError(5, "Input/output error")) == "Input/output error"
    assert reason(ValueError("\n  first\nsecond")) == "first"
    assert len(reason(ValueError("x" * 10_000))) == 200
    assert reason(RuntimeError()) == "RuntimeError"


def test_json_that_is_nested_without_end_is_ours():
    with pytest.raises(InputError, match="is no JSON"), foreign("a.json is no JSON", "give another"):
        json.loads("[" * 100_000)

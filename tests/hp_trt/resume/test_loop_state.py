from __future__ import annotations

import json
import math

import numpy as np
import pytest

from engines.fields import Field, parse_json
from hp_trt.resume.loop_state import LoopState, state_bytes, state_from, state_to_json

KINDS = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()


def content(state: LoopState) -> bytes:
    return b"".join(state_bytes(state))


def read_back(state: LoopState) -> LoopState:
    return state_from(parse_json(json.dumps(state_to_json(state))), content(state))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3), (1, 2, 3, 4)])
def test_arrays_come_back_with_their_types_shapes_and_bits(kind, shape):
    array = np.random.default_rng(0).integers(0, 2**8, (*shape, 8), dtype=np.uint8)
    array = (array % 2).astype(bool)[..., 0] if kind == "bool" else array.view(kind)[..., 0]
    found = read_back(LoopState(arrays={"one": array, "two": array.copy(order="F")})).arrays
    for name in ("one", "two"):
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        assert found[name].flags.writeable


def test_big_end_arrays_and_parts_of_arrays_keep_their_values():
    arrays = {"big": np.arange(5, dtype=">i4"), "part": np.arange(20).reshape(4, 5)[::2, 1:3]}
    found = read_back(LoopState(arrays=arrays)).arrays
    assert all((found[name] == array).all() for name, array in arrays.items())


def test_numbers_come_back_to_the_last_bit():
    numbers = {"whole": 2**200, "less": -3, "third": 1 / 3, "tiny": 5e-324, "numpy": np.float64(0.1)}
    assert read_back(LoopState(numbers=numbers)).numbers == numbers


@pytest.mark.parametrize("number", [math.nan, math.inf, True, "1", None, 10**95, np.int64(3)])
def test_what_is_no_number_is_no_number_of_a_state(number):
    with pytest.raises(ValueError, match="seed of a state must be a finite number"):
        LoopState(numbers={"seed": number})


@pytest.mark.parametrize("array", [[1, 2], np.array(["a"]), np.array([None]), np.zeros(2, complex)])
def test_what_is_no_array_of_numbers_is_none_of_a_state(array):
    with pytest.raises(ValueError, match="last of a state must be an array of numbers"):
        LoopState(arrays={"last": array})


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "1a", "a" * 61])
def test_names_are_plain(name):
    with pytest.raises(ValueError, match="is no name in a state"):
        LoopState(numbers={name: 1})


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ([["a", "float32", [1 << 39]]], "lies in the state's file"),
        ([["a", "float32", [3]]], "lies in the state's file"),
        ([["a", "float32", [1]]], "all of the state's file"),
        ([["a", "object", [2]]], "one of bool"),
        ([["a", "float32", [-2]]], "a whole number"),
        ([["a", "float32", [1] * 17]], "a list of 0 to 16"),
        ([["A", "float32", [2]]], "is no name"),
        ([["a", "float32"]], "a list of at least 3"),
        ({}, "a list"),
    ],
)
def test_a_record_that_claims_something_else_than_the_file_has_is_told(arrays, says):
    with pytest.raises(ValueError, match=says):
        state_from(Field({"arrays": arrays, "numbers": {}}), bytes(8))

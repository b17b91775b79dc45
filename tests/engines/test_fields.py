"""JSON and TOML from elsewhere are read with types and ranges, and what is wrong is told with its place."""

from __future__ import annotations

import os
import re
import sys

import pytest

from engines.fields import Field, parse_json, read_bytes, read_json, read_toml

TREE = Field({"graphs": {"unet": {"dims": [1, "x", None, True, 2.5], "spec name": {}}}})


def test_a_value_is_read_by_the_keys_that_lead_to_it():
    assert TREE["graphs"]["unet"]["dims"][0].whole(1, 9) == 1
    assert TREE["graphs"]["unet"]["dims"][4].number(0, 9) == 2.5
    assert Field(["a", "b"]).words() == ("a", "b")
    assert Field(True).flag() is True
    assert Field({"a": 1}).get("score", 0.5).number(0, 1) == 0.5
    assert Field({"a": 1}).get("score") is None


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (
            lambda f: f["graphs"]["unet"]["dims"][1].whole(1, 9),
            "graphs.unet.dims[1] must be a whole number of 1 to 9, got 'x'",
        ),
        (lambda f: f["graphs"]["unet"]["dims"][2].text(), "graphs.unet.dims[2] must be text, got null"),
        (lambda f: f["graphs"]["unet"]["dims"][3].whole(0, 9), "must be a whole number of 0 to 9, got True"),
        (lambda f: f["graphs"]["unet"]["dims"][3].number(), "must be a number, got True"),
        (lambda f: f["graphs"]["unet"]["dims"][4].whole(0, 9), "must be a whole number of 0 to 9, got 2.5"),
        (lambda f: f["graphs"]["unet"]["dims"][4].number(3), "must be a number from 3, got 2.5"),
        (lambda f: f["graphs"]["unet"]["dims"][9], "graphs.unet.dims must be a list of at least 10, got 5"),
        (lambda f: f["graphs"]["unet"]["dims"].listed(least=2, most=2), "must be a list of 2, got 5"),
        (lambda f: f["graphs"]["vae"], "graphs.vae is missing"),
        (
            lambda f: f["graphs"]["unet"]["spec name"].words(),
            "graphs.unet.'spec name' must be a list, got an object of 0",
        ),
        (lambda f: f["graphs"].choice(("a", "b")), "graphs must be one of a, b, got an object of 1"),
        (lambda f: f.flag(), "the whole must be true or false, got an object of 1"),
    ],
)
def test_what_is_something_else_is_told_with_its_place_and_what_was_needed(read, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        read(TREE)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400, -(10**400)])
def test_what_no_float_holds_is_no_number(number):
    with pytest.raises(ValueError, match="must be a number, got"):
        Field(number).number()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1e999}', "the number '1e999' is out of range"),
        ("1" * 101, "a number of 101 digits"),
        ("9" * (sys.get_int_max_str_digits() + 1), "digits"),
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' stands twice"),
        ('["\\ud800"]', "surrogates not allowed"),
        ("[" * 66 + "]" * 66, "nested more than 64 deep"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a": ', "Expecting value"),
        (b"\xff\xfe{\x00}\x00", "can't decode byte 0xff"),
    ],
)
def test_what_is_no_json_for_us_is_a_value_error(text, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_json(text)


def test_a_mark_of_byte_order_is_no_part_of_the_text(tmp_path):
    (tmp_path / "x").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "x", most_bytes=20)["a"].whole(0, 9) == 1
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbfa = 1")
    assert read_toml(tmp_path / "x", most_bytes=20)["a"].whole(0, 9) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "1" * 5000, "Exceeds the limit"),
        ("a = 1\na = 2", "Cannot overwrite a value"),
        ("a = [", "Invalid value"),
        ("\x00", "Invalid statement"),
    ],
)
def test_what_is_no_toml_for_us_is_a_value_error(tmp_path, text, says):
    (tmp_path / "x").write_text(text)
    with pytest.raises(ValueError, match=says):
        read_toml(tmp_path / "x", most_bytes=10_000)


def test_a_file_of_more_bytes_than_asked_for_is_not_read(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 40)  # of holes: no disk is filled
    with pytest.raises(ValueError, match="it has 1099511627776 bytes, at most 100 are read"):
        read_bytes(tmp_path / "large", most_bytes=100)


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises((ValueError, IsADirectoryError)):
            read_bytes(path, most_bytes=100)

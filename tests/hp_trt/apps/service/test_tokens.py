"""Tokens of which only hashes are kept."""

from __future__ import annotations

import hashlib
import os
import stat

import pytest

from engines.errors import InputError, OutputError
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.tokens import LOCAL, Tokens, add_token, owner_of


def test_a_token_is_shown_once_and_its_hash_is_kept(tmp_path):
    file = tmp_path / "tokens"
    token = add_token(file, "alice")
    assert token not in file.read_text()
    assert file.read_text() == f"alice {hashlib.sha256(token.encode()).hexdigest()}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    other = add_token(file, "bob")
    tokens = Tokens.read(file)
    assert tokens.owner(f"Bearer {token}") == tokens.owner(f"bearer  {token} ") == owner_of("alice")
    assert tokens.owner(f"Bearer {other}") == owner_of("bob")


def test_two_tokens_of_one_name_have_one_quota(tmp_path):
    file = tmp_path / "tokens"
    tokens = [add_token(file, "alice") for _ in range(2)]
    known = Tokens.read(file)
    assert len({known.owner(f"Bearer {token}") for token in tokens}) == 1


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Bearer x", "x", "Bearer \udcff", "Basic abc"])
def test_who_is_not_known_is_refused(tmp_path, header):
    add_token(tmp_path / "t", "alice")
    with pytest.raises(Problem, match="Authorization: Bearer TOKEN"):
        Tokens.read(tmp_path / "t").owner(header)


def test_a_known_token_with_another_scheme_is_refused(tmp_path):
    token = add_token(tmp_path / "t", "alice")
    with pytest.raises(Problem):
        Tokens.read(tmp_path / "t").owner(f"Basic {token}")


def test_without_a_file_all_requests_are_one_owners():
    assert Tokens.read(None).owner(None) == owner_of(LOCAL)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    file = tmp_path / "tokens"
    add_token(file, "alice")
    os.chmod(file, mode)
    with pytest.raises(InputError, match="can be read by others"):
        Tokens.read(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no token"),
        ("# nothing\n\n", "has no token"),
        ("alice", "line 1: needed are a name"),
        ("alice " + "0" * 63, "line 1"),
        ("# x\nalice " + "0" * 64 + "\nbob secret\n", "line 3"),
        ("../x " + "0" * 64, "line 1"),
    ],
)
def test_a_file_that_is_none_says_which_line(tmp_path, text, says):
    file = tmp_path / "tokens"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(InputError, match=says):
        Tokens.read(file)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path):
    with pytest.raises(InputError, match="no file of tokens"):
        Tokens.read(tmp_path / "none")
    with pytest.raises(InputError, match="no file of tokens"):
        Tokens.read(tmp_path)
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="no file of tokens"):
        Tokens.read(tmp_path / "b")


def test_a_name_is_letters_and_a_link_is_not_written_through(tmp_path):
    for name in ("", "a b", "a/b", "x" * 65, "ä"):
        with pytest.raises(InputError, match="a token's name has 1 to 64"):
            add_token(tmp_path / "t", name)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError):
        add_token(tmp_path / "link", "alice")
    assert not (tmp_path / "elsewhere").exists()

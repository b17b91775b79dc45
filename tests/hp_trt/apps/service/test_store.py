"""The state folder: one service's, whole, and nobody else's names in it."""

from __future__ import annotations

import os
import stat

import pytest

from engines.errors import InputError, OutputError
from hp_trt.apps.service.clock import SteadyTime
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.store import Items, State, is_id

SHA = "ab" * 32


def items(state, **limits) -> Items:
    return Items(state, "portraits", "p", Limits(**limits), SteadyTime())


def received(state, content=b"x"):
    path = state.new_file()
    path.write_bytes(content)
    return path


def test_two_services_never_share_a_state_folder(tmp_path):
    first = State(tmp_path / "s")
    with pytest.raises(InputError, match="in use by another service; end that one"):
        State(tmp_path / "s")
    first.close()
    State(tmp_path / "s").close()


def test_a_folder_that_cannot_be_made_or_written_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="could not be written"):
        State(tmp_path / "file" / "s")
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "lock").symlink_to(tmp_path / "file")
    with pytest.raises(OutputError):
        State(tmp_path / "link")


def test_a_read_only_state_folder_is_told_at_the_start(tmp_path, monkeypatch):
    def refused(*_args, **_named):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OutputError, match="read-only: write somewhere else"):
        State(tmp_path / "s")


def test_the_key_of_tickets_stays_and_is_nobody_elses(tmp_path):
    first = State(tmp_path / "s")
    assert stat.S_IMODE((tmp_path / "s" / "ticket.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    first.close()
    again = State(tmp_path / "s")
    assert again.ticket_key == first.ticket_key and len(again.ticket_key) == 32
    again.close()


def test_what_a_killed_upload_left_goes_at_the_start(tmp_path):
    state = State(tmp_path / "s")
    received(state)
    hidden = state.folder("o", "portraits") / f".p_{'0' * 32}.0123456789abcdef.part"
    hidden.mkdir()
    (hidden / "file").write_bytes(b"half")
    state.close()
    state = State(tmp_path / "s")
    assert not list(state.incoming.iterdir()) and not hidden.exists()
    state.close()


def test_the_same_bytes_are_one_upload_of_each_owner(tmp_path):
    state = State(tmp_path / "s")
    kept = items(state)
    first, new = kept.add("alice", received(state), sha256=SHA, facts={"width": 3})
    again, is_new = kept.add("alice", received(state), sha256=SHA, facts={"width": 3})
    assert (new, is_new) == (True, False) and again == first and not list(state.incoming.iterdir())
    kept.add("bob", received(state), sha256=SHA, facts={})
    kept.delete("alice", first.id)
    assert kept.get("bob", first.id).id == first.id
    with pytest.raises(Problem, match="upload it first"):
        kept.get("alice", first.id)
    state.close()


def test_an_upload_whose_record_a_disk_lost_is_kept_again(tmp_path):
    state = State(tmp_path / "s")
    kept = items(state)
    item, _ = kept.add("o", received(state), sha256=SHA, facts={})
    (kept.file("o", item.id).parent / "about.json").write_bytes(b"{}")
    assert kept.listed("o") == []
    assert kept.add("o", received(state), sha256=SHA, facts={})[1]
    assert [one.id for one in kept.listed("o")] == [item.id]
    state.close()


def test_a_link_outlives_what_it_was_made_of(tmp_path):
    state = State(tmp_path / "s")
    kept = items(state)
    item, _ = kept.add("o", received(state, b"content"), sha256=SHA, facts={})
    kept.link("o", item.id, tmp_path / "mine")
    kept.delete("o", item.id)
    assert (tmp_path / "mine").read_bytes() == b"content"
    state.close()


@pytest.mark.parametrize(
    "name", ["", "p_", "../lock", "p_../" + "0" * 29, "p_" + "0" * 31, "P_" + "0" * 32, "p_" + "g" * 32]
)
def test_what_is_no_id_is_never_a_path(name):
    assert not is_id(name, "p") and not is_id("m_" + "0" * 32, "p") and is_id("p_" + "0" * 32, "p")

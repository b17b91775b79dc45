from __future__ import annotations

import errno
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engines.errors import DiskError, InputError, OutputError
from hp_trt.resume import store as store_module
from hp_trt.resume.loop_state import LoopState
from hp_trt.resume.store import ChunkStore

FACTS = {"seed": 1}


def opened(folder: Path, mode: str = "new", **given) -> ChunkStore:
    return ChunkStore(folder, **{"names": ("out",), "facts": FACTS, "mode": mode, "rate": Fraction(25), **given})


def add(store: ChunkStore, frames: int = 5) -> None:
    number = len(store.chunks)
    store.file(number, "out").write_bytes(b"pictures of chunk %d" % number)
    store.add(frames, LoopState(arrays={"last": np.full(3, number, np.int16)}, numbers={"chunk": number}))


def with_chunks(folder: Path, count: int) -> Path:
    store = opened(folder)
    for _ in range(count):
        add(store)
    store.close()
    return folder


def turn_a_byte(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_the_folder_is_as_its_table_shows(tmp_path):
    with_chunks(tmp_path / "a", 3)
    assert sorted(set(os.listdir(tmp_path / "a")) - {".lock"}) == [
        "000000.json", "000000.out.mp4",
        "000001.json", "000001.out.mp4", "000001.state",
        "000002.json", "000002.out.mp4", "000002.state",
        "facts.json",
    ]  # fmt: skip


def test_a_loop_goes_on_with_the_last_chunks_state(tmp_path):
    store = opened(with_chunks(tmp_path / "a", 3), "resume")
    assert (store.frames, len(store.chunks), store.notes) == (15, 3, [])
    assert store.state.numbers == {"chunk": 2} and store.state.arrays["last"].tolist() == [2, 2, 2]
    add(store, 2)
    assert store.frames == 17
    store.close()


# What is damaged of four chunks -> how many are left. Only the last two have a state to go on with.
DAMAGE = {
    "000003.state": 3,
    "000003.out.mp4": 3,
    "000003.json": 3,
    "000002.state": 4,  # not needed
    "000002.out.mp4": 0,
    "000002.json": 0,
    "000000.out.mp4": 0,
}


@pytest.mark.parametrize("how", ["a byte", "cut off", "gone", "a folder"])
@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_the_run_goes_back_to_the_last_good_chunk(tmp_path, name, how):
    folder, chunks = with_chunks(tmp_path / "a", 4), DAMAGE[name]
    path = folder / name
    if how == "a byte":
        turn_a_byte(path, len(path.read_bytes()) // 2)
    elif how == "cut off":
        os.truncate(path, path.stat().st_size - 1)
    else:
        path.unlink()
    if how == "a folder":
        path.mkdir()
    store = opened(folder, "resume")
    assert len(store.chunks) == chunks
    assert (store.state.numbers["chunk"] if store.state else -1) == chunks - 1
    is_unfinished = name == "000003.json" and how in ("gone", "a folder")  # as where a kill came before the record
    is_told = chunks < 4 and not is_unfinished
    made_again = f"{folder}/ has damaged files: {4 - chunks} of its 4 chunks are made again, from {chunks / 5:.2f} s on"
    assert store.notes == ([made_again] if is_told else [])
    if how != "a folder":  # which is somebody's, and in the way
        for _ in range(4 - chunks):
            add(store)
        store.close()
        assert len(opened(folder, "resume").chunks) == 4
    store.close()


def test_both_states_damaged_begins_at_the_first_frame(tmp_path):
    folder = with_chunks(tmp_path / "a", 4)
    for name in ("000002.state", "000003.state"):
        turn_a_byte(folder / name)
    store = opened(folder, "resume")
    assert (store.frames, store.state) == (0, None)
    assert sorted(os.listdir(folder)) == [".lock", ".lock.holder", "facts.json"]
    store.close()


@pytest.mark.parametrize("call", ["hash_file", "read_bytes", "read_json"])
def test_what_a_disk_cannot_read_now_is_told_and_not_given_up(tmp_path, monkeypatch, call):
    folder = with_chunks(tmp_path / "a", 3)
    before = sorted(os.listdir(folder))

    def failing(*given, **named):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(store_module, call, failing)
        with pytest.raises(DiskError, match="Input/output error; the disk fails"):
            opened(folder, "resume")
    assert sorted(os.listdir(folder)) == before and opened(folder, "resume").frames == 15


def test_a_record_whose_numbers_were_changed_does_not_count(tmp_path):
    folder = with_chunks(tmp_path / "a", 2)
    record = folder / "000001.json"
    record.write_text(record.read_text().replace('"frames": 5', '"frames": 6'))
    assert opened(folder, "resume").frames == 5


def test_damaged_facts_are_refused_and_nothing_is_lost(tmp_path):
    folder = with_chunks(tmp_path / "a", 2)
    before = sorted(os.listdir(folder))
    facts = (folder / "facts.json").read_bytes()
    (folder / "facts.json").write_bytes(facts[:-3])
    with pytest.raises(InputError, match=r"facts\.json is damaged .*; restore it, or begin anew with --restart"):
        opened(folder, "resume")
    (folder / "facts.json").write_bytes(facts)
    assert sorted(os.listdir(folder)) == before and opened(folder, "resume").frames == 10


def test_a_folder_of_other_things_is_not_touched(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"mine")
    for mode in ("new", "resume", "restart"):
        with pytest.raises(OutputError, match=r"is no folder of an unfinished run: it has holiday\.jpg; move it"):
            opened(folder, mode)
    assert os.listdir(folder) == ["holiday.jpg"]


@pytest.mark.parametrize("mode", ["resume", "restart"])
def test_files_of_others_in_a_run_stay_when_it_goes(tmp_path, mode):
    folder = with_chunks(tmp_path / "a", 2)
    (folder / "notes.txt").write_bytes(b"mine")
    (folder / "000009.state").mkdir()
    (folder / "000008.out.mp4").symlink_to(folder / "notes.txt")
    store = opened(folder, mode)
    add(store)
    store.remove()
    store.close()
    assert sorted(os.listdir(folder)) == ["000008.out.mp4", "000009.state", "notes.txt"]
    assert len(store.notes) == 1 and "stays: it has files that are none of this program's" in store.notes[0]
    assert (folder / "notes.txt").read_bytes() == b"mine"


def test_what_a_removal_left_that_was_killed_is_no_run(tmp_path):
    """Facts go first."""
    folder = with_chunks(tmp_path / "a", 2)
    (folder / "facts.json").unlink()
    store = opened(folder)
    assert sorted(os.listdir(folder)) == [".lock", ".lock.holder", "facts.json"]
    store.close()
    assert not folder.exists()


def test_a_link_to_another_disk_is_a_folder_like_any_other(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "far")
    store = opened(with_chunks(tmp_path / "a", 2), "resume")
    assert store.frames == 10
    store.close()


def test_unknown_modes_and_names_of_tracks_are_programming_errors(tmp_path):
    with pytest.raises(ValueError, match="new, resume, restart, got 'anew'"):
        opened(tmp_path / "a", "anew")
    with pytest.raises(ValueError, match="small letters"):
        opened(tmp_path / "a", names=("../out",))
    assert os.listdir(tmp_path) == []

from __future__ import annotations

from pathlib import Path

import pytest

from hp_trt.fetch.table import FETCHED, MESH


def test_a_file_is_kept_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert MESH.place == tmp_path / "hp-trt" / "face_landmark.tflite"
    monkeypatch.setenv("HOME", "/home/someone")
    for given in ("", "relative/folder"):  # which the XDG specification says to ignore
        monkeypatch.setenv("XDG_DATA_HOME", given)
        assert MESH.place == Path("/home/someone/.local/share/hp-trt/face_landmark.tflite")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert MESH.place == Path("/home/someone/.local/share/hp-trt/face_landmark.tflite")


@pytest.mark.parametrize("entry", FETCHED.values(), ids=lambda entry: entry.name)
def test_every_entry_says_whose_it_is_and_pins_what_it_is(entry):
    assert FETCHED[entry.name] is entry
    assert len(bytes.fromhex(entry.sha256)) == 32 and 0 < entry.size < 48 << 20
    assert entry.member.endswith(f"/{entry.file}")
    assert "https://" in entry.source and "https://" in entry.licence

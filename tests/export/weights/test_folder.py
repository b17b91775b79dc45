"""Upstream's folder, whichever model's: the right root, and one error for all that is wrong."""

from __future__ import annotations

import pytest
import torch

from engines.errors import CheckpointError
from export.weights.folder import PublishedFile, read_folder, root_of

FILES = [
    PublishedFile(name="first", places=("a/first.pth",), shapes={"weight": (2,)}),
    PublishedFile(name="second", places=("new.pth", "old.pth"), shapes={"weight": (2,)}),
    PublishedFile(
        name="third", places=("third.pth",), shapes={"w": (2,)}, spelling=lambda state: {"w": state["weight"]}
    ),
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a").mkdir()
    for name, value in (("a/first", 1.0), ("old", 2.0), ("third", 3.0)):
        torch.save({"weight": torch.full((2,), value)}, tmp_path / f"{name}.pth")
    return tmp_path


def test_every_file_is_read_from_the_first_place_that_has_it_and_in_our_spelling(folder):
    read = read_folder(folder, FILES)
    assert [float(next(iter(state.values()))[0]) for state in read.values()] == [1, 2, 3]
    assert read["third"].keys() == {"w"}
    torch.save({"weight": torch.full((2,), 4.0)}, folder / "new.pth")
    assert read_folder(folder, FILES)["second"]["weight"][0] == 4


def test_missing_unreadable_and_misfitting_files_are_one_error(folder):
    (folder / "old.pth").unlink()
    (folder / "a/first.pth").write_bytes(b"nothing")
    torch.save({"weight": torch.zeros(3)}, folder / "third.pth")
    with pytest.raises(CheckpointError) as caught:
        read_folder(folder, FILES)
    assert "(3 of 3 files)" in str(caught.value)
    assert "1 misshapen key: w is (3,), needs (2,)" in str(caught.value)
    torch.save({"weight": torch.zeros(2)}, folder / "third.pth")
    with pytest.raises(CheckpointError, match=r"second: no file, needed new\.pth or old\.pth"):
        read_folder(folder, FILES)


@pytest.mark.parametrize(
    ("mark", "preset", "says"),
    [
        (
            "hallo2/net.pth",
            "hunyuanportrait",
            "holds the weights of another model, hallo2; build that one: --preset ha",
        ),
        ("hyportrait/unet.pth", "hallo2", "holds the weights of another model, hunyuanportrait; build that one"),
    ],
)
def test_another_models_folder_is_told_apart(tmp_path, mark, preset, says):
    path = tmp_path / "weights" / mark
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    for folder in (tmp_path / "weights", tmp_path):
        with pytest.raises(CheckpointError, match=says):
            root_of(folder, nested="weights", preset=preset, holds="mine/")


def test_a_folder_of_both_models_is_either_ones(tmp_path):
    for mark in ("hallo2/net.pth", "hyportrait/unet.pth"):
        (tmp_path / mark).parent.mkdir()
        (tmp_path / mark).write_bytes(b"x")
    for preset in ("hallo2", "hunyuanportrait"):
        assert root_of(tmp_path, nested="weights", preset=preset, holds="mine/") == tmp_path

"""`hp-trt motion` and `hp-trt portrait`: what they make and say, and what takes it."""

from __future__ import annotations

import json
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from hp_trt.commands.motion import readable
from hp_trt.encoded.encoded_file import EncodedFile
from tests.hp_trt.clips import make_clip
from tests.hp_trt.encoded.made import FRAMES

POCKET = "--bundle=shipped:pocket"


@pytest.fixture(autouse=True)
def opened(monkeypatch, request):
    """The runtimes that other tests have opened, in the place of new ones."""

    def open_runtime(bundle, config, **_):
        name = "talk_runtime" if "talk" in str(bundle) else "live_runtime" if config.profile == "live" else ""
        return nullcontext(request.getfixturevalue(name or "pocket_runtime"))

    monkeypatch.setattr("hp_trt.api.Runtime", open_runtime)


@pytest.fixture
def motion(hp_trt, made_files, tmp_path):
    """The command with good arguments."""
    words = (POCKET, f"--driving={made_files.driving}", f"--out={tmp_path / 'o.safetensors'}")
    return lambda *more: hp_trt("motion", *words, *more)


def test_motion_says_how_large_the_file_will_be_and_is_and_that_it_shows_the_driver(motion, tmp_path, made_files):
    ended = motion("--portable")
    assert ended.code == 0, ended.err
    path = tmp_path / "o.safetensors"
    assert ended.out == f"{path}: the motion of {FRAMES} frames, {readable(path.stat().st_size)}\n"
    assert "note: portable: the file will hold the crops of every frame, which show the driver's face\n" in ended.err
    assert f"note: about {readable(FRAMES * 16472)}: {FRAMES} frames of {readable(16472)} each, and the" in ended.err
    assert path.read_bytes() == made_files.portable.read_bytes()  # the same graphs, and the same options


def test_what_it_did_is_a_line_of_json(hp_trt, made_talk, tmp_path):
    out = tmp_path / "o.safetensors"
    ended = hp_trt("motion", "--bundle=shipped:talk_pocket", f"--audio={made_talk.sound}", f"--out={out}", "--json")
    assert ended.code == 0, ended.err
    said = json.loads(ended.out.splitlines()[-1])
    assert said == {
        "event": "result", "out": str(out), "frames": 6, "bytes": out.stat().st_size, "portable": False,
    }  # fmt: skip
    assert out.read_bytes() == made_talk.motion.read_bytes()


def test_a_portrait_becomes_a_file(hp_trt, made_files, tmp_path):
    out = tmp_path / "o.safetensors"
    ended = hp_trt("portrait", POCKET, f"--portrait={made_files.portrait}", f"--out={out}")
    assert ended.code == 0, ended.err
    assert ended.out == f"{out}: a portrait, {readable(out.stat().st_size)}\n"
    assert out.read_bytes() == made_files.portrait_file.read_bytes()


def test_animate_takes_both_and_its_sheet_shows_the_portrait_and_no_driver(hp_trt, made_files, tmp_path):
    words = (POCKET, f"--portrait={made_files.portrait_file}", f"--driving={made_files.live}", "--profile=live")
    ended = hp_trt("animate", *words, f"--out={tmp_path / 'o.mp4'}", f"--sheet={tmp_path / 's.png'}")
    assert ended.code == 0, ended.err
    assert f"{FRAMES} frames at 25 fps" in ended.out
    sheet = np.asarray(Image.open(tmp_path / "s.png"))
    assert sheet.shape[0] < 300  # one row


def test_live_takes_both(hp_trt, made_files, tmp_path):
    words = (POCKET, f"--portrait={made_files.portrait_file}", f"--driving={made_files.live}", "--pace=fast")
    ended = hp_trt("live", *words, f"--out={tmp_path / 'o.mp4'}")
    assert ended.code == 0, ended.err
    assert f"{FRAMES} frames in" in ended.out and "0 dropped" in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "motion is of one of two, got neither"),
        (("--driving=d.mp4", "--audio=a.wav"), "motion is of one of two, got both"),
        (("--driving=d.mp4", "--out=o.mp4"), "the motion file is written as .safetensors"),
        (("--driving=absent.mp4",), "absent.mp4: no such file"),
        (("--audio=absent.wav",), "whose portraits are moved by a driving video"),
        (("--driving=d.mp4", "--released-plan"), "--released-plan goes with --audio, got --driving; leave it out"),
        (("--audio=a.wav", "--portable"), "--portable goes with --driving, got --audio; leave it out"),
    ],
)
def test_what_cannot_be_encoded_is_refused_in_one_line(hp_trt, tmp_path, words, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = hp_trt("motion", POCKET, "--out=o.safetensors", *words)
    assert (ended.code, ended.err.count("\n")) == (2, 1) and said in ended.err, ended.err
    assert not list(tmp_path.iterdir())


def test_live_says_before_anything_is_opened_that_a_file_is_for_clips(hp_trt, made_files, made_talk, tmp_path):
    words = ("--portrait=absent.png", f"--out={tmp_path / 'o.mp4'}")
    ended = hp_trt("live", POCKET, *words, f"--driving={made_files.motion}")
    assert ended.code == 2 and "encode the driving video again with --profile live" in ended.err
    ended = hp_trt("live", POCKET, *words, f"--driving={made_files.live}", "--driving-landmarks=x.json")
    assert ended.code == 2 and "is encoded already, and its faces were found then" in ended.err
    talk = ("--bundle=shipped:talk_pocket", f"--audio={made_talk.motion}")
    ended = hp_trt("live", *talk, *words)
    assert ended.code == 2 and "a live session hears speech as it comes; give the sound itself" in ended.err


def test_a_good_file_stays_where_the_next_one_fails(hp_trt, made_files, tmp_path):
    out = tmp_path / "o.safetensors"
    out.write_bytes(made_files.motion.read_bytes())
    nobody = make_clip(tmp_path / "black.mp4", 3)
    ended = hp_trt("motion", POCKET, f"--driving={nobody}", f"--out={out}")
    assert ended.code == 2 and "no face" in ended.err
    assert out.read_bytes() == made_files.motion.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"o.safetensors", "black.mp4"}
    EncodedFile(out, "motion").check_content()

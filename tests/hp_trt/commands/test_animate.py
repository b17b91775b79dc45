"""`hp-trt animate`: what it makes, says and takes."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from hp_trt.faces.lost import LOST_NOTE
from hp_trt.media.contact_sheet import CELL_PX
from hp_trt.media.video import VideoReader
from hp_trt.sample import write_driving
from tests.hp_trt.clips import contents


@pytest.fixture(scope="module")
def brief(tmp_path_factory) -> Path:
    """A driving video of 3 frames with sound. Read only."""
    path = tmp_path_factory.mktemp("brief") / "driving.mp4"
    write_driving(path, seed=1, frames=3)
    return path


@pytest.fixture
def briefly(animate, brief):
    """`animate` with few frames, for what does not depend on how many there are."""
    return lambda *more, **given: animate(*more, **{"driving": brief, **given})


def test_a_portrait_moves_with_the_drivers_frames_rate_and_sound(animate, sample):
    ended = animate(crop_out=animate.folder / "c.mp4")
    assert ended.code == 0, ended.err
    driving, result, crop = (contents(p) for p in (sample[1], animate.out, animate.folder / "c.mp4"))
    assert result.times_s == crop.times_s == driving.times_s
    assert result.rate == driving.rate
    assert result.sound == crop.sound == driving.sound
    assert crop.size == (64, 64)
    assert ended.out.startswith(f"{animate.out}: 12 frames at 25 fps in ")
    random, lost = ended.err.splitlines()
    assert random == "note: this bundle has random weights: the face will be noise, for trying and for benchmarks only"
    assert lost == f"note: {LOST_NOTE.format(lost=8, looks=8)}"  # it is noise


def test_a_contact_sheet_comes_with_the_result_if_asked_for(animate, sample):
    ended = animate("--json", sheet=animate.folder / "s.png")
    assert ended.code == 0, ended.err
    assert Image.open(animate.folder / "s.png").width > 8 * CELL_PX
    assert json.loads(ended.out.splitlines()[-1])["sheet"] == str(animate.folder / "s.png")


def test_what_the_backend_has_to_say_is_told(briefly, monkeypatch):
    from engines.onnx_backend import OnnxBackend

    monkeypatch.setattr(OnnxBackend, "notes", ("vae_decoder runs without a CUDA graph: it cannot be captured",))
    ended = briefly()
    assert ended.code == 0
    assert ended.err.count("vae_decoder runs without a CUDA graph: it cannot be captured") == 1


def test_the_same_seed_gives_the_same_file(animate, briefly):
    briefly("--seed=5", out=animate.folder / "a.mp4")
    briefly("--seed=5", out=animate.folder / "b.mp4")
    assert (animate.folder / "a.mp4").read_bytes() == (animate.folder / "b.mp4").read_bytes()


def test_json_is_a_line_an_event(animate):
    events = [json.loads(line) for line in animate("--json").out.splitlines()]
    assert {e["event"] for e in events} == {"note", "progress", "result"}
    assert {e["stage"] for e in events if e["event"] == "progress"} >= {"motion", "denoise", "decode"}
    assert events[-1]["frames"] == 12


@pytest.mark.parametrize("kind", ["exif", "16-bit"])  # each kind by itself: tests/hp_trt/media/test_images.py
def test_other_kinds_of_pictures_move(animate, briefly, sample, tmp_path, kind):
    picture = Image.open(sample[0]).convert("RGB")
    path, options = tmp_path / ("p.jpg" if kind == "exif" else "p.png"), {}
    if kind == "exif":
        options["exif"] = Image.Exif()
        options["exif"][0x112] = 6  # to be turned clockwise when shown
    made = {
        "exif": lambda: picture.rotate(90, expand=True),
        "16-bit": lambda: Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257),
    }[kind]()
    made.save(path, **options)
    assert briefly(portrait=path).code == 0
    assert contents(animate.out).size == picture.size


def test_a_telephones_heic_moves_and_a_broken_colour_profile_is_told(animate, briefly, sample, tmp_path):
    picture = Image.open(sample[0]).convert("RGB")
    picture.info["icc_profile"] = b"no profile"
    pillow_heif.from_pillow(picture).save(tmp_path / "p.heic", quality=95, tile_size=128)
    ended = briefly(portrait=tmp_path / "p.heic")
    assert ended.code == 0, ended.err
    assert contents(animate.out).size == picture.size
    assert f"note: the colour profile of {tmp_path / 'p.heic'} cannot be used" in ended.err


def test_of_several_faces_the_largest_moves_and_that_is_said(briefly, sample, tmp_path):
    one = Image.open(sample[0]).convert("RGB")
    two = Image.new("RGB", (one.width * 2, one.height))
    two.paste(one, (0, 0))
    two.paste(one.resize((one.width * 3 // 4, one.height * 3 // 4)), (one.width + 40, 60))
    two.save(tmp_path / "two.png")
    assert "2 faces in" in briefly(portrait=tmp_path / "two.png").err


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_videos_move(animate, hp_trt, tmp_path, frames):
    hp_trt("sample", "--out", tmp_path / "s", "--frames", frames)
    assert animate(driving=tmp_path / "s" / "driving.mp4").code == 0
    assert len(contents(animate.out).times_s) == frames


def test_a_name_that_ffmpeg_would_take_for_a_protocol_is_a_name(animate, brief, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(brief, "http:x.mp4")
    assert animate(driving="http:x.mp4", out="concat:o.mp4").code == 0
    assert contents(tmp_path / "concat:o.mp4").sound == contents(brief).sound


def test_names_may_hold_spaces_umlauts_and_quotes(animate, brief, sample, tmp_path):
    portrait = shutil.copy(sample[0], tmp_path / "ö 日本 'p\".png")
    driving = shutil.copy(brief, tmp_path / "http: ü.mp4")
    out = animate.folder / "-ö %d 日.mp4"
    assert animate(portrait=portrait, driving=driving, out=out).code == 0
    assert list(animate.folder.iterdir()) == [out]


def test_a_mean_rate_is_said_to_be_one(animate, tmp_path, sample):
    driving, at = tmp_path / "irregular.mkv", 0
    with av.open(str(driving), "w") as output:
        video = output.add_stream("libx264", rate=60, options={"bf": "0"})
        for number, image in enumerate(islice(VideoReader(sample[1]), 6)):
            if not number:
                video.height, video.width, video.pix_fmt = *image.shape[:2], "yuv420p"
                video.codec_context.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            output.mux(video.encode(frame))
            at += (17, 50, 17)[number % 3]
        output.mux(video.encode(None))
    assert " 6 frames at 33.11" in (told := animate(driving=driving).out) and " fps on average in " in told
    *_, last = animate("--json", driving=driving).out.splitlines()
    result = json.loads(last)
    assert result["rate_varies"] and result["rate"] == pytest.approx(5 / 0.151, rel=1e-3)

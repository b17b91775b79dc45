"""What the command says and leaves behind when it is given nonsense: the real one, on a bundle of seconds."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hp_trt.__main__ import main
from hp_trt.media.contact_sheet import CELL_PX
from tests.hp_trt.clips import contents, make_clip, make_sound

COMMAND = (sys.executable, "-m", "hp_trt")


@pytest.fixture
def bundle(small_bundle):
    return small_bundle


@pytest.fixture
def own_bundle(bundle, tmp_path):
    """A copy to damage."""
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


class Ended:
    """How a command ended: `code`, `out`, `err`, and the one line of its error."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.error = next((line for line in err.splitlines() if line.startswith("error: ")), "")


@pytest.fixture
def hp_trt(monkeypatch, capfd):
    """Runs a command in this process, as the console script does."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["hp-trt", *map(str, words)])
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as ended:
            main()
        signal.signal(signal.SIGTERM, before)
        return Ended(ended.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def animate(hp_trt, bundle, sample, tmp_path):
    """`animate` with good arguments but those given; `out` is in a folder of its own."""
    folder = tmp_path / "result"
    folder.mkdir()

    def run(*more, **given):
        words = {"bundle": bundle, "portrait": sample[0], "driving": sample[1], "out": folder / "o.mp4", "steps": 1}
        return hp_trt("animate", *(f"--{k.replace('_', '-')}={v}" for k, v in (words | given).items()), *more)

    run.folder, run.out = folder, folder / "o.mp4"
    return run


def refused(ended: Ended, *says: str, code: int = 2) -> None:
    assert ended.code == code, ended.err
    assert ended.err.count("error: ") == 1
    others = [line for line in ended.err.splitlines() if not line.startswith("note: ")]
    assert others == [ended.error], "more than one line"
    for text in says:
        assert text in ended.error


def empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def test_a_portrait_moves_with_the_drivers_frames_rate_and_sound(animate, sample):
    ended = animate(crop_out=animate.folder / "c.mp4")
    assert ended.code == 0, ended.err
    driving, result, crop = (contents(p) for p in (sample[1], animate.out, animate.folder / "c.mp4"))
    assert result.times_s == crop.times_s == driving.times_s
    assert result.rate == driving.rate
    assert result.sound == crop.sound == driving.sound
    assert crop.size == (64, 64)
    assert ended.out.startswith(f"{animate.out}: 12 frames at 25 fps in ")
    assert ended.err == (
        "note: this bundle has random weights: the face will be noise, for trying and for benchmarks only\n"
    )


def test_a_contact_sheet_comes_with_the_result_if_asked_for(animate, sample):
    ended = animate("--json", sheet=animate.folder / "s.png")
    assert ended.code == 0, ended.err
    assert Image.open(animate.folder / "s.png").width > 8 * CELL_PX
    assert json.loads(ended.out.splitlines()[-1])["sheet"] == str(animate.folder / "s.png")


def test_what_the_backend_has_to_say_is_told(animate, monkeypatch):
    from engines.onnx_backend import OnnxBackend

    monkeypatch.setattr(OnnxBackend, "notes", ("vae_decoder runs without a CUDA graph: it cannot be captured",))
    ended = animate()
    assert ended.code == 0
    assert ended.err.count("vae_decoder runs without a CUDA graph: it cannot be captured") == 1


def test_the_same_seed_gives_the_same_file(animate):
    animate("--seed=5", out=animate.folder / "a.mp4")
    animate("--seed=5", out=animate.folder / "b.mp4")
    assert (animate.folder / "a.mp4").read_bytes() == (animate.folder / "b.mp4").read_bytes()


def test_json_is_a_line_an_event(animate):
    events = [json.loads(line) for line in animate("--json").out.splitlines()]
    assert {e["event"] for e in events} == {"note", "progress", "result"}
    assert {e["stage"] for e in events if e["event"] == "progress"} >= {"motion", "denoise", "decode"}
    assert events[-1]["frames"] == 12


def test_an_error_is_an_event_too(animate, tmp_path):
    ended = animate("--json", portrait=tmp_path / "none.png")
    last = json.loads(ended.out.splitlines()[-1])
    assert last["event"] == "error" and last["code"] == 2
    assert ended.error == f"error: {last['message']}"


def test_debug_adds_the_traceback_and_nothing_else_changes(animate, tmp_path):
    ended = animate("--debug", portrait=tmp_path / "none.png")
    assert "Traceback (most recent call last)" in ended.err
    assert ended.code == 2 and "no such file" in ended.error


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_text("hello"), "is not a picture"),
        (lambda p: p.write_bytes(b""), "is not a picture"),
        (lambda p: p.mkdir(), "is not a file"),
        (lambda p: Image.new("RGB", (256, 256), (90, 120, 90)).save(p), "no face in"),
        (lambda p: Image.new("RGB", (1, 1)).save(p), "(1 x 1 pixels)"),
        (lambda p: Image.new("RGB", (1, 5000)).save(p), "(1 x 5000 pixels)"),
        (lambda p: Image.new("1", (9000, 9000)).save(p), "at most 64 megapixels"),
        (lambda p: Image.new("1", (20000, 20000)).save(p), "at most 64 megapixels"),
    ],
    ids=["text", "empty", "folder", "no-face", "1-pixel", "strip", "bomb", "larger-bomb"],
)
def test_what_is_no_portrait_gets_one_line(animate, tmp_path, make, says):
    make(tmp_path / "p.png")
    refused(animate(portrait=tmp_path / "p.png"), str(tmp_path / "p.png"), says)
    assert empty(animate.folder)


@pytest.mark.parametrize("kind", ["exif", "rgba", "cmyk", "16-bit", "palette"])
def test_every_kind_of_picture_moves(animate, sample, tmp_path, kind):
    picture = Image.open(sample[0]).convert("RGB")
    path, options = tmp_path / ("p.jpg" if kind in ("exif", "cmyk") else "p.png"), {}
    if kind == "exif":
        options["exif"] = Image.Exif()
        options["exif"][0x112] = 6  # to be turned clockwise when shown
    made = {
        "exif": lambda: picture.rotate(90, expand=True),
        "rgba": lambda: picture.convert("RGBA"),
        "cmyk": lambda: picture.convert("CMYK"),
        "16-bit": lambda: Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257),
        "palette": lambda: picture.quantize(64),
    }[kind]()
    made.save(path, **options)
    assert animate(portrait=path).code == 0
    assert contents(animate.out).size == picture.size


def test_of_several_faces_the_largest_moves_and_that_is_said(animate, sample, tmp_path):
    one = Image.open(sample[0]).convert("RGB")
    two = Image.new("RGB", (one.width * 2, one.height))
    two.paste(one, (0, 0))
    two.paste(one.resize((one.width * 3 // 4, one.height * 3 // 4)), (one.width + 40, 60))
    two.save(tmp_path / "two.png")
    assert "2 faces in" in animate(portrait=tmp_path / "two.png").err


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_text("hello " * 50), "is no video"),
        (lambda p: p.write_bytes(b""), "is no video"),
        (lambda p: p.write_bytes(np.random.default_rng(0).bytes(20_000)), "is no video"),
        (lambda p: p.mkdir(), "is not a file"),
        (make_sound, "only audio"),
        (lambda p: make_clip(p, 5), "no face in any of the 5 frames"),
        (lambda p: p.write_bytes(make_clip(p, 5).read_bytes()[:-200]), "cut off"),
    ],
    ids=["text", "empty", "noise", "folder", "audio-only", "no-face", "cut-off"],
)
def test_what_is_no_driving_video_gets_one_line(animate, tmp_path, make, says):
    make(tmp_path / "d.mp4")
    refused(animate(driving=tmp_path / "d.mp4"), str(tmp_path / "d.mp4"), says)
    assert empty(animate.folder)


def test_the_portrait_is_no_driving_video(animate, sample):
    refused(animate(driving=sample[0]), "is a picture")


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_videos_move(animate, hp_trt, tmp_path, frames):
    hp_trt("sample", "--out", tmp_path / "s", "--frames", frames)
    assert animate(driving=tmp_path / "s" / "driving.mp4").code == 0
    assert len(contents(animate.out).times_s) == frames


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--steps=0"], "steps needs a whole number of at least 1, got 0"),
        (["--steps=99999999999"], "at most 1000"),
        (["--steps=nan"], "'--steps'"),
        (["--seed=-1"], "seed"),
        (["--weight-budget=-1"], "--weight-budget is a number of GiB of at least 0, got -1.0"),
        (["--weight-budget=1"], "a weight budget is for TensorRT's plans, the family is onnxruntime"),
        (["--threads=0"], "threads must be at least 1"),
        (["--threads=1000000"], "at most 1024"),
        (["--appearance-scale=nan"], "guidance_appearance needs two numbers"),
        (["--profile=fast"], "there is no profile 'fast'"),
        (["--locator=yolo"], "did you mean yoloface?"),
        (["--locator=yunet"], "needs a file"),
        (["--arcface=/no/such.onnx"], "/no/such.onnx"),
        (["--portrait-landmarks=/no/such.json"], "/no/such.json"),
        (["--sheet=s.mp4"], "s.mp4: a contact sheet is written as .png"),
        (["--sheet=/no/such/s.png"], "/no/such is no folder"),
        (["--stepz=3"], "--stepz"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_option_that_cannot_be_is_refused(animate, words, says):
    refused(animate(*words), says)
    assert empty(animate.folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no/such/o.mp4", "is no folder"),
        ("o.avi", ".mp4, .mov, .mkv"),
        ("", "choose one"),
        ("a" * 252 + ".mp4", "name"),
    ],
    ids=["no-folder", "ending", "folder", "long"],
)
def test_a_name_that_cannot_be_written_is_told(animate, name, says):
    refused(animate(out=animate.folder / name), says)
    assert empty(animate.folder)


def test_a_result_never_replaces_what_it_is_made_of(animate, sample, tmp_path):
    portrait = Path(shutil.copy(sample[0], tmp_path / "p.mp4"))  # pictures are known by content, not by name
    driving = Path(shutil.copy(sample[1], tmp_path / "d.mp4"))
    (tmp_path / "link.mp4").symlink_to(driving)
    whole = portrait.read_bytes(), driving.read_bytes()
    refused(animate(portrait=portrait, out=portrait), "is the portrait itself")
    refused(animate(portrait=portrait, crop_out=portrait), "is the portrait itself")
    refused(animate(driving=driving, out=driving), "is the driving video itself")
    refused(animate(driving=driving, out=tmp_path / "link.mp4"), "is the driving video itself")
    refused(animate(crop_out=animate.folder / ".." / "result" / "o.mp4"), "would be one file")
    (tmp_path / "link.png").symlink_to(driving)
    refused(animate(driving=driving, sheet=tmp_path / "link.png"), "another name")
    refused(animate(portrait=sample[0], sheet=sample[0]), f"{sample[0]} is {sample[0]} itself")
    assert (portrait.read_bytes(), driving.read_bytes()) == whole
    assert empty(animate.folder)


def test_a_name_that_ffmpeg_would_take_for_a_protocol_is_a_name(animate, sample, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(sample[1], "http:x.mp4")
    assert animate(driving="http:x.mp4", out="concat:o.mp4").code == 0
    assert contents(tmp_path / "concat:o.mp4").sound == contents(sample[1]).sound


def test_names_may_hold_spaces_umlauts_and_quotes(animate, sample, tmp_path):
    portrait = shutil.copy(sample[0], tmp_path / "ö 日本 'p\".png")
    driving = shutil.copy(sample[1], tmp_path / "http: ü.mp4")
    out = animate.folder / "-ö %d 日.mp4"
    assert animate(portrait=portrait, driving=driving, out=out).code == 0
    assert list(animate.folder.iterdir()) == [out]


def _words(bundle: Path, sample: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    words = {"bundle": bundle, "portrait": sample[0], "driving": sample[1], "out": out}
    return [*COMMAND, "animate", *(f"--{k}={v}" for k, v in words.items()), *more]


@pytest.mark.parametrize("most_bytes", [0, 20_000], ids=["at once", "while writing"])
def test_a_full_disk_loses_nothing(bundle, sample, tmp_path, most_bytes):
    out = tmp_path / "o.mp4"
    out.write_bytes(b"old")

    def limited():  # what a limit on file size refuses is written like what a full disk refuses
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    ended = subprocess.run(_words(bundle, sample, out, "--steps=1"), capture_output=True, text=True, preexec_fn=limited)
    refused(Ended(ended.returncode, ended.stdout, ended.stderr), "could not be written", "free some space")
    assert out.read_bytes() == b"old" and list(tmp_path.iterdir()) == [out]


def _first(bundle: Path, pattern: str) -> Path:
    return sorted(bundle.glob(pattern))[0]


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _edit(bundle: Path, **fields: object) -> None:
    file = bundle / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda b: _first(b, "onnx/denoiser-*/*.data").unlink(), "lacks onnx/denoiser-"),
        (lambda b: _flip(_first(b, "onnx/motion-*/*.data")), "was changed"),
        (lambda b: os.truncate(_first(b, "onnx/motion-*/*.data"), 10), "was changed: 10 bytes"),
        (lambda b: (b / "notes.txt").write_text("x"), "holds notes.txt"),
        (lambda b: _edit(b, schema=99), "has schema 99, this program reads 3"),
        (lambda b: _edit(b, preset="pocket"), "was changed after the build"),
        (lambda b: (b / "manifest.json").write_bytes(b"\xff\x00"), "is damaged"),
        (lambda b: (b / "manifest.json").write_text("[" * 100_000), "is damaged"),
        (lambda b: (b / "manifest.json").write_text('{"x": NaN}'), "is damaged"),
        (lambda b: (b / "manifest.json").write_text("[]"), "is not a bundle"),
        (lambda b: (b / "manifest.json").unlink(), "has no manifest.json"),
        (lambda b: shutil.rmtree(b), "there is no bundle"),
        (lambda b: (shutil.rmtree(b), b.write_text("x")), "is a file"),
    ],
    ids="missing changed cut foreign newer edited garbage deep nan list none gone file".split(),
)
def test_a_bundle_that_is_not_as_it_was_built_says_what_and_how_to_mend_it(hp_trt, animate, own_bundle, harm, says):
    harm(own_bundle)
    refused(hp_trt("inspect", own_bundle), says, str(own_bundle), "build")
    refused(animate(bundle=own_bundle), says)
    assert empty(animate.folder)


def test_a_bundle_may_lie_behind_a_link_and_be_read_only(animate, own_bundle, tmp_path):
    (tmp_path / "link").symlink_to(own_bundle)
    before = {p: p.stat().st_mtime_ns for p in own_bundle.rglob("*")}
    assert animate(bundle=tmp_path / "link").code == 0
    assert {p: p.stat().st_mtime_ns for p in own_bundle.rglob("*")} == before, "a bundle in use is not written to"


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [
        ("motion", signal.SIGINT, 130),
        ("denoise", signal.SIGINT, 130),
        ("decode", signal.SIGINT, 130),
        ("denoise", signal.SIGTERM, 143),
    ],
    ids=["motion", "denoise", "decode", "kill"],
)
def test_ctrl_c_and_kill_leave_only_what_was_there(bundle, sample, tmp_path, stage, number, code):
    out = tmp_path / "o.mp4"
    out.write_bytes(b"old")
    command = _words(bundle, sample, out, "--json", "--steps=200", f"--crop-out={tmp_path / 'c.mp4'}")
    if stage == "decode":
        command.append("--steps=1")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stdout:
        if f'"stage": "{stage}"' in line:
            break
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert [line for line in err.splitlines() if line.startswith("error: ")] == err.splitlines()
    assert out.read_bytes() == b"old" and list(tmp_path.iterdir()) == [out]


def test_a_reader_that_goes_away_is_met_quietly(bundle, sample, tmp_path):
    process = subprocess.Popen(
        _words(bundle, sample, tmp_path / "o.mp4", "--json", "--steps=1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141  # 128 + SIGPIPE, as the shell expects of `| head`
    assert empty(tmp_path)


@pytest.mark.parametrize("command", ["animate", "live", "evaluate", "plan"])
def test_help_says_what_holds_where_an_option_is_not_given(command):
    # rich would take what stands in brackets for its own markup, and swallow it
    help_text = subprocess.run(
        [sys.executable, "-m", "hp_trt", command, "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "[every core]" in help_text


def test_the_version_is_told(hp_trt):
    ended = hp_trt("--version")
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"hp-trt \d+\.\d+\.\d+\n", ended.out)

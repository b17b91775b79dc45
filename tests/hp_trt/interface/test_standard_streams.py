"""Commands whose standard streams are closed, full, or of an encoding that lacks the letters of a name."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from hp_trt.console import Reporter

ASCII = {"PYTHONIOENCODING": "ascii:strict"}
C_LOCALE = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
UMLAUT, NO_UTF8 = "bündel", os.fsdecode(b"b\xff\xfendel")


def shell(words: list[object], redirections: str = "", *, module: str = "hp_trt", **environment: str):
    """The command as a shell starts it; texts as they were written, byte by byte."""
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-m", module, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, env=os.environ | environment, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def called(bundle: Path, folder: Path, name: str) -> Path:
    (folder / name).symlink_to(bundle)
    return folder / name


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE], ids=["ascii", "C"])
@pytest.mark.parametrize("json_too", [False, True], ids=["text", "json"])
def test_a_name_that_cannot_be_encoded_is_escaped(small_bundle, tmp_path, json_too, environment):
    bundle = called(small_bundle, tmp_path, UMLAUT)
    code, out, err = shell(["inspect", bundle, *(["--json"] if json_too else [])], **environment)
    assert (code, err) == (0, b"")
    text = out.decode("ascii")
    if json_too:
        assert json.loads(text)["event"] == "result"
    else:  # a C locale takes the name for bytes
        assert ("b\\xfcndel" if environment is ASCII else "b\\udcc3\\udcbcndel") in text


@pytest.mark.parametrize("environment", [ASCII, C_LOCALE], ids=["ascii", "C"])
def test_a_name_that_is_no_text_is_refused_in_plain_letters(small_bundle, tmp_path, environment):
    code, out, err = shell(["inspect", called(small_bundle, tmp_path, NO_UTF8)], **environment)
    assert (code, out) == (2, b"")
    text = err.decode("ascii")
    assert "b\\udcff\\udcfendel" in text and "which is no UTF-8" in text and text.count("\n") == 1


def test_files_whose_names_have_umlauts_are_read_and_written_in_a_plain_locale(small_bundle, sample, tmp_path):
    """Its names are bytes there, of which OpenCV dies, and which ONNX Runtime does not take."""
    folder = tmp_path / "ünder"
    folder.mkdir()
    bundle = called(small_bundle, folder, UMLAUT)
    inputs = {"portrait": "portrait.png", "driving": "driving.mp4"}
    for path, name in zip(sample, inputs.values(), strict=False):
        (folder / name).write_bytes(Path(path).read_bytes())
    words = [f"--{option}={folder / name}" for option, name in inputs.items()]
    outputs = {"out": "ä.mp4", "crop-out": "ö.mp4", "sheet": "ü.png"}
    words += [f"--{option}={folder / name}" for option, name in outputs.items()]
    code, _, err = shell(["animate", f"--bundle={bundle}", "--steps=1", *words], **C_LOCALE)
    assert code == 0, err
    assert all((folder / name).stat().st_size for name in outputs.values())


@pytest.mark.parametrize("option", ["--locator=yunet", "--locator=yoloface", "--arcface", "--lpips"])
def test_a_network_whose_name_has_umlauts_is_opened_in_a_plain_locale(small_bundle, sample, tmp_path, option):
    """It is told for what it is: another network."""
    other = tmp_path / "nötz.onnx"
    other.write_bytes(next(small_bundle.glob("onnx/stitch-*/stitch.onnx")).read_bytes())
    words = ["animate", f"--portrait={sample[0]}", f"--driving={sample[1]}", f"--out={tmp_path / 'o.mp4'}"]
    if option == "--lpips":
        words = ["evaluate", "--protocol=self", "--seeds=0:1", "--frames=3"]
    words += [option, f"--locator-file={other}"] if "locator" in option else [f"{option}={other}"]
    code, _, err = shell([*words, f"--bundle={small_bundle}"], **C_LOCALE)
    assert code == 2, err
    assert b"error: " in err and b"n\\udcc3\\udcb6tz.onnx" in err and b"incompatible constructor" not in err


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("hp_trt", ["inspect", "FOLDER/nö"]),
        ("hp_trt", ["plan", "--gpu", "H200", "--bundle", "FOLDER/nö"]),
        ("hp_trt", ["evaluate", "--protocol", "self", "--seeds", "0:1", "--bundle", "FOLDER/nö"]),
        ("hp_trt", ["animate", "--bundle", "FOLDER/nö", "--portrait", "ä", "--driving", "ö", "--out", "FOLDER/o.mp4"]),
        ("hp_trt", ["live", "--bundle", "FOLDER/nö", "--portrait", "ä", "--driving", "ö", "--out", "FOLDER/o.mp4"]),
        ("export.build_engines", ["--bundle", "FOLDER/b", "--preset", "nö"]),
        ("runtime.bench", ["--bundle", "FOLDER/nö"]),
    ],
    ids=["inspect", "plan", "evaluate", "animate", "live", "build", "bench"],
)
def test_an_error_that_cannot_be_encoded_is_one_line_and_its_code(tmp_path, module, words):
    words = [word.replace("FOLDER", str(tmp_path)) for word in words]
    code, out, err = shell(words, module=module, **ASCII)
    assert (code, out) == (2, b"")
    assert err.decode("ascii").startswith("error: ") and err.count(b"\n") == 1 and b"n\\xf6" in err
    assert b"our mistake" not in err


SAYS_MUCH = r"""
import typer
from hp_trt.console import Reporter, run
app = typer.Typer()
@app.command()
def speak(json: bool = False) -> None:
    with Reporter(as_json=json) as report:
        for done in range(3):
            report.advance("mot\u00efon", done, 3, label="b\u00e4r \udcff")
        report.status("st\u00e4tus")
        report.note("n\u00f6te \udcfe")
    report.result("r\u00e9sult \udcfd", out="\udcfd")
run(app)
"""


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_bars_notes_and_results_are_escaped_on_a_terminal_too(more):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", SAYS_MUCH, *more]
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | ASCII | {"TERM": "xterm"}, check=False
    )
    os.close(theirs)
    told = os.read(ours, 100_000) if not more else b""
    os.close(ours)
    assert ended.returncode == 0
    if more:
        assert [json.loads(line)["event"] for line in ended.stdout.decode("ascii").splitlines()][-1] == "result"
    else:
        assert ended.stdout.decode("ascii") == "r\\xe9sult \\udcfd\n"
        for text in (b"b\\xe4r", b"st\\xe4tus", b"note: n\\xf6te \\udcfe"):
            assert text in told


@pytest.mark.parametrize(
    ("redirections", "code", "out", "err"),
    [
        ("2>&-", 2, [], []),
        ("2>/dev/full", 2, [], []),
        (">&-", 2, [], ["error: "]),
        (">/dev/full", 2, [], ["error: "]),
        (">&- 2>&-", 2, [], []),
    ],
)
def test_an_error_goes_to_standard_error_or_nowhere(tmp_path, redirections, code, out, err):
    ended = shell(["inspect", tmp_path / "nothing"], redirections)
    assert ended[0] == code
    for found, begins in ((ended[1], out), (ended[2], err)):
        assert [line[:7] for line in found.decode().splitlines()] == begins


@pytest.mark.parametrize("redirections", ["2>/dev/full", "<&- 2>&-"])
def test_lines_of_json_are_alone_on_standard_output(tmp_path, redirections):
    code, out, err = shell(["inspect", tmp_path / "nothing", "--json"], redirections)
    assert (code, err) == (2, b"")
    (line,) = out.decode().splitlines()
    assert json.loads(line)["code"] == 2


@pytest.mark.parametrize(
    ("redirections", "more", "code", "says"),
    [
        ("2>/dev/full", [], 0, ""),
        (">&-", [], 0, ""),  # who closes it wants no table
        (
            ">&-",
            ["--json"],
            2,
            "standard output is closed, where --json writes its lines; open it, or leave --json out",
        ),
        (">/dev/full", [], 2, "no space left for what this command prints or writes"),
        (">/dev/full", ["--json"], 2, "no space left for what this command prints or writes"),
        (">/dev/full 2>/dev/full", [], 2, ""),
    ],
)
def test_work_is_done_whatever_standard_error_is_and_lost_output_is_told(small_bundle, redirections, more, code, says):
    ended = shell(["inspect", small_bundle, *more], redirections)
    assert ended[0] == code
    assert says in ended[2].decode() and ended[2].count(b"\n") == bool(says)


def test_a_closed_standard_output_is_not_given_to_the_next_file(small_bundle, sample, tmp_path):
    """Of `live --out -`, whose video would go into whatever was opened first."""
    words = {"bundle": small_bundle, "portrait": sample[0], "driving": sample[1], "out": "-"}
    code, _, err = shell(["live", *(f"--{key}={value}" for key, value in words.items())], ">&-")
    assert code == 2 and b"standard output is closed; open it, or write to a file" in err


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("hp_trt", ["sample", "--out", "s"]),
        ("hp_trt", ["evaluate", "--protocol=self", "--seeds=0:1", "--bundle=/tmp", "--json", "o.json"]),
        ("export.build_engines", ["--preset", "pocket", "--bundle", "/nowhere/b"]),
        ("runtime.bench", ["--bundle", "b"]),
    ],
    ids=["sample", "evaluate", "build", "bench"],
)
def test_a_current_folder_that_is_gone_is_told(tmp_path, module, words):
    """PyTorch's libraries end the process when they are loaded there."""
    gone, here = tmp_path / "gone", Path(__file__).parents[3]
    gone.mkdir()
    start = 'cd "$0" && rmdir "$0" && exec "$@"'
    ended = subprocess.run(
        ["sh", "-c", start, gone, sys.executable, "-m", module, *words],
        capture_output=True, env=os.environ | {"PYTHONPATH": str(here)}, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.decode() == (
        "error: the current folder cannot be used (No such file or directory); change into one that exists\n"
    )


def test_a_library_that_memory_is_too_small_for_is_no_mistake_of_ours():
    limits = ("failed to map segment", "cannot allocate memory")
    for words in limits:
        program = (
            "import sys, types, typer; from hp_trt.console import run; app = typer.Typer()\n"
            "@app.command()\n"
            f"def load() -> None: raise ImportError('libx.so: {words} from shared object')\n"
            "run(app)"
        )
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        assert ended.returncode == 1
        assert ended.stderr.decode().startswith("error: out of memory; close other programs")


@pytest.mark.parametrize(("error", "code"), [("KeyboardInterrupt", 130), ("console._Terminated", 143)])
def test_what_a_library_does_wrong_when_it_is_interrupted_is_the_interruption(error, code):
    """PyTorch's own clean-up fails when Ctrl-C comes while it is loaded."""
    program = (
        "import typer; from hp_trt import console; app = typer.Typer()\n"
        "@app.command()\n"
        "def load() -> None:\n"
        f"    try: raise {error}\n"
        "    finally: typer.exc\n"
        "console.run(app)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ended.returncode == code, ended.stderr
    assert b"what was complete before is untouched" in ended.stderr


def test_notes_and_foreign_messages_are_bounded(capfd):
    Reporter(bars=False).note("a\x1b[2J" + "b" * 5000)
    noted = capfd.readouterr().err
    assert len(noted) < 620 and "\x1b" not in noted and noted.startswith("note: a\\x1b[2Jb")
    code, _, err = shell([f"--{'x' * 3000}"])
    assert code == 2 and len(err) < 620 and err.count(b"\n") == 1

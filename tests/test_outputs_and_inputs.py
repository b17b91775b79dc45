"""Every output of every command against every input of that command: refused before the work, the input as it was.

The inputs are no pictures, no videos and no networks: whatever looked into one before the outputs were checked would
say so instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hp_trt.__main__ import main as hp_trt
from integrations.triton.export import main as triton
from runtime.bench import main as bench
from tests.engines.bundles import make_bundle
from tests.hp_trt.command_line import as_typed, refused

FINDER = ("--locator", "yunet")
COMMANDS: dict[str, tuple[str, dict[str, str], dict[str, str], tuple[str, ...]]] = {
    # command -> the door, outputs and inputs by option, with the name of a file, and what else is said
    "animate": (
        "hp_trt",
        {"--out": ".mp4", "--crop-out": ".mp4", "--sheet": ".png"},
        {
            "--portrait": "p", "--driving": "d", "--bundle": "b", "--driving-landmarks": "dl",
            "--portrait-landmarks": "pl", "--arcface": "arc", "--locator-file": "yunet", "--profile": "my.toml",
        },
        FINDER,
    ),
    "batch": (
        "hp_trt",
        {"--out": ""},
        {
            "--portraits": "pd", "--drivings": "dd", "--bundle": "b", "--arcface": "arc", "--locator-file": "yunet",
            "--pairs": "rows", "--profile": "my.toml",
        },
        FINDER,
    ),
    "live": (
        "hp_trt",
        {"--out": ".mp4"},
        {
            "--portrait": "p", "--driving": "d", "--bundle": "b", "--driving-landmarks": "dl",
            "--portrait-landmarks": "pl", "--arcface": "arc", "--locator-file": "yunet", "--profile": "my.toml",
        },
        FINDER,
    ),
    "motion": (
        "hp_trt",
        {"--out": ".safetensors"},
        {
            "--driving": "d", "--bundle": "b", "--driving-landmarks": "dl", "--locator-file": "yunet",
            "--profile": "my.toml",
        },
        FINDER,
    ),
    "portrait": (
        "hp_trt",
        {"--out": ".safetensors"},
        {
            "--portrait": "p", "--bundle": "b", "--portrait-landmarks": "pl", "--arcface": "arc",
            "--locator-file": "yunet",
        },
        FINDER,
    ),
    "evaluate": (
        "hp_trt",
        {"--json": ".json", "--plot": ".png"},
        {
            "--pairs": "pairs", "--bundle": "b", "--arcface": "arc", "--locator-file": "yunet", "--lpips": "lpips",
            "--fid-features": "fid", "--fvd-features": "fvd", "--expression": "exp", "--pose": "pose",
            "--profile": "my.toml",
        },
        (*FINDER, "--protocol", "cross"),
    ),
    "bench": (
        "bench",
        {"--json": ".json", "--timeline": ".png"},
        {"--portrait": "p", "--driving": "d", "--bundle": "b", "--weights": "w", "--profile": "my.toml"},
        (),
    ),
    "build": ("build", {"--bundle": ""}, {"--weights": "w", "--live-weights": "lw"}, ("--preset", "pocket")),
    "train": ("train", {"--run": "", "--out": ".safetensors"}, {}, ()),
    "distill": (
        "distill",
        {"--run": "", "--out": ".safetensors"},
        {"--weights": "w", "--live-weights": "lw", "--videos": "videos", "--locator-file": "yunet", "--arcface": "arc"},
        FINDER,
    ),
    "triton": (
        "triton",
        {"--out": ""},
        {"--bundle": "b", "--locator-file": "yunet", "--arcface": "arc", "--vocals": "voc", "--profile": "my.toml"},
        FINDER,
    ),
}  # fmt: skip
FOLDERS = {"b", "pairs", "videos", "pd", "dd"}


def door(name: str) -> Callable[[], None]:
    if name in ("hp_trt", "bench", "triton"):
        return {"hp_trt": hp_trt, "bench": bench, "triton": triton}[name]
    from export import build_engines, distill, train

    return {"build": build_engines, "train": train, "distill": distill}[name].main


def cases() -> Iterator[tuple[str, str, str]]:
    for command, (_, outputs, inputs, _) in COMMANDS.items():
        for number, output in enumerate(outputs):
            yield from ((command, output, other) for other in (*inputs, *list(outputs)[:number]))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "b"
    make_bundle(path, a=b"graph a")
    return path


@pytest.fixture
def files(tmp_path, bundle, monkeypatch) -> Path:
    """A folder with every input, none of them what it should be but for the bundle and the profile."""
    for _, _, inputs, _ in COMMANDS.values():
        for name in inputs.values():
            path = tmp_path / name
            if name in FOLDERS:
                path.mkdir(exist_ok=True)
                (path / "inside").write_text(f"{name}'s own")
            else:
                path.write_text(f"{name}'s own")
    (tmp_path / "my.toml").write_text('[mine]\nbase = "live"\n')
    (tmp_path / "b" / "inside").unlink()
    (tmp_path / "b").rmdir()
    (tmp_path / "b").symlink_to(bundle)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    found = (Path(where, name) for where, _, names in os.walk(folder, followlinks=True) for name in names)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.parametrize(("command", "output", "other"), list(cases()))
def test_an_output_never_replaces_an_input_nor_another_output(files, monkeypatch, capfd, command, output, other):
    name, outputs, inputs, more = COMMANDS[command]
    ending = outputs[output]
    words = {option: files / f"free{number}{end}" for number, (option, end) in enumerate(outputs.items())}
    words |= {option: files / value for option, value in inputs.items()}
    if other in outputs:
        words |= {output: files / f"same{ending}", other: files / f"same{ending}"}
    elif not ending:  # a folder that is made in an input, or is one
        words[output] = words[other] / "new" if words[other].is_dir() else words[other]
    else:
        target = words[other] / "inside" if words[other].is_dir() else words[other]
        link = files / f"link{ending}"
        link.symlink_to(target if target.exists() else words[other] / "manifest.json")
        words[output] = link
    before = contents(files)
    first = [name, command] if name == "hp_trt" else [name]
    ended = as_typed(
        door(name), *first, *more, *(f"{option}={value}" for option, value in words.items()),
        patch=monkeypatch, capture=capfd,
    )  # fmt: skip
    refused(ended)
    said = ["itself; give", "which is ", "give one of them another name", "is a file; a folder is needed"]
    if other in outputs:  # of two kinds
        said += ["is written as", "names no kind of picture"]
    assert any(words in ended.error for words in said), ended.error
    assert contents(files) == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hp_trt", ["sample", "--out", ""]),
        ("hp_trt", ["batch", "--bundle", "shipped:pocket", "--out", ""]),
        ("build", ["--preset", "pocket", "--bundle", ""]),
        ("triton", ["--bundle", "shipped:pocket", "--out", ""]),
        ("train", ["--run", ""]),
        ("distill", ["--run", ""]),
    ],
)
def test_an_empty_name_is_not_the_current_folder(tmp_path, monkeypatch, capfd, name, words):
    monkeypatch.chdir(tmp_path)
    refused(as_typed(door(name), name, *words, patch=monkeypatch, capture=capfd), "an empty name; give a folder")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("option", ["--json", "--plot"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")], ids=["pipe", "device"])
def test_a_pipe_or_a_device_is_never_replaced(files, monkeypatch, capfd, option, make):
    make(files / "o.png")
    before = os.lstat(files / "o.png")
    words = ("evaluate", "--protocol=self", "--seeds=0:1", "--bundle=b", f"{option}=o.png")
    refused(as_typed(hp_trt, "hp-trt", *words, patch=monkeypatch, capture=capfd), "which a file would replace")
    assert os.lstat(files / "o.png") == before

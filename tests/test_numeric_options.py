"""Every number that a command takes is held to a range as it is typed, before any work: all commands, all options."""

from __future__ import annotations

import importlib
import re

import pytest
from typer.main import get_command

from hp_trt.console import run as run_app
from tests.hp_trt.command_line import as_typed, refused

NEEDED = {  # what else must be given; nothing of it is there, so that work could not begin
    "animate": ("--bundle=/none/b", "--portrait=/none/p.png", "--driving=/none/d.mp4", "--out=/none/o.mp4"),
    "batch": ("--bundle=/none/b", "--portraits=/none/p", "--drivings=/none/d", "--out=/proc/none"),
    "live": ("--bundle=/none/b", "--portrait=/none/p.png", "--driving=/none/d.mp4", "--out=null:"),
    "motion": ("--bundle=/none/b", "--driving=/none/d.mp4", "--out=/none/o.safetensors"),
    "portrait": ("--bundle=/none/b", "--portrait=/none/p.png", "--out=/none/o.safetensors"),
    "enhance": ("/none/v.mp4", "--bundle=/none/b", "--out=/none/o.mp4"),
    "evaluate": ("--protocol=self", "--seeds=0:1", "--bundle=/none/b"),
    "plan": ("--gpu=H200", "--bundle=/none/b"),
    "sample": ("--out=/none/folder",),
    "demo": ("--out=/proc/none",),
    "study": ("--clips=/none/c", "--out=/none/s"),
    "serve": ("--bundle=/none/b", "--state=/proc/none"),
    "build": ("--bundle=/none/b", "--preset=pocket", "--random-weights", "--dry-run"),
    "train": ("--run=/proc/none",),
    "distill": ("--run=/proc/none",),
    "bench": ("--bundle=/none/b",),
    "triton": ("--bundle=/none/b", "--out=/none/repo"),
    "judge": (),
    "sync judge": (),
    "attention maps": (
        "--preset=talk_pocket",
        "--random-weights",
        "--portrait=/none/p.png",
        "--audio=/none/a.wav",
        "--out=/none/o.png",
    ),
}
MODULES = {
    "build": "export.build_engines",
    "train": "export.train",
    "distill": "export.distill",
    "bench": "runtime.bench",
    "triton": "integrations.triton.export",
    "judge": "export.judge.judge",
    "sync judge": "export.judge.sync_judge",
    "attention maps": "export.attention_maps.__main__",
}
ALONE = {
    ("bench", "--rate"): ("--soak=1",),
    ("batch", "--workers"): ("--ray",),
    ("build", "--workspace"): ("--family=tensorrt",),
}
ALWAYS_WRONG = ("nan", "-inf", "1e308", str(10**30), "1" * 5000)
FINE = {  # what may be 0 or -1: these say that something else is wrong, as nothing is there
    "--seed": ("0",),
    "--varied": ("0",),
    "--pictures": ("0",),
    "--still": ("0",),
    "--port": ("0",),
    "--live-lanes": ("0",),
    "--device": ("0",),
    "--fidelity": ("0",),
    "--weight-budget": ("0",),
    "--warmup": ("0",),
    "--optimization-level": ("0",),
    "--max-aux-streams": ("0",),
    "--tiling-optimization-level": ("0",),
    "--minutes": ("0", "inf", "1" * 5000),  # without an end, as nothing said
    "--appearance-scale": ("0", "-1"),
    "--motion-scale": ("0", "-1"),
}


def commands():
    """(name of the command, its click command)."""
    hp_trt = get_command(importlib.import_module("hp_trt.__main__").app)
    yield from hp_trt.commands.items()
    for name, module in MODULES.items():
        yield name, get_command(importlib.import_module(module).app)


def numeric(param) -> bool:
    return getattr(getattr(param, "type_descriptor", None), "annotation", None) in (int, float)


OPTIONS = [(name, param.opts[-1]) for name, command in commands() for param in command.params if numeric(param)]


def run(command, *words, monkeypatch, capfd):
    app = importlib.import_module(MODULES.get(command, "hp_trt.__main__")).app
    first = (command,) if command in MODULES else ("hp-trt", command)
    return as_typed(lambda: run_app(app), *first, *words, patch=monkeypatch, capture=capfd)


def test_all_commands_and_many_options_are_known():
    assert {name for name, _ in OPTIONS} <= set(NEEDED)
    assert len(OPTIONS) > 60


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_a_number_beyond_its_range_is_refused_by_name(command, option, monkeypatch, capfd):
    needed = (*NEEDED[command], *ALONE.get((command, option), ()))
    for value in (*ALWAYS_WRONG, "-1", "0"):
        if value in FINE.get(option, ()):
            continue
        ended = run(command, *needed, f"{option}={value}", monkeypatch=monkeypatch, capfd=capfd)
        refused(ended)
        assert set(re.split(r"\W+", ended.error)) >= set(option.removeprefix("--").split("-")), ended.error
        assert len(ended.error) < 700, f"{option}={value}"

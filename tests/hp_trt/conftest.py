from __future__ import annotations

from pathlib import Path

import pytest

from hp_trt import Runtime, RuntimeConfig
from hp_trt.__main__ import main
from hp_trt.sample import write_sample
from tests.hp_trt.command_line import as_typed
from tests.hp_trt.encoded.made import Made, MadeTalk, make, make_talk


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> tuple[Path, Path]:
    """A drawn portrait.png and a driving.mp4 of 12 frames at 25 frames/s with sound. Read only."""
    return write_sample(tmp_path_factory.mktemp("sample"), frames=12)


@pytest.fixture(scope="session")
def talk_bundle(bundle_of) -> Path:
    """A bundle that speech drives, of random weights: 32 px, clips of 3 frames, 1 motion frame. Read only."""
    return bundle_of(preset="tiny_talk", parity=False)


@pytest.fixture(scope="session")
def moods_bundle(bundle_of) -> Path:
    """The same, and its denoisers know moods. Read only."""
    return bundle_of(preset="tiny_moods", parity=False)


@pytest.fixture(scope="session")
def pocket_runtime():
    """`shipped:pocket`, for whole clips."""
    with Runtime("shipped:pocket") as runtime:
        yield runtime


@pytest.fixture(scope="session")
def live_runtime():
    """`shipped:pocket`, by its profile live."""
    with Runtime("shipped:pocket", RuntimeConfig(profile="live")) as runtime:
        yield runtime


@pytest.fixture(scope="session")
def talk_runtime():
    """`shipped:talk_pocket`."""
    with Runtime("shipped:talk_pocket") as runtime:
        yield runtime


@pytest.fixture(scope="session")
def made_files(tmp_path_factory, pocket_runtime, live_runtime) -> Made:
    """Motion and portrait files of `shipped:pocket`, and what they were made of. Read only."""
    return make(tmp_path_factory.mktemp("made"), pocket_runtime, live_runtime)


@pytest.fixture(scope="session")
def made_talk(tmp_path_factory, talk_runtime) -> MadeTalk:
    """The same of `shipped:talk_pocket`. Read only."""
    return make_talk(tmp_path_factory.mktemp("made_talk"), talk_runtime)


@pytest.fixture
def hp_trt(monkeypatch, capfd):
    """Runs a command in this process, as the console script does."""

    def run(*words):
        return as_typed(main, "hp-trt", *words, patch=monkeypatch, capture=capfd)

    return run


@pytest.fixture(autouse=True)
def no_data_of_the_users(monkeypatch, tmp_path_factory):
    """What the user has fetched changes no test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.getbasetemp() / "no-data"))

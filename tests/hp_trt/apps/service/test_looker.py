"""The processes that look at uploads: what they find, what they may cost, and what becomes of one that hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from engines.errors import InputError
from hp_trt.apps.service import looker
from hp_trt.apps.service.config import Limits
from hp_trt.apps.service.looker import Lookers
from hp_trt.apps.service.problems import Problem
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.test_app import slug


@pytest.fixture
def own():
    """Processes of one test."""
    made = Lookers()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "upload"
    made.write_bytes(picture())
    return made


def stands_for(monkeypatch, tmp_path, script: str) -> None:
    """A process that does this in place of looking."""
    program = tmp_path / "instead"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o700)
    monkeypatch.setattr(looker.sys, "executable", str(program))


def test_a_process_is_begun_with_the_first_file_and_kept_for_others(own, file, video, running):
    assert own.look("picture", file, Limits()) == {"width": 32, "height": 32}
    (kept,) = own._idle
    bundle = running.service.bundle.path
    assert own.look("motion", video, Limits(), bundle=bundle, profiles=["exact"])["frames"] == 12
    assert own._idle == [kept] and own.silent_s == 0
    with pytest.raises(InputError, match="is a picture or a text"):
        own.look("motion", file, Limits(), bundle=bundle, profiles=["exact"])
    with pytest.raises(Problem, match="at most 3 are taken") as told:
        own.look("motion", video, Limits(max_frames=3), bundle=bundle, profiles=["exact"])
    assert told.value.slug == "impossible" and own._idle == [kept], "what is told costs no process"
    own.close()
    assert kept._process.poll() is not None


def test_a_file_that_needs_much_memory_ends_its_process_and_nothing_else(own, tmp_path):
    large = tmp_path / "large"
    large.write_bytes(picture(90, 4000))
    with pytest.raises((Problem, InputError), match=r"memory|cannot be"):
        own.look("picture", large, Limits(look_memory_bytes=10_000_000))
    assert own.look("picture", large, Limits())["width"] == 4000


def test_looking_that_hangs_is_killed_in_time_and_told(serving, monkeypatch, tmp_path, own):
    stands_for(monkeypatch, tmp_path, "import time; time.sleep(1000)")
    running = serving(limits={"look_s": 0.2})
    monkeypatch.setattr(running.service, "lookers", own)
    answer = running.ask("POST", "/v1/motions", content=b"x")
    assert (answer.status_code, slug(answer)) == (422, "impossible")
    assert "looked at for 0.2 s, the limit" in answer.json()["detail"]
    assert not own._idle and own.silent_s == 0 and not list(running.service.state.incoming.iterdir())
    monkeypatch.undo()
    assert own.look("picture", file_of(tmp_path), Limits())["width"] == 32, "the next file has another process"


def file_of(folder):
    (folder / "p.png").write_bytes(picture())
    return folder / "p.png"


def test_a_process_that_dies_of_a_file_is_one_problem(own, file, monkeypatch, tmp_path):
    stands_for(monkeypatch, tmp_path, "import os, signal; input(); os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(Problem, match="ended before there was an answer") as told:
        own.look("picture", file, Limits())
    assert told.value.slug == "impossible" and not own._idle


def test_a_process_whose_idle_time_was_its_last_is_not_asked_again(own, file):
    own.look("picture", file, Limits())
    (kept,) = own._idle
    kept._process.kill()
    kept._process.wait()
    assert own.look("picture", file, Limits())["width"] == 32


def test_a_look_that_even_killing_does_not_end_makes_the_service_unready_and_then_dead(serving, file, monkeypatch):
    now, inside, go = [0.0], threading.Event(), threading.Event()
    stuck = Lookers(lambda: now[0])
    running = serving(stall_s=100)
    monkeypatch.setattr(running.service, "lookers", stuck)

    def waits(self, asked, most_s):
        inside.set()
        go.wait(20)
        return {"facts": {}}

    monkeypatch.setattr(looker._Looker, "ask", waits)
    thread = threading.Thread(target=stuck.look, args=("picture", file, Limits()))
    thread.start()
    inside.wait(20)
    for silent_s, ready, live in ((99, 200, 200), (101, 503, 200), (201, 503, 503)):
        now[0] = silent_s
        answers = running.ask("GET", "/readyz"), running.ask("GET", "/livez")
        assert [answer.status_code for answer in answers] == [ready, live], silent_s
    assert "looking at an upload" in answers[0].json()["detail"]
    go.set()
    thread.join(20)
    assert running.ask("GET", "/livez").status_code == 200
    stuck.close()


def test_a_process_ends_itself_where_its_service_was_killed():
    """By the end of what it reads, and within a decoder by the system's alarm, which no code has to look at."""
    words = [sys.executable, "-m", "hp_trt.apps.service.looker"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.close()
    assert process.wait(30) == 0
    script = (
        "import sys, time; from hp_trt.apps.service import looker; "
        "looker._LATER_S = 0; looker.picture_facts = lambda path: time.sleep(1000); looker.main()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    asked = '{"what": "picture", "path": "x", "bundle": "", "profiles": [], "limits": {"look_s": 0.5}}\n'
    process.stdin.write(asked.encode())
    process.stdin.flush()
    assert process.wait(30) == -signal.SIGALRM


def test_a_mistake_of_ours_is_one_of_ours(own, file, tmp_path):
    with pytest.raises(Problem, match="made a mistake") as told:
        own.look("motion", file, Limits(), bundle=tmp_path / "no bundle")
    assert told.value.slug == "internal"

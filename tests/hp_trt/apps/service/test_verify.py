"""Files that strangers send to be looked at: what is said of them, what it may cost, and that nothing stays."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from PIL import Image

from hp_trt.apps.service import verifier
from hp_trt.apps.service.bodies import VerifyReport
from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.tokens import add_token
from hp_trt.provenance.credentials import Claim, sign_file
from hp_trt.provenance.mark import InvisibleMark
from hp_trt.provenance.signing import user_signer
from hp_trt.provenance.verify import verify_file
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.test_app import slug
from tests.hp_trt.provenance.certificates import make_pair

MARK = 0xC0FFEE11
LISTS = ("why", "source_types", "mark_ids")


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A picture with a mark and credentials."""
    folder = tmp_path_factory.mktemp("signed")
    pair, plain, made = make_pair(folder / "pair"), folder / "plain.png", folder / "signed.png"
    even = np.full((512, 512, 3), 120, np.uint8)
    Image.fromarray(InvisibleMark(MARK).embed(even)).save(plain)
    made.touch()
    claim = Claim(title="signed.png", version="0", portrait=None, driver=("driving video", None), mark_id=MARK)
    sign_file(plain, made, claim, user_signer(pair.chain, pair.key))
    return made


def nothing_kept(running) -> bool:
    return not [*running.service.state.incoming.iterdir(), *running.service.state.owners.rglob("*")]


def test_it_says_what_the_command_says_and_keeps_nothing(serving, tmp_path, signed):
    add_token(tmp_path / "tokens", "alice")
    running = serving(tokens=tmp_path / "tokens")
    answer = running.ask("POST", "/v1/verify", content=signed.read_bytes())
    assert answer.status_code == 200, "without a token"
    said, known = answer.json(), verify_file(signed).to_json()
    assert said["verdict"] == "intact" and said["mark"]["id"] == f"{MARK:08x}"
    assert said["credentials"] == {**known["credentials"], **{k: list(known["credentials"][k]) for k in LISTS}}
    same = ("format", "schema", "verdict", "broken", "mark", "sidecar", "mark_not_looked_for")
    assert {name: said[name] for name in same} == {name: known[name] for name in same}
    assert said["file"] == {**known["file"], "name": "file"}, "what the client calls it is nobody's concern"
    assert VerifyReport.model_validate(said)
    assert nothing_kept(running)


def test_a_changed_byte_is_broken_and_a_form_is_read(running, signed):
    changed = bytearray(signed.read_bytes())
    changed[-40] ^= 1
    answer = running.ask("POST", "/v1/verify", files={"file": ("../../x.png", bytes(changed))})
    assert answer.status_code == 200 and answer.json()["verdict"] == "broken", answer.text
    assert VerifyReport.model_validate(answer.json()) and "x.png" not in answer.text
    assert "incoming" not in answer.text and str(running.service.state.path) not in answer.text


def test_a_byte_of_padding_is_told_in_a_sentence(running, signed):
    changed = bytearray(signed.read_bytes())
    changed[changed.index(b"cpadY") + 50] ^= 1
    said = running.ask("POST", "/v1/verify", content=bytes(changed)).json()
    assert (said["verdict"], said["credentials"]["state"]) == ("broken", "invalid")
    why = "changed after it was signed, the checksum of the chunk of its manifests is another"
    assert said["credentials"]["why"] == [why] and said["broken"][0] == f"the credentials are invalid: {why}"


def test_what_carries_nothing_says_so(running):
    answer = running.ask("POST", "/v1/verify", content=picture())
    assert (answer.status_code, answer.json()["verdict"]) == (200, "nothing")
    assert VerifyReport.model_validate(answer.json())


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 415, "unsupported-media"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", 415, "unsupported-media"),
        (bytes(10_001), 413, "too-large"),
    ],
)
def test_what_is_no_picture_is_one_problem(serving, body, status, name):
    running = serving(limits={"verify_bytes": 10_000})
    answer = running.ask("POST", "/v1/verify", content=body)
    assert (answer.status_code, slug(answer)) == (status, name)
    assert nothing_kept(running)


def test_looking_has_so_much_time(serving):
    running = serving(limits={"verify_s": 0.01})
    answer = running.ask("POST", "/v1/verify", content=picture())
    assert (answer.status_code, slug(answer)) == (422, "impossible")
    assert "looked at for 0.01 s" in answer.json()["detail"] and nothing_kept(running)


def test_looking_has_so_much_memory(serving):
    running = serving(limits={"verify_memory_bytes": 20_000_000})
    answer = running.ask("POST", "/v1/verify", content=picture(90, 4000))
    assert answer.status_code in (415, 422) and "memory" in answer.json()["detail"] and slug(answer)
    assert nothing_kept(running)


def test_a_process_that_dies_of_a_file_is_one_problem(tmp_path, monkeypatch, serving, loop):
    running = serving()
    (tmp_path / "dies").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "dies").chmod(0o700)
    monkeypatch.setattr(verifier.sys, "executable", str(tmp_path / "dies"))
    with pytest.raises(Problem, match="ended before there was a report") as told:
        running.run(verifier.look_at(tmp_path / "f", running.service.config.limits))
    assert told.value.slug == "impossible"


def test_so_many_are_looked_at_at_a_time_and_a_slow_one_ends(serving):
    running = serving(limits={"verifies": 1, "body_idle_s": 1})
    inside, others, answers = threading.Event(), threading.Event(), []

    async def slowly():
        """Fast enough until others have asked, then not at all."""
        while not others.is_set():
            inside.set()
            yield b"x" * 1000
            await asyncio.sleep(0.05)
        await asyncio.sleep(5)

    first = threading.Thread(target=lambda: answers.append(running.ask("POST", "/v1/verify", content=slowly())))
    first.start()
    inside.wait(20)
    answer = running.ask("POST", "/v1/verify", content=picture())
    assert (answer.status_code, slug(answer)) == (429, "busy") and answer.headers["retry-after"]
    assert running.ask("POST", "/v1/portraits", content=picture()).status_code == 201, "others have lanes of their own"
    others.set()
    first.join(20)
    assert (answers[0].status_code, slug(answers[0])) == (408, "too-slow")
    assert not list(running.service.state.incoming.iterdir()) and running.service.verifies.taken == 0


def test_a_service_that_ends_looks_at_nothing_new(running):
    async def end() -> None:
        running.service.drain.begin()

    running.run(end())
    answer = running.ask("POST", "/v1/verify", content=picture())
    assert (answer.status_code, slug(answer)) == (503, "draining")

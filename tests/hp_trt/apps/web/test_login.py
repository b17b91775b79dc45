"""Who may look at the page where the service has tokens."""

from __future__ import annotations

import hashlib

import pytest

from hp_trt.apps.service.problems import Problem
from hp_trt.apps.service.tokens import Tokens, owner_of
from hp_trt.apps.web.login import COOKIE, LASTS_S, Visitors

TOKENS = Tokens({hashlib.sha256(b"secret").hexdigest(): "me", hashlib.sha256(b"other").hexdigest(): "you"})


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_without_tokens_nobody_signs_in_and_all_is_the_local_owners():
    visitors = Visitors(Tokens(None))
    assert not visitors.sign_in
    assert visitors.owner(None) == visitors.owner(f"{COOKIE}=forged") == owner_of("local")


def test_a_cookie_is_its_tokens_owner_until_half_a_day_is_over():
    clock = Clock()
    visitors = Visitors(TOKENS, clock)
    header = f"a=b; {COOKIE}={visitors.cookie('secret')}; c=d"
    assert visitors.sign_in
    assert visitors.owner(header) == owner_of("me")
    clock.now_s += LASTS_S - 1
    assert visitors.owner(header) == owner_of("me")
    clock.now_s += 2
    assert visitors.owner(header) is None


def test_no_token_makes_no_cookie():
    for token in ("", "wrong", "secret secret", "Bearer secret"):
        with pytest.raises(Problem, match="token"):
            Visitors(TOKENS).cookie(token)


def test_what_was_changed_made_elsewhere_or_is_no_cookie_is_nobodys():
    visitors, others = Visitors(TOKENS), Visitors(TOKENS)
    good = visitors.cookie("secret")
    owner, until, signature = good.split(".")
    forged = [
        "",
        good[:-1],
        f"{owner_of('you')}.{until}.{signature}",
        f"{owner}.{int(until) + 1}.{signature}",
        others.cookie("secret"),
        "..",
        "é.1.é",
        signature,
    ]
    for text in forged:
        assert visitors.owner(f"{COOKIE}={text}") is None, text
    assert visitors.owner(None) is None
    assert visitors.owner("\x00;=;;" + "a" * 10_000) is None


def test_the_page_sends_strangers_to_the_door_and_tells_calls_that_they_are_signed_out(guarded):
    assert guarded.ask("GET", "/page/").headers["location"] == "/page/login"
    for method, path in (
        ("GET", "/page/config"),
        ("POST", "/page/gradio_api/queue/join"),
        ("POST", "/page/uploads/portrait"),
        ("GET", f"/page/jobs/j_{'0' * 32}/result"),
        ("GET", f"/page/jobs/j_{'0' * 32}/sheet"),
    ):
        answer = guarded.ask(method, path)
        assert answer.status_code == 401, path
        assert "sign in" in answer.json()["detail"]


def test_a_token_opens_the_page_and_a_wrong_one_is_told(guarded):
    form = guarded.ask("GET", "/page/login")
    assert 'type="password"' in form.text
    wrong = guarded.ask("POST", "/page/login", content="token=open+sesame")
    assert wrong.status_code == 401
    assert "does not know this token" in wrong.text
    answer = guarded.ask("POST", "/page/login", content="token=open-sesame")
    assert answer.headers["location"] == "/page/"
    said = answer.headers["set-cookie"]
    assert all(part in said for part in ("HttpOnly", "SameSite=strict", "Path=/page"))
    cookie = said.partition(";")[0]
    inside = guarded.ask("GET", "/page/", headers={"cookie": cookie})
    assert inside.status_code == 200
    assert "/page/logout" in guarded.ask("GET", "/page/config", headers={"cookie": cookie}).text
    assert guarded.ask("GET", "/v1/info", headers={"cookie": cookie}).status_code == 401, "the API takes no cookie"


def test_whoever_signs_out_loses_the_cookie(guarded):
    answer = guarded.ask("POST", "/page/logout")
    assert f'{COOKIE}="";' in answer.headers["set-cookie"]
    assert "Max-Age=0" in answer.headers["set-cookie"]


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"token", b"token=%zz", b"x" * 5000])
def test_no_form_signs_anybody_in(guarded, body):
    assert guarded.ask("POST", "/page/login", content=body).status_code in (401, 413)

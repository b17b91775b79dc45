"""A study beside a service: its page for raters, who have no token, behind the service's gate."""

from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.apps.service.tokens import add_token
from hp_trt.measure.study.plan import read_plan
from hp_trt.measure.study.raters import Raters
from tests.hp_trt.apps.study.conftest import made_clips, made_study, study

__all__ = ["made_clips", "made_study", "study"]  # that a study's own tests have


@pytest.fixture
def guarded(serving, study, tmp_path):
    """A service with tokens, asked by somebody who has none."""
    add_token(tmp_path / "tokens", "alice")
    return serving(tokens=tmp_path / "tokens", study=study)


def test_a_rater_without_a_token_grades_and_sees_nothing_else_of_the_service(guarded, study):
    assert guarded.ask("GET", "/study").headers["location"] == "/study/"
    page = guarded.ask("GET", "/study/")
    assert "study.js" in page.text and page.headers["content-security-policy"].startswith("default-src 'none'")
    assert guarded.ask("GET", "/study/study.js").status_code == 200
    assert guarded.ask("GET", "/study/api/study").json()["id"] == read_plan(study).id
    joined = guarded.ask("POST", "/study/api/raters", json={"consent": True})
    assert joined.status_code == 201
    token = {"study-rater": joined.json()["token"]}
    trial = guarded.ask("GET", "/study/api/next", headers=token).json()["trial"]
    copy = next(iter(read_plan(study).files()))
    assert guarded.ask("GET", f"/study/clips/{copy}").status_code == 200
    grades = {"movement": 3, "quality": 4, "smoothness": 5}
    answer = guarded.ask("POST", "/study/api/answers", json={"trial": trial["id"], "grades": grades}, headers=token)
    assert answer.status_code == 200 and answer.json()["done"] == 1
    assert guarded.ask("GET", "/v1/info").status_code == 401
    assert guarded.ask("GET", "/v1/info", headers=token).status_code == 401
    assert guarded.ask("GET", "/study/plan.json").status_code == 404
    assert not [path for path in guarded.app.openapi()["paths"] if "study" in path]


def test_the_gate_stands_before_it(serving, study):
    running = serving(study=study)
    assert running.ask("GET", "/study/", headers={"host": "evil.example"}).status_code == 400
    foreign = {"origin": "https://evil.example"}
    assert running.ask("POST", "/study/api/raters", json={"consent": True}, headers=foreign).status_code == 403


def test_one_process_takes_a_studys_answers_and_lets_it_go_with_the_service(serving, study):
    running = serving(study=study)
    with pytest.raises(InputError, match="is served by another process already"):
        Raters(study)
    running.service.close()
    Raters(study).close()


def test_what_is_no_study_is_told_at_the_start_and_leaves_nothing(serving, tmp_path):
    with pytest.raises(InputError, match="study"):
        serving(study=tmp_path)
    serving()  # the state folder is free


def test_without_one_there_is_no_such_address(running):
    assert running.ask("GET", "/study/").status_code == 404

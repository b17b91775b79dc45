"""Results in parts, against a file that is cut by hand."""

from __future__ import annotations

import pytest

from tests.hp_trt.apps.service.test_app import slug
from tests.hp_trt.apps.service.test_jobs import RESULT

SIZE = len(RESULT)


@pytest.fixture
def done(running, video):
    job = running.ended(running.job(running.portrait(), running.motion(video)).json()["id"])
    return running, f"/v1/jobs/{job['id']}/result", f'"{job["result"]["sha256"]}"'


def test_a_result_comes_in_parts_whole_or_not_again(done):
    running, path, etag = done
    cases = {
        "bytes=0-9": (206, RESULT[:10], "bytes 0-9/5000"),
        "bytes=1990-2009": (206, RESULT[1990:2010], "bytes 1990-2009/5000"),
        "bytes=4990-": (206, RESULT[4990:], "bytes 4990-4999/5000"),
        "bytes=4990-99999": (206, RESULT[4990:], "bytes 4990-4999/5000"),
        "bytes=-10": (206, RESULT[-10:], "bytes 4990-4999/5000"),
        "bytes=-99999": (206, RESULT, "bytes 0-4999/5000"),
    }
    for wanted, (status, content, said) in cases.items():
        answer = running.ask("GET", path, headers={"range": wanted})
        assert (answer.status_code, answer.content, answer.headers["content-range"]) == (status, content, said)
        assert answer.headers["content-length"] == str(len(content)) and answer.headers["etag"] == etag
    for ignored in ("bytes=0-1,4-5", "bytes=9-3", "bytes=", "bytes=-", "lines=1-2", "x", "bytes=0-" + "9" * 30):
        answer = running.ask("GET", path, headers={"range": ignored})
        assert (answer.status_code, answer.content) == (200, RESULT), ignored
    for beyond in (f"bytes={SIZE}-", "bytes=999999-", "bytes=-0"):
        answer = running.ask("GET", path, headers={"range": beyond})
        assert (answer.status_code, slug(answer)) == (416, "range")
        assert answer.headers["content-range"] == f"bytes */{SIZE}"


def test_what_is_known_already_is_not_sent_again(done):
    running, path, etag = done
    for known in (etag, f'"x", W/{etag}'):
        answer = running.ask("GET", path, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert running.ask("GET", path, headers={"if-none-match": '"x"'}).status_code == 200
    changed = running.ask("GET", path, headers={"range": "bytes=0-1", "if-range": '"other"'})
    assert (changed.status_code, changed.content) == (200, RESULT)
    same = running.ask("GET", path, headers={"range": "bytes=0-1", "if-range": etag})
    assert same.status_code == 206
    head = running.ask("HEAD", path)
    assert head.status_code == 200 and head.headers["content-length"] == str(SIZE) and head.content == b""


def test_a_result_that_somebody_took_away_has_expired(done):
    running, path, _ = done
    running.service.jobs.get(running.owner, path.split("/")[3]).result_file.unlink()
    answer = running.ask("GET", path)
    assert (answer.status_code, slug(answer)) == (410, "expired")

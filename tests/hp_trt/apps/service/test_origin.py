"""What a job's files carry of their origin: what was asked for, by whose key, the same after a restart."""

from __future__ import annotations

import json
import shutil

import pytest

from engines.errors import InputError
from hp_trt.apps.service.job import Job, JobRequest
from hp_trt.apps.service.origin import Sealing
from hp_trt.apps.service.problems import Problem
from tests.hp_trt.apps.service.test_app import slug
from tests.hp_trt.apps.service.test_jobs import begun, held, killed
from tests.hp_trt.provenance.certificates import make_pair

REQUEST = {"kind": "clip", "portrait": "p", "motion": "m", "profile": "exact"}


def made_with(running, video, **more):
    """A job that is done, and what its engine was asked to put into the files."""
    job = running.ended(running.job(running.portrait(), running.motion(video), **more).json()["id"])
    return job, running.hand.asked[-1]["provenance"]


def test_everything_but_the_visible_sign_is_on_by_default(running, video):
    job, asked = made_with(running, video)
    assert (asked.mark, asked.credentials, asked.sidecar, asked.label) == (True, True, True, False)
    assert asked.consent is None and asked.sign_chain is None
    assert asked.mark_id == running.service.jobs.get(running.owner, job["id"]).mark_id
    said = job["request"]
    assert (said["mark"], said["credentials"], said["label"], said["consent"]) == (True, True, False, None)


def test_a_job_leaves_out_what_it_says_and_a_consent_is_kept(running, video):
    _, asked = made_with(running, video, mark=False, credentials=False, label=True, consent="I am the portrait")
    assert (asked.mark, asked.credentials, asked.sidecar, asked.label) == (False, False, True, True)
    assert asked.mark_id is None and asked.consent == "I am the portrait"


def test_two_jobs_have_marks_of_their_own(running, video):
    assert made_with(running, video)[1].mark_id != made_with(running, video)[1].mark_id


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"consent": ""}, 400, "consent"),
        ({"consent": "x" * 2001}, 400, "consent"),
        ({"consent": "   "}, 422, "consent must be a line"),
        ({"consent": "two\nlines"}, 422, "consent must be a line"),
        ({"consent": "\ud800"}, 400, "no JSON"),
        ({"consent": 3}, 400, "consent"),
        ({"mark": "no"}, 400, "mark"),
        ({"mark": None}, 400, "mark"),
        ({"credentials": 0}, 400, "credentials"),
        ({"label": 1.0}, 400, "label"),
        ({"sidecar": False}, 400, "sidecar"),
    ],
)
def test_what_no_file_can_carry_is_told_before_it_is_queued(running, video, more, status, says):
    body = {"kind": "clip", "portrait": running.portrait(), "motion": running.motion(video)} | more
    headers = {"content-type": "application/json"}
    answer = running.ask("POST", "/v1/jobs", content=json.dumps(body), headers=headers)
    assert answer.status_code == status and slug(answer) and says in answer.json()["detail"], answer.text
    assert running.ask("GET", "/v1/jobs").json()["jobs"] == []


def test_the_same_key_with_another_wish_for_the_files_is_another_request(running, video):
    portrait, motion, key = running.portrait(), running.motion(video), {"idempotency-key": "k"}
    first = running.job(portrait, motion, headers=key, label=True).json()["id"]
    assert running.job(portrait, motion, headers=key, label=True).json()["id"] == first
    for more in ({}, {"label": True, "mark": False}, {"label": True, "consent": "yes"}):
        answer = running.job(portrait, motion, headers=key, **more)
        assert (answer.status_code, slug(answer)) == (422, "key-reused")


def test_a_sidecar_is_there_with_its_result_and_not_before_or_after(serving, video):
    running = serving(hand=held())
    identity = running.job(running.portrait(), running.motion(video)).json()["id"]
    begun(running)
    path = f"/v1/jobs/{identity}/sidecar"
    answer = running.ask("GET", path)
    assert (answer.status_code, slug(answer)) == (409, "no-result")
    running.hand.go.set()
    running.ended(identity)
    answer = running.ask("GET", path)
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    assert (
        answer.json()["label"] is False and f'filename="{identity}.mp4.json"' in answer.headers["content-disposition"]
    )
    again = running.ask("GET", path, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    part = running.ask("GET", path, headers={"range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, answer.content[:10])
    head = running.ask("HEAD", path)
    assert head.headers["content-length"] == str(len(answer.content)) and not head.content
    assert running.ask("GET", "/v1/jobs/j_" + "0" * 32 + "/sidecar").status_code == 404
    job = running.service.jobs.get(running.owner, identity)
    with running.service.jobs.changed:
        running.service.jobs._to(job, "expired")
    assert not job.sidecar_file.exists()
    answer = running.ask("GET", path)
    assert (answer.status_code, slug(answer)) == (410, "expired")


def test_the_whole_picture_beside_a_crop_leaves_nothing(running, video):
    job, _ = made_with(running, video, crop=True)
    folder = running.service.jobs.get(running.owner, job["id"]).folder
    assert {path.name for path in folder.iterdir()} == {"job.json", "result.mp4", "result.mp4.json"}


def test_a_job_that_runs_again_after_a_kill_has_the_mark_that_it_had(serving, video):
    before = serving(hand=held())
    identity = before.job(before.portrait(), before.motion(video), consent="yes").json()["id"]
    begun(before)
    after = serving(state=killed(before))
    assert after.ended(identity)["attempts"] == 2
    first, second = (running.hand.asked[0]["provenance"] for running in (before, after))
    assert first.mark_id is not None and first == second


def test_a_job_of_a_version_without_marks_is_read_and_marked(serving, video):
    before = serving(hand=held())
    identity = before.job(before.portrait(), before.motion(video)).json()["id"]
    begun(before)
    state = killed(before)
    (record,) = state.rglob("job.json")
    said = json.loads(record.read_text())
    del said["mark_id"]
    for name in ("mark", "credentials", "label", "consent"):
        del said["request"][name]
    record.write_text(json.dumps(said))
    after = serving(state=state)
    assert after.ended(identity)["state"] == "done"
    asked = after.hand.asked[0]["provenance"]
    assert asked.mark and asked.credentials and not asked.label and asked.mark_id is not None
    assert Job.read(record.parent, "o", "l").mark_id == asked.mark_id, "and is kept"


def test_what_a_portrait_was_encoded_from_is_named_as_the_jobs_own_file(running, video):
    job, _ = made_with(running, video)
    assert "the portrait is small" in job["result"]["notes"]


def test_the_operators_key_signs_and_one_that_cannot_is_told_at_the_start(serving, tmp_path, video, sealed):
    pair, other = make_pair(tmp_path / "pair"), make_pair(tmp_path / "other")
    with pytest.raises(InputError, match="is not the key of the first certificate"):
        serving(sign_chain=pair.chain, sign_key=other.key)
    running = serving(sign_chain=pair.chain, sign_key=pair.key)
    _, asked = made_with(running, video)
    assert (asked.sign_chain, asked.sign_key) == (pair.chain, pair.key)
    _, asked = made_with(running, video, credentials=False)
    assert asked.sign_chain is None and asked.sign_key is None


def test_a_key_that_went_bad_is_the_services_fault_and_not_the_clients(serving, tmp_path, video, sealed):
    pair = make_pair(tmp_path / "pair")
    running = serving(sign_chain=pair.chain, sign_key=pair.key)
    shutil.copy(make_pair(tmp_path / "old", begins_days=-20, days=10).chain, pair.chain)
    job = running.ended(running.job(running.portrait(), running.motion(video)).json()["id"])
    assert job["state"] == "failed" and job["error"]["type"] == "urn:hp-trt:internal"
    assert "cannot sign" in job["error"]["detail"] and str(tmp_path) not in json.dumps(job)
    assert running.ended(running.job(running.portrait(), running.motion(video), credentials=False).json()["id"])[
        "state"
    ] == ("done")


def test_a_sealing_is_of_the_request_alone(sealed):
    sealing = Sealing()
    assert sealing.of(JobRequest(**REQUEST), 7).mark_id == 7
    assert sealing.of(JobRequest(**REQUEST, mark=False), 7).mark_id is None
    with pytest.raises(InputError, match="sign_chain needs one of"):
        Sealing(chain="c.pem")
    with pytest.raises(Problem, match="cannot sign"):
        Sealing(chain="/none/c.pem", key="/none/k.pem").ready(JobRequest(**REQUEST), 7)

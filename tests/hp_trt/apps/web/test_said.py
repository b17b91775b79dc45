"""The page's words: complete, and nothing of a stranger's is markup."""

from __future__ import annotations

from typing import get_args

from hp_trt.apps.service.job import JobState
from hp_trt.apps.service.work import _TOLD
from hp_trt.apps.web import said
from hp_trt.apps.web.following import View

EVIL = "<img src=x onerror=alert(1)>\"'"
RESULT = {"bytes": 1_500_000, "sha256": "0", "frames": 9, "frames_per_s": 25.0, "seconds": 3.21, "notes": [EVIL]}


def test_every_state_and_every_stage_that_a_job_tells_has_words():
    for state in get_args(JobState):
        assert said.state_text(View(state=state)).startswith("<p>It ")
    assert set(_TOLD) == set(said.STAGES)


def test_a_problem_is_told_as_text():
    text = said.problem_text(f"found {EVIL}; do")
    assert "<img" not in text
    assert "found &lt;img" in text
    assert said.state_text(View(state="failed", problem=EVIL)) == said.problem_text(EVIL)


def test_progress_has_a_bar_for_each_stage_in_their_order_and_the_time_that_is_left():
    view = View(state="running", stages={"write": (3, 9), "read": (12, None)}, eta_s=0.2)
    text = said.progress_text(view)
    assert text.index("reading") < text.index("writing frames")
    assert '<progress max="9" value="3">' in text
    assert "3 of 9" in text
    assert "<progress></progress>" in text, "how much there is to read is not known"
    assert "About 1 s left" in text
    assert said.progress_text(View(state="done", stages={"read": (1, 1)})) == ""


def test_more_than_there_should_be_is_a_full_bar():
    assert 'max="9" value="9"' in said.progress_text(View(state="running", stages={"write": (11, 9)}))


def test_a_result_has_its_video_its_download_its_notes_and_what_there_is_beside_it():
    view = View(state="done", result=RESULT)
    text = said.result_text(view, "j_1", sheet=True, sidecar=f'{{"a": "{EVIL}"}}')
    for part in ('src="/page/jobs/j_1/result"', 'download="j_1.mp4"', "1.5 MB, 25 frames/s", '/page/jobs/j_1/sheet"'):
        assert part in text
    assert "<img src=x" not in text
    assert text.count("&lt;img src=x") == 2
    bare = said.result_text(view, "j_1", sheet=False, sidecar="")
    assert "sheet" not in bare
    assert "sidecar" not in bare
    assert said.result_text(View(state="failed", problem="x"), "j_1", sheet=True, sidecar="") == ""


def test_a_field_says_its_label_to_whoever_cannot_see_it():
    text = said.file_field("me", "Portrait", "/page/uploads/portrait", "image/*", hint="One face.")
    assert '<label for="me-file">Portrait</label><input id="me-file"' in text
    assert 'aria-describedby="me-said"' in text
    assert "hp-record" not in text
    assert 'data-record="audio"' in said.file_field("me", "Sound", "/x", "audio/*", record="audio")


def test_the_terms_of_an_enhancer_are_told_as_text():
    text = said.terms_text(["licence: theirs", EVIL])
    assert "hp-licence" in text
    assert "licence: theirs" in text
    assert "<img" not in text

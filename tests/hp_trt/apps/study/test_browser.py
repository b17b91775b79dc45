"""A study as people answer it, in a browser without a screen: they grade what they see, and the table is what it should
be. Nobody here looks into the plan until all is over: raters know a result by its colour on the screen."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hp_trt.measure.study.plan import make_study
from hp_trt.measure.study.results import read_results
from tests.hp_trt.measure.study.clips import make_clips
from tests.hp_trt.measure.study.test_agreement import by_pairs

playwright = pytest.importorskip("playwright.sync_api", reason="pip install '.[test]'")
CHROMIUM = Path("/usr/bin/chromium")
ROOT = Path(__file__).parents[4]
QUESTIONS = ("movement", "quality", "smoothness")
# What the two raters think of the red results (exact) and the blue ones (live).
THINKS = [{"exact": (5, 4, 3), "live": (2, 3, 1)}, {"exact": (4, 4, 4), "live": (3, 1, 2)}]

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium")


@pytest.fixture
def served(tmp_path):
    """A study of two items, of which speech drives one, and its address."""
    make_study(make_clips(tmp_path / "clips", speech=("ben",), frames=6), tmp_path / "STUDY")
    command = [sys.executable, "-m", "hp_trt", "study", "serve", str(tmp_path / "STUDY"), "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        try:
            yield tmp_path / "STUDY", json.loads(serving.stdout.readline())["url"]
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.communicate(timeout=30)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


def ready_to_go_on(page):
    """All is graded, and the clip was watched, and heard where speech is the driver."""
    ready, deaf = page.locator("#next:not([disabled])"), page.locator("#hint:has-text('Turn the sound on')")
    ready.or_(deaf).first.wait_for()
    if deaf.is_visible():  # a browser plays no sound before anybody has touched the page
        page.keyboard.press("m")
        ready.wait_for()


class Rater:
    """Somebody in front of a page: `said` is all that the browser complained of, `asked` every address it went to."""

    def __init__(self, browser, url, *, state=None, **screen):
        self.context = browser.new_context(storage_state=state, **screen)
        self.page, self.url = self.context.new_page(), url
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)

    def agree(self):
        assert self.page.locator("#begin").is_disabled(), "nobody begins without having agreed"
        self.page.check("#consent")
        self.page.click("#begin")

    def at(self, place: int):
        self.page.wait_for_selector(f'#place:text-is("{place} of 4")')

    def sees(self) -> str:
        """Whose the result is, by its colour, and that driver and result are on the screen and go on."""
        ready_to_go_on(self.page)
        result = self.page.locator("#result")
        red, _, blue = np.asarray(Image.open(io.BytesIO(result.screenshot())).convert("RGB")).mean((0, 1))
        return "exact" if red > blue else "live"

    def close(self):
        state = self.context.storage_state()
        self.context.close()
        assert not self.said
        assert {url.split("/")[2] for url in self.asked} == {self.url.split("/")[2]}, "no other host is asked"
        return state


def colour(rater: Rater) -> str:
    """Before anything is graded: once a picture is there."""
    for _ in range(50):
        seen = np.asarray(Image.open(io.BytesIO(rater.page.locator("#result").screenshot())).convert("RGB"))
        red, _, blue = seen.reshape(-1, 3).mean(0)
        if abs(red - blue) > 20:
            return "exact" if red > blue else "live"
    raise AssertionError("no picture came")


def grade_by_keys(rater: Rater, think):
    for grade in think[colour(rater)]:
        rater.page.keyboard.press(str(grade))
    rater.sees()
    rater.page.keyboard.press("Enter")


def grade_by_hand(rater: Rater, think):
    for name, grade in zip(QUESTIONS, think[colour(rater)], strict=True):
        rater.page.tap(f"label:has(input[name={name}][value='{grade}'])")
    rater.sees()
    rater.page.tap("#next")


def test_two_raters_answer_a_study_and_its_table_is_what_they_thought(served, browser):
    study, url = served
    first = Rater(browser, url)
    first.agree()
    for place in (1, 2):
        first.at(place)
        grade_by_keys(first, THINKS[0])
    first.at(3)
    first.page.goto("about:blank")
    first.page.go_back()  # and the page is where it was
    first.at(3)
    kept = first.close()

    second = Rater(browser, url, viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="dark")
    second.agree()
    for place in (1, 2, 3, 4):
        second.at(place)
        if place == 1:
            assert second.page.evaluate("document.documentElement.scrollWidth") <= 390, "it fits a phone"
        grade_by_hand(second, THINKS[1])
    second.page.wait_for_selector("#thanks:not([hidden])")
    second.close()

    again = Rater(browser, url, state=kept)  # the first one opens the browser again
    for place in (3, 4):
        again.at(place)
        grade_by_keys(again, THINKS[0])
    again.page.wait_for_selector("#thanks:not([hidden])")
    again.page.reload()
    again.page.wait_for_selector("#thanks:not([hidden])")
    again.close()

    results = read_results(study)
    assert (results.answers, results.complete, len(results.raters)) == (8, 2, 2)
    assert all(0 < answer.seconds < 60 for rater in results.raters for answer in rater.answers)
    for q, question in enumerate(results.questions):
        for contender in ("exact", "live"):
            mean = question.means[contender]
            assert mean.value == np.mean([think[contender][q] for think in THINKS]) and mean.answers == 4
        units = [[think[who][q] for who in ("exact", "live") for _ in range(2)] for think in THINKS]
        assert question.agreement == pytest.approx(by_pairs(np.array(units, float)))


@pytest.mark.slow
def test_a_clip_that_was_graded_in_another_window_is_not_graded_again(served, browser):
    study, url = served
    first = Rater(browser, url)
    first.agree()
    first.at(1)
    other = first.context.new_page()
    other.goto(url)
    other.wait_for_selector('#place:text-is("1 of 4")')
    grade_by_keys(first, THINKS[0])
    first.at(2)
    for grade in "111":
        other.keyboard.press(grade)
    ready_to_go_on(other)
    other.keyboard.press("Enter")
    other.wait_for_selector('#place:text-is("2 of 4")')
    assert "the first ones stand" in other.inner_text("#problem")
    first.context.close()
    (rater,) = read_results(study).raters
    assert [answer.grades for answer in rater.answers] != [(1, 1, 1)] and len(rater.answers) == 1

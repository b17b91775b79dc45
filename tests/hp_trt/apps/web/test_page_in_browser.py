"""The page as people meet it: a real browser with a camera and a microphone that are none, services of real bundles.

What needs no picture is tried over a fake engine, which can be held.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import Limits, ServiceConfig
from hp_trt.apps.service.service import Service
from hp_trt.apps.service.tokens import add_token
from hp_trt.enhancer.enhancer import Enhancer
from hp_trt.sample import write_driving, write_portrait
from tests.hp_trt.apps.service.conftest import write_video
from tests.hp_trt.apps.service.fake_engine import Hand
from tests.hp_trt.apps.service.live.fake_engine import FakeEngine as LiveEngine
from tests.hp_trt.apps.service.live.fake_engine import nothing_runs
from tests.hp_trt.apps.web.page_serving import chromium, looking_at, served
from tests.hp_trt.enhancer.stand_in import StandIn, frame, make_bundle
from tests.hp_trt.enhancer.stand_in import write_video as write_film

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
LIMITS = Limits(free_bytes=1, verify_s=110)  # what yields to all others takes its time on a busy machine
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def portrait(folder) -> Path:
    """A drawn person."""
    write_portrait(folder / "portrait.png", seed=7)
    return folder / "portrait.png"


@pytest.fixture(scope="module")
def driving(folder) -> Path:
    """Another one, who moves for a few frames."""
    write_driving(folder / "driving.mp4", seed=8, frames=12)
    return folder / "driving.mp4"


@contextmanager
def service_of(
    folder, bundle: str, profile: str, open_engine=None, opening=None, **more
) -> Iterator[tuple[str, Service]]:
    from hp_trt.apps.web.mount import add_page

    config = ServiceConfig(bundle=bundle, state=folder, profiles=(profile,), limits=LIMITS, **{"live_lanes": 0, **more})
    service = Service(config, open_engine, enhancer=opening)
    try:
        app = create_app(config, service)
        add_page(app, service)
        service.start()
        with served(app) as address:
            yield address, service
    finally:
        service.close()


@pytest.fixture(scope="module")
def pocket(browser, folder) -> Iterator[str]:
    with service_of(folder / "pocket", "shipped:pocket", "live") as (address, _):
        yield address


@pytest.fixture(scope="module")
def hand() -> Hand:
    return Hand()


@pytest.fixture(scope="module")
def held(browser, folder, hand) -> Iterator[str]:
    """A service whose engine is a fake."""
    with service_of(folder / "fake", "shipped:pocket", "exact", hand.open) as (address, _):
        yield address


def choose(seen, field: str, path, said: str = "Uploaded:") -> str:
    seen.tab.set_input_files(f"#{field} input", path)
    return seen.until(f"#{field}-said", said)


WATCH = """(where) => {
    const place = document.querySelector(where);
    window.read = "";
    new MutationObserver(() => { window.read += place.innerText; }).observe(place, { childList: true, subtree: true });
}"""
PIXELS = """async (second) => {
    const video = document.querySelector("#clip-result video");
    await new Promise((seen) => { video.onseeked = seen; video.currentTime = second; });
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 64];
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0, 64, 64);
    return Array.from(pen.getImageData(0, 0, 64, 64).data);
}"""


def test_a_clip_goes_from_upload_to_download_and_its_video_moves(browser, pocket, portrait, driving):
    with looking_at(browser, pocket) as seen:
        assert "512 × 512" in choose(seen, "clip-portrait", portrait)
        assert "12 frames" in choose(seen, "clip-motion", driving)
        licence, make = seen.tab.locator(".hp-licence"), seen.tab.locator("#clip-make")
        assert "Apache-2.0" in licence.inner_text()
        assert seen.tab.get_by_label("made by a machine").is_checked()
        assert licence.bounding_box()["y"] < make.bounding_box()["y"]
        seen.tab.evaluate(WATCH, "#clip-progress")
        make.click()
        seen.until("#clip-state", "It is done: 12 frames")
        assert "writing frames" in seen.tab.evaluate("window.read"), "progress was shown meanwhile"
        assert "of 12" in seen.tab.evaluate("window.read")
        seen.tab.wait_for_function("document.querySelector('#clip-result video').readyState >= 2")
        first, later = seen.tab.evaluate(PIXELS, 0.02), seen.tab.evaluate(PIXELS, 0.42)
        assert sum(abs(a - b) > 8 for a, b in zip(first, later, strict=True)) > 100, "frames differ"
        seen.tab.wait_for_function("document.querySelector('#clip-result .hp-sheet').naturalWidth > 500")
        with seen.tab.expect_download() as download:
            seen.tab.get_by_role("link", name="Download the video").click()
        identity = download.value.suggested_filename.removesuffix(".mp4")
        told = seen.tab.request.get(f"{pocket}/v1/jobs/{identity}").json()
        with open(download.value.path(), "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == told["result"]["sha256"]
        assert told["request"]["label"] is True
        seen.tab.reload()
        seen.until("#clip-state", "It is done: 12 frames")


def test_a_clip_is_called_off_while_it_is_made(browser, held, hand, folder):
    hand.go.clear()
    try:
        with looking_at(browser, held) as seen:
            choose(seen, "clip-portrait", colour(folder, 90))
            choose(seen, "clip-motion", write_video(folder / "v.mp4", 12))
            seen.tab.locator("#clip-make").click()
            seen.until("#clip-state", "It is being made.")
            seen.tab.reload()  # the job goes on, and so does who watches it
            seen.until("#clip-state", "It is being made.")
            left = [
                text for text in seen.complaints if "abort" not in text.lower() and "Connection errored" not in text
            ]
            seen.complaints = left  # Gradio's own of a document that was left while it listened, which nobody reads
            seen.tab.locator("#clip-cancel").click()
            seen.until("#clip-state", "It was called off.")
            seen.tab.locator("#clip-cancel").click()
            seen.until("#clip-state", "it has ended already")
    finally:
        hand.go.set()


def test_what_is_wrong_is_read_where_it_is_wrong(browser, held, folder):
    notes = folder / "notes.png"
    notes.write_text("no picture")
    with looking_at(browser, held) as seen:
        seen.tab.locator("#clip-make").click()
        seen.until("#clip-state", "there is no portrait yet; choose a picture")
        assert seen.tab.get_attribute("#clip-state .prose", "role") == "status"
        assert "give a PNG, JPEG" in choose(seen, "clip-portrait", notes, "not a picture")
        assert seen.tab.get_attribute("#clip-portrait-said", "role") == "status"
        assert "use a picture with one" in choose(seen, "clip-portrait", colour(folder, 0), "no face was found")
        choose(seen, "clip-portrait", colour(folder, 90))
        choose(seen, "clip-motion", write_video(folder / "w.mp4", 12))
        seen.tab.fill("#clip-seed textarea, #clip-seed input", "${7*7}{{7}}<b>")
        seen.tab.locator("#clip-make").click()
        seen.until("#clip-state", "a seed is a whole number from 0, got '${7*7}{{7}}<b>'")  # as it was written
        refused = [text for text in seen.complaints if "the server responded with a status of 4" in text]
        assert len(refused) == 2, "the browser's own lines of the two uploads that were refused"
        seen.complaints = [text for text in seen.complaints if text not in refused]


def verify(seen, path: Path, said: str) -> str:
    choose(seen, "verified", path, "Uploaded.")
    seen.tab.evaluate(WATCH, "#verify-said")
    seen.tab.locator("#verify-begin").click()
    text = seen.until("#verify-said", said, timeout_s=120)
    assert "It is being looked at." in seen.tab.evaluate("window.read"), "which is told meanwhile"
    return text


def test_a_clip_that_was_made_is_known_again_in_the_tab_verify(browser, pocket, portrait, driving, folder, sealed):
    ask, made = httpx.Client(base_url=f"{pocket}/v1/", timeout=60), folder / "made.mp4"
    with ask:
        files = {
            name: ask.post(f"{name}s", content=path.read_bytes()).json()["id"]
            for name, path in (("portrait", portrait), ("motion", driving))
        }
        job = ask.post("jobs", json={"kind": "clip", **files}).json()["id"]
        with ask.stream("GET", f"jobs/{job}/events") as events:
            assert "done" in "".join(events.iter_text())
        made.write_bytes(ask.get(f"jobs/{job}/result").content)
    with looking_at(browser, pocket) as seen:
        seen.tab.get_by_role("tab", name="Verify").click()
        text = verify(seen, made, "It was made by hp-trt")
        assert "Content Credentials: " in text and "claimed by hp-trt" in text
        assert re.search("Invisible mark: [0-9a-f]{8} ", text)


def test_the_tab_verify_tells_a_file_that_carries_nothing_and_what_is_wrong(browser, held, folder):
    notes = folder / "notes.mp4"
    notes.write_text("no video")
    with looking_at(browser, held, **PHONE) as seen:
        seen.tab.get_by_role("tab", name="Verify").click()
        seen.tab.locator("#verify-begin").click()
        seen.until("#verify-said", "there is no file here, or not any more; choose")
        assert seen.tab.get_attribute("#verify-said .prose", "role") == "status"
        text = verify(seen, colour(folder, 90), "Nothing of hp-trt was found, which is no proof of anything.")
        assert "Content Credentials: none" in text and "Invisible mark: none" in text
        verify(seen, notes, "no video that FFmpeg can open")
        assert seen.tab.locator("#verify-said .hp-wrong").count() == 1
        seen.tab.locator("#verify-begin").click()
        seen.until("#verify-said", "there is no file here")  # it was looked at, and not kept
        assert seen.tab.evaluate("document.documentElement.scrollWidth") <= 360


class LiveHand(Hand):
    """Clips of a fake engine, and live sessions of another one."""

    def open(self, profile: str):
        made = super().open(profile)
        made.live = lambda portrait, **wishes: LiveEngine().open(portrait, wishes)
        return made


def test_the_tab_live_has_a_session_with_the_camera(browser, folder):
    with (
        service_of(folder / "live", "shipped:pocket", "exact", LiveHand().open, live_lanes=1) as (address, _),
        looking_at(browser, address, **PHONE) as seen,
    ):
        seen.tab.get_by_role("tab", name="Live").click()
        live = seen.tab.frame_locator("iframe[title=Live]")
        live.locator("#portrait").set_input_files(colour(folder, 20))
        live.get_by_label("over the socket").check()
        live.locator("#start").click()
        live.locator("#state").filter(has_text="Live.").wait_for(timeout=60_000)
        live.locator("#all").filter(has_text=re.compile(r"^\d+ ms$")).wait_for(timeout=60_000)
        assert live.locator("#camera").bounding_box()["width"] > 50
        live.locator("#stop").click()
        live.locator("#state").filter(has_text="Stopped.").wait_for()
        assert not live.locator("#camera").is_visible()
        assert any(url.endswith("/socket") for url in seen.asked)
        (frame,) = (frame for frame in seen.tab.frames if frame.url.endswith("/live"))
        assert frame.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert nothing_runs()


class PatientEnhancer(Enhancer):
    """Begins when it may."""

    may = threading.Event()

    def enhance(self, *of: Any, **wishes: Any) -> Any:
        assert self.may.wait(120)
        return super().enhance(*of, **wishes)


@contextmanager
def enlarging(folder) -> Iterator[str]:
    """A service of a fake engine whose clips are films, and of an enhancer whose graphs are numpy."""
    PatientEnhancer.may.set()
    film = write_film(folder / "film.mp4", [frame(number) for number in range(4)]).read_bytes()
    bundle = make_bundle(folder / "enhancer").path
    opening = lambda: PatientEnhancer(bundle, backend=StandIn())  # noqa: E731
    with service_of(
        folder / "larger", "shipped:pocket", "exact", Hand(film=film).open, opening=opening, enhancer=str(bundle)
    ) as (address, _):
        yield address


SIZE = "(where) => { const v = document.querySelector(where + ' video'); return [v.videoWidth, v.videoHeight]; }"


def size_of(seen, place: str) -> list[int]:
    seen.tab.wait_for_function(f"document.querySelector('{place} video').readyState >= 1")
    return list(seen.tab.evaluate(SIZE, place))


def test_a_clip_that_is_done_is_enlarged_below_it_and_a_video_in_a_tab(browser, folder):
    with enlarging(folder) as address, looking_at(browser, address, **PHONE) as seen:
        choose(seen, "clip-portrait", colour(folder, 90))
        choose(seen, "clip-motion", write_video(folder / "e.mp4", 12))
        assert seen.tab.locator("#clip-enlarge-make").count() == 0, "there is nothing to enlarge yet"
        seen.tab.locator("#clip-make").click()
        seen.tab.locator("#clip-enlarge-make").wait_for()
        assert "random numbers" in seen.text("#clip-larger"), "the terms come before use"
        assert seen.tab.locator("#clip-enlarge-fidelity").is_visible(), "this enhancer restores faces"
        seen.tab.locator("#clip-enlarge-make").click()
        seen.until("#clip-enlarge-state", "It is done: 4 frames")
        assert (size_of(seen, "#clip-result"), size_of(seen, "#clip-enlarge-result")) == ([96, 80], [192, 160])
        assert seen.tab.evaluate("document.documentElement.scrollWidth") <= 360
        seen.tab.reload()
        seen.until("#clip-enlarge-state", "It is done: 4 frames")
        seen.tab.get_by_role("tab", name="Enlarge").click()
        seen.tab.locator("#enlarge-make").click()
        seen.until("#enlarge-state", "there is no video yet; choose a file")
        assert "4 frames" in choose(seen, "enlarge-video", folder / "film.mp4")
        seen.tab.locator("#enlarge-scale input").click()
        seen.tab.get_by_role("option", name="4 times").click()
        seen.tab.locator("#enlarge-make").click()
        seen.until("#enlarge-state", "It is done: 4 frames")
        assert size_of(seen, "#enlarge-result") == [384, 320]


def test_a_new_clip_does_not_get_the_enlargement_of_the_last_one(browser, folder):
    with enlarging(folder) as address, looking_at(browser, address) as seen:
        choose(seen, "clip-portrait", colour(folder, 90))
        choose(seen, "clip-motion", write_video(folder / "e.mp4", 12))
        seen.tab.locator("#clip-make").click()
        seen.tab.locator("#clip-enlarge-make").wait_for()
        PatientEnhancer.may.clear()
        seen.tab.locator("#clip-enlarge-make").click()
        seen.until("#clip-enlarge-state", "It is being made")
        seen.tab.locator("#clip-make").click()
        seen.until("#clip-enlarge-state", "Nothing is being made")
        PatientEnhancer.may.set()
        # The lane has one place: where the next enlargement is done, the last one has long been told.
        seen.until("#clip-state", "It is done: 5 frames")
        seen.tab.get_by_role("tab", name="Enlarge").click()
        choose(seen, "enlarge-video", folder / "film.mp4")
        seen.tab.locator("#enlarge-make").click()
        seen.until("#enlarge-state", "It is done: 4 frames")
        seen.tab.get_by_role("tab", name="Clip").click()
        assert "Nothing is being made" in seen.text("#clip-enlarge-state")
        assert seen.tab.locator("#clip-enlarge-result video").count() == 0


def test_everything_is_reached_and_used_with_a_keyboard(browser, held):
    with looking_at(browser, held) as seen:
        reached = []
        for _ in range(12):
            seen.tab.keyboard.press("Tab")
            reached.append(
                seen.tab.evaluate(
                    "(document.activeElement.closest('[id]:not(.prose):not(input)') || {}).id + ' ' "
                    "+ document.activeElement.tagName"
                )
            )
            if reached[-1].startswith("clip-make"):
                break
        places = [
            next(number for number, name in enumerate(reached) if name.startswith(part))
            for part in ("clip-portrait", "clip-motion", "clip-profile", "clip-seed", "clip-crop", "clip-make")
        ]
        assert places == sorted(places), reached
        assert sum(name.startswith("clip-motion") for name in reached) == 2, "the file, and the camera"
        seen.tab.keyboard.press("Enter")
        seen.until("#clip-state", "there is no portrait yet")
        assert seen.tab.evaluate("document.activeElement.id") == "clip-make", "and who pressed it is still there"


def test_on_a_phone_nothing_is_cut_off_and_nothing_is_too_small_to_touch(browser, held):
    with looking_at(browser, held, **PHONE) as seen:
        assert seen.tab.evaluate("document.documentElement.scrollWidth") <= 360
        for place in ("#clip-portrait input", "#clip-motion .hp-record", "#clip-make", "#clip-cancel"):
            box = seen.tab.locator(place).bounding_box()
            assert box["x"] >= 0, place
            assert box["x"] + box["width"] <= 360, place
            assert box["height"] >= 34, place


def test_whoever_has_a_token_signs_in_and_out(browser, folder):
    tokens = folder / "tokens"
    token = add_token(tokens, "me")
    with (
        service_of(folder / "guarded", "shipped:pocket", "exact", Hand().open, tokens=tokens) as (address, _),
        looking_at(browser, address, ready="#token") as seen,
    ):
        seen.tab.fill("#token", "guessed")
        seen.tab.keyboard.press("Enter")
        assert "does not know this token" in seen.until("[role=alert]", "token")
        refused = [text for text in seen.complaints if "a status of 401" in text]
        assert seen.complaints == refused
        seen.complaints.clear()
        seen.tab.fill("#token", token)
        seen.tab.keyboard.press("Enter")
        seen.tab.wait_for_selector("[role=tab]")
        choose(seen, "clip-portrait", colour(folder, 90))
        seen.tab.locator("#clip-make").click()
        seen.until("#clip-state", "there is no driving video yet")
        seen.tab.get_by_role("button", name="Sign out").click()
        seen.tab.wait_for_selector("#token")


def test_a_portrait_says_what_a_microphone_heard(browser, folder, portrait):
    with (
        service_of(folder / "talk", "shipped:talk_pocket", "exact") as (address, service),
        looking_at(browser, address, **PHONE, permissions=["microphone"]) as seen,
    ):
        choose(seen, "talk-portrait", portrait)
        seen.tab.get_by_role("button", name="Record with the microphone").click()
        seen.tab.get_by_role("button", name="(1 s)").click()
        seen.until("#talk-motion-said", "Uploaded:")
        assert seen.tab.locator("#talk-mood").count() == 1, "this bundle knows moods"
        seen.tab.locator("#talk-make").click()
        seen.until("#talk-state", "It is done")
        assert seen.tab.locator("#talk-result video").count() == 1
        assert seen.tab.evaluate("document.documentElement.scrollWidth") <= 360
        (job,) = service.jobs.listed(service.tokens.owner(None), state="done", most=2, before=None)
        assert job.request.kind == "talk"


def colour(folder, value: int):
    path = folder / f"{value}.png"
    Image.new("RGB", (48, 48), (value, value, value)).save(path)
    return path

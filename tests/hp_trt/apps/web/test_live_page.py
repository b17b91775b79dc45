"""The live page in headless Chromium: what is seen on it, against what its camera and its microphone are given.

The truth about latency is light: the camera's picture turns bright, and a clock in the page waits for the animated one.
"""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import httpx
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

from hp_trt.apps.service.live.engine import RuntimeEngine, Wishes
from hp_trt.apps.service.live.sessions import LiveSessions
from hp_trt.apps.service.live.watch import DRAINED
from hp_trt.apps.web.live_page import live_page
from tests.hp_trt.apps.service.live.conftest import application
from tests.hp_trt.apps.service.live.fake_engine import FakeEngine, nothing_runs, picture
from tests.hp_trt.apps.service.live.schema import is_valid
from tests.hp_trt.apps.service.live.talking import PICTURE, SOUND, limits, unpacked
from tests.hp_trt.apps.web.browser import Seen, need_browser, page_of, served, write_camera

ROOT = Path(__file__).parents[4]
FPS, DARK, BRIGHT = 12, 50, 150
# Mean brightness of what is shown where, a frame of the screen at a time: [milliseconds, camera, result].
WATCH = """async ([seconds, shown]) => {
  const pen = new OffscreenCanvas(4, 4).getContext("2d", { willReadFrequently: true });
  const level = (what) => {
    pen.drawImage(what, 0, 0, 4, 4);
    return pen.getImageData(1, 1, 1, 1).data[1];
  };
  const camera = document.getElementById("camera"), result = document.getElementById(shown), found = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    await new Promise(requestAnimationFrame);
    found.push([performance.now(), camera.srcObject ? level(camera) : 0, level(result)]);
  }
  return found;
}"""
# The same of sound and pictures that come by WebRTC: [milliseconds, loudness, brightness].
LISTEN = """async (seconds) => {
  const remote = document.getElementById("remote"), audio = new AudioContext(), found = [];
  await audio.resume();
  while (!remote.srcObject || !remote.videoWidth) await new Promise(requestAnimationFrame);
  const analyser = audio.createAnalyser(), samples = new Float32Array(2048);
  audio.createMediaStreamSource(remote.srcObject).connect(analyser);
  const pen = new OffscreenCanvas(4, 4).getContext("2d", { willReadFrequently: true });
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    await new Promise(requestAnimationFrame);
    analyser.getFloatTimeDomainData(samples);
    pen.drawImage(remote, 0, 0, 4, 4);
    const loud = Math.sqrt(samples.reduce((sum, level) => sum + level * level, 0) / samples.length);
    found.push([performance.now(), loud * 1000, pen.getImageData(1, 1, 1, 1).data[1]]);
  }
  await audio.close();
  return found;
}"""

COLOUR = """(shown) => {
  const pen = new OffscreenCanvas(8, 8).getContext("2d");
  pen.drawImage(document.getElementById(shown), 0, 0, 8, 8);
  return Array.from(pen.getImageData(0, 0, 8, 8).data);
}"""


@pytest.fixture(scope="module", autouse=True)
def _browser() -> None:
    need_browser()


@pytest.fixture(scope="module")
def camera(tmp_path_factory) -> Path:
    """A second and a half dark, a second and a half bright."""
    levels = [DARK] * (FPS * 3 // 2) + [BRIGHT] * (FPS * 3 // 2)
    frames = [np.full((240, 320, 3), level, np.uint8) for level in levels]
    return write_camera(tmp_path_factory.mktemp("camera") / "camera.y4m", frames, FPS)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack
    assert nothing_runs()


def open_page(opened: ExitStack, engine, camera: Path, microphone: Path | None = None, **options) -> Seen:
    sessions = LiveSessions(engine, limits=limits())
    app = application(sessions, hosts=("127.0.0.1",))
    app.include_router(live_page())
    address = opened.enter_context(served(app))
    return opened.enter_context(page_of(address, camera=camera, microphone=microphone, **options))


def write_portrait(path: Path, level: int) -> Path:
    Image.fromarray(picture(level, 64)).save(path)
    return path


def start(seen: Seen, media: str, portrait: Path) -> None:
    from playwright.sync_api import expect

    seen.page.set_input_files("#portrait", str(portrait))
    seen.page.check(f"[name=media][value={media}]")
    seen.page.click("#start")
    expect(seen.page.locator("#state")).to_have_text(re.compile("^Live"), timeout=20_000)


def rises(watched: list[list[float]], column: int) -> list[float]:
    """When a brightness crosses the middle of what it was, upwards."""
    levels = np.array([row[column] for row in watched])
    middle = (levels.min() + levels.max()) / 2
    above = levels > middle
    return [watched[at][0] for at in range(1, len(above)) if above[at] and not above[at - 1]]


def delays(watched: list[list[float]]) -> list[float]:
    """Milliseconds from each rise of the camera to the next of the result."""
    seen = rises(watched, 2)
    found = [min((later - at for later in seen if later > at), default=None) for at in rises(watched, 1)]
    return [delay for delay in found if delay is not None and delay < 1400]


MEDIA = pytest.mark.parametrize(("media", "shown"), [("socket", "out"), ("webrtc", "remote")])


@pytest.mark.slow
@MEDIA
def test_a_camera_comes_back_as_another_portrait_and_then_as_a_third(opened, camera, tmp_path, media, shown):
    from playwright.sync_api import expect

    seen = open_page(opened, FakeEngine(), camera)
    start(seen, media, write_portrait(tmp_path / "portrait.png", 20))
    expect(seen.page.locator("#all")).to_have_text(re.compile(r"^\d+ ms$"), timeout=10_000)
    levels = [row[2] for row in seen.page.evaluate(WATCH, [2, shown])]
    assert min(levels) < DARK + 35 and max(levels) > BRIGHT + 5
    seen.page.set_input_files("#portrait", str(write_portrait(tmp_path / "other.png", 70)))
    expect(seen.page.locator("#state")).to_have_text("The portrait has changed.", timeout=5000)
    brighter = [row[2] for row in seen.page.evaluate(WATCH, [2, shown])]
    assert max(brighter) - max(levels) > 30, "another portrait adds another level"
    seen.page.click("#stop")
    expect(seen.page.locator("#state")).to_have_text("Stopped.")
    holds_to_the_protocol(seen)


@pytest.mark.heavy  # a clock that is compared with another one: on cores that are busy neither means much
@MEDIA
def test_latency_on_the_page_is_what_light_needs(opened, camera, tmp_path, media, shown):
    seen = open_page(opened, FakeEngine(), camera)
    start(seen, media, write_portrait(tmp_path / "portrait.png", 20))
    seen.page.wait_for_timeout(2000)
    watched = seen.page.evaluate(WATCH, [9.5, shown])
    said = seen.page.evaluate("window.live")
    true = median(delays(watched))
    print(f"{media}: said {said['all']:.0f} ms, light {true:.0f} ms, {said['shown']:.1f} frames/s of {FPS}")
    assert abs(said["all"] - true) <= 0.2 * true, (said, delays(watched))


def holds_to_the_protocol(seen: Seen) -> None:
    """And nothing went wrong on the page, and nothing was asked of anybody else."""
    assert seen.console == []
    assert len(seen.hosts) == 1 and next(iter(seen.hosts)).startswith("127.0.0.1:")
    for side, messages in (("client", seen.sent), ("server", seen.received)):
        texts = [message for message in messages if isinstance(message, dict)]
        assert texts and [text for text in texts if not is_valid(side, text)] == []
    sent = [unpacked(data) for data in seen.sent if isinstance(data, bytes)]
    for kind in (1, 2):
        numbers = [came.sequence for came in sent if came.kind == kind]
        assert numbers == list(range(len(numbers)))
    assert all(came.latency_us == 0 for came in sent)


@pytest.fixture(scope="module")
def microphone(tmp_path_factory) -> Path:
    """A second and a half of a voice, as long a silence."""
    from hp_trt.sample import write_speech_sample

    folder = tmp_path_factory.mktemp("speech")
    _, spoken = write_speech_sample(folder, seed=3, frames=38)
    with wave.open(str(spoken)) as file:
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(10**6), "<i2")
    with wave.open(str(folder / "microphone.wav"), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.concatenate([samples, np.zeros(rate * 3 // 2, "<i2")]).tobytes())
    return folder / "microphone.wav"


@pytest.mark.heavy  # for the same reason
def test_a_voice_comes_back_with_a_face_and_in_step(opened, camera, microphone, tmp_path):
    """The fake face is as bright as its voice is loud."""
    from playwright.sync_api import expect

    seen = open_page(opened, FakeEngine(driver="audio"), camera, microphone)
    portrait = write_portrait(tmp_path / "portrait.png", 20)
    start(seen, "socket", portrait)
    seen.page.wait_for_timeout(2500)
    seen.page.click("#stop")
    expect(seen.page.locator("#state")).to_have_text("Stopped.")
    came = [unpacked(data) for data in seen.received if isinstance(data, bytes)]
    heard = [np.abs(np.frombuffer(one.payload, "<i2").astype(int)).max() for one in came if one.kind == SOUND]
    assert len(heard) > 20 and max(heard) > 2000
    start(seen, "webrtc", portrait)
    seen.page.wait_for_timeout(1000)
    watched = np.array(seen.page.evaluate(LISTEN, 5))
    begins_ms = []
    for levels in (watched[:, 1], watched[:, 2]):
        above = levels > levels.min() + 0.15 * (levels.max() - levels.min())
        # Behind a second of silence: words have gaps of their own.
        quiet_s = [watched[at, 0] - max(watched[:at, 0][above[:at]], default=-1e9) for at in range(len(above))]
        begins_ms.append(next(watched[at, 0] for at in range(1, len(above)) if above[at] and quiet_s[at] > 1000))
    assert abs(begins_ms[0] - begins_ms[1]) < 250, "the voice, and the face"
    holds_to_the_protocol(seen)


@pytest.mark.heavy  # ten frames a second are pocket's on two cores that nobody else has
@MEDIA
def test_pocket_animates_a_camera_at_ten_frames_a_second(opened, tmp_path, media, shown):
    import av
    from playwright.sync_api import expect

    from hp_trt import Runtime, RuntimeConfig
    from hp_trt.sample import write_sample

    portrait, driving = write_sample(tmp_path, seed=7, frames=50)
    other, _ = write_sample(tmp_path / "other", seed=30, frames=1)
    with av.open(str(driving)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    camera = write_camera(tmp_path / "camera.y4m", frames, FPS)
    runtime = opened.enter_context(Runtime("shipped:pocket", RuntimeConfig(profile="live")))
    seen = open_page(opened, RuntimeEngine(runtime), camera)
    start(seen, media, portrait)
    seen.page.wait_for_timeout(10_000)
    said, colour = seen.page.evaluate("window.live"), seen.page.evaluate(COLOUR, shown)
    seen.page.set_input_files("#portrait", str(other))
    expect(seen.page.locator("#state")).to_have_text("The portrait has changed.", timeout=10_000)
    seen.page.wait_for_timeout(4000)
    changed = np.abs(np.subtract(seen.page.evaluate(COLOUR, shown), colour)).max()
    print(f"{media}: {said}, changed by {changed}, {seen.says('stats')[-1]}")
    holds_to_the_protocol(seen)
    assert said["shown"] >= 10 and changed > 10


@contextmanager
def typed(tmp_path: Path, *words: str) -> Iterator[str]:
    """`hp-trt serve` with these words, in a process of its own; its address."""
    command = [sys.executable, "-m", "hp_trt", "serve", "--state", str(tmp_path / "state"), "--port", "0", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as serving:
        try:
            yield serving.stdout.readline().split()[-1]
        finally:
            serving.send_signal(signal.SIGTERM)
            serving.communicate(timeout=90)


@pytest.mark.heavy  # as many frames as it takes; how many a second is for a machine that nobody else has
def test_talk_pocket_speaks_with_a_microphone_of_a_service_as_it_is_typed(opened, camera, microphone, tmp_path):
    from playwright.sync_api import expect

    from hp_trt.sample import write_sample

    portrait, _ = write_sample(tmp_path, seed=7, frames=1)
    address = opened.enter_context(typed(tmp_path, "--bundle", "shipped:talk_pocket", "--live-lanes", "1"))
    seen = opened.enter_context(page_of(address, camera=camera, microphone=microphone))
    seen.page.set_input_files("#portrait", str(portrait))
    seen.page.check("[name=media][value=socket]")
    seen.page.click("#start")
    expect(seen.page.locator("#state")).to_have_text(re.compile("^Live"), timeout=120_000)
    expect(seen.page.locator("caption", has_text="microphone to screen")).to_be_visible()
    expect(seen.page.locator("#camera, #anew, #rate").filter(visible=True)).to_have_count(0)
    pictures: list[bytes] = []
    for _ in range(480):
        seen.page.wait_for_timeout(500)
        came = [unpacked(data) for data in seen.received if isinstance(data, bytes)]
        pictures = [one.payload for one in came if one.kind == PICTURE]
        if len(pictures) >= 40:
            break
    seen.page.click("#stop")
    expect(seen.page.locator("#state")).to_have_text("Stopped.", timeout=30_000)
    shown = np.stack([np.asarray(Image.open(io.BytesIO(one)).convert("L"), float) for one in pictures[:40]])
    moves = shown.std(axis=0)
    print(f"{len(pictures)} frames, {seen.says('stats')[-1]}, grey levels move by {moves.max():.1f}")
    heard = [np.abs(np.frombuffer(one.payload, "<i2").astype(int)).max() for one in came if one.kind == SOUND]
    assert len(shown) == 40 and max(heard) > 2000
    assert moves.max() > 5 * np.median(moves), "the mouth, and not all of the picture"
    holds_to_the_protocol(seen)


@pytest.mark.slow
def test_a_service_that_is_full_says_so_on_the_page(opened, camera, tmp_path):
    from playwright.sync_api import expect

    sessions = LiveSessions(FakeEngine(), limits=limits(sessions=1))
    sessions.reserve("somebody", Wishes())
    app = application(sessions, hosts=("127.0.0.1",))
    app.include_router(live_page())
    seen = opened.enter_context(page_of(opened.enter_context(served(app)), camera=camera))
    seen.page.set_input_files("#portrait", str(write_portrait(tmp_path / "portrait.png", 20)))
    seen.page.click("#start")
    expect(seen.page.locator("#state")).to_have_text(re.compile("at most 1 may be; ask again later"), timeout=10_000)
    expect(seen.page.locator("#start")).to_be_enabled()
    assert [line for line in seen.console if "429" not in line] == []  # the browser's own line for the answer


HESITATE = """() => {
  const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices);
  window.asked = new Promise((tell) => {
    devices.getUserMedia = async (wanted) => {
      tell();
      await new Promise((allow) => { window.allow = allow; });
      return window.given = await open(wanted);
    };
  });
}"""
# Whether the camera is off again in a while.
ALLOW = """async () => {
  const off = () => window.given?.getTracks().every((track) => track.readyState === "ended");
  window.allow();
  for (let frame = 0; frame < 300 && !off(); frame++) await new Promise(requestAnimationFrame);
  return off();
}"""


@pytest.mark.slow
def test_who_stops_before_the_camera_is_allowed_has_no_camera_on(opened, camera, tmp_path):
    from playwright.sync_api import expect

    seen = open_page(opened, FakeEngine(), camera)
    seen.page.evaluate(HESITATE)
    seen.page.set_input_files("#portrait", str(write_portrait(tmp_path / "portrait.png", 20)))
    seen.page.click("#start")
    seen.page.evaluate("window.asked")
    seen.page.click("#stop")
    expect(seen.page.locator("#state")).to_have_text("Stopped.")
    assert seen.page.evaluate(ALLOW)
    expect(seen.page.locator("#camera")).to_be_hidden()
    assert seen.console == []


def test_the_page_needs_nothing_of_anybody_else():
    static = Path(live_page.__code__.co_filename).parent / "static"
    for file in static.iterdir():
        assert not re.findall(r"https?://|//[a-z]+\.[a-z]+/", file.read_text()), file.name


@pytest.mark.slow
def test_a_phone_and_a_keyboard_are_enough(opened, camera, tmp_path):
    from playwright.sync_api import expect

    seen = open_page(opened, FakeEngine(), camera, viewport={"width": 360, "height": 740}, color_scheme="dark")
    page = seen.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_input_files("#portrait", str(write_portrait(tmp_path / "portrait.png", 20)))
    page.focus("[name=media]:checked")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text(re.compile("^Live"), timeout=20_000)
    page.keyboard.press("Tab")
    focused = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        focused.add(page.evaluate("document.activeElement.id"))
    assert {"stop", "anew", "portrait"} <= focused
    page.focus("#stop")
    page.keyboard.press("Space")
    expect(page.locator("#state")).to_have_text("Stopped.")
    holds_to_the_protocol(seen)


@pytest.mark.slow
@pytest.mark.parametrize("media", ["socket", "webrtc"])
def test_a_session_whose_server_ends_goes_on_as_another_one(opened, camera, tmp_path, media):
    from playwright.sync_api import expect

    sessions = LiveSessions(FakeEngine(), limits=limits())
    app = application(sessions, hosts=("127.0.0.1",))
    app.include_router(live_page())

    @app.post("/end")
    async def end() -> None:
        for channel in tuple(sessions._channels.values()):
            channel.finish(DRAINED)

    address = opened.enter_context(served(app))
    seen = opened.enter_context(page_of(address, camera=camera))
    start(seen, media, write_portrait(tmp_path / "portrait.png", 20))
    first = set(sessions._channels)
    httpx.post(f"{address}/end")
    expect(seen.page.locator("#state")).to_have_text(re.compile("coming back"), timeout=5000)
    expect(seen.page.locator("#state")).to_have_text(re.compile("^Live"), timeout=5000)
    assert len(sessions) == 1 and not first & set(sessions._channels)
    before = len(seen.received)
    seen.page.wait_for_timeout(1000)
    assert len(seen.received) > before, "it is told how things stand"

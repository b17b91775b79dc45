"""Bodies: what counts while bytes come, and what is no form of one file."""

from __future__ import annotations

import asyncio
import io

import pytest
from PIL import Image

from hp_trt.apps.service.uploads import MOST_JSON_BYTES
from tests.hp_trt.apps.service.conftest import picture, write_video
from tests.hp_trt.apps.service.test_app import slug


class Sent:
    """A request whose body comes as a test says, to the application itself; what of it was read is counted."""

    def __init__(self, running, path, *, headers=(), parts=(), waits=(), method="POST"):
        self.running, self.parts, self.waits = running, list(parts), list(waits)
        self.taken = 0
        self.status, self.body = 0, b""
        known = [(b"host", b"127.0.0.1:7860"), *headers]
        self.scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": method, "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "headers": known, "server": ("127.0.0.1", 7860), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        running.run(running.app(self.scope, self._receive, self._send))

    async def _receive(self):
        if self.taken >= len(self.parts):
            await asyncio.Event().wait()  # a client that says no more
        part = self.parts[self.taken]
        if self.taken < len(self.waits):
            await asyncio.sleep(self.waits[self.taken])
        self.taken += 1
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": self.taken < len(self.parts) or self.endless}

    endless = False

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self.body += message.get("body", b"")


class Endless(Sent):
    """There is always more to come."""

    endless = True


def left(running) -> list:
    return list(running.service.state.incoming.iterdir())


def test_a_picture_is_kept_by_its_bytes_as_the_body_or_in_a_form(running):
    plain = running.ask("POST", "/v1/portraits", content=picture(), headers={"content-type": "image/png"})
    assert plain.status_code == 201 and plain.json()["facts"] == {"width": 32, "height": 32}
    form = running.ask("POST", "/v1/portraits", files={"file": ("../../etc/passwd\0.png", picture(), "text/plain")})
    assert form.status_code == 200 and form.json() == plain.json(), "the same bytes, the same id; the name is nobody's"
    assert len(running.hand.encoded) == 1, "it is encoded once"
    identity = plain.json()["id"]
    assert running.ask("GET", f"/v1/portraits/{identity}").json() == plain.json()
    assert running.ask("GET", "/v1/portraits").json()["uploads"] == [plain.json()]
    assert running.ask("DELETE", f"/v1/portraits/{identity}").status_code == 204
    assert running.ask("DELETE", f"/v1/portraits/{identity}").status_code == 404
    assert running.ask("GET", "/v1/portraits").json()["uploads"] == [] and not left(running)


def test_a_video_and_what_was_found_in_it(running, video):
    answer = running.ask("POST", "/v1/motions", content=video.read_bytes())
    assert answer.status_code == 201
    facts = answer.json()["facts"]
    assert facts["kind"] == "video" and facts["frames"] == 12 and facts["frames_per_s"] == 25
    assert not facts["has_sound"]


def test_a_video_of_one_frame_is_a_motion_whatever_its_container(running, tmp_path):
    still = io.BytesIO()
    Image.new("RGB", (32, 32), (90, 45, 90)).save(still, "GIF")
    for body in (still.getvalue(), write_video(tmp_path / "one.mp4", 1).read_bytes()):
        answer = running.ask("POST", "/v1/motions", content=body)
        assert answer.status_code == 201 and answer.json()["facts"]["kind"] == "video", answer.text
        assert answer.json()["facts"]["frames"] in (1, None)


def test_a_picture_without_a_face_is_understood_and_impossible(running):
    answer = running.ask("POST", "/v1/portraits", content=picture(0))
    assert (answer.status_code, slug(answer)) == (422, "no-face")
    assert answer.json()["detail"] == "no face was found in the picture; use a picture with one"
    assert not left(running) and running.ask("GET", "/v1/portraits").json()["uploads"] == []


@pytest.mark.parametrize("path", ["/v1/portraits", "/v1/motions"])
@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"ffconcat version 1.0\nfile /etc/passwd\n", b"#EXTM3U\n/etc/passwd\n", b"\x89PNG"]
)
def test_what_is_neither_picture_nor_video_is_refused(running, path, content):
    answer = running.ask("POST", path, content=content)
    assert (answer.status_code, slug(answer)) == (415, "unsupported-media")
    assert not left(running)


def test_a_video_that_is_too_long_is_told_with_the_limit(serving, video):
    running = serving(limits={"max_frames": 11})
    answer = running.ask("POST", "/v1/motions", content=video.read_bytes())
    assert (answer.status_code, slug(answer)) == (422, "impossible")
    assert "has 12 frames, at most 11" in answer.json()["detail"]
    running.service.close()
    shorter = serving(limits={"video_s": 0.3})
    answer = shorter.ask("POST", "/v1/motions", content=video.read_bytes())
    assert answer.status_code == 422 and "at most 0.3 s" in answer.json()["detail"]


def test_a_body_that_says_it_is_too_large_is_refused_before_a_byte_is_read(serving):
    running = serving(limits={"picture_bytes": 1000})
    sent = Sent(running, "/v1/portraits", headers=[(b"content-length", b"1001")], parts=[b"x" * 1001])
    assert sent.status == 413 and sent.taken == 0


def test_a_body_that_says_nothing_is_refused_as_soon_as_it_is_too_large(serving):
    running = serving(limits={"picture_bytes": 1000})
    sent = Endless(running, "/v1/portraits", parts=[b"x" * 400] * 50)
    assert sent.status == 413 and sent.taken == 3, "and not after it has come"
    form = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    kind = [(b"content-type", b"multipart/form-data; boundary=b")]
    sent = Endless(running, "/v1/portraits", headers=kind, parts=[form, *[b"x" * 400] * 50])
    assert sent.status == 413 and sent.taken == 4 and not left(running)


def test_a_client_that_sends_nothing_more_is_not_waited_for(serving):
    running = serving(limits={"body_idle_s": 0.05})
    sent = Endless(running, "/v1/portraits", parts=[b"x"])
    assert sent.status == 408 and b"no byte came for 0.05 s" in sent.body and not left(running)
    assert running.service.uploads.taken == 0 and running.service.accounts._coming == {}


def test_a_client_that_sends_a_byte_now_and_then_is_too_slow(serving):
    running = serving(limits={"body_idle_s": 0.05, "body_least_rate": 1000})
    sent = Endless(running, "/v1/portraits", parts=[b"x"] * 1000, waits=[0.02] * 1000)
    assert sent.status == 408 and b"fewer than 1000 bytes a second" in sent.body and sent.taken < 20


def test_a_client_that_goes_away_leaves_nothing(running):
    Endless(running, "/v1/portraits", parts=[b"x" * 1000, None])
    assert not left(running) and running.service.uploads.taken == 0


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    return b"".join(head + part + b"\r\n" for part in parts) + end


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data; boundary=b", form(picture()), 201),
        ("multipart/form-data", form(picture()), 400),
        ("multipart/form-data; boundary=", form(picture()), 400),
        ("multipart/form-data; boundary=" + "b" * 71, form(picture()), 400),
        ("multipart/form-data; boundary=b", form(picture(), picture()), 400),
        ("multipart/form-data; boundary=b", form(end=b"--b--\r\n"), 400),
        ("multipart/form-data; boundary=b", form(picture(), end=b""), 400),
        ("multipart/form-data; boundary=b", b"rubbish", 400),
        ("multipart/form-data; boundary=b", b"", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 5000 + b"\r\n", 400),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 400),
        ("multipart/form-data; boundary=b", form(b""), 415),
        ("multipart/form-data; boundary=b", form(picture()).replace(b'"file"', b'"other"'), 400),
        ("multipart/form-data; boundary=b", form(picture()).replace(b'name="file"; ', b""), 400),
        ("multipart/form-data; boundary=b", form(picture()).replace(b"Content-Disposition", b"Content-Type"), 400),
        ("multipart/form-data; boundary=b", form(picture()).replace(b"Content-D", b"cONTENT-d"), 201),
    ],
    ids=range(16),
)
def test_a_form_has_one_file_and_is_whole(running, kind, body, status):
    answer = running.ask("POST", "/v1/portraits", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert status == 201 or slug(answer)
    assert not left(running)


def test_a_token_keeps_so_many_bytes_and_uploads(serving):
    running = serving(limits={"kept_bytes_per_token": 1500, "kept_items_per_token": 2})
    first = running.portrait(10)
    answer = running.ask("POST", "/v1/portraits", content=picture(11) + bytes(2000))
    assert (answer.status_code, slug(answer)) == (429, "quota") and answer.headers["retry-after"]
    assert running.ask("DELETE", f"/v1/portraits/{first}").status_code == 204
    running.service.close()
    running = serving(limits={"kept_items_per_token": 2})
    running.portrait(12)
    running.portrait(13)
    assert running.portrait(13), "one that is here already counts once"
    answer = running.ask("POST", "/v1/portraits", content=picture(14))
    assert answer.status_code == 429 and "keeps 2 portraits" in answer.json()["detail"] and not left(running)


def test_so_many_uploads_come_at_a_time(serving):
    running = serving(limits={"uploads": 1})
    running.service.uploads.taken = 1
    answer = running.ask("POST", "/v1/portraits", content=picture())
    assert (answer.status_code, slug(answer)) == (429, "busy") and answer.headers["retry-after"] == "2"


def test_a_disk_that_is_full_is_told_and_nothing_is_left(serving, monkeypatch):
    running = serving()
    monkeypatch.setattr(running.service.state, "free_bytes", lambda: 0)
    answer = running.ask("POST", "/v1/portraits", content=picture())
    assert (answer.status_code, slug(answer)) == (507, "storage") and not left(running)


def test_a_disk_that_refuses_to_write_is_told_and_nothing_is_left(running, monkeypatch):
    import errno

    from hp_trt.apps.service import store, uploads

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device", "/secret/place")

    with monkeypatch.context() as broken:
        broken.setattr(uploads, "_sync", full)
        answer = running.ask("POST", "/v1/portraits", content=picture())
    assert (answer.status_code, slug(answer)) == (507, "storage") and not left(running)
    with monkeypatch.context() as broken:
        broken.setattr(store, "write_whole", full)
        assert running.ask("POST", "/v1/portraits", content=picture()).status_code == 507
    assert not left(running) and running.ask("GET", "/v1/portraits").json()["uploads"] == []
    assert running.portrait()


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("", b"{}", 415),
        ("application/json", b"x" * (MOST_JSON_BYTES + 1), 413),
        ("application/json", b"", 400),
        ("application/json", b"[" * 60_000, 400),
        ("application/json", b'{"kind": "clip", "kind": "talk"}', 400),
        ("application/json", b'{"kind": NaN}', 400),
        ("application/json", b'{"kind": "\\ud800"}', 400),
        ("application/json", b"\xff\xfe", 400),
        ("application/json", b"null", 400),
        ("application/json; charset=utf-8", b"{}", 400),
    ],
)
def test_a_job_is_small_json_of_its_schema(running, kind, body, status):
    answer = running.ask("POST", "/v1/jobs", content=body, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert slug(answer)

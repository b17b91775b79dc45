"""The service as a process: signals, sockets that do nothing, and one real clip from upload to download."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import socket
import threading
import time

import av
import pytest

from hp_trt.apps.service.tokens import add_token
from hp_trt.provenance.sidecar import beside
from hp_trt.provenance.verify import verify_file
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.process import Process
from tests.hp_trt.command_line import refused

SLOW = {"frame_s": 30}  # the fake ends no clip by itself


def listening(service, job) -> tuple[threading.Thread, list[str]]:
    """A client that reads a job's events until the service ends them."""
    lines: list[str] = []

    def read() -> None:
        with service.client.stream("GET", f"/v1/jobs/{job}/events") as answer:
            lines.extend(answer.iter_lines())

    thread = threading.Thread(target=read)
    thread.start()
    return thread, lines


def until(true, timeout_s: float = 20) -> None:
    end_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_sigterm_tells_clients_lets_clips_end_and_exits_with_0(tmp_path, video):
    with Process(tmp_path / "s", frame_s=0.3, drain_s=20) as service:
        portrait, motion = service.upload(picture(), video.read_bytes())
        runs, waits = (service.job(portrait, motion)["id"] for _ in range(2))
        service.until(runs, "running")
        reader, lines = listening(service, waits)
        until(lambda: lines)
        service.kill(signal.SIGTERM)
        until(lambda: service.client.get("/readyz").status_code == 503)
        answer = service.client.post("/v1/portraits", content=picture(7))
        assert answer.status_code == 503 and answer.json()["type"] == "urn:hp-trt:draining"
        assert answer.headers["retry-after"] and service.client.get("/livez").status_code == 200
        assert service.client.post("/v1/jobs", json={}).status_code == 503
        assert service.wait() == 0
        reader.join(10)
        assert not reader.is_alive() and "Traceback" not in service.errors()
    left = {path.parent.name: json.loads(path.read_text()) for path in (tmp_path / "s").rglob("job.json")}
    assert left[runs]["state"] == "done" and left[waits]["state"] == "queued"


@pytest.mark.slow
def test_a_clip_that_takes_too_long_waits_for_the_next_process(tmp_path, video):
    with Process(tmp_path / "s", frame_s=0.2, drain_s=0.4) as service:
        portrait, motion = service.upload(picture(), video.read_bytes())
        job = service.job(portrait, motion)["id"]
        service.until(job, "running")
        begin_s = time.monotonic()
        service.kill(signal.SIGTERM)
        assert service.wait() == 0 and time.monotonic() - begin_s < 10
    record = json.loads(next((tmp_path / "s").rglob("job.json")).read_text())
    assert record["state"] == "queued" and record["attempts"] == 0, "it was not killed"
    with Process(tmp_path / "s") as service:
        assert service.until(job, "done")["attempts"] == 1


@pytest.mark.slow
def test_a_second_signal_ends_it_now_and_nothing_is_lost(tmp_path, video):
    with Process(tmp_path / "s", **SLOW, drain_s=600) as service:
        portrait, motion = service.upload(picture(), video.read_bytes())
        job = service.job(portrait, motion)["id"]
        service.until(job, "running")
        service.kill(signal.SIGINT)
        until(lambda: service.client.get("/readyz").status_code == 503)
        service.kill(signal.SIGINT)
        assert service.wait() == 0
    with Process(tmp_path / "s") as service:
        assert service.until(job, "done")["attempts"] in (1, 2)


def test_clients_that_do_nothing_are_let_go(tmp_path, video):
    """One that sends no header, one that sends it letter by letter, one that never reads, one that sends for ever."""
    limits = {"header_s": 0.5, "reader_s": 0.5, "picture_bytes": 1000}
    with Process(tmp_path / "s", limits=limits) as service:
        portrait, motion = service.upload(picture(), video.read_bytes())
        assert service.until(service.job(portrait, motion)["id"], "done")

        def connected() -> socket.socket:
            made = socket.create_connection(("127.0.0.1", service.port), timeout=20)
            return made

        silent, slow = connected(), connected()
        slow.sendall(b"GET /livez HT")
        for client in (silent, slow):
            assert client.recv(100) == b"", "closed"
        endless = connected()
        endless.sendall(
            b"POST /v1/portraits HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 600000000\r\n"
            b"Content-Type: image/png\r\n\r\n"
        )
        answer = b""
        while b"urn:hp-trt" not in answer:
            answer += endless.recv(10_000)
        assert b" 413 " in answer.splitlines()[0] and b"urn:hp-trt:too-large" in answer, "told before the upload"
        with pytest.raises(OSError):  # noqa: PT011 - reset or a broken pipe, as the system likes
            _send_megabytes(endless, 500)
        assert service.client.get("/livez").status_code == 200
        until(lambda: len(service_connections(service)) <= 1)


def _send_megabytes(client: socket.socket, count: int) -> None:
    for _ in range(count):
        client.sendall(bytes(1_000_000))


def service_connections(service) -> list[str]:
    """Sockets that the process has open with clients, by the system."""
    own = f":{service.port:04X}"
    with open(f"/proc/{service.process.pid}/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    return [row[1] for row in rows if row[1].endswith(own) and row[3] == "01" and row[9] != "0"]


def test_a_client_that_never_reads_holds_nothing(tmp_path, video):
    big = 8 << 20
    with Process(tmp_path / "s", limits={"reader_s": 0.5}) as service:
        portrait, motion = service.upload(picture(), video.read_bytes())
        job = service.until(service.job(portrait, motion)["id"], "done")["id"]
        result = next((tmp_path / "s").rglob("result.mp4"))
        result.write_bytes(bytes(big))
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", service.port))
        deaf.sendall(f"GET /v1/jobs/{job}/result HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        until(lambda: str(result) in open_files(service))
        until(lambda: str(result) not in open_files(service))
        assert service.client.get(f"/v1/jobs/{job}/result").content == bytes(big), "one that reads has all of it"
        deaf.close()


def open_files(service) -> list[str]:
    """What the process has open, by the system."""
    import os

    found = []
    for link in os.scandir(f"/proc/{service.process.pid}/fd"):
        try:
            found.append(os.readlink(link.path))
        except OSError:
            continue
    return found


def test_a_second_service_on_a_state_folder_says_so_in_one_line(running, hp_trt):
    words = ("--bundle", "shipped:pocket", "--port", "0", "--state", running.service.state.path)
    refused(hp_trt("serve", *words), "in use by another service; end that one, or name another folder with --state")


def test_what_cannot_be_served_is_one_line(tmp_path, hp_trt):
    state = ("--state", tmp_path / "s", "--port", "0")
    refused(hp_trt("serve", *state), "no bundle was named")
    refused(hp_trt("serve", *state, "--bundle", tmp_path / "none"), "none")
    refused(hp_trt("serve", *state, "--bundle", "shipped:none"), "there is no bundle")
    refused(hp_trt("serve", *state, "--bundle", "shipped:pocket", "--host", "0.0.0.0"), "loopback alone")
    refused(hp_trt("serve", *state, "--bundle", "shipped:pocket", "--profile", "none"), "none")
    refused(hp_trt("serve", *state, "--bundle", "shipped:pocket", "--tokens", tmp_path / "t"), "no file of tokens")
    refused(hp_trt("serve", *state, "--bundle", "shipped:pocket", "--config", tmp_path / "t"), "no configuration")
    refused(hp_trt("serve", *state, "--bundle", "shipped:pocket", "--traces", tmp_path), "could not be written")
    refused(hp_trt("serve", "--new-token", "alice"), "add --tokens FILE")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(hp_trt("serve", *state[:2], "--bundle", "shipped:pocket", "--port", port), "nothing can listen at")


def test_a_new_token_is_printed_once(tmp_path, hp_trt):
    ended = hp_trt("serve", "--tokens", tmp_path / "t", "--new-token", "alice")
    assert ended.code == 0 and len(ended.out.strip()) == 43 and "alice" in ended.err
    assert ended.out.strip() not in (tmp_path / "t").read_text()


def test_a_real_clip_goes_through_the_whole_stack(tmp_path, sample):
    """As somebody types it: pocket, one step, six frames, with spans on the way."""
    portrait, driving = sample
    short = io.BytesIO()
    with av.open(str(driving)) as source, av.open(short, "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in [packet for packet in source.demux(video=0) if packet.size][:6]:
            packet.stream = stream
            target.mux(packet)
    token = add_token(tmp_path / "tokens", "alice")
    words = ["-m", "hp_trt", "serve", "--bundle", "shipped:pocket", "--port", "0", "--state", str(tmp_path / "s")]
    words += ["--tokens", str(tmp_path / "tokens"), "--traces", str(tmp_path / "spans"), "--profile", "exact"]
    with Process(tmp_path / "s", token=token, command=words) as service:
        identities = service.upload(portrait.read_bytes(), short.getvalue())
        job = service.until(service.job(*identities, steps=1)["id"], "done", "failed", timeout_s=120)
        assert job["state"] == "done" and job["result"]["frames"] == 6, job
        video = service.client.get(f"/v1/jobs/{job['id']}/result").content
        sidecar = service.client.get(f"/v1/jobs/{job['id']}/sidecar").json()
        metrics = service.client.get("/metrics").text
        service.kill(signal.SIGTERM)
        assert service.wait() == 0 and "Traceback" not in service.errors()
    with av.open(io.BytesIO(video)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 6 and made.streams.video[0].width == 512
    check_origin(tmp_path / "downloaded.mp4", video, sidecar, portrait.read_bytes(), short.getvalue())
    assert 'hp_trt_frames_total{mode="clip"} 6.0' in metrics
    spans = [json.loads(line) for line in (tmp_path / "spans").read_text().splitlines()]
    assert {"job", "read", "motion", "denoise", "decode"} <= {span["name"] for span in spans}
    (own,) = (span for span in spans if span["name"] == "job")
    assert own["attributes"]["hp_trt.job"] == job["id"] and own["attributes"]["hp_trt.state"] == "done"
    stages = [span for span in spans if span["name"] != "job"]
    assert all(span["parent_id"] == own["context"]["span_id"] for span in stages)


def check_origin(file, video: bytes, sidecar: dict, portrait: bytes, driving: bytes) -> None:
    """What was downloaded is marked, signed, and as its sidecar says."""
    file.write_bytes(video)
    beside(file).write_text(json.dumps(sidecar))
    said = verify_file(file).to_json()
    assert said["verdict"] == "intact" and said["credentials"]["state"] == "valid"
    assert said["mark"]["id"] == said["sidecar"]["mark_id"] == said["credentials"]["mark_ids"][0]
    hashes = {name: one["sha256"] for name, one in sidecar["inputs"].items()}
    assert hashes["portrait"] == hashlib.sha256(portrait).hexdigest()
    assert hashes["driving video"] == hashlib.sha256(driving).hexdigest()
    assert "incoming" not in json.dumps(sidecar) and str(file.parent) not in json.dumps(sidecar)

"""`hp-trt live` as a process: what it prints where, and how it ends. Its session is the fake one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import av
import numpy as np
import pytest

from tests.engines.bundles import make_bundle
from tests.hp_trt.clips import contents, make_clip

PROGRAM = """
import hp_trt.commands.live as command
from hp_trt.__main__ import main
from tests.hp_trt.live.fake_session import FakeSession
command.bundle_session = lambda *a, policy, **k: FakeSession().open(policy)
main()
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle of one graph that nobody opens: its manifest says which profiles there are."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), any_graph=b"").path


@pytest.fixture
def started(bundle):
    """Starts `hp-trt live` with standard output and error as pipes."""

    def start(driving, out, *more, **pipes):
        words = ["live", f"--bundle={bundle}", "--portrait=p", f"--driving={driving}", f"--out={out}", *more]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | pipes
        return subprocess.Popen([sys.executable, "-c", PROGRAM, *words], **pipes)

    return start


def test_one_line_for_people_and_json_lines_for_programs(started, tmp_path):
    driving = make_clip(tmp_path / "d.mp4", 30, audio="aac")
    people = started(driving, tmp_path / "a.mp4", "--pace=fast")
    programs = started(driving, tmp_path / "b.mp4", "--json")
    out, err = people.communicate(timeout=30)
    assert people.returncode == 0 and err == b""
    assert out.decode().startswith(f"{tmp_path / 'a.mp4'}: 30 frames in ") and out.count(b"\n") == 1
    out, err = programs.communicate(timeout=30)
    events = [json.loads(line) for line in out.splitlines()]
    assert programs.returncode == 0 and err == b""
    assert [event["event"] for event in events] == ["status", "result"]
    assert events[-1]["frames"] == 30 and events[-1]["ended"] == "the source ended"


def test_when_standard_output_is_the_sink_lines_go_to_standard_error(started, tmp_path):
    process = started(make_clip(tmp_path / "d.mp4", 30), "-", "--pace=fast", "--json")
    out, err = process.communicate(timeout=30)
    (tmp_path / "o.ts").write_bytes(out)
    assert process.returncode == 0 and len(contents(tmp_path / "o.ts").times_s) == 30
    assert json.loads(err)["event"] == "result"


def test_an_error_is_no_part_of_the_video(started, tmp_path):
    process = started(tmp_path / "none.mp4", "-", "--json")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2 and out == b""
    assert err.decode().count("no such file") == 2  # as a line of JSON, and for people


def test_a_reader_that_goes_away_is_met_quietly(started, tmp_path):
    process = started(make_clip(tmp_path / "d.mp4", 100), "-", "--format=y4m")
    process.stdout.read(1000)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(30) == 141
    process.stderr.close()


def test_ctrl_c_ends_in_order_and_the_recording_is_complete(started, tmp_path):
    process = started(make_clip(tmp_path / "d.mp4", 500, audio="aac"), tmp_path / "o.mp4", "--json")
    process.stdout.readline()  # it has run for a second
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    result = json.loads(out.splitlines()[-1])
    assert process.returncode == 130 and err == b""
    assert result["ended"] == "stopped by SIGINT"
    assert len(contents(tmp_path / "o.mp4").times_s) == result["frames"] > 20


def test_a_video_may_come_from_standard_input(started, tmp_path):
    clip = make_clip(tmp_path / "d.ts", 30, audio="aac")
    process = started("-", tmp_path / "o.mp4", "--pace=fast", stdin=subprocess.PIPE)
    _, err = process.communicate(clip.read_bytes(), timeout=30)
    assert process.returncode == 0, err
    assert len(contents(tmp_path / "o.mp4").times_s) == 30


def test_an_mp4_that_cannot_be_read_from_front_to_back_is_told(started, tmp_path):
    with av.open(str(tmp_path / "d.mp4"), "w") as output:
        video = output.add_stream("mpeg4", rate=25, options={"qscale": "1"})
        video.width, video.height, video.pix_fmt, video.bit_rate = 320, 240, "yuv420p", 20_000_000
        noise = np.random.default_rng(0).integers(0, 256, (8, 360, 320), dtype=np.uint8)
        for number in range(40):
            output.mux(video.encode(av.VideoFrame.from_ndarray(noise[number % 8], format="yuv420p")))
        output.mux(video.encode(None))
    process = started("-", tmp_path / "o.mp4", "--pace=fast", stdin=subprocess.PIPE)
    _, err = process.communicate((tmp_path / "d.mp4").read_bytes(), timeout=30)
    assert process.returncode == 2
    assert b"send what is read from front to back" in err


def test_standard_input_that_says_nothing_is_told(started, tmp_path):
    process = started("-", tmp_path / "o.mp4", "--timeout=0.5", stdin=subprocess.PIPE)
    _, err = process.stdout.read(), process.stderr.read()
    assert b"standard input did not answer within 0.5 s" in err and process.wait(30) == 2
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


@pytest.mark.parametrize(
    ("profile", "says"),
    [
        ("exact", b"the profile exact is for whole clips, live needs one whose windows are causal"),
        ("lively", b"there is no profile 'lively'; did you mean live?"),
    ],
)
def test_a_wrong_profile_is_told_before_the_source_is_opened(started, tmp_path, profile, says):
    process = started(tmp_path / "none.mp4", tmp_path / "o.mp4", f"--profile={profile}")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2 and out == b""
    assert says in err and b"none.mp4" not in err

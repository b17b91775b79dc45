"""The clips of a batch by Ray: the same files, wherever it is killed; what is not there is told in one line.

What starts a cluster is heavy: a cluster alone takes half a minute on a busy machine.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from hp_trt.apps.batch.outcome import Outcome
from hp_trt.apps.scale import batch as scale
from hp_trt.apps.scale import ray_version
from hp_trt.sample import write_sample
from tests.hp_trt.apps.batch.folders import SHORT, frames, make_folders, names, whole
from tests.hp_trt.command_line import refused

ROOT = Path(__file__).parents[4]
CLIPS = ("pa-da.mp4", "pa-db.mp4", "pb-da.mp4", "pb-db.mp4")


@pytest.fixture
def words(tmp_path, small_bundle, monkeypatch):
    """The command, for a folder of results in `tmp_path`."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    make_folders(tmp_path, write_sample(tmp_path / "sample", frames=3))

    def words(out: str, *more: str) -> list[str]:
        folders = (f"--portraits={tmp_path / 'p'}", f"--drivings={tmp_path / 'd'}", f"--out={tmp_path / out}")
        return ["batch", f"--bundle={small_bundle}", *folders, *SHORT, *more]

    return words


def typed(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hp_trt", *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (None, "--ray needs Ray, which is not installed; pip install '.[scale]' in a checkout of hp-trt"),
        ("2.9.3", "Ray 2.9.3 is installed, --ray needs 2.60; pip install '.[scale]'"),
        ("3.0.0", "Ray 3.0.0 is installed, --ray needs 2.60"),
    ],
)
def test_no_ray_or_another_is_told_before_anything_is_made(hp_trt, words, tmp_path, monkeypatch, version, says):
    def found(name: str) -> str:
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(ray_version.metadata, "version", found)
    refused(hp_trt(*words("out", "--ray")), says)
    assert not (tmp_path / "out").exists()


DRIVER = """
import json, pickle, sys
job = pickle.load(sys.stdin.buffer)
tell = lambda **said: print(json.dumps(said), flush=True)
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Puts a program of a few lines in the place of the process that uses Ray."""

    def put(*lines: str) -> None:
        (tmp_path / "driver_of_a_test.py").write_text(DRIVER + "\n".join(lines))
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
        monkeypatch.setattr(scale, "_DRIVER", "driver_of_a_test")
        monkeypatch.setattr(ray_version, "check_ray", lambda what: None)

    return put


def test_a_pair_whose_worker_died_is_listed_and_what_the_others_say_is_kept(hp_trt, words, driver, tmp_path):
    driver('tell(out=job.pairs[0].out, state="failed", error="no face", code=2)', "tell(end=True)")
    ended = hp_trt(*words("out", "--ray"))
    assert ended.code == 1, ended.err
    rows = json.loads((tmp_path / "out/report.json").read_text())["rows"]
    assert [row["error"].partition(",")[0] for row in rows] == ["no face", *["its worker died"] * 3]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (['tell(stop="no Ray at here:1: refused; start it")'], "no Ray at here:1: refused; start it"),
        (["print('head gone', file=sys.stderr)", "sys.exit(1)"], "Ray ended before all clips were made (head gone)"),
        (["sys.exit(0)"], "Ray ended before all clips were made (without a word)"),
    ],
)
def test_what_ends_all_is_one_line_and_the_same_command_goes_on(hp_trt, words, driver, tmp_path, lines, says):
    driver(*lines)
    refused(hp_trt(*words("out", "--ray")), says)
    assert {row["state"] for row in json.loads((tmp_path / "out/report.json").read_text())["rows"]} == {"waiting"}


def test_the_other_process_ends_when_nobody_asks_any_more(words, driver, small_bundle, tmp_path):
    from hp_trt.apps.batch.config import BatchConfig, RayConfig
    from hp_trt.apps.batch.pairs import Pair
    from hp_trt.config import RuntimeConfig

    driver('tell(out="a.mp4", state="made")', "sys.stdin.buffer.read()", f"open({str(tmp_path / 'end')!r}, 'w')")
    config = BatchConfig(
        bundle=small_bundle,
        runtime=RuntimeConfig(),
        portraits=tmp_path / "p",
        drivings=tmp_path / "d",
        out=tmp_path / "out",
        sampling={},
        ray=RayConfig(),
    )
    pairs = [
        Pair(portrait=tmp_path / "p/pa.png", driver=tmp_path / "d/da.mp4", out=name) for name in ("a.mp4", "b.mp4")
    ]
    made = scale.made_by_ray(config, pairs, audio=False)
    assert next(made) == Outcome(out="a.mp4", state="made")
    made.close()
    assert (tmp_path / "end").exists()


@pytest.mark.heavy
def test_by_ray_the_files_are_the_same_bit_for_bit(words, tmp_path):
    pytest.importorskip("ray")
    assert typed(words("here")).returncode == 0
    ended = typed(words("spread", "--ray", "--workers=2"))
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path / "spread") == names(tmp_path / "here") == whole(*CLIPS)
    for name in {name for clip in CLIPS for name in (clip, f"{clip}.json")}:
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


@pytest.mark.heavy
def test_by_ray_clips_are_enlarged_to_the_same_files(words, tmp_path):
    pytest.importorskip("ray")
    larger = [clip.replace(".mp4", "-x2.mp4") for clip in CLIPS]
    assert typed(words("spread")).returncode == 0
    (tmp_path / "spread" / CLIPS[0]).unlink()
    for out, more in (("here", ()), ("spread", ("--ray", "--workers=2"))):
        ended = typed(words(out, "--enhance=shipped:enhancer_pocket", *more))
        assert ended.returncode == 0, ended.stderr
    assert "1 clips made, 3 were done before, 0 failed; 4 enlarged, 0 were before" in ended.stdout
    expected = whole(*CLIPS) | {name for clip in larger for name in (clip, f"{clip}.json")}
    assert names(tmp_path / "spread") == names(tmp_path / "here") == expected
    for name in larger:
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


@pytest.mark.heavy
def test_by_ray_killed_at_three_moments_and_started_again_every_pair_is_there_once(words, tmp_path):
    pytest.importorskip("ray")
    for seed in range(3):
        command = [sys.executable, "-m", "hp_trt", *words("out", "--ray", "--workers=2")]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begin_s, wanted = time.monotonic(), seed + 1
        while not len(list((tmp_path / "out").glob("*.mp4"))) >= wanted and time.monotonic() - begin_s < 120:
            time.sleep(0.2)
        time.sleep(random.Random(seed).uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    ended = typed(words("out", "--ray", "--workers=2", "--json"))
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert all(json.loads(line) for line in ended.stdout.splitlines()), "nothing of Ray's is among them"
    assert names(tmp_path / "out") == whole(*CLIPS)
    assert [frames(tmp_path / "out" / clip) for clip in CLIPS] == [3] * 4
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["clips"] == report["made"] + report["there"] == len(report["rows"]) == 4


@pytest.mark.heavy
def test_a_cluster_that_is_not_there_or_too_small_is_told(words):
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ended = typed(words("out", "--ray", f"--ray-address={address}"))
    assert (
        ended.returncode == 2
        and f"error: no Ray at {address}: [Errno 111] Connection refused; start it" in ended.stderr
    )
    ended = typed([word.replace("--threads=1", "--threads=200") for word in words("out", "--ray")])
    assert (
        ended.returncode == 2 and "error: a worker needs 200 CPU, the largest node of the cluster has" in ended.stderr
    )

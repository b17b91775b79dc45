"""What `animate`, `live` and `demo` write carries its origin, as users get it: the real pipeline, a few frames long."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

import hp_trt.sample as samples
from hp_trt import Provenance, Runtime
from hp_trt.provenance import mark
from hp_trt.provenance.credentials import read_credentials
from hp_trt.provenance.sidecar import read_sidecar
from tests.hp_trt.command_line import refused
from tests.hp_trt.provenance.certificates import make_pair

POCKET, TALK = "shipped:pocket", "shipped:talk_pocket"


class Corner:
    """A mark that is seen: the upper left corner is white."""

    def __init__(self, payload: int) -> None:
        self.payload = payload

    def embed(self, frame: np.ndarray) -> np.ndarray:
        made = frame.copy()
        made[:16, :16] = 255
        return made


@pytest.fixture(autouse=True)
def own_state(sealed, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(mark, "InvisibleMark", Corner)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict[str, Path]:
    """Portrait, driving video and speech of three frames, with where the faces are. Read only."""
    folder = tmp_path_factory.mktemp("drawn")
    portrait, driving = samples.write_sample(folder / "v", frames=3)
    samples.write_speech_sample(folder / "s", frames=3)
    return {"portrait": portrait, "driving": driving, "audio": folder / "s" / samples.SPEECH}


@pytest.fixture
def animate(hp_trt, drawn, tmp_path):
    """`animate` of the drawn video, or of the drawn speech."""

    def run(out: Path, *more, driver="driving"):
        own = ("--steps", 1) if driver == "driving" else ()
        faces = ("--portrait-landmarks", samples.landmarks_beside(drawn["portrait"]))
        if driver == "driving":
            faces += ("--driving-landmarks", samples.landmarks_beside(drawn["driving"]))
        bundle = POCKET if driver == "driving" else TALK
        words = ("--bundle", bundle, "--portrait", drawn["portrait"], f"--{driver}", drawn[driver], "--out", out)
        return hp_trt("animate", *words, *own, *faces, *more)

    return run


def corners(path: Path) -> list[int]:
    """How light each picture's upper left corner is."""
    with av.open(str(path)) as file:
        return [int(frame.to_ndarray(format="rgb24")[4:12, 4:12].mean()) for frame in file.decode(video=0)]


def test_a_clip_its_crop_and_its_sheet_are_sealed_and_verify_says_so(animate, hp_trt, drawn, tmp_path):
    out, crop, sheet = tmp_path / "o.mp4", tmp_path / "c.mkv", tmp_path / "s.png"
    ended = animate(out, "--crop-out", crop, "--sheet", sheet, "--json", "--mark-id", "0A1b2C3d", "--consent", "Mine")
    assert ended.code == 0, ended.err
    *_, result = (json.loads(line) for line in ended.out.splitlines())
    assert result["mark_id"] == "0a1b2c3d"
    for path in (out, crop, sheet):
        found = read_sidecar(path.with_name(f"{path.name}.json"))
        assert (found.mark_id, found.consent, found.licence) == (0x0A1B2C3D, "Mine", "Apache-2.0")
        assert {one.name for one in found.inputs.values()} == {
            "portrait.png", "driving.mp4", "portrait.landmarks.json", "driving.landmarks.json"
        }  # fmt: skip
        text = path.with_name(f"{path.name}.json").read_text()
        assert str(drawn["portrait"].parent) not in text and str(tmp_path) not in text
        said = json.loads(text)
        assert said["seed"] == 72580 and said["sampling"]["steps"] == 1 and said["bundle"]["preset"] == "pocket"
        verified = hp_trt("verify", path)
        assert verified.code == 0 and verified.out.startswith(f"{path}: made by hp-trt, and nothing found here speaks")
    assert min(corners(out)) > 240 and min(corners(crop)) > 240 and min(corners(sheet)) > 240
    assert [read_credentials(path) is None for path in (out, crop, sheet)] == [False, True, False]
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 1
    out.write_bytes(data)
    verified = hp_trt("verify", out, "--json")
    report = json.loads(verified.out)
    assert (verified.code, report["verdict"], report["schema"]) == (3, "broken", 1) and len(report["broken"]) == 2


def test_off_by_name_everything_is_as_it_was(animate, hp_trt, tmp_path, drawn):
    out = tmp_path / "o.mp4"
    ended = animate(out, "--no-mark", "--no-credentials", "--no-sidecar")
    assert ended.code == 0 and ended.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"] and max(corners(out)) < 240
    verified = hp_trt("verify", out)
    assert verified.code == 1 and "nothing of hp-trt was found, which is no proof of anything" in verified.out


def test_what_an_application_gets_as_arrays_is_never_marked(drawn):
    with Runtime(POCKET) as runtime:
        faces = samples.landmarks_beside(drawn["driving"])
        who = runtime.portrait(drawn["portrait"], landmarks=samples.landmarks_beside(drawn["portrait"]))
        frames = list(runtime.frames(who, drawn["driving"], landmarks=faces, steps=1))
    assert len(frames) == 3 and all(frame.full()[:16, :16].max() < 250 for frame in frames)


@pytest.mark.slow
def test_a_portrait_that_speaks_is_sealed_and_by_the_users_own_key(animate, hp_trt, tmp_path):
    pair, out = make_pair(tmp_path / "pair"), tmp_path / "talk.mp4"
    ended = animate(out, "--sign-chain", pair.chain, "--sign-key", pair.key, "--label", driver="audio")
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair", "talk.mp4", "talk.mp4.json"]
    verified = hp_trt("verify", out, "--anchor", pair.anchor)
    assert verified.code == 0 and "credentials: trusted, signed by A signer, claimed by hp-trt" in verified.out
    found = read_sidecar(tmp_path / "talk.mp4.json")
    assert set(found.inputs) == {"portrait", "speech", "portrait landmarks"} and found.signer == "A signer"


@pytest.mark.slow
def test_samples_and_an_encoded_portrait_are_hashed_as_what_they_are(drawn, tmp_path):
    from PIL import Image

    face = np.asarray(Image.open(drawn["portrait"]).convert("RGB"))
    sound = np.zeros(4800, np.float32), 16_000
    options = Provenance(credentials=False, mark_id=3)
    with Runtime(TALK) as runtime:
        who = runtime.portrait(face, landmarks=samples.landmarks_beside(drawn["portrait"]))
        made = runtime.animate(who, out=tmp_path / "o.mp4", audio=sound, provenance=options)
        lost = replace(who, path=tmp_path / "gone.png")
        runtime.animate(lost, out=tmp_path / "p.mp4", audio=sound, provenance=options)
    assert made.seal.mark_id == 3
    one, two = (read_sidecar(tmp_path / f"{name}.mp4.json").inputs for name in "op")
    assert one["portrait"].of == "picture" and one["speech"].of == "samples" and one == two


@pytest.mark.slow
def test_a_live_recording_is_sealed_and_a_stream_says_what_it_has(hp_trt, drawn, tmp_path):
    words = ("live", "--bundle", POCKET, "--portrait", drawn["portrait"], "--driving", drawn["driving"])
    words += ("--portrait-landmarks", samples.landmarks_beside(drawn["portrait"]), "--pace", "fast", "--seed", 5)
    words += ("--driving-landmarks", samples.landmarks_beside(drawn["driving"]))
    ended = hp_trt(*words, "--out", tmp_path / "live.mp4", "--mark-id", "00000009", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out.splitlines()[-1])["mark_id"] == "00000009"
    assert read_credentials(tmp_path / "live.mp4").mark_ids == (9,) and min(corners(tmp_path / "live.mp4")) > 240
    said = json.loads((tmp_path / "live.mp4.json").read_text())
    assert said["seed"] == 5 and said["profile"] == "live" and said["inputs"]["driving video"]["name"] == "driving.mp4"
    ended = hp_trt(*words, "--out", "null:")
    assert ended.code == 0 and "mark" not in ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--mark-id", "xyz"), "--mark-id is 8 hex digits, as 0a1b2c3d, got 'xyz'"),
        (("--mark-id", "0a1b2c3d", "--no-mark"), "mark_id is of the mark, and mark is False"),
        (("--sign-key", "k.pem"), "sign_key needs the certificates that belong to it"),
        (("--consent", "x" * 2001), "consent must be a line of 1 to 2000 printable letters"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(animate, tmp_path, words, says):
    refused(animate(tmp_path / "o.mp4", *words), says)
    assert list(tmp_path.iterdir()) == []


def test_a_json_file_of_the_users_beside_the_result_is_not_replaced(animate, tmp_path):
    mine = tmp_path / "s.png.json"
    mine.write_text('{"mine": 1}')
    refused(animate(tmp_path / "o.mp4", "--sheet", tmp_path / "s.png"), "s.png.json is there and is no sidecar of ours")
    assert mine.read_text() == '{"mine": 1}' and [path.name for path in tmp_path.iterdir()] == ["s.png.json"]


def test_the_help_shows_what_files_carry_together_and_below_the_rest(hp_trt):
    text = hp_trt("animate", "--help").out
    head, below = text.split("What files carry of their origin (docs/provenance.md):")
    for option in (
        "--no-mark",
        "--no-credentials",
        "--no-sidecar",
        "--label",
        "--mark-id",
        "--consent",
        "--sign-chain",
    ):
        assert option in below and option not in head
    assert "--bundle" in head and "--bundle" not in below

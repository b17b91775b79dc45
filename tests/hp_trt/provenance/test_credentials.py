"""Credentials against c2pa's own reader, and against every byte of a small file."""

from __future__ import annotations

import io
import json
import struct
import subprocess
from collections import Counter
from pathlib import Path

import av
import c2pa
import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from PIL import Image

from engines.errors import InputError, OutputError
from hp_trt.provenance.credentials import FORMATS, Claim, read_credentials, sign_file, try_signer
from hp_trt.provenance.signing import Signer, anchors, callback_signer, local_signer, user_signer
from tests.hp_trt.clips import make_clip
from tests.hp_trt.provenance.certificates import KEYS, make_pair

CLAIM = {"version": "0.1.0", "portrait": "a" * 64, "driver": ("speech", "b" * 64), "mark_id": 0x0A1B2C3D}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, Path]:
    """By ending, files without credentials: videos with sound, a picture. Read only."""
    folder = tmp_path_factory.mktemp("plain")
    made = {ending: make_clip(folder / f"x{ending}", 8, audio="aac") for ending in (".mp4", ".mov")}
    rng = np.random.default_rng(5)
    made[".png"] = folder / "x.png"
    Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).save(made[".png"])
    return made


def sign(source: Path, target: Path, signer: Signer, **changes) -> Path:
    target.write_bytes(b"what was there before, which is longer than nothing")
    sign_file(source, target, Claim(**({"title": target.name} | CLAIM | changes)), signer)
    return target


def theirs(data: bytes, kind: str, **trust: str) -> dict:
    """What the library's own reader says, without our settings."""
    settings = {"version": 1, "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    context = c2pa.Context.from_dict(settings | ({"trust": trust} if trust else {}))
    return json.loads(c2pa.Reader(kind, io.BytesIO(data), context=context).json())


def played(path: Path) -> list[tuple]:
    """Every picture and every piece of sound that a player gets, with their times."""
    with av.open(str(path)) as file:
        return [(type(frame).__name__, frame.pts, frame.to_ndarray().tobytes()) for frame in file.decode()]


@pytest.mark.parametrize("ending", FORMATS)
def test_a_signed_file_is_valid_trusted_with_the_anchor_and_says_what_it_is(tmp_path, plain, pair, ending):
    made = sign(plain[ending], tmp_path / f"out{ending}", user_signer(pair.chain, pair.key))
    found, trusted = read_credentials(made), read_credentials(made, anchors(pair.anchor))
    assert (found.state, trusted.state) == ("valid", "trusted")
    assert found.signer == "A signer" and found.are_ours and found.hold
    assert found.why == ("signingCredential.untrusted",) and trusted.why == ()
    assert found.source_types == ("compositeWithTrainedAlgorithmicMedia",) and found.mark_ids == (0x0A1B2C3D,)
    said = theirs(made.read_bytes(), FORMATS[ending], user_anchors=pair.anchor.read_text())
    assert said["validation_state"] == "Trusted"
    active = said["manifests"][said["active_manifest"]]
    assert [one["title"] for one in active["ingredients"]] == ["portrait", "speech"]
    assert [one["instance_id"] for one in active["ingredients"]] == [f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"]
    (created,) = next(a for a in active["assertions"] if a["label"] == "c2pa.actions.v2")["data"]["actions"]
    assert created["action"] == "c2pa.created" and created["softwareAgent"] == {"name": "hp-trt", "version": "0.1.0"}
    assert len(created["parameters"]["ingredients"]) == 2


@pytest.mark.parametrize("ending", FORMATS)
def test_no_thumbnail_no_time_stamp_and_no_more_than_some_kilobytes(tmp_path, plain, pair, ending):
    made = sign(plain[ending], tmp_path / f"out{ending}", user_signer(pair.chain, pair.key))
    data = made.read_bytes()
    assert b"thumbnail" not in data and b"sigTst" not in data
    assert len(data) < plain[ending].stat().st_size + 6_000


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_video_and_sound_play_as_before(tmp_path, plain, pair, ending):
    made = sign(plain[ending], tmp_path / f"out{ending}", user_signer(pair.chain, pair.key))
    before = played(plain[ending])
    assert played(made) == before and {kind for kind, *_ in before} == {"VideoFrame", "AudioFrame"}


def test_a_picture_is_the_same_picture(tmp_path, plain, pair):
    made = sign(plain[".png"], tmp_path / "out.png", user_signer(pair.chain, pair.key))
    assert (np.asarray(Image.open(made)) == np.asarray(Image.open(plain[".png"]))).all()


def boxes(data: bytes) -> dict[bytes, tuple[int, int]]:
    """The boxes at the top of an mp4, without their headers' sizes in 64 bits, which small ones have not."""
    found, at = {}, 0
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        found[bytes(data[at + 4 : at + 8])] = (at, at + size)
        at += size
    return found


def test_after_any_changed_byte_of_pictures_sound_or_index_it_is_never_valid(tmp_path, plain, pair):
    data = bytearray(sign(plain[".mp4"], tmp_path / "out.mp4", user_signer(pair.chain, pair.key)).read_bytes())
    places = boxes(data)
    changed = tmp_path / "changed.mp4"
    states: Counter[str] = Counter()
    numbers = [n for kind in (b"mdat", b"moov") for n in range(*places[kind])]
    for number in numbers[:16] + numbers[16::13]:  # every 13th: 20 s of a core for all of them
        data[number] ^= 0x40
        changed.write_bytes(data)
        found = read_credentials(changed)
        states[found.state if found else "none"] += 1
        data[number] ^= 0x40
    assert states["invalid"] > 100 and not states["valid"] and not states["trusted"] and not states["none"], states


@pytest.mark.parametrize("change", [lambda d: d[:-100], lambda d: d + b"\0" * 64, lambda d: d[: len(d) // 2]])
def test_what_is_cut_off_or_has_more_behind_it_is_not_valid(tmp_path, plain, pair, change):
    made = sign(plain[".mp4"], tmp_path / "out.mp4", user_signer(pair.chain, pair.key))
    made.write_bytes(change(made.read_bytes()))
    found = read_credentials(made)
    assert found is not None and not found.hold


def test_pictures_put_behind_anothers_credentials_are_invalid(tmp_path, plain, pair):
    signer = user_signer(pair.chain, pair.key)
    one = sign(plain[".mp4"], tmp_path / "one.mp4", signer).read_bytes()
    other = make_clip(tmp_path / "other.mp4", 8, audio="aac", size=(64, 32)).read_bytes()
    places, theirs_at = boxes(one), boxes(other)
    behind = other[theirs_at[b"ftyp"][1] :]
    mixed = tmp_path / "mixed.mp4"
    mixed.write_bytes(one[: places[b"uuid"][1]] + behind)
    assert read_credentials(mixed).state == "invalid"


def test_files_without_credentials_have_none_whatever_they_are(tmp_path, plain):
    strange = {"empty.mp4": b"", "text.mp4": b"no video " * 100, "zeros.png": bytes(5000), "x.mkv": b"\x1a\x45\xdf\xa3"}
    for name, content in strange.items():
        (tmp_path / name).write_bytes(content)
    made = [*plain.values(), *(tmp_path / name for name in strange), make_clip(tmp_path / "real.mkv", 3)]
    assert [read_credentials(path) for path in made] == [None] * len(made)


@pytest.mark.parametrize("algorithm", KEYS)
def test_every_kind_of_key_makes_credentials_that_are_trusted_with_its_anchor(tmp_path, plain, algorithm):
    own = make_pair(tmp_path / "own", algorithm)
    signer = user_signer(own.chain, own.key)
    try_signer(signer)
    made = sign(plain[".png"], tmp_path / "out.png", signer)
    assert read_credentials(made, anchors(own.anchor)).state == "trusted"


def test_the_local_key_is_valid_named_unverified_and_trusted_with_its_own_anchor_alone(tmp_path, plain, pair):
    made = sign(plain[".mp4"], tmp_path / "out.mp4", local_signer())
    assert read_credentials(made).signer == "hp-trt local, unverified"
    own = tmp_path / "state" / "hp-trt" / "local-anchor.pem"
    assert read_credentials(made, anchors(own)).state == "trusted"
    assert read_credentials(made, anchors(pair.anchor)).state == "valid"


def test_a_function_that_signs_may_give_der_or_r_and_s(tmp_path, plain, pair):
    key = load_pem_private_key(pair.key.read_bytes(), None)

    def der(data: bytes) -> bytes:
        return key.sign(data, ec.ECDSA(hashes.SHA256()))

    def plainly(data: bytes) -> bytes:
        return b"".join(number.to_bytes(32) for number in utils.decode_dss_signature(der(data)))

    for number, function in enumerate((der, plainly)):
        made = sign(plain[".png"], tmp_path / f"{number}.png", callback_signer(pair.chain, function))
        assert read_credentials(made, anchors(pair.anchor)).state == "trusted"


def broken(data: bytes) -> bytes:
    raise RuntimeError("the device is gone")


def interrupted(data: bytes) -> bytes:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (broken, "A signer cannot sign: the signing function failed .the device is gone.; sign with another key"),
        (lambda data: None, "it gave a NoneType, needed bytes"),
        (lambda data: b"", "it gave a bytes, needed bytes"),
        (lambda data: b"x" * 64, "signature does not match"),
        (lambda data: b"x" * 10**6, "A signer cannot sign"),
    ],
)
def test_a_function_that_cannot_sign_is_told_before_the_work(pair, function, says):
    with pytest.raises(InputError, match=says):
        try_signer(callback_signer(pair.chain, function))


def test_ctrl_c_while_a_device_waits_for_its_button_is_ctrl_c(pair):
    with pytest.raises(KeyboardInterrupt):
        try_signer(callback_signer(pair.chain, interrupted))


def test_a_certificate_for_another_use_is_told_before_the_work(tmp_path):
    from cryptography.x509.oid import ExtendedKeyUsageOID

    bad = make_pair(tmp_path / "bad", usage=ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(InputError, match="A signer cannot sign: it could not be signed"):
        try_signer(user_signer(bad.chain, bad.key))


def test_a_file_that_is_no_such_file_is_not_signed(tmp_path, pair):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(OutputError, match=r"it could not be signed .*; sign with another key, or leave signing out"):
        sign(tmp_path / "text.mp4", tmp_path / "out.mp4", user_signer(pair.chain, pair.key))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_told_as_the_system_says_it(plain, pair):
    with pytest.raises(OSError, match="No space left on device"):
        sign_to_full(plain[".mp4"], user_signer(pair.chain, pair.key))


def sign_to_full(source: Path, signer: Signer) -> None:
    from hp_trt.provenance.credentials import _sign

    with source.open("rb") as read, open("/dev/full", "r+b", buffering=0) as written:
        _sign(read, written, Claim(title="out.mp4", **CLAIM), signer)


def test_an_anchor_that_is_none_is_told(tmp_path, plain):
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(InputError, match="has no certificates that can be read"):
        anchors(tmp_path / "text.pem")


def test_nothing_of_it_is_loaded_before_it_is_needed():
    program = "import hp_trt.provenance.verify, hp_trt.api, sys; print({'c2pa', 'cryptography'} & sys.modules.keys())"
    import sys

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"

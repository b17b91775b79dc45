"""Every byte of files that we sign, changed; and changes that the library itself calls valid."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import av
import c2pa
import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError, OutputError
from hp_trt.provenance import left_open
from hp_trt.provenance.credentials import Claim, read_credentials, sign_file, try_signer
from hp_trt.provenance.signing import Signer, user_signer
from hp_trt.streams.file_sink import _FRAGMENTS
from tests.hp_trt.clips import make_clip, picture

KINDS = ("clip.mp4", "clip.mov", "recorded.mp4", "recorded.mov", "picture.png")
_SMALL = 64  # bytes: of such a box each is tried


def recorded(path: Path) -> Path:
    """A recording as live mode writes it: fragments, and complete in the end."""
    with av.open(str(path), "w", options=_FRAGMENTS) as made:
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 16, "yuv420p"
        for number in range(30):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, 32, 16))))
        made.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def signer(pair) -> Signer:
    return user_signer(pair.chain, pair.key)


@pytest.fixture(scope="module")
def signed(tmp_path_factory, signer) -> dict[str, bytes]:
    """By kind, what we sign. Read only."""
    folder = tmp_path_factory.mktemp("signed")
    (folder / "made").mkdir()
    for name in KINDS:
        if name.endswith("png"):
            noise = np.random.default_rng(5).integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(noise).save(folder / name)
        elif name.startswith("recorded"):
            recorded(folder / name)
        else:
            make_clip(folder / name, 3, audio="aac")
        (folder / "made" / name).touch()
        claim = Claim(title=name, version="0.1.0", portrait="a" * 64, driver=("speech", "b" * 64), mark_id=0x0A1B2C3D)
        sign_file(folder / name, folder / "made" / name, claim, signer)
    return {name: (folder / "made" / name).read_bytes() for name in KINDS}


def told(tmp_path: Path, data: bytes):
    """What is said of a file of these bytes. The kind is not told by its name."""
    (tmp_path / "x").write_bytes(data)
    return read_credentials(tmp_path / "x")


def boxes(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes at the top and all of the manifests'."""
    while begin < end:
        size, kind = int.from_bytes(data[begin : begin + 4]), data[begin + 4 : begin + 8]
        inside = begin + 8 if kind == b"jumb" else begin + 45 if kind == b"uuid" else None
        if inside is not None:
            yield from boxes(data, inside, begin + size)
        yield kind, begin, begin + size
        begin += size


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] == b"caBX":
            yield from boxes(data, at + 8, end - 4)
        yield data[at + 4 : at + 8], at, end
        at = end


def places(data: bytes, step: int) -> list[int]:
    """Each byte of small boxes and chunks, the first and the last of large ones, and each `step`th of all."""
    found = {*range(8), *range(0, len(data), step)}
    for _, begin, end in chunks(data) if data.startswith(b"\x89PNG") else boxes(data, 0, len(data)):
        small = end - begin <= _SMALL
        found |= set(range(begin, end)) if small else {*range(begin, begin + 12), end - 1}
    return sorted(found)


def unnoticed(tmp_path: Path, whole: bytes, at: list[int], mask) -> list[int]:
    """The places where another byte, by a mask of the place, leaves a file that holds or has no credentials."""
    data, path, found = bytearray(whole), tmp_path / "x", []
    for number in at:
        data[number] ^= mask(number)
        path.write_bytes(data)
        said = read_credentials(path)
        if said is None or said.hold:
            found.append(number)
        data[number] ^= mask(number)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_byte_of_any_box_is_found(signed, tmp_path, kind):
    assert told(tmp_path, signed[kind]).hold
    some = places(signed[kind], 97)
    assert len(some) > 300
    assert not unnoticed(tmp_path, signed[kind], some, lambda number: 1 << number % 8)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
def test_any_changed_byte_is_found(signed, tmp_path, kind):
    every = list(range(len(signed[kind])))
    assert not unnoticed(tmp_path, signed[kind], every, lambda number: 1 << number * 5 % 8)


OPEN = "changed after it was signed, the boxes that C2PA's hash leaves out"


@pytest.mark.parametrize("kind", KINDS[:4])
def test_another_brand_or_a_box_more_which_the_library_calls_valid_are_told(signed, tmp_path, kind):
    data = signed[kind]
    for made in (data[:8] + b"abcd" + data[12:], data + struct.pack(">I4s", 20, b"free") + b"any content!"):
        assert json.loads(c2pa.Reader("video/mp4", io.BytesIO(made)).json())["validation_state"] == "Valid"
        found = told(tmp_path, made)
        assert found.state == "invalid" and found.why[0].startswith(OPEN)


def with_store(data: bytes, change) -> bytes:
    """The file with its manifest store changed, of the same size, and all around it made to fit."""
    png = data.startswith(b"\x89PNG")
    begin = data.index(b"caBX") + 4 if png else data.index(b"uuid") + 41
    end = begin + int.from_bytes(data[begin : begin + 4])
    store = change(data[begin:end])
    assert len(store) == end - begin
    if png:
        return data[:begin] + store + zlib.crc32(b"caBX" + store).to_bytes(4) + data[end + 4 :]
    return data[:begin] + store + data[end:]


def hidden(store: bytes) -> bytes:
    at = store.index(b"\xa1cpadY") + 8
    return store[:at] + b"a message" + store[at + 9 :]


def relabelled(store: bytes) -> bytes:
    return store.replace(b"\x03c2pa.assertions\0", b"\x03c2pa.opinions!!\0", 1)


def twin(store: bytes) -> bytes:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return store[:-32] + (order - int.from_bytes(store[-32:])).to_bytes(32)


@pytest.mark.parametrize("kind", ["clip.mp4", "clip.mov", "picture.png"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (hidden, "the padding beside the signature is not zeros"),
        (relabelled, "the box of c2pa.assertions is described as something else"),
        (twin, "the signature is the other one of two that hold"),
    ],
)
def test_a_store_of_another_form_which_the_library_calls_valid_is_told(signed, tmp_path, kind, change, says):
    made = with_store(signed[kind], change)
    assert json.loads(c2pa.Reader(None, io.BytesIO(made)).json())["validation_state"] == "Valid"
    found = told(tmp_path, made)
    assert found.state == "invalid" and found.are_ours
    assert found.why[0].startswith("changed after it was signed, ") and says in found.why[0]


def test_credentials_that_nobody_finds_any_more_are_told(signed, tmp_path):
    for name, at in (("clip.mp4", b"uuid"), ("picture.png", b"caBX"), ("clip.mp4", b"ftyp"), ("picture.png", b"PNG")):
        found = told(tmp_path, signed[name].replace(at, at.swapcase(), 1))
        assert found.state == "invalid" and "manifests begin near byte" in found.why[0]


def test_a_file_that_somebody_else_signed_is_not_asked_for_our_assertion(signed, tmp_path, pair):
    folder = tmp_path / "theirs"
    folder.mkdir()
    clip = make_clip(folder / "x.mp4", 3).read_bytes()
    about = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, pair.chain.read_bytes(), pair.key.read_bytes(), None)
    created = {"action": "c2pa.created", "digitalSourceType": "http://c2pa.org/digitalsourcetype/empty"}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
    made = io.BytesIO()
    signs = c2pa.Signer.from_info(about)
    c2pa.Builder({"claim_generator_info": [{"name": "other"}], "assertions": [actions]}).sign(
        signs, "video/mp4", io.BytesIO(clip), made
    )
    data = made.getvalue()
    for one in (data, data[:8] + b"abcd" + data[12:], with_store(data, hidden)):
        assert told(tmp_path, one).state == "valid"


def test_a_library_that_signs_in_another_form_is_told_before_the_work_and_signs_nothing(tmp_path, signer, monkeypatch):
    def other(store: bytes, algorithm: str) -> None:
        raise ValueError("the box of c2pa.claim.v3 is new")

    monkeypatch.setattr(left_open, "check_form", other)
    with pytest.raises(InputError, match=r"signs in a form that hp-trt does not know: the box of c2pa.claim.v3 is new"):
        try_signer(signer)
    clip = make_clip(tmp_path / "x.mp4", 3)
    (tmp_path / "out.mp4").touch()
    claim = Claim(title="out.mp4", version="0", portrait=None, driver=("speech", None), mark_id=None)
    with pytest.raises(OutputError, match=r"pip install '.\[provenance\]' in a checkout of hp-trt, or leave signing"):
        sign_file(clip, tmp_path / "out.mp4", claim, signer)


@pytest.mark.parametrize("content", [b"no box at all", struct.pack(">I4s", 4, b"ftyp"), bytes(3)])
def test_what_is_no_row_of_boxes_is_refused(content):
    with pytest.raises(ValueError, match="the box at byte 0 does not end where the file does or before"):
        left_open.digest(io.BytesIO(content))


def test_sizes_in_64_bits_and_to_the_end_are_read():
    long = struct.pack(">I4sQ", 1, b"free", 20) + b"abcd"
    rest = struct.pack(">I4s", 0, b"mdat") + b"pictures"
    one, other = (left_open.digest(io.BytesIO(long + rest + more)) for more in (b"", b"more"))
    assert one == other != left_open.digest(io.BytesIO(rest))


def test_a_million_boxes_are_not_looked_at():
    with pytest.raises(ValueError, match="it has more than 10000 boxes"):
        left_open.digest(io.BytesIO(struct.pack(">I4s", 8, b"wide") * 20_000))

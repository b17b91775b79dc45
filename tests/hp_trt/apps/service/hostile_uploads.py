"""Uploads that mean harm, to a service of its own process: `python -m tests.hp_trt.apps.service.hostile_uploads`.

Upload N of a seed is the same everywhere. Each is answered once, by 201 or 200 where it is a picture or video after
all, else by one problem; nothing of a file that it names is read; the process's memory stays bounded, and it lives.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.attack.hostile import damaged
from tests.hp_trt.apps.service.conftest import picture, write_video
from tests.hp_trt.apps.service.process import Process, most_resident_bytes, resident_bytes

SECRET = b"this-is-a-secret-of-the-machine"
MOST_GROWTH = 700_000_000  # bytes: two pictures of the gate's limit are decoded at a time, 256 MB each
_SCRIPTS = (
    "ffconcat version 1.0\nfile '{secret}'\n",
    "\ufeffffconcat version 1.0\nfile {secret}\n",
    "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{secret}\n#EXT-X-ENDLIST\n",
    "#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:{port}/metrics\n#EXT-X-ENDLIST\n",
    '<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{secret}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
    '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{secret}"/></svg>',
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
    "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    "%!PS\n({secret}) (r) file 1000 string readstring pop print\n",
    "push graphic-context\nviewbox 0 0 1 1\nimage over 0,0 0,0 '{secret}'\npop graphic-context\n",
    "[playlist]\nFile1={secret}\nNumberOfEntries=1\n",
    "<html><script>alert(1)</script></html>",
    '{{"__metadata__": {{"format": "hp-trt motion"}}, "tokens": {{"dtype": "F32", "shape": [999999999, 999999999],'
    ' "data_offsets": [0, 9999999999999]}}}}',
)


@dataclass
class Found:
    """What came of all uploads."""

    answers: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    growth_bytes: int = 0


def run(folder: Path, *, uploads: int, seed: int = 0, bundle: str = "shipped:pocket") -> Found:
    """Send so many to a service in `folder`."""
    secret, found = folder / "secret.png", Found()
    secret.write_bytes(picture(77, 16) + SECRET)
    video = write_video(folder / "v.mp4", 5).read_bytes()
    limits: dict[str, int] = dict.fromkeys(("picture_bytes", "video_bytes", "verify_bytes"), 5_000_000)
    limits |= {"kept_items_per_token": 10_000}
    with Process(folder / "state", bundle=bundle, limits=limits) as service:
        service.client.post("/v1/portraits", content=picture(5))  # what is loaded once is loaded
        service.client.post("/v1/motions", content=video)
        before = resident_bytes(service.process.pid)
        for number in range(uploads):
            rng = random.Random(f"{seed} {number}")
            name, body, headers = _upload(rng, video, secret, service.port)
            path = rng.choice(("/v1/portraits", "/v1/motions", "/v1/verify"))
            answer = service.client.post(path, content=body, headers=headers)
            found.answers[answer.status_code] += 1
            found.wrong += [f"{number} {name}: {why}" for why in _wrong(answer, secret)]
        found.growth_bytes = most_resident_bytes(service.process.pid) - before
        if service.client.get("/readyz").status_code != 200:
            found.wrong.append("the service is not ready any more")
        if "Traceback" in service.errors():
            found.wrong.append(service.errors()[-2000:])
    kept = [path for path in (folder / "state").rglob("*") if path.is_file() and path.name == "file"]
    found.wrong += [f"{path} holds the secret" for path in kept if SECRET in path.read_bytes()]
    found.wrong += [f"{path} was left" for path in (folder / "state" / "incoming").iterdir()]
    if found.growth_bytes > MOST_GROWTH:
        found.wrong.append(f"memory grew by {found.growth_bytes} bytes")
    return found


def _wrong(answer, secret: Path) -> list[str]:
    said = answer.text
    wrong = [f"it tells {word}" for word in (str(secret.parent), "Traceback", SECRET.decode()) if word in said]
    if answer.status_code in (200, 201):
        return wrong
    if not 400 <= answer.status_code < 500:
        return [*wrong, f"{answer.status_code}: {said[:300]}"]
    if answer.headers["content-type"] != "application/problem+json" or "detail" not in json.loads(said):
        wrong.append(f"no problem: {said[:300]}")
    return wrong


def _upload(rng: random.Random, video: bytes, secret: Path, port: int) -> tuple[str, bytes, dict[str, str]]:
    """What it is, the body, and its headers."""
    kinds: list[tuple[str, Callable[[], bytes]]] = [
        ("script", lambda: rng.choice(_SCRIPTS).format(secret=secret, port=port).encode()),
        ("damaged picture", lambda: damaged(rng.choice(_pictures()), rng)[1]),
        ("damaged video", lambda: damaged(video, rng)[1]),
        ("bomb", lambda: _bomb(rng)),
        ("polyglot", lambda: _polyglot(rng, video, secret)),
        ("an encoded file", lambda: _encoded(rng)),
        ("noise", lambda: rng.randbytes(rng.choice((1, 12, 1000, 100_000)))),
        ("zeros", lambda: bytes(rng.choice((1, 64, 1_000_000)))),
        ("too large", lambda: bytes(5_000_001)),
        ("a name of a file", lambda: str(secret).encode()),
    ]
    name, make = rng.choice(kinds)
    body = make()
    if rng.random() < 0.3:
        return f"{name} in a form", *_form(rng, body)
    kind = rng.choice(("image/png", "video/mp4", "audio/wav", "text/html", "application/x-sh", "", "multipart/mixed"))
    return name, body, {"content-type": kind}


def _encoded(rng: random.Random) -> bytes:
    """A motion or portrait file that says to have what it has not, or is damaged on its way."""
    huge, word = rng.choice((0, 3, 10**9, 2**62, -1)), rng.choice(("hp-trt motion", "hp-trt portrait", "pt", ""))
    about = {"schema": 1, "hp_trt": "0", "model": "hunyuanportrait", "graphs": {}, "notes": [], "of": {"frames": huge}}
    header: dict[str, object] = {"__metadata__": {"format": word, "about": json.dumps(about), "sha256": "0" * 64}}
    for name in ("tokens", "ticks", "picture", "latents"):
        offsets = rng.choice(([0, 8], [0, 2**62], [-8, 0], [8, 0], [0, 10**13]))
        header[name] = {"dtype": rng.choice(("F32", "I64", "U8", "O")), "shape": [huge, 8], "data_offsets": offsets}
    text = json.dumps(header).encode()
    length = rng.choice((len(text), len(text) + 1, 1 << 19, 1 << 63, 2))
    whole = length.to_bytes(8, "little") + text + bytes(rng.choice((0, 8, 1000)))
    return damaged(whole, rng)[1] if rng.random() < 0.3 else whole


def _form(rng: random.Random, body: bytes) -> tuple[bytes, dict[str, str]]:
    name = rng.choice(("../../../etc/passwd", "a\\b.png", "x" * 300, "%00", "con", "a.png"))
    head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    whole = head + body + b"\r\n--B--\r\n"
    if rng.random() < 0.4:
        whole = damaged(whole, rng)[1]
    return whole, {"content-type": "multipart/form-data; boundary=B"}


def _pictures() -> list[bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    made = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000"):
        out = io.BytesIO()
        noise.save(out, kind)
        made.append(out.getvalue())
    return made


def _bomb(rng: random.Random) -> bytes:
    """A PNG that says to be larger than it is: 60 kB of zeros are as many pixels as one likes."""
    width, height = rng.choice(((40_000, 40_000), (2**31 - 1, 1), (65_535, 65_535), (8_000, 7_900), (1, 2**31 - 1)))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    squeezed = zlib.compress(bytes(min(width * height * 3 + height, 60_000_000)), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


def _polyglot(rng: random.Random, video: bytes, secret: Path) -> bytes:
    """Two kinds of file in one."""
    script = f"\nffconcat version 1.0\nfile '{secret}'\n".encode()
    pictures = _pictures()
    return rng.choice(
        (
            rng.choice(pictures) + video,
            video + rng.choice(pictures),
            rng.choice(pictures) + script,
            script + rng.choice(pictures),
            b"GIF89a/*" + script + b"*/=1;alert(1)",
            b"PK\x03\x04" + rng.choice(pictures),
            rng.choice(pictures)[:20] + video,
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--uploads", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for bundle in ("shipped:pocket", "shipped:talk_pocket"):
        with tempfile.TemporaryDirectory() as folder:
            found = run(Path(folder), uploads=options.uploads, seed=options.seed, bundle=bundle)
        print(f"{bundle}: {dict(found.answers)}, memory grew by {found.growth_bytes / 1e6:.0f} MB at most")
        print(*found.wrong, sep=os.linesep)
        if found.wrong:
            raise SystemExit(1)


if __name__ == "__main__":
    main()

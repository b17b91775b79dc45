"""A live session over the socket: pictures go in as a camera takes them, animated ones come back.

    python examples/live_client.py ADDRESS PORTRAIT VIDEO OUT_FOLDER [--frames N] [--token TOKEN]

ADDRESS is where `hp-trt serve` listens, as http://127.0.0.1:7860. VIDEO stands for a camera, again and again from its
beginning, and OUT_FOLDER, which gets a JPEG for every frame, for a window. docs/live-protocol.md says what is said.
It needs `pip install websockets pillow av`, and nothing of hp-trt.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from PIL import Image
from websockets.sync.client import connect
from websockets.typing import Subprotocol

HEADER = struct.Struct(">BBHIqq")  # kind, codec, zero, sequence, time in us, latency in us
PICTURE, PORTRAIT = 1, 3
JPEG, PNG = 1, 2


def begin(address: str, token: str | None) -> dict[str, Any]:
    """Ask for a session: its socket, and the ticket that opens it once."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(f"{address}/v1/live", b"", headers)) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def jpeg(image: Image.Image) -> bytes:
    made = io.BytesIO()
    image.convert("RGB").save(made, "JPEG", quality=90)
    return made.getvalue()


def png(file: Path) -> bytes:
    made = io.BytesIO()
    Image.open(file).convert("RGB").save(made, "PNG")
    return made.getvalue()


def camera(video: Path) -> Iterator[bytes]:
    while True:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                yield jpeg(Image.fromarray(frame.to_ndarray(format="rgb24")))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    for name in ("portrait", "video", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--frames", type=int, default=50, help="end when so many have come back")
    parser.add_argument("--rate", type=float, default=12.5, help="pictures a second")
    parser.add_argument("--token")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    session = begin(options.address, options.token)
    words = [Subprotocol("hp-trt.live.1"), Subprotocol(f"ticket.{session['ticket']}")]
    pictures, sequence, until, shown = camera(options.video), 0, 0, 0
    due_s = time.monotonic()
    with connect(options.address.replace("http", "ws", 1) + session["socket"], subprotocols=words) as socket:
        socket.send(json.dumps({"type": "hello", "version": 1, "media": "socket"}))
        while shown < options.frames:
            now_s = time.monotonic()
            if sequence < until and now_s >= due_s:
                socket.send(HEADER.pack(PICTURE, JPEG, 0, sequence, int(now_s * 1e6), 0) + next(pictures))
                sequence, due_s = sequence + 1, max(due_s + 1 / options.rate, now_s)
            try:  # without credit there is nothing to do but listen
                message = socket.recv(timeout=max(due_s - now_s, 0) if sequence < until else None)
            except TimeoutError:
                continue
            if isinstance(message, bytes):
                kind, _, _, number, time_us, _ = HEADER.unpack_from(message)
                if kind == PICTURE:
                    (options.out / f"{number:05}.jpg").write_bytes(message[HEADER.size :])
                    shown += 1
                    print(f"frame {number}: {time.monotonic() - time_us / 1e6:.2f} s there and back", file=sys.stderr)
                continue
            said = json.loads(message)
            if said["type"] == "welcome" and not said["portrait"]:
                socket.send(HEADER.pack(PORTRAIT, PNG, 0, 0, 0, 0) + png(options.portrait))
            elif said["type"] == "credit":
                until = said["until"]
            elif said["type"] in ("note", "error", "bye"):
                print(said.get("text") or said["detail"], file=sys.stderr)
                if said["type"] != "note":
                    return 1
        socket.send(json.dumps({"type": "bye"}))
    print(f"{shown} frames")
    return 0


if __name__ == "__main__":
    sys.exit(main())

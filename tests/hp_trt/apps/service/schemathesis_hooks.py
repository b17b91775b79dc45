"""For schemathesis: bodies that are pictures and videos, and ids of what is there, beside those that it makes itself.

HP_TRT_FUZZ_IDS in the environment: ids that the service knows, parted by commas.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

from tests.hp_trt.apps.service.conftest import picture, write_video

IDS = [name for name in os.environ.get("HP_TRT_FUZZ_IDS", "").split(",") if name]
with tempfile.TemporaryDirectory() as folder:
    VIDEOS = [write_video(Path(folder) / f"{frames}.mp4", frames).read_bytes() for frames in (1, 3, 12)]
schemathesis.openapi.media_type("image/*", st.integers(0, 40).map(picture) | st.binary(max_size=200))
for moving in ("image/gif", "image/apng"):
    schemathesis.openapi.media_type(moving, st.sampled_from(VIDEOS) | st.binary(max_size=200))
schemathesis.openapi.media_type("video/*", st.sampled_from(VIDEOS) | st.binary(max_size=200))
LINES = st.sampled_from(
    ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:0"]
)
schemathesis.openapi.media_type(
    "application/sdp",
    st.lists(LINES | st.text(max_size=40), max_size=12).map(lambda lines: "\r\n".join(lines).encode()),
)


@schemathesis.serializer("application/sdp")
def written_offer(_context, value):
    """An offer as it is sent; what the schema alone made of one is a text."""
    return value if isinstance(value, bytes) else str(value).encode()


def known(letter: str, given: str) -> str:
    """One that is there in half of the cases."""
    there = [name for name in IDS if name.startswith(letter)]
    return there[hash(given) // 2 % len(there)] if there and hash(given) % 2 else given


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of all ids lead somewhere; what is deleted is made anew by nobody, so those are left alone."""
    operation = context.operation
    if path_parameters and "id" in path_parameters and operation.method.lower() == "get":
        letter = {"portraits": "p", "motions": "m", "videos": "v", "jobs": "j"}[operation.path.split("/")[2]]
        path_parameters["id"] = known(letter, str(path_parameters["id"]))
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    """Jobs of what is there, too."""
    if context.operation.path == "/v1/jobs" and isinstance(body, dict):
        for field, letter in (("portrait", "p"), ("motion", "m"), ("video", "j")):
            if isinstance(body.get(field), str):
                body[field] = known(letter, body[field])
    return body

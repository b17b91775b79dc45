"""Pictures and videos, damaged and odd, as portrait and as driving video, for a clip and for a stream."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

from tests.attack.case import DONE, EITHER, REFUSED, Case
from tests.attack.hostile import damaged
from tests.attack.seeds import Seeds

_SCRIPTS = {
    "concat script": "ffconcat version 1.0\nfile '{target}'\n",
    "playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration='
    '"PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{target}'
    "</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "session description": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "subtitles": "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>',
    "metadata": ";FFMETADATA1\ntitle=x\n",
}


# Two runs of one command write the same bytes, and no file but those that are named.
PLAIN = ("--no-credentials", "--no-sidecar", "--mark-id=0a1b2c3d")


def animate(seeds: Seeds, folder: Path, **given: object) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Words of a short clip, and the file that it writes."""
    out = folder / "out.mp4"
    words = {"bundle": seeds.bundle, "portrait": seeds.portrait, "driving": seeds.driving, "steps": 1, "out": out}
    return ("animate", *PLAIN, *_options(words | given)), (out,)


def talk(seeds: Seeds, folder: Path, **given: object) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Words of a short clip of speech, and the file that it writes."""
    out = folder / "talk.mp4"
    words = {"bundle": seeds.talk_bundle, "portrait": seeds.portrait, "audio": seeds.speech, "steps": 1, "out": out}
    words["portrait_landmarks"] = seeds.portrait_landmarks
    return ("animate", *PLAIN, *_options(words | given)), (out,)


def live(seeds: Seeds, folder: Path, **given: object) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Words of a short stream, and the file that it writes."""
    out = folder / "live.mkv"
    words = {"bundle": seeds.live_bundle, "portrait": seeds.portrait, "driving": seeds.driving}
    words |= {"profile": seeds.live_profile, "pace": "fast", "policy": "block", "timeout": 5, "out": out}
    return ("live", *PLAIN, *_options(words | given)), (out,)


def _options(words: dict[str, object]) -> tuple[str, ...]:
    return tuple(f"--{key.replace('_', '-')}={value}" for key, value in words.items())


def picture(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A portrait: whole, damaged, or not a picture."""
    kind, source = rng.choice(list(seeds.pictures.items()))
    file, codes, how = folder / f"portrait{source.suffix}", EITHER, "whole"
    data = source.read_bytes()
    if rng.random() < 0.9:
        how, data = damaged(data, rng)
    elif kind in ("png", "jpeg", "jpeg turned", "webp", "bmp", "tiff", "heic", "avif", "gif of three"):
        codes = frozenset({DONE})
    if rng.random() < 0.1:
        how, data, codes = "another name", data, EITHER
        file = folder / rng.choice(("p.mp4", "p.txt", "p", "p.png.mp4", "ü\n.png"))
    file.write_bytes(data)
    words, outputs = animate(seeds, folder, portrait=file)
    if rng.random() < 0.3:
        words, outputs = live(seeds, folder, portrait=file)
    return Case(
        family="pictures", name=f"{kind}, {how}", words=words, outputs=outputs, codes=codes, records=words[0] == "live"
    )


def video(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A driving video: whole, damaged, or a text that names other files."""
    make = rng.choice((animate, animate, live))
    if rng.random() < 0.15:
        name, text = rng.choice(list(_SCRIPTS.items()))
        target = folder / "inner.mp4"
        target.write_bytes(seeds.driving.read_bytes())
        file = folder / f"d.{rng.choice(('mp4', 'mkv', 'm3u8', 'mpd', 'txt', 'avi'))}"
        file.write_text(text.format(target=rng.choice((target, target.name, f"file:{target}"))))
        words, outputs = make(seeds, folder, driving=file)
        return Case(family="videos", name=name, words=words, outputs=outputs, codes=frozenset({REFUSED}))
    kind, source = rng.choice(list(seeds.videos.items()))
    file, codes, how = folder / f"driving.{kind}", EITHER, "whole"
    data = source.read_bytes()
    if rng.random() < 0.9:
        how, data = damaged(data, rng)
    else:
        codes = frozenset({DONE})
    file.write_bytes(data)
    words, outputs = make(seeds, folder, driving=file)
    return Case(
        family="videos",
        name=f"{kind} for {words[0]}, {how}",
        words=words,
        outputs=outputs,
        codes=codes,
        records=words[0] == "live",
    )


def sound(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """Speech: whole, damaged, the sound of a video, or a text that names other files."""
    if rng.random() < 0.1:
        name, text = rng.choice(list(_SCRIPTS.items()))
        target = Path(shutil.copy(seeds.speech, folder / "inner.wav"))
        file = folder / f"s.{rng.choice(('wav', 'm3u8', 'txt', 'mp3'))}"
        file.write_text(text.format(target=rng.choice((target, target.name, f"file:{target}"))))
        words, outputs = talk(seeds, folder, audio=file)
        return Case(family="sounds", name=name, words=words, outputs=outputs, codes=frozenset({REFUSED}))
    kind, source = rng.choice([*seeds.sounds.items(), *seeds.videos.items()])
    file, codes, how = folder / f"speech{source.suffix}", EITHER, "whole"
    data = source.read_bytes()
    if rng.random() < 0.85:
        how, data = damaged(data, rng)
    else:
        codes = frozenset({DONE})
    file.write_bytes(data)
    words, outputs = talk(seeds, folder, audio=file)
    return Case(family="sounds", name=f"{kind}, {how}", words=words, outputs=outputs, codes=codes)


def piped(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """A stream that comes through standard input, whole or damaged, cut at any place."""
    kind = rng.choice(("ts", "mkv", "flv", "avi", "mp4"))
    how, data = damaged(seeds.videos[kind].read_bytes(), rng)
    words, outputs = live(seeds, folder, driving="-")
    return Case(family="pipes", name=f"{kind}, {how}", words=words, outputs=outputs, stdin=data, records=True)


def special(rng: random.Random, seeds: Seeds, folder: Path) -> Case:
    """What is no regular file, or has a name that hardly is one, wherever a file is read."""
    name, path = rng.choice(
        (
            ("a folder", folder),
            ("nothing", folder / "none"),
            ("zeros without end", "/dev/zero"),
            ("a null device", "/dev/null"),
            ("a pipe that nobody writes", folder / "pipe"),
            ("a link to itself", folder / "loop"),
            ("a link to nothing", folder / "dangling"),
            ("a name that is too long", folder / ("n" * 300)),
            ("a path that is too long", "/".join(["d" * 200] * 30)),
            ("a name that is no text", folder / os.fsdecode(b"caf\xe9.png")),
            ("an empty name", ""),
            ("a forbidden file", folder / "forbidden"),
            ("memory of this process", "/proc/self/mem"),
            ("an empty file", folder / "empty"),
        )
    )
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "empty").touch()
    (folder / "forbidden").write_bytes(b"x")
    (folder / "forbidden").chmod(0)
    option = rng.choice(
        (
            "portrait",
            "driving",
            "bundle",
            "portrait_landmarks",
            "driving_landmarks",
            "arcface",
            "profile",
            "audio",
            "vocals",
        )
    )
    if option == "profile":
        path = f"{path}.toml" if rng.random() < 0.5 else path
    make = talk if option in ("audio", "vocals") else rng.choice((animate, live))
    words, outputs = make(seeds, folder, **{option: path})
    return Case(
        family="special files", name=f"{option} is {name}", words=words, outputs=outputs, codes=frozenset({REFUSED})
    )

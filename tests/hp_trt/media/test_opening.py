from __future__ import annotations

import functools
import http.server
import os
import struct
import threading
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.media.images import load_image
from hp_trt.media.opening import open_file, open_stream
from hp_trt.media.video import probe
from hp_trt.media.video_writer import VideoWriter
from hp_trt.streams.sources import Picture, open_source
from tests.hp_trt.awkward_clips import MODES, titled
from tests.hp_trt.clips import contents, make_clip, two_of_each

LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile secret.mp4\n",
    "concat": "file 'secret.mp4'\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n",
    "m3u": "#EXTM3U\nsecret.ts\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="0" '
    'bandwidth="1"><BaseURL>secret.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "smooth": '<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2"/>',
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>',
    "rtsptext": "[Reference]\nRef1=http://127.0.0.1/x.asf\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "blank first": "\n\n  ffconcat version 1.0\nfile secret.mp4\n",
}


@pytest.fixture
def secret(tmp_path):
    make_clip(tmp_path / "secret.ts", 25)
    return make_clip(tmp_path / "secret.mp4", 25)


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("ending", [".mp4", ".m3u8", ".mpd", ".ts"])
@pytest.mark.parametrize("kind", LISTS)
def test_what_names_other_files_is_opened_under_no_name(tmp_path, secret, read, kind, ending):
    path = tmp_path / f"driving{ending}"
    path.write_text(LISTS[kind])
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).count("\n") == 0 and str(path) in str(error.value)


@pytest.mark.parametrize("read", MODES)
def test_a_list_says_what_it_is(tmp_path, secret, read):
    (tmp_path / "d.mp4").write_text(LISTS["ffconcat"])
    with pytest.raises(InputError, match="is a list of other files, or a text: nothing is opened that it names"):
        read(tmp_path / "d.mp4")


@pytest.mark.parametrize("read", MODES)
def test_numbered_pictures_are_no_video(tmp_path, read):
    for number in range(5):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="no such file"):
        read(tmp_path / "%d.png")
    (tmp_path / "%d.png").write_bytes((tmp_path / "0.png").read_bytes())
    with pytest.raises(InputError, match="is a picture or a text"):
        read(tmp_path / "%d.png")


def grown(data: bytes, path: list[bytes], change) -> bytes:
    """An mp4 whose box at `path` has its content changed, and every box round it its size."""
    place, made = 0, b""
    while place + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + size]
        if kind == path[0]:
            content = grown(content, path[1:], change) if len(path) > 1 else change(content)
        made += struct.pack(">I4s", len(content) + 8, kind) + content
        place += size
    return made


@pytest.mark.parametrize("read", MODES)
def test_a_mov_whose_pictures_lie_in_another_file_gives_none(tmp_path, secret, read):
    """An alias names the file of the samples; the chunks' offsets are those of that file."""
    name = b"secret.mp4"
    alias = bytes(10 + 1 + 27 + 12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + struct.pack(">2H", 1, 1)
    alias += bytes(16) + struct.pack(">2H", 2, len(name)) + name + struct.pack(">2H", 0xFFFF, 0)
    reference = struct.pack(">2I", 0, 1) + struct.pack(">I4sI", len(alias) + 12, b"alis", 0) + alias
    data = secret.read_bytes()
    index = grown(data, [b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"], lambda _: reference)
    path = tmp_path / "outside.mov"
    path.write_bytes(index[: index.index(b"ftyp") + 28] + index[index.index(b"moov") - 4 :])
    with av.open(str(path), options={"enable_drefs": "1"}) as file:
        assert len(list(file.decode(video=0))) == 25  # who asks FFmpeg for it reads the other file
    with pytest.raises(InputError, match="not one that can be decoded"):
        read(path)


@contextmanager
def served(folder):
    """The folder by HTTP on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def from_url(url, **options):
    source = open_source(url, sound=False, timeout_s=5.0, stop=threading.Event(), **options)
    try:
        return [item.image for item in source.read() if isinstance(item, Picture)]
    finally:
        source.close()


def test_a_playlist_at_an_address_needs_the_option_that_allows_it(tmp_path, secret):
    (tmp_path / "x.m3u8").write_text(LISTS["hls"])
    with served(tmp_path) as address:
        assert len(from_url(f"{address}/secret.mp4")) == 25
        with pytest.raises(InputError, match="A playlist is opened with --allow-playlist"):
            from_url(f"{address}/x.m3u8")
        assert len(from_url(f"{address}/x.m3u8", playlist=True)) == 25


def test_a_playlist_at_an_address_never_reads_local_files(tmp_path, secret):
    web = tmp_path / "web"
    web.mkdir()
    for name, where in (("a.m3u8", f"file://{tmp_path}/secret.ts"), ("b.m3u8", f"{tmp_path}/secret.ts")):
        (web / name).write_text(LISTS["hls"].replace("secret.ts", where))
    with served(web) as address:
        for name in ("a.m3u8", "b.m3u8"):
            try:
                assert from_url(f"{address}/{name}", playlist=True) == []
            except InputError:
                continue


@pytest.mark.parametrize("kind", LISTS)
def test_standard_input_opens_no_list(tmp_path, secret, kind):
    (tmp_path / "list").write_text(LISTS[kind].replace("secret.mp4", str(secret)))
    with open(tmp_path / "list", "rb") as file, pytest.raises(InputError, match="standard input"):
        open_stream(file, "standard input", timeout_s=1.0)


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts", "a.mov"])
@pytest.mark.parametrize("title", [b"caf\xe9", b"\xff\xfe\x00\xd8", b"\xc3(", b"\x80" * 20])
def test_a_title_that_is_no_utf8_spoils_no_video(tmp_path, read, name, title):
    if name == "a.ts":  # the name of its programme
        path = make_clip(tmp_path / "a.ts", 10)
        data = path.read_bytes()
        assert b"Service01" in data
        path.write_bytes(data.replace(b"Service01", title[:9].ljust(9, b" ")))
    else:
        path = titled(tmp_path / name, title)
    images, notes = read(path)
    assert len(images) == 10 and notes == []


def test_sound_below_such_a_title_is_carried_into_the_result(tmp_path):
    make_clip(tmp_path / "s.mkv", 10, audio="aac")
    data = (tmp_path / "s.mkv").read_bytes()
    assert b"Lavf" in data
    (tmp_path / "s.mkv").write_bytes(data.replace(b"Lavf", b"\xe9\xff\xfe\x80"))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(tmp_path / "s.mkv")).close()
    info = probe(tmp_path / "s.mkv")
    with VideoWriter(tmp_path / "o.mp4", width=64, height=48, driving=info) as writer:
        for _ in range(10):
            writer.write(np.zeros((48, 64, 3), np.uint8))
    assert contents(tmp_path / "o.mp4").sound_codec == "aac"


def hostile(folder):
    """Paths that are no files, and what is said of each."""
    os.mkfifo(folder / "fifo.mp4")
    os.symlink("round.mp4", folder / "round.mp4")
    os.symlink("nowhere", folder / "dangling.mp4")
    (folder / "empty.mp4").touch()
    (folder / "folder.mp4").mkdir()
    return [
        (folder / "fifo.mp4", "is not a file"),
        ("/dev/zero", "is not a file"),
        (folder / "folder.mp4", "is not a file"),
        (folder / "empty.mp4", ""),
        (folder / "round.mp4", "links lead in a circle"),
        (folder / "dangling.mp4", "no such file"),
        (folder / ("n" * 300 + ".mp4"), "its name is too long"),
        ("/".join(["d" * 200] * 30), "its name is too long"),
        ("a\0b.mp4", "no name for one"),
        ("a\ud800b.mp4", "no name for one"),
        ("a\udcffb.mp4", "no such file"),
        (folder / "empty.mp4" / "x", "no such file"),
        ("", "is not a file"),
    ]


@pytest.mark.parametrize("read", [*MODES, load_image, lambda path: open_file(path)])
def test_a_path_that_is_no_file_is_told_in_a_line(tmp_path, read):
    for path, says in hostile(tmp_path):
        with pytest.raises(InputError) as error:
            read(Path(path))
        assert says in str(error.value) and "\n" not in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize("read", MODES)
def test_a_name_of_bytes_that_are_no_utf8_is_a_name(tmp_path, read):
    path = make_clip(tmp_path / "a.mp4", 5)
    odd = tmp_path / os.fsdecode(b"caf\xe9 \xff.mp4")
    path.rename(odd)
    assert len(read(odd)[0]) == 5


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["http:x.mp4", "concat:a|b.mp4", "a%03d.mp4", "subfile,,start,0.mp4", "-i.mp4"])
def test_a_name_that_looks_like_an_address_is_a_name(tmp_path, monkeypatch, read, name):
    make_clip(tmp_path / "x.mp4", 5).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read(Path(name))[0]) == 5


@pytest.mark.parametrize("read", MODES)
def test_a_file_that_grows_is_read_as_far_as_it_was_or_is(tmp_path, read):
    whole = make_clip(tmp_path / "whole.ts", 100).read_bytes()
    path = tmp_path / "a.ts"
    path.write_bytes(whole[: len(whole) // 2 // 188 * 188])
    source = open_file(path)
    with open(path, "ab") as file:
        file.write(whole[len(whole) // 2 // 188 * 188 :])
    source.close()
    assert len(read(path)[0]) == 100


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize(("own", "level"), [(0, 40), (1, 200)])
def test_of_two_tracks_of_pictures_the_one_that_players_show_is_read(tmp_path, read, name, own, level):
    images, _ = read(two_of_each(tmp_path / name, own=own))
    assert len(images) == 40
    assert abs(images[20].astype(int) - level).max() < 6

"""The one gate through which videos and sound from elsewhere are opened.

FFmpeg opens whatever it can guess, and some of what it guesses names other files and places: playlists, scripts,
session descriptions, numbered pictures. So the containers that are opened are named here, all of them whole in
themselves, and so are the protocols: of a file the file alone, of an address what that address needs and never a local
file. Titles that are no UTF-8 are read leniently. Decoders refuse pictures beyond the limit in pixels themselves,
whenever a stream changes its size.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.media.files import check_file
from hp_trt.media.heif_boxes import is_still
from hp_trt.media.mov_index import check_mov_index
from hp_trt.media.pixel_limit import MAX_BYTES, VIDEO_BYTES, check_pixels, most_pixels

ADVICE = "give an mp4, mov, mkv or webm with a picture track"
UNKNOWN_PROTOCOL = "use tcp, udp, rtmp, rtsp or http, or a PyAV whose FFmpeg was built with it"
PLAYLISTS = ("hls", "dash")
# By FFmpeg's names of demuxers. Those of sound alone are here so that a music file is told to be one.
CONTAINERS = (
    "mov", "matroska", "avi", "mpegts", "mpeg", "flv", "live_flv", "asf", "ogg", "mxf", "nut", "ivf", "dv", "gif",
    "apng", "h264", "hevc", "obu", "m4v", "mpegvideo", "yuv4mpegpipe", "mjpeg", "mpjpeg",
    "mp3", "aac", "flac", "wav", "aiff", "w64", "caf", "amr", "au",
)  # fmt: skip
# What one address needs below it: a camera's rtsp its tcp, https its tls.
_NETWORK = (
    "tcp", "udp", "tls", "rtp", "http", "https", "httpproxy", "rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts",
    "ffrtmphttp", "ffrtmpcrypt", "srt", "rist", "crypto",
)  # fmt: skip
_SESSIONS = {"rtsp": "rtsp", "rtsps": "rtsp", "rtp": "rtp"}  # addresses with a demuxer of their own
_MOST_THREADS = 16  # that FFmpeg takes by itself
_LISTS = (b"#EXTM3U", b"ffconcat", b"file ", b"[playlist]", b"v=0", b"<?xml", b"<MPD", b"#EXT")


def open_file(
    path: Path,
    *,
    timeout_s: float | None = None,
    still: bool = False,
    kind: str = "video",
    advice: str = ADVICE,
) -> Any:
    """PyAV's container of a local file, for its owner to close. Raises InputError for all that is none.

    `still`: whether it may be a still picture in a video's container, as HEIC is. `kind`, `advice`: what a message says
    is needed.
    """
    size = check_file(path, advice)
    with foreign(f"{path} cannot be read", advice), open(path, "rb") as file:
        head = file.read(64)
        check_mov_index(file, path, size)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_LISTS):
        raise InputError(f"{path} is a list of other files, or a text: nothing is opened that it names; {advice}")
    if is_still(head) and not still:
        raise InputError(f"{path} is a picture or a text, not a {kind}; {advice}")
    import av

    with foreign(f"{path} is no {kind} that FFmpeg can open, or it is cut off", advice):
        try:
            return _open(os.fspath(path.absolute()), CONTAINERS, ("file",), timeout_s)  # http:x.mp4 is a file here
        except av.error.ArgumentError as error:  # recognised, and not among those named
            raise InputError(
                f"{path} is a picture or a text, not a {kind}, or one of a kind that is not opened here; {advice}"
            ) from error


def open_stream(
    source: Any, name: str, *, timeout_s: float, scheme: str = "", playlist: bool = False, kind: str = "video"
) -> Any:
    """PyAV's container of a file object, or of an address whose `scheme` is given. Raises InputError.

    `playlist`: whether HLS and DASH are opened, which name further addresses. `kind`: what a message says is needed.
    """
    import av

    containers, protocols = list(CONTAINERS), [scheme, *_NETWORK] if scheme else []
    if scheme in _SESSIONS:
        containers.append(_SESSIONS[scheme])
    if playlist:
        containers.extend(PLAYLISTS)
        protocols.append("data")
    advice = "see that the address is right and something sends there"
    with foreign(f"{name} cannot be opened as a {kind}", advice):
        try:
            return _open(source, containers, protocols, timeout_s)
        except (av.error.ExitError, TimeoutError) as error:
            raise InputError(
                f"{name} did not answer within {timeout_s:g} s; see that it sends, or raise --timeout"
            ) from error
        except av.error.ProtocolNotFoundError as error:
            raise InputError(f"{name}: this FFmpeg does not know that kind of address; {UNKNOWN_PROTOCOL}") from error
        except av.error.ArgumentError as error:
            allowed = "" if playlist or not scheme else ". A playlist is opened with --allow-playlist"
            raise InputError(
                f"{name} is a picture or a text, not a {kind}, or one of a kind that is not opened here; "
                f"name a {kind}, a stream or a {'camera' if kind == 'video' else 'microphone'}{allowed}"
            ) from error


def _open(source: Any, containers: Iterable[str], protocols: Iterable[str], timeout_s: float | None) -> Any:
    import av

    options = {
        "format_whitelist": ",".join(containers),
        "protocol_whitelist": ",".join(protocols) or "none",
        "max_pixels": str(most_pixels(VIDEO_BYTES)),
    }
    timeout = None if timeout_s is None else (timeout_s, timeout_s)
    return av.open(source, options=options, metadata_errors="replace", timeout=timeout)


def video_stream(container: Any, name: Path | str, *, frame_threads: bool = True) -> Any:
    """The pictures that a player shows, ready to be decoded. Raises InputError, which calls the source `name`.

    `frame_threads`: whether frames may be decoded side by side, which holds as many back.
    """
    from av.stream import Disposition

    # A music file's cover is a video stream to FFmpeg.
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        found = "only audio" if container.streams.audio else "no picture track"
        raise InputError(f"{name} has {found}; {ADVICE}")
    stream = shown_first(streams)
    coder = stream.codec_context
    if coder is None:
        raise InputError(f"{name} has pictures of a kind that this FFmpeg cannot decode; convert it to H.264 first")
    with foreign(f"{name} is a damaged video", ADVICE):
        pixel_bytes = _bytes_per_pixel(coder)
        check_pixels(name, coder.width, coder.height, max(VIDEO_BYTES, 2 * pixel_bytes))
        coder.options = {"max_pixels": str(most_pixels(max(VIDEO_BYTES, 2 * pixel_bytes)))}
        # Each thread holds a frame.
        fitting = int(MAX_BYTES / max(coder.width * coder.height * pixel_bytes, 1))
        coder.thread_type = "AUTO" if frame_threads and fitting >= min(os.cpu_count() or 1, _MOST_THREADS) else "SLICE"
    return stream


def shown_first(streams: Sequence[Any]) -> Any:
    """Of several tracks of a kind the one that a player takes: the first that the file calls its own."""
    from av.stream import Disposition

    return next((stream for stream in streams if stream.disposition & Disposition.default), streams[0])


def _bytes_per_pixel(coder: Any) -> float:
    """Of a decoded picture; three where the header does not say."""
    if coder.pix_fmt is None:
        return 3
    import av

    pixels = av.VideoFormat(coder.pix_fmt, 64, 64)
    return max(pixels.padded_bits_per_pixel / 8, 1)

"""Writing the result: H.264 in an mp4, each frame at the driving frame's time, with its sound.

The file grows under a hidden name in its folder (`engines.part_file`) and gets its own name when it is complete.
Until then whatever had that name stays; on an error or Ctrl-C the hidden file goes.

Source of the encoder's settings: SPEC 9 (libx264, crf 17, yuv420p).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from engines.errors import OutputError
from engines.foreign import reason
from engines.part_file import PartFile
from engines.safe_output import check_outputs, refusal, refused_by_disk
from hp_trt.media.audio_track import AudioTrack, naming_sound
from hp_trt.media.clock import FALLBACK_RATE
from hp_trt.media.nvenc import NvencStream
from hp_trt.media.seal import Seal, Sealed, marked
from hp_trt.media.sound_carrier import CannotCarry
from hp_trt.media.video import VideoInfo
from hp_trt.media.yuv_frames import BT601, YuvFrames

# Without mbtree (bits for what later frames copy): x264's AVX-512 code for it gives another file on each run, even on
# one thread (9 files in 10 runs on an AMD EPYC; without it 1, byte for byte that of AVX2). Files grow by a fifth.
X264 = {"crf": "17", "x264-params": "mbtree=0"}
# Of frames that come as fast as this: of a live profile's drawn result (512 px) a frame takes 1.8 ms of one core of an
# AMD EPYC, to 6.4 kB at 51.7 dB; with the settings above 19 ms, to 7.0 kB at 53.0 dB. One thread: where others make the
# next frames, more would wait for a core rather than for a slice.
X264_QUICK = {"preset": "ultrafast", "crf": "16", "x264-params": "cabac=1"}
ONE_THREAD_PIXELS = 1280 * 720  # up to these so quick an encoder keeps up on one core
SUFFIXES = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_LEFT = "Nothing was left behind, and what had that name before is untouched"
_TICKS_PER_S = 90_000  # at least: finer than any camera's clock
_LARGEST_SIDE = 16384  # pixels, of libx264


class VideoWriter:
    """A context manager: `write` each frame, and the file appears when the block ends without an error.

    `driving` gives the frame rate, the clock and the sound; without it the video has `rate` and no sound. The first
    picture is at 0, wherever the driving video's clock begins, and the sound keeps its distance; what was heard before
    is left out. `notes` says what became of the sound, complete after `finish`.
    H.264 in yuv420p needs even sides: an odd width or height is padded by repeating its last pixel.
    `quick`: encoded in a tenth of the time, for frames that come as fast; 1.3 dB less sharp. `seal`: of the run that
    the file is of; None: it is written as it is. `nvenc`: the GPU that encodes; None: libx264 on the CPU.
    Raises OutputError for everything that the folder, the disk or the encoder refuses, InputError for such a GPU.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        width: int,
        height: int,
        driving: VideoInfo | None = None,
        rate: Fraction = FALLBACK_RATE,
        quick: bool = False,
        seal: Seal | None = None,
        nvenc: int | None = None,
    ) -> None:
        self.path, self._quick, self._nvenc, self._seal = Path(path), quick, nvenc, seal
        self._frames = YuvFrames("yuv420p" if nvenc is None else "nv12")
        self._rate = driving.rate if driving else rate
        self._ticks = Ticks(self._rate, driving.time_base if driving else Fraction(0))
        self._time_base = time_base(self._rate)
        self._size = width, height
        self.frames = 0
        self.notes: list[str] = []
        self._finished = False
        inputs = {"the driving video": driving.path if driving else None}
        check_outputs({"the result": self.path}, inputs, suffixes=tuple(SUFFIXES))
        self._part: PartFile | Sealed | None = None
        self._container: Any = None
        self._audio: AudioTrack | None = None
        with self._guarded():
            self._open(driving)

    def write(self, image: np.ndarray, time_s: Fraction | None = None) -> None:
        """Append (H, W, 3) uint8 RGB at `time_s` on the driving video's clock; None: one period later."""
        if (image.shape[1], image.shape[0]) != self._size:
            raise ValueError(f"this video has frames of {self._size} (width, height), got an array {image.shape}")
        frame = self._frames.frame(marked(image, self._seal))
        frame.pts = self._ticks.at(time_s)
        frame.time_base = self._time_base
        frame.duration = self._ticks.period
        with self._guarded():
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
            self._sound_until(frame.pts * self._time_base)
        self.frames += 1

    def finish(self) -> None:
        """Complete the file, still under its hidden name: what can fail has happened then."""
        if not self.frames:
            self._discard()
            raise OutputError(f"{self.path} was not written: not a single frame came")
        with self._guarded():
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._sound_until((self._ticks.last or 0) * self._time_base + 1 / self._rate, last=True)
            self._container.close()
        if self._audio:
            self.notes += self._audio.notes
            self._audio.close()
        if self._seal is not None:
            with self._guarded():
                assert isinstance(self._part, PartFile)
                self._part = self._seal.sealed(self._part, self.path, self.notes)
        self._finished = True

    def close(self) -> None:
        """Complete the file, if `finish` has not, and give it its name."""
        if not self._finished:
            self.finish()
        with self._guarded():
            assert self._part is not None
            self._part.commit()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def _open(self, driving: VideoInfo | None) -> None:
        import av

        container_format = SUFFIXES[self.path.suffix.lower()]
        self._part = PartFile(self.path)
        self._container = av.open(str(self._part.path.absolute()), "w", format=container_format)
        self._stream = self._pictures()
        if driving and driving.has_sound:
            try:
                self._audio = AudioTrack(driving.path, self._container)
            except CannotCarry as error:
                self.notes.append(f"the sound of {driving.path} is missing in the result: {error}")
        self._container.start_encoding()  # so that a refusal comes before the long work, not after

    def _pictures(self) -> Any:
        """What encodes: a stream of PyAV's, or one that is used alike."""
        if self._nvenc is None:
            return add_h264(self._container, self._size, self._rate, quick=self._quick)
        pictures = self._container, self._size, self._rate
        return NvencStream(*pictures, tick_s=self._time_base, index=self._nvenc, quick=self._quick)

    def _sound_until(self, time_s: Fraction, *, last: bool = False) -> None:
        """Write what is heard until `time_s` on the result's clock, and at its end a little more."""
        if not self._audio:
            return
        start_s = self._ticks.start_s or Fraction(0)
        with naming_sound(self.path, self._audio, "animate the pictures alone: ffmpeg -i DRIVING -an -c copy SILENT"):
            (self._audio.finish if last else self._audio.mux_until)(start_s + time_s, start_s=start_s)

    def _discard(self) -> None:
        """Forget the unfinished file; never raises over the error that brought us here."""
        for owner in (self._container, self._audio):
            try:
                if owner is not None:
                    owner.close()
            except Exception:  # the disk that is full while writing is full while closing
                continue
        if self._part is not None:
            self._part.discard()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever goes wrong inside leaves nothing behind; what the system refused is explained."""
        import av

        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self._discard()
            raise encoding_refused(self.path, error, self._size, left=_LEFT) from error
        except BaseException:
            self._discard()
            raise


class Ticks:
    """Times of pictures on a result's clock, `time_base(rate)`: the first one is at 0.

    `tick_s`: of the clock that the times are read from. A time that is within a tick of it is on the rate's grid.
    """

    def __init__(self, rate: Fraction, tick_s: Fraction) -> None:
        self._rate, self._tick_s, self._time_base = rate, tick_s, time_base(rate)
        self.period = max(1, round(1 / rate / self._time_base))  # between two frames
        self.start_s: Fraction | None = None  # of the first picture, on its own clock
        self.last: int | None = None

    def at(self, time_s: Fraction | None) -> int:
        """The ticks of the next picture; None: one period later."""
        if self.start_s is None:
            self.start_s = time_s
        if time_s is None:
            ticks = 0 if self.last is None else self.last + self.period
        else:
            since_s = time_s - (self.start_s or 0)
            on_grid = round(since_s * self._rate) / self._rate
            if abs(since_s - on_grid) <= self._tick_s:
                since_s = on_grid
            ticks = round(since_s / self._time_base)
            ticks = ticks if self.last is None else max(ticks, self.last + 1)
        self.last = ticks
        return ticks


def add_h264(container: Any, size: tuple[int, int], rate: Fraction, *, threads: int = 0, quick: bool = False) -> Any:
    """PyAV's stream for pictures of `size` (width, height) in an open container, with a result's settings.

    It counts in `time_base(rate)` and takes what `YuvFrames` makes. `threads`: of the encoder, which cuts a picture in
    as many slices, so that another number gives other bytes; 0: what the cores suggest, and one of a `quick` encoder
    where that keeps up.
    """
    stream = container.add_stream("libx264", rate=rate, options=dict(X264_QUICK if quick else X264))
    if quick and size[0] * size[1] <= ONE_THREAD_PIXELS:
        threads = threads or 1
    stream.width, stream.height = (side + side % 2 for side in size)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = time_base(rate)
    stream.codec_context.colorspace = BT601
    if threads:
        stream.codec_context.thread_count = threads
    return stream


def encoding_refused(path: Path, error: Any, size: tuple[int, int], *, left: str) -> OutputError:
    """The error to raise for an OSError, or FFmpeg's, met while pictures of `size` were written into `path`.

    `left`: what became of it.
    """
    if refused_by_disk(error) or max(size) <= _LARGEST_SIDE:
        return refusal(path, error, left=left)
    return OutputError(
        f"{path} could not be written: {reason(error)}; the encoder takes up to {_LARGEST_SIDE} pixels a "
        f"side, this video has {size[0]} x {size[1]}. {left}"
    )


def time_base(rate: Fraction) -> Fraction:
    """A clock on which every frame of a constant `rate` falls exactly on a tick."""
    if rate.numerator > _TICKS_PER_S:  # a mean of varying times: no grid to keep
        return Fraction(1, _TICKS_PER_S)
    return Fraction(1, rate.numerator * -(-_TICKS_PER_S // rate.numerator))

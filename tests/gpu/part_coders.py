"""NVIDIA's decoder and encoder of video, behind our reader and writer, against FFmpeg's on the CPU in the same run.

The clip is the drawn driving video, by the writer that `hp-trt sample` has. Decoding by NVDEC has to give the CPU's
frames to the bit: the standard says what a decoder gives, and everything behind it is the same code. Encoding has no
such truth: PSNR and bytes are told beside libx264's, and the limit is on PSNR. With `--device cpu` both are the
stand-in of `tests/hp_trt/media/nvcodec_stand_in.py`, which tries this part and measures nothing of NVIDIA's.

A card may have one and not the other. That is a line that was not run, in the library's own words, and no failure.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from tests.gpu.lines import Found, Lines, NotRun, Step

SECTION = "coders"
FRAMES = {"cuda": 150, "cpu": 12}
MOST_LEVELS = 0  # that a frame of NVDEC's may differ from the CPU's
LEAST_DB = 40.0  # of NVENC's frames; libx264's have 43.1 dB of 12 frames of this clip, x264 with that quantiser 42.2
WAYS = {"NVDEC": "on the CPU", "NVENC": "libx264"}


class CodersPart:
    """The lines, of a clip in `folder`."""

    def __init__(self, folder: Path, frames: int) -> None:
        self._folder, self._frames = folder, frames
        self._clip = folder / "driving.mp4"

    def steps(self) -> list[Step]:
        lines = {
            "NVDEC, what it has": partial(self.has, "NVDEC"),
            "NVENC, what it has": partial(self.has, "NVENC"),
            "a drawn clip": self.drawn,
            "NVDEC against the CPU": self.decoded,
            "NVENC against libx264, exact": partial(self.encoded, quick=False),
            "NVENC against libx264, quick": partial(self.encoded, quick=True),
        }
        return [Step(name, partial(_with_libraries, call)) for name, call in lines.items()]

    def has(self, wanted: str) -> Found:
        from hp_trt.media.nvcodec import DECODED

        coders = self._coders(wanted)
        try:
            caps = {"h264": coders.encoder_caps()}
            if wanted == "NVDEC":
                caps = {codec: coders.decoder_caps(codec) for codec in DECODED}
        except InputError as error:  # the library was asked, and this is its answer
            raise NotRun(str(error)) from error
        said = "; ".join(
            f"{codec} {one.get('width_max')} x {one.get('height_max')}"
            + ("" if one.get("supported", 1) else " not supported")
            for codec, one in caps.items()
        )
        return Found(text=f"{coders.gpu.name}: {said}", facts=caps)

    def drawn(self) -> Found:
        from hp_trt.sample import write_driving

        refusals = [why for wanted in ("NVDEC", "NVENC") if (why := self._refusal(wanted))]
        if len(refusals) == 2:
            raise NotRun(f"there is nothing to measure: {refusals[0]}")
        write_driving(self._clip, seed=1, frames=self._frames, fps=25)
        return Found(text=f"{self._frames} frames, {self._clip.stat().st_size} bytes")

    def decoded(self) -> Found:
        from hp_trt.media.video import VideoReader

        self._coders("NVDEC")
        ours, ours_s = self._read(partial(VideoReader, self._made(), nvdec=0))
        theirs, theirs_s = self._read(partial(VideoReader, self._made()))
        if len(ours) != len(theirs):
            return Found(text=f"{len(ours)} frames, the CPU has {len(theirs)}", missed="needs all of them")
        most = max(int(np.abs(a.image.astype(np.int16) - b.image).max()) for a, b in zip(ours, theirs, strict=True))
        late = sum(a.time_s != b.time_s for a, b in zip(ours, theirs, strict=True))
        missed = [f"needs at most {MOST_LEVELS} levels"] * (most > MOST_LEVELS) + ["needs the CPU's times"] * bool(late)
        return Found(
            text=f"{len(ours)} frames, at most {most} levels apart, {late} times differ; "
            + self._rates("NVDEC", len(ours), ours_s, theirs_s),
            facts={"most_levels": most, "late": late, **self._facts(len(ours), ours_s, theirs_s)},
            missed="; ".join(missed),
        )

    def encoded(self, *, quick: bool) -> Found:
        from hp_trt.media.video import VideoReader

        self._coders("NVENC")
        frames, _ = self._read(partial(VideoReader, self._made()))
        try:
            ours, ours_s = self._write(self._folder / "ours.mp4", frames, quick=quick, nvenc=0)
        except InputError as error:
            raise NotRun(str(error)) from error
        theirs, theirs_s = self._write(self._folder / "theirs.mp4", frames, quick=quick, nvenc=None)
        ours_db, theirs_db = psnr_db(frames, ours), psnr_db(frames, theirs)
        late = [a.time_s for a in ours] != [b.time_s for b in theirs]
        size = {name: (self._folder / f"{name}.mp4").stat().st_size for name in ("ours", "theirs")}
        missed = [f"needs at least {LEAST_DB:g} dB"] * (ours_db < LEAST_DB) + ["needs libx264's times"] * late
        return Found(
            text=f"{len(ours)} frames, {ours_db:.2f} dB and {size['ours']} bytes, libx264 {theirs_db:.2f} dB and "
            f"{size['theirs']} bytes; " + self._rates("NVENC", len(ours), ours_s, theirs_s),
            facts={
                "psnr_db": ours_db,
                "libx264_psnr_db": theirs_db,
                "bytes": size["ours"],
                "libx264_bytes": size["theirs"],
                **self._facts(len(ours), ours_s, theirs_s),
            },
            missed="; ".join(missed),
        )

    def _coders(self, wanted: str) -> Any:
        """The library here; NotRun with what it says where it cannot be used."""
        from hp_trt.media.nvcodec import Coders

        try:
            coders = Coders(wanted, 0)
            if wanted == "NVENC":
                coders.encoder_caps()
            return coders
        except InputError as error:
            raise NotRun(str(error)) from error

    def _refusal(self, wanted: str) -> str:
        try:
            self._coders(wanted)
        except NotRun as error:
            return str(error)
        return ""

    def _made(self) -> Path:
        if not self._clip.exists():
            raise NotRun("there is no clip")
        return self._clip

    def _read(self, opened: Any) -> tuple[list[Any], float]:
        """A clip's frames, and the seconds from opening it; opened once before, so that libraries are loaded."""
        for _ in zip(range(2), opened().timed(), strict=False):
            pass
        start_s = time.perf_counter()
        return list(opened().timed()), time.perf_counter() - start_s

    def _write(self, path: Path, frames: Sequence[Any], **how: Any) -> tuple[list[Any], float]:
        """What is read back of them on the CPU, and the seconds that writing took, from opening to the file's name."""
        from hp_trt.media.video import VideoReader
        from hp_trt.media.video_writer import VideoWriter

        height, width = frames[0].image.shape[:2]
        start_s = time.perf_counter()
        with VideoWriter(path, width=width, height=height, driving=VideoReader(self._clip).info, **how) as writer:
            for frame in frames:
                writer.write(frame.image, frame.time_s)
        seconds = time.perf_counter() - start_s
        return list(VideoReader(path).timed()), seconds

    def _rates(self, name: str, frames: int, ours_s: float, theirs_s: float) -> str:
        return f"{name} {frames / ours_s:.4g} frames/s, {WAYS[name]} {frames / theirs_s:.4g}, to and from RGB"

    def _facts(self, frames: int, ours_s: float, theirs_s: float) -> dict[str, float]:
        return {"frames_per_s": frames / ours_s, "cpu_frames_per_s": frames / theirs_s}


def _with_libraries(call: Callable[[], Found]) -> Found:
    """A machine that is lent may lack PyAV."""
    try:
        return call()
    except ModuleNotFoundError as error:
        raise NotRun(f"{error.name} is not installed") from error


def psnr_db(given: Sequence[Any], made: Sequence[Any]) -> float:
    """Of all frames together; those of the shorter of the two."""
    errors = [float(np.square(a.image.astype(np.float32) - b.image).mean()) for a, b in zip(given, made, strict=False)]
    return float(10 * np.log10(255**2 / max(float(np.mean(errors)), 1e-9)))


def tell_coders(lines: Lines, device: str) -> None:
    with tempfile.TemporaryDirectory() as folder, _stood_in() if device == "cpu" else nullcontext():
        lines.run_all(SECTION, CodersPart(Path(folder), FRAMES[device]).steps())


def _stood_in() -> Any:
    import pytest

    from tests.hp_trt.media.nvcodec_stand_in import stand_in

    patch = pytest.MonkeyPatch()
    stand_in(patch)
    return _Undone(patch)


class _Undone(nullcontext[None]):
    """Takes the stand-in away."""

    def __init__(self, patch: Any) -> None:
        super().__init__()
        self._patch = patch

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

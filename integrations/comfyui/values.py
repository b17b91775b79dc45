"""What ComfyUI's own wires carry, as hp_trt takes it: an IMAGE as a picture, a VIDEO and an AUDIO as files.

A video is never decoded here: it is a file already, or becomes one as it is. Sound becomes a WAV file of the same
float32 samples, so that what is made of it has its sound.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from engines.safe_output import refusing
from engines.temporary import temporary_folder
from hp_trt import InputError

_IEEE_FLOAT, _SAMPLE_BYTES = 3, 4  # of the WAV format
_MOST_BYTES = 2**32 - 64  # what a WAV file can say of its length


def picture_of(image: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an IMAGE, (1, H, W, 3) float in [0, 1]; alpha behind the colours is left out.

    Raises InputError for several pictures, and for what is no picture.
    """
    pictures = Pictures(image)
    if len(pictures) != 1:
        raise InputError(f"a portrait is one image, got a batch of {len(pictures)}; take one with ImageFromBatch")
    return pictures[0]


class Pictures(Sequence[np.ndarray]):
    """A batch of IMAGEs as a sequence of (H, W, 3) uint8 RGB arrays, each made when it is asked for.

    The batch is (N, H, W, 3) float in [0, 1]; alpha behind the colours is left out. Raises InputError for what is no
    such batch, and for a picture with pixels that are no numbers as it is asked for.
    """

    def __init__(self, images: Any) -> None:
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[3] not in (3, 4) or not all(shape):
            raise InputError(f"an image is (1, H, W, 3), got {shape}; connect an IMAGE with colours")
        self._images = images
        self._count, self.height, self.width = shape[:3]

    def __len__(self) -> int:
        return int(self._count)

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        colours = _array(self._images[number, :, :, :3])
        if not np.isfinite(colours).all():
            raise InputError("the image has pixels that are no numbers; look at what made it")
        # What was n / 255 is n again.
        return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)


def empty_images(like: Any, shape: tuple[int, int, int]) -> tuple[Any, np.ndarray]:
    """An IMAGE of N pictures of height and width, `shape`, whose pixels nobody has set, and its memory as an array,
    (N, H, W, 3) float32. It is of the kind of tensor that `like` is, and in the memory of the CPU."""
    made = _plain(like[:1]).new_empty((*shape, 3))
    return made, made.numpy()


@contextmanager
def file_of_video(video: Any) -> Iterator[Path]:
    """A VIDEO as a file: the one that it is, or one that goes with the block. Raises OutputError."""
    source = video.get_stream_source()
    whole = _is_whole(video)
    if whole and isinstance(source, str):
        yield Path(source)
        return
    with temporary_folder("comfyui") as folder:
        path = folder / "video.mp4"
        with refusing(path):
            if not whole:
                video.save_to(str(path))
            else:
                with path.open("wb") as file:
                    shutil.copyfileobj(source, file)
        yield path


@contextmanager
def file_of_audio(audio: Any) -> Iterator[Path]:
    """An AUDIO, {"waveform": (1, C, n) float, "sample_rate": Hz}, as a WAV file that goes with the block.

    Raises InputError, OutputError.
    """
    samples, rate = _array(audio["waveform"]), int(audio["sample_rate"])
    if samples.ndim != 3 or samples.shape[0] != 1 or not samples.shape[1]:
        raise InputError(f"a sound is one, (1, channels, n), got {samples.shape}; connect an AUDIO of one sound")
    if samples[0].size * _SAMPLE_BYTES > _MOST_BYTES:
        raise InputError(f"the sound has {samples.shape[2]} samples, more than a WAV file holds; cut it")
    with temporary_folder("comfyui") as folder:
        path = folder / "sound.wav"
        with refusing(path):
            path.write_bytes(_wav(samples[0], rate))
        yield path


def _wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of (C, n) float32."""
    channels = samples.shape[0]
    data = np.ascontiguousarray(samples.T, "<f4").tobytes()
    frame = channels * _SAMPLE_BYTES
    about = struct.pack("<HHIIHHH", _IEEE_FLOAT, channels, rate, rate * frame, frame, 8 * _SAMPLE_BYTES, 0)
    fact = struct.pack("<I", samples.shape[1])
    chunks = b"".join(_chunk(name, content) for name, content in ((b"fmt ", about), (b"fact", fact), (b"data", data)))
    return _chunk(b"RIFF", b"WAVE" + chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


def _is_whole(video: Any) -> bool:
    """Whether the stream's source is all of the video: later versions of ComfyUI cut videos without writing them."""
    window = getattr(video, "get_active_trim_window", None)
    return window is None or tuple(window()) == (0, 0)


def _array(tensor: Any) -> np.ndarray:
    """A tensor of torch, wherever it is, as float32: torch itself is ComfyUI's affair."""
    return np.asarray(_plain(tensor), np.float32)


def _plain(tensor: Any) -> Any:
    """The same tensor of float32 in the memory of the CPU, or what has no such methods as it is."""
    for step in ("detach", "cpu", "float"):
        tensor = getattr(tensor, step, lambda found=tensor: found)()
    return tensor

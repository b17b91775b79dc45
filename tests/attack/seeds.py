"""Good files of many kinds, made once a run: what the families damage, and what must work as it is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

import hp_trt.hallo2
import hp_trt.hunyuanportrait
from hp_trt.sample import landmarks_beside, write_driving, write_portrait
from tests.cache import Cache
from tests.export.kept_bundles import kept_bundle
from tests.hp_trt.hallo2.sounds import tone, write_sound

_FRAMES, _PX = 6, 192
_PROFILES = Path(hp_trt.hunyuanportrait.__file__).with_name("profiles.toml")
_TALK_PROFILES = Path(hp_trt.hallo2.__file__).with_name("profiles.toml")


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Read only, all of it. Bundles are of the tests' own small presets: whole runs take a second."""

    bundle: Path  # for clips
    live_bundle: Path  # for streams
    talk_bundle: Path  # for clips of speech
    portrait: Path
    driving: Path
    portrait_landmarks: Path
    driving_landmarks: Path
    pictures: dict[str, Path]  # by what is special about them
    videos: dict[str, Path]
    sounds: dict[str, Path]
    speech: Path  # one of them
    profile: str  # the text of the shipped profiles
    talk_profile: str  # likewise
    live_profile: Path  # for the live bundle, whose windows are three frames


def make_seeds(folder: Path) -> Seeds:
    """Fill `folder`. Bundles come from the tests' cache, and are built when it has none."""
    portrait, driving = folder / "portrait.png", folder / "driving.mp4"
    write_portrait(portrait, seed=7, px=256)
    write_driving(driving, seed=8, frames=_FRAMES, px=_PX)
    (folder / "live.toml").write_text('[three]\nbase = "live"\nwindow = 3\n')
    (folder / "pictures").mkdir()
    (folder / "videos").mkdir()
    (folder / "sounds").mkdir()
    sounds = _sounds(folder / "sounds")
    return Seeds(
        bundle=kept_bundle(Cache(), preset="small", parity=False),
        live_bundle=kept_bundle(Cache(), preset="tiny", live=True, parity=False),
        talk_bundle=kept_bundle(Cache(), preset="tiny_talk", parity=False),
        portrait=portrait,
        driving=driving,
        portrait_landmarks=landmarks_beside(portrait),
        driving_landmarks=landmarks_beside(driving),
        pictures=_pictures(folder / "pictures", Image.open(portrait).convert("RGB")),
        videos=_videos(folder / "videos", driving),
        sounds=sounds,
        speech=sounds["wav"],
        live_profile=folder / "live.toml",
        profile=_PROFILES.read_text(encoding="utf-8"),
        talk_profile=_TALK_PROFILES.read_text(encoding="utf-8"),
    )


def _pictures(folder: Path, image: Image.Image) -> dict[str, Path]:
    from pillow_heif import from_pillow

    made: dict[str, Path] = {}

    def put(name: str, suffix: str, picture: Image.Image, **options: object) -> None:
        made[name] = folder / f"{name.replace(' ', '-')}{suffix}"
        picture.save(made[name], **options)

    turned = Image.Exif()
    turned[0x0112] = 6
    put("png", ".png", image)
    put("png with alpha", ".png", image.convert("RGBA"))
    put("png palette", ".png", image.quantize(64))
    put("png grey", ".png", image.convert("L"))
    put("png 16 bit", ".png", Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257))
    put("jpeg", ".jpg", image, quality=90)
    put("jpeg turned", ".jpg", image.rotate(90), exif=turned)
    put("jpeg cmyk", ".jpg", image.convert("CMYK"))
    put("webp", ".webp", image)
    put("gif of three", ".gif", image.quantize(64), save_all=True, append_images=[image.quantize(64)] * 2)
    put("bmp", ".bmp", image)
    put("tiff", ".tiff", image, compression="tiff_lzw")
    put("tiff float", ".tiff", Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255))
    put("avif", ".avif", image)
    made["heic"] = folder / "heic.heic"
    from_pillow(image).save(made["heic"])
    put("ppm", ".ppm", image)
    put("jpeg 2000", ".jp2", image)
    return made


def _videos(folder: Path, driving: Path) -> dict[str, Path]:
    with av.open(str(driving)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    kinds = {
        "mp4": ("libx264", "aac", 44100),
        "mov": ("mjpeg", "pcm_s16le", 48000),
        "mkv": ("libx264", "libopus", 48000),
        "avi": ("mpeg4", "mp3", 44100),
        "ts": ("libx264", "aac", 48000),
        "webm": ("libvpx", "libopus", 48000),
        "flv": ("flv1", "mp3", 44100),
    }
    return {kind: _video(folder / f"{kind}.{kind}", frames, *codecs) for kind, codecs in kinds.items()}


def _video(path: Path, frames: list[np.ndarray], codec: str, sound: str, hz: int) -> Path:
    with av.open(str(path), "w") as output:
        video = output.add_stream(codec, rate=25, options={"preset": "ultrafast"} if codec == "libx264" else {})
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        track = output.add_stream(sound, rate=hz, layout="mono")
        wave = np.sin(np.arange(round(hz * len(frames) / 25)) / hz * 2 * np.pi * 440) * 0.3
        block = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = hz, 0, Fraction(1, hz)
        for frame in frames:
            output.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        resampler = av.AudioResampler(format=track.format, layout="mono", rate=hz, frame_size=track.frame_size or 0)
        for part in (*resampler.resample(block), *resampler.resample(None)):
            output.mux(track.encode(part))
        output.mux(video.encode(None))
        output.mux(track.encode(None))
    return path


def _sounds(folder: Path) -> dict[str, Path]:
    """A fifth of a second each, of every kind that people have."""
    kinds: dict[str, tuple[str, int, dict[str, str]]] = {
        "wav": ("wav", 16_000, {}),
        "wav 8 bit": ("wav", 8000, {"codec": "pcm_u8", "form": "u8"}),
        "wav 24 bit": ("wav", 96_000, {"codec": "pcm_s24le", "form": "s32"}),
        "wav float": ("wav", 48_000, {"codec": "pcm_f32le", "form": "flt"}),
        "wav 7.1": ("wav", 48_000, {"layout": "7.1"}),
        "mp3": ("mp3", 44_100, {"codec": "mp3", "form": "s16p"}),
        "m4a": ("m4a", 44_100, {"codec": "aac", "form": "fltp"}),
        "flac": ("flac", 44_100, {"codec": "flac"}),
        "opus": ("ogg", 48_000, {"codec": "libopus", "form": "flt"}),
        "mka": ("mka", 22_050, {"codec": "flac"}),
        "aiff": ("aiff", 44_100, {"codec": "pcm_s16be"}),
    }
    made = {}
    for name, (suffix, rate, how) in kinds.items():
        wave = tone(0.2, rate=rate)
        path = folder / f"{name.replace(' ', '-')}.{suffix}"
        made[name] = write_sound(path, np.stack([wave] * 8) if "layout" in how else wave, rate, **how)
    return made


def manifest_of(bundle: Path) -> dict:
    return json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))

"""A portrait and a driving video to try things with: drawn, seeded, nobody's face.

The heads are shaded the way detectors expect (dark eyes under brighter brows and cheeks, a bright
nose bridge), so OpenCV's cascades find them in every frame. The driving head turns, nods, blinks and
talks; its sound is a soft tone that follows the mouth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hp_trt.video_writer import X264

if TYPE_CHECKING:
    from PIL import Image

Color = tuple[int, int, int]

_SMOOTH = 2  # drawn this much larger, then shrunk


@dataclass(frozen=True, kw_only=True)
class Look:
    """Who is drawn."""

    skin: Color
    hair: Color
    iris: Color
    lips: Color
    coat: Color
    sky: tuple[Color, Color]  # the background, top and bottom
    long_hair: bool = False


@dataclass(frozen=True, kw_only=True)
class Pose:
    """What the head does; all zero is a calm look into the camera."""

    yaw: float = 0.0  # -1 .. 1: to the picture's left .. right
    nod: float = 0.0  # -1 .. 1: up .. down
    roll_deg: float = 0.0
    blink: float = 0.0  # 0 open .. 1 closed
    mouth: float = 0.0  # 0 closed .. 1 open
    gaze: float = 0.0  # -1 .. 1


PORTRAIT = Look(
    skin=(232, 190, 160), hair=(88, 52, 36), iris=(70, 110, 90), lips=(186, 92, 88), coat=(44, 76, 92),
    sky=((214, 222, 224), (168, 186, 194)), long_hair=True,
)  # fmt: skip
DRIVER = Look(
    skin=(214, 168, 134), hair=(48, 42, 46), iris=(82, 74, 58), lips=(168, 88, 80), coat=(122, 62, 56),
    sky=((236, 226, 206), (206, 186, 160)),
)  # fmt: skip


def write_sample(out_dir: Path | str, *, seed: int = 0, frames: int = 50, fps: int = 25) -> tuple[Path, Path]:
    """Write `portrait.png` and `driving.mp4` into `out_dir` (made if missing); return their paths."""
    from PIL import Image

    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    portrait, driving = folder / "portrait.png", folder / "driving.mp4"
    Image.fromarray(draw_head(PORTRAIT, Pose(), width=560, height=640)).save(portrait)
    write_driving(driving, seed=seed, frames=frames, fps=fps)
    return portrait, driving


def write_driving(path: Path, *, seed: int = 0, frames: int = 50, fps: int = 25, px: int = 384) -> None:
    """An H.264 video of `px` x `px` with an AAC track of the same length."""
    import av

    poses = list(driving_poses(frames, seed=seed, fps=fps))
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=Fraction(fps), options=dict(X264))
        video.width = video.height = px
        video.pix_fmt = "yuv420p"
        audio = output.add_stream("aac", rate=44100, layout="mono")
        for pose in poses:
            image = draw_head(DRIVER, pose, width=px, height=px)
            output.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(video.encode(None))
        for block in _sound([pose.mouth for pose in poses], fps=fps):
            output.mux(audio.encode(block))
        output.mux(audio.encode(None))


def driving_poses(frames: int, *, seed: int = 0, fps: int = 25) -> Iterator[Pose]:
    """A head that moves in slow waves, blinks about every two seconds and talks in syllables."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * pi, size=4)
    blinks = np.cumsum(rng.uniform(1.4, 2.4, size=2 + int(frames / fps))) - 0.8
    for frame in range(frames):
        t = frame / fps
        nearest_s = float(np.abs(blinks - t).min())
        yield Pose(
            yaw=0.55 * sin(2 * pi * 0.45 * t) + 0.1 * sin(2 * pi * 1.1 * t + phase[0]),
            nod=0.45 * sin(2 * pi * 0.6 * t + phase[1]),
            roll_deg=4 * sin(2 * pi * 0.35 * t + phase[2]),
            blink=max(0.0, 1 - nearest_s / 0.12),
            mouth=max(0.0, sin(2 * pi * 2.7 * t)) * (0.55 + 0.45 * sin(2 * pi * 0.5 * t + phase[3])),
            gaze=0.5 * sin(2 * pi * 0.3 * t + phase[0]),
        )


def draw_head(look: Look, pose: Pose, *, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB: head and shoulders before a plain wall."""
    from PIL import Image

    size = width * _SMOOTH, height * _SMOOTH
    unit = min(width, height) * _SMOOTH / 100
    ramp = np.linspace(0, 1, size[1])[:, None, None]
    wall = np.array(look.sky[0]) * (1 - ramp) + np.array(look.sky[1]) * ramp
    picture = Image.fromarray(np.broadcast_to(wall, (size[1], size[0], 3)).astype(np.uint8)).convert("RGBA")
    middle = size[0] / 2, size[1] * 0.48
    _Brush(picture, unit, middle).body(look)
    head = Image.new("RGBA", size)
    _Brush(head, unit, (middle[0] + 1.5 * pose.yaw * unit, middle[1] + 1.5 * pose.nod * unit)).head(look, pose)
    head = head.rotate(pose.roll_deg, Image.Resampling.BICUBIC, center=(middle[0], middle[1] + 30 * unit))
    picture.alpha_composite(head)
    return np.asarray(picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))


@dataclass
class _Brush:
    """Soft shapes on an RGBA picture; lengths in hundredths of its shorter side, from `middle`."""

    picture: Image.Image
    unit: float
    middle: tuple[float, float]
    shift: tuple[float, float] = field(default=(0.0, 0.0))

    def oval(
        self, x: float, y: float, rx: float, ry: float, color: Color, *, blur: float = 0.0, alpha: float = 1.0
    ) -> None:
        self._paint([(x + rx * cos(a), y + ry * sin(a)) for a in np.linspace(0, 2 * pi, 90)], color, blur, alpha)

    def curve(self, points: list[tuple[float, float]], width: float, color: Color, *, alpha: float = 1.0) -> None:
        """A stroke along `points`, thin at both ends."""
        path = np.array(points)
        along = np.gradient(path, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
        half = across * (width / 2 * np.sin(np.linspace(0.15, pi - 0.15, len(path))))[:, None]
        self._paint([*(path + half).tolist(), *(path - half).tolist()[::-1]], color, 0.2, alpha)

    def body(self, look: Look) -> None:
        if look.long_hair:
            self.oval(0, 10, 28, 36, _shade(look.hair, 0.8), blur=0.6)
        self.oval(0, 66, 46, 28, look.coat, blur=0.4)
        self.oval(-14, 58, 20, 12, _shade(look.coat, 1.12), blur=6, alpha=0.6)
        self._paint([(-10, 20), (10, 20), (12, 42), (0, 50), (-12, 42)], _shade(look.skin, 0.86), 0.6, 1)
        self.oval(0, 29, 11, 7, _shade(look.skin, 0.66), blur=3, alpha=0.6)

    def head(self, look: Look, pose: Pose) -> None:
        turn, nod = 3.2 * pose.yaw, 2.2 * pose.nod
        skin = look.skin
        self.oval(0, -8, 26.5, 31, look.hair, blur=0.3)
        for side in (-1, 1):
            self.oval(side * 23.5 - 0.6 * turn, 4, 3.4, 6, _shade(skin, 0.84), blur=0.4)
        face = [(23 * cos(a), (28 if sin(a) < 0 else 31) * sin(a) + 1) for a in np.linspace(0, 2 * pi, 120)]
        self._paint([(x * (1 - 0.12 * max(0.0, y / 31) ** 2), y) for x, y in face], skin, 0.4, 1)
        self.oval(turn, -14, 15, 8, _shade(skin, 1.1), blur=5, alpha=0.8)
        for side in (-1, 1):  # temples and jaw fall into shade, cheeks catch the light
            self.oval(side * 19 - 0.3 * turn, 3, 2.5, 10, _shade(skin, 0.72), blur=2.2, alpha=0.55)
            self.oval(side * 12.5 - 0.3 * turn, 20, 2.5, 5, _shade(skin, 0.8), blur=2.2, alpha=0.5)
            self.oval(side * 12 + turn, 8.5, 6, 4.5, _shade(skin, 1.13), blur=2.6, alpha=0.85)
            self.oval(side * 13 + turn, 11, 5, 3.5, (226, 120, 104), blur=3, alpha=0.25)
        self.shift = turn, nod
        for side in (-1, 1):
            self._eye(side, look, pose)
        self._nose(look)
        self._mouth(look, pose.mouth)
        self.shift = (0.3 * turn, 0.0)
        fringe = [(-26, 2), (-25, -16), (-15, -33), (2, -39), (17, -32), (25, -16), (26, 2), (23, -8)]
        self._paint([*fringe, (17, -19), (6, -23), (-9, -20), (-19, -13), (-23, -6)], look.hair, 0.6, 1)
        shine = [(-16, -27), (-8, -31.5), (2, -33), (12, -30)]
        self.curve(_smooth(shine), 2.4, _shade(look.hair, 1.5), alpha=0.5)

    def _eye(self, side: int, look: Look, pose: Pose) -> None:
        x, y, skin = side * 9.2, -2.0, look.skin
        self.oval(x, y - 0.6, 6.4, 4.0, _shade(skin, 0.55), blur=1.6, alpha=0.75)
        opening = 2.5 * (1 - pose.blink)
        if opening > 0.5:
            self.oval(x, y, 4.5, opening, (238, 236, 230))
            iris = min(2.35, opening + 0.25)
            self.oval(x + 1.2 * pose.gaze, y - 0.1, 2.35, iris, _shade(look.iris, 0.8))
            self.oval(x + 1.2 * pose.gaze, y - 0.1, 1.2, min(1.2, iris), (22, 18, 18))
            self.oval(x + 1.2 * pose.gaze - 0.8, y - 0.8, 0.55, min(0.55, opening / 3), (255, 255, 255))
        lid = [(x + 5 * t, y - opening * (1 - t * t) + 0.2) for t in np.linspace(-1, 1, 30)]
        self.curve(lid, 1.3, (46, 32, 30))
        under = [(x + 4.4 * t, y + opening * (1 - t * t)) for t in np.linspace(-1, 1, 30)]
        self.curve(under, 0.6, _shade(skin, 0.5), alpha=0.8)
        brow = [(x + 6 * t, y - 6.2 - 1.3 * (1 - t * t) - side * 0.5 * t) for t in np.linspace(-1, 1, 30)]
        self.curve(brow, 2.0, _shade(look.hair, 0.75))

    def _nose(self, look: Look) -> None:
        skin, lean = look.skin, 0.35 * self.shift[0]
        for side in (-1, 1):
            self.oval(side * 3.4 + lean, 4, 1.5, 6, _shade(skin, 0.74), blur=1.5, alpha=0.5)
        self.oval(lean, 2.5, 1.5, 8.5, _shade(skin, 1.16), blur=1.3, alpha=0.9)
        self.oval(lean, 10.6, 3.6, 2.6, _shade(skin, 1.06), blur=1.0)
        self.oval(lean, 13.3, 4.2, 1.2, _shade(skin, 0.58), blur=1.0, alpha=0.7)
        for side in (-1, 1):
            self.oval(side * 2.0 + lean, 12.6, 0.95, 0.6, _shade(skin, 0.35), blur=0.3)

    def _mouth(self, look: Look, opening: float) -> None:
        y, drop = 19.5, 4.2 * opening
        if drop > 0.4:
            self.oval(0, y + drop / 2, 6.2, drop / 2 + 0.6, (72, 26, 28))
            self.oval(0, y + 0.3, 4.4, min(0.9, drop / 3), (240, 234, 226))
        upper = [(7.8 * t, y - 0.2 - 1.1 * t * t) for t in np.linspace(-1, 1, 40)]  # a light smile
        lower = [(7.2 * t, y - 0.7 + (drop + 2.2) * (1 - t * t)) for t in np.linspace(-1, 1, 40)]
        self.curve(lower, 2.7, look.lips)
        self.curve(upper, 2.0, _shade(look.lips, 0.86))
        self.oval(0, y + drop + 5.2, 4, 1, _shade(look.skin, 0.72), blur=1.2, alpha=0.6)

    def _paint(self, points: list[Any], color: Color, blur: float, alpha: float) -> None:
        from PIL import Image, ImageDraw, ImageFilter

        x0, y0 = self.middle[0] + self.shift[0] * self.unit, self.middle[1] + self.shift[1] * self.unit
        pixels = [(x0 + x * self.unit, y0 + y * self.unit) for x, y in points]
        mask = Image.new("L", self.picture.size)
        ImageDraw.Draw(mask).polygon(pixels, fill=round(255 * alpha))
        reach = 3 * blur * self.unit + 2  # only what the shape can touch, for speed
        xs, ys = [p[0] for p in pixels], [p[1] for p in pixels]
        left, top = max(0, int(min(xs) - reach)), max(0, int(min(ys) - reach))
        box = left, top, min(mask.width, int(max(xs) + reach)), min(mask.height, int(max(ys) + reach))
        if box[2] <= left or box[3] <= top:
            return
        part = mask.crop(box)
        if blur:
            part = part.filter(ImageFilter.GaussianBlur(blur * self.unit))
        layer = Image.new("RGBA", part.size, color)
        layer.putalpha(part)
        self.picture.alpha_composite(layer, (left, top))


def _shade(color: Color, factor: float) -> Color:
    r, g, b = (min(255, round(c * factor)) for c in color)
    return r, g, b


def _smooth(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """30 points on the polygon's rounded path."""
    path = np.array(points)
    for _ in range(3):  # Chaikin's corner cutting
        inner = np.stack([0.75 * path[:-1] + 0.25 * path[1:], 0.25 * path[:-1] + 0.75 * path[1:]], axis=1)
        path = np.concatenate([path[:1], inner.reshape(-1, 2), path[-1:]])
    return [(float(x), float(y)) for x, y in path]


def _sound(loudness: list[float], *, fps: int, rate: int = 44100) -> Iterator[Any]:
    """Audio frames of a 220 Hz tone, as loud as the mouth is open."""
    import av

    samples = round(len(loudness) / fps * rate)
    t = np.arange(samples) / rate
    swell = np.interp(t, np.arange(len(loudness)) / fps, loudness)
    tone = (0.25 * swell * (np.sin(2 * pi * 220 * t) + 0.3 * np.sin(2 * pi * 440 * t))).astype(np.float32)
    for start in range(0, samples, 1024):
        block = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
        yield block

"""What a varied person's pictures look like, from a seed: palette, skin, light, hair, cloth, camera.

A style never says where anything is: a person's landmarks, pose and expression are those of the plain drawing.
Colours of light are RGB factors, directions point from the face to the light: x right, y down, z to the viewer.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from procedural.identity import Color, Identity, mix, shade
from procedural.manner import Manner

Vector = tuple[float, float, float]

# The Monk Skin Tone Scale, light to dark (skintone.google, CC BY 4.0).
_TONES: tuple[Color, ...] = (
    (246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150), (160, 126, 86),
    (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32),
)  # fmt: skip
_HAIRS: tuple[Color, ...] = (
    (18, 16, 18), (28, 22, 22), (46, 32, 26), (72, 48, 34), (98, 66, 42), (134, 92, 56), (150, 70, 36),
    (196, 156, 100), (224, 196, 150), (150, 150, 152), (214, 212, 210),
)  # fmt: skip
_IRISES: tuple[Color, ...] = (
    (36, 24, 18), (60, 40, 26), (88, 62, 36), (92, 100, 60), (70, 106, 84), (88, 120, 150), (122, 146, 166),
)  # fmt: skip
CLOTHS = ("plain", "stripes", "checks", "knit", "noise", "dots")
BACKDROPS = ("gradient", "clouds", "cells", "stripes", "bricks", "bokeh", "leaves", "room")
FINISHES = ("none", "gray", "sepia", "steps", "ink", "paint")


@dataclass(frozen=True, kw_only=True)
class Skin:
    """Parts 0 .. 1."""

    pores: float
    blotches: float
    freckles: float
    moles: int
    blush: float
    beard: float
    wrinkles: float
    sockets: float  # darker round the eyes
    makeup: Color | None  # on the upper lids

    @classmethod
    def random(cls, rng: np.random.Generator) -> Skin:
        return cls(
            pores=float(rng.uniform(0.0, 1.0)),
            blotches=float(rng.uniform(0.0, 1.0)),
            freckles=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.25 else 0.0,
            moles=int(rng.integers(0, 5)),
            blush=float(rng.uniform(0.0, 1.0)),
            beard=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.3 else 0.0,
            wrinkles=float(rng.uniform(0.1, 1.0)) if rng.random() < 0.5 else 0.0,
            sockets=float(rng.uniform(0.0, 1.0)),
            makeup=_color(rng, (0.2, 0.8), (0.3, 0.9)) if rng.random() < 0.2 else None,
        )


@dataclass(frozen=True, kw_only=True)
class Light:
    """A key light with shadows, a fill, and what comes from everywhere."""

    key: Vector
    key_color: Vector
    fill: Vector
    fill_color: Vector
    ambient: Vector
    rim_color: Vector
    soft: float  # how far the key reaches round the rim, 0 hard .. 1
    relief: float  # of the face's features
    shadow: float  # 0 none .. 1
    occlusion: float
    gloss: float  # of skin
    sharp: int  # of the gloss: it is the 2 ** sharp-th power

    @classmethod
    def random(cls, rng: np.random.Generator) -> Light:
        flat = rng.random() < 0.2  # an overcast day, a flash at the lens
        strength = rng.uniform(0.1, 0.35) if flat else rng.uniform(0.5, 1.3)
        key = _direction(rng, (-1.0, 0.35), 0.15)
        ambient = (1 - 0.72 * min(strength, 1.2)) * _tint(rng, 0.12)
        return cls(
            key=_vector(key),
            key_color=_vector(strength * 1.25 * _tint(rng, 0.15)),
            fill=_vector(_direction(rng, (-0.5, 0.8), 0.0) * (1, 1, 1)),
            fill_color=_vector(rng.uniform(0.0, 0.45) * _tint(rng, 0.5 if rng.random() < 0.3 else 0.15)),
            ambient=_vector(np.maximum(ambient, 0.08)),
            rim_color=_vector(rng.uniform(0.2, 1.2) * _tint(rng, 0.5) if rng.random() < 0.3 else np.zeros(3)),
            soft=float(rng.uniform(0.05, 0.7)),
            relief=float(rng.uniform(0.7, 2.0)),
            shadow=float(rng.uniform(0.0, 0.8)),
            occlusion=float(rng.uniform(0.2, 0.9)),
            gloss=float(rng.uniform(0.0, 0.45) ** 2),
            sharp=int(rng.integers(3, 6)),
        )


@dataclass(frozen=True, kw_only=True)
class Camera:
    """What a lens, a sensor and a file do. Lengths in picture sides."""

    blur: float
    coarse: float  # how many times larger its pixels were than the picture's; 1: as large
    aberration: float
    vignette: float
    exposure: float  # how light skin is to be, as far as the camera follows it
    balance: Vector
    contrast: float
    saturation: float
    noise: float  # of the picture's range, in its middle
    coloured: float  # part of the noise that is not the same in all colours
    quality: int  # JPEG's; 0: no JPEG

    @classmethod
    def random(cls, rng: np.random.Generator) -> Camera:
        return cls(
            blur=float(rng.uniform(0.002, 0.008)) if rng.random() < 0.4 else 0.0,
            coarse=float(rng.uniform(1.2, 2.0)) if rng.random() < 0.2 else 1.0,
            aberration=float(rng.uniform(0.001, 0.004)) if rng.random() < 0.3 else 0.0,
            vignette=float(rng.uniform(0.1, 0.6)) if rng.random() < 0.5 else 0.0,
            exposure=float(rng.uniform(0.38, 0.72)),
            balance=_vector(_tint(rng, 0.1)),
            contrast=float(rng.uniform(0.8, 1.3)),
            saturation=float(rng.uniform(0.7, 1.35)),
            noise=float(rng.uniform(0.0, 0.2) ** 2),
            coloured=float(rng.uniform(0.0, 1.0)),
            quality=int(rng.integers(35, 95)) if rng.random() < 0.4 else 0,
        )


@dataclass(frozen=True, kw_only=True)
class Variety:
    """The look of one person's pictures. The same in all frames but for the sensor's noise."""

    seed: int  # of textures and noise
    dressed: bool  # whether colours are of a palette of its own, else the plain drawing's
    rendered: bool  # whether there is light, relief and texture, else flat colours
    manner: Manner
    skin: Skin
    light: Light
    strands: float  # how much the hair's strands show
    hair_gloss: float
    flyaway: int  # single hairs
    cloth: str  # of CLOTHS
    cloth_contrast: float
    lip_gloss: float
    catch: float  # light that eyes mirror, 0 .. 1
    backdrop: str  # of BACKDROPS; of one that is not rendered the plain wall
    backdrop_blur: float  # picture sides
    finish: str  # of FINISHES
    camera: Camera

    @classmethod
    def random(cls, seed: int) -> Variety:
        rng = np.random.default_rng([seed, 78])
        rendered = rng.random() > 0.08
        painted = rng.random() < 0.3  # drawn lines and flat shapes stay
        part = float(rng.uniform(0.5, 1.1)) if painted else float(rng.uniform(0.0, 0.35))
        lash = float(rng.uniform(0.7, 1.2)) if painted else float(rng.uniform(0.25, 0.75))
        white = shade((252, 246, 242), float(rng.uniform(0.72, 1.0)))
        finish = FINISHES[int(rng.choice(len(FINISHES), p=(0.7, 0.06, 0.03, 0.06, 0.07, 0.08)))]
        return cls(
            seed=seed,
            dressed=bool(rng.random() < 0.9),
            rendered=bool(rendered),
            manner=Manner(
                lash=shade((52, 36, 30), float(rng.uniform(0.3, 1.2))),
                lash_width=lash,
                white=white,
                teeth=shade((250, 244, 228), float(rng.uniform(0.75, 1.0))),
                crease=part + 0.2,
                glow=part * float(rng.uniform(0.3, 1.0)),
                nose=part,
                nose_line=0.25 + 0.75 * part,
                seam=float(rng.uniform(0.5, 1.0)),
                brow=float(rng.uniform(0.55, 1.05)),
                shine=part,
            ),
            skin=Skin.random(rng),
            light=Light.random(rng),
            strands=float(rng.uniform(0.15, 1.0)),
            hair_gloss=float(rng.uniform(0.0, 0.8)),
            flyaway=int(rng.integers(0, 90)) if not painted else 0,
            cloth=CLOTHS[int(rng.integers(len(CLOTHS)))],
            cloth_contrast=float(rng.uniform(0.1, 0.8)),
            lip_gloss=float(rng.uniform(0.0, 0.6)),
            catch=float(rng.uniform(0.0, 1.0)),
            backdrop=BACKDROPS[int(rng.integers(len(BACKDROPS)))],
            backdrop_blur=float(rng.uniform(0.0, 0.05) ** 2 / 0.05),
            finish=finish,
            camera=Camera.random(rng),
        )

    def dress(self, who: Identity) -> Identity:
        """`who` in this style's colours; proportions stay."""
        if not self.dressed:
            return who
        rng = np.random.default_rng([self.seed, 79])
        tone = float(rng.uniform(0, len(_TONES) - 1))
        skin = mix(_TONES[int(tone)], _TONES[min(int(tone) + 1, len(_TONES) - 1)], tone % 1)
        skin = mix(
            skin, _color(rng, (0.3, 0.7), (0.5, 0.9)), 0.8 if rng.random() < 0.05 else float(rng.uniform(0, 0.1))
        )
        warm = shade((255, 214, 186), 0.3 + 0.7 * max(skin) / 255)
        skin = mix(skin, warm, float(rng.uniform(0.15, 0.7)) * max(0.0, 1 - tone / 7))
        pale = 1 - tone / (len(_TONES) - 1)
        usual = rng.random() > 0.15
        hair = _HAIRS[int(rng.integers(len(_HAIRS) if pale > 0.5 or not usual else 4))]
        hair = shade(hair, float(rng.uniform(0.8, 1.2))) if usual else _color(rng, (0.2, 0.9), (0.2, 0.9))
        lips = mix(shade(skin, float(rng.uniform(0.6, 0.85))), (186, 60, 72), float(rng.uniform(0.15, 0.5)))
        if rng.random() < 0.25:  # lipstick
            lips = mix(lips, _color(rng, (0.5, 0.9), (0.3, 0.85), hue=(-0.12, 0.06)), 0.7)
        clothes = _color(rng, (0.0, 0.9), (0.05, 0.95))
        wall = _color(rng, (0.0, 0.7), (0.08, 0.95))
        return replace(
            who,
            skin=skin,
            hair=hair,
            iris=shade(_IRISES[int(rng.integers(3 if pale < 0.4 else len(_IRISES)))], float(rng.uniform(0.7, 1.3))),
            brow=shade(mix(hair, (46, 34, 28), float(rng.uniform(0.2, 0.7))), float(rng.uniform(0.6, 1.0))),
            lips=lips,
            blush=0.0,
            clothes=clothes,
            trim=mix(clothes, _color(rng, (0.0, 0.9), (0.05, 0.95)), float(rng.uniform(0.1, 1.0))),
            wall=(shade(wall, float(rng.uniform(0.9, 1.2))), shade(wall, float(rng.uniform(0.5, 1.0)))),
        )


def varied_identity(seed: int) -> Identity:
    """Somebody whose proportions spread wider than `Identity.random`'s, towards those of people: smaller eyes first.

    Landmarks are, as ever, those of the identity that is drawn.
    """
    rng = np.random.default_rng([seed, 80])

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    who = Identity.random(seed)
    if rng.random() < 0.25:
        return who
    width = between(0.205, 0.245)
    return replace(
        who,
        width=width,
        jaw=between(-0.06, 0.13),
        eye_x=width * between(0.40, 0.47),
        eye_width=between(0.036, 0.054),
        eye_height=between(0.017, 0.034),
        eye_slant=between(-0.006, 0.011),
        brow_y=between(0.046, 0.078),
        brow_thick=between(0.010, 0.026),
        nose_y=between(0.092, 0.122),
        nose_width=between(0.032, 0.056),
        mouth_y=between(0.172, 0.198),
        mouth_width=between(0.066, 0.098),
        lip_thick=between(0.010, 0.026),
        glasses=who.glasses if rng.random() < 0.7 else None,
        glasses_round=bool(rng.random() < 0.5),
    )


def _color(
    rng: np.random.Generator,
    saturation: tuple[float, float],
    value: tuple[float, float],
    hue: tuple[float, float] = (0.0, 1.0),
) -> Color:
    parts = colorsys.hsv_to_rgb(rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value))
    r, g, b = (round(255 * part) for part in parts)
    return r, g, b


def _tint(rng: np.random.Generator, most: float) -> np.ndarray:
    """(3,) factors about one: warmer or cooler, and a little of any other colour."""
    warm = rng.uniform(-most, most)
    return np.array([1 + warm, 1.0, 1 - warm]) + rng.uniform(-most, most, 3) / 3


def _direction(rng: np.random.Generator, down: tuple[float, float], least: float) -> np.ndarray:
    """(3,) of length one, towards the viewer by at least `least`."""
    towards = np.array([rng.uniform(-1, 1), rng.uniform(*down), rng.uniform(least, 1.2)])
    return towards / np.linalg.norm(towards)


def _vector(numbers: np.ndarray) -> Vector:
    x, y, z = (float(number) for number in numbers)
    return x, y, z

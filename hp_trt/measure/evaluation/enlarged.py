"""How good enlargements are: drawn people, made small, enlarged again, held against how they were drawn.

People are drawn plain and varied, at several sizes, made small by the mean of each square of pixels, and kept so or as
JPEG, whose blocks a video's key frames have. The yardstick's ends are the bicubic filter and Lanczos, both OpenCV's: a
bundle that is not nearer to the drawn picture than these is not worth its time. A clip of the report is a person of one
seed; seeds below those of training were seen by nobody.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np

from engines.bundle import Bundle
from engines.errors import InputError
from hp_trt.config import RuntimeConfig
from hp_trt.enhancer.enhancer import Enhancer
from hp_trt.enhancer.networks import FACES, bicubic, lanczos
from hp_trt.enhancer.opened import roles_of
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.profiles import PROFILES, needed_roles, options_of
from hp_trt.faces.align import aligned_face, arcface_input
from hp_trt.faces.arcface import open_arcface
from hp_trt.interface.auto_family import settled_family
from hp_trt.measure.evaluation.config import EvaluateConfig, NetworkFiles, parse_seeds
from hp_trt.measure.evaluation.measures import NEEDED, Measure
from hp_trt.measure.evaluation.report import Column, run_facts
from hp_trt.measure.metrics import fidelity
from hp_trt.measure.metrics.networks import open_picture_distance
from hp_trt.measure.metrics.value import Missing, Value
from hp_trt.profiles import Profile
from procedural.clip import Clip
from procedural.motion import motion
from procedural.people import Person

SIDES = (128, 256, 512)  # px of a side, as drawn
QUALITY = 75  # of a JPEG
KINDS = ("plain", "varied")  # of people
FRAMES = 1  # of a person: most of an enhancement is done frame by frame
_BEFORE = 11  # frames of somebody's motion before the first that is drawn: a face at rest is nobody's test
Frames = Sequence[np.ndarray]
Enlarge = Callable[[Frames], Frames]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a person is drawn and made small."""

    side: int
    varied: bool
    jpeg: bool

    @property
    def kind(self) -> str:
        return KINDS[self.varied]

    @property
    def key(self) -> str:
        return f"{self.kind}_{self.side}" + ("_jpeg" if self.jpeg else "")

    @property
    def title(self) -> str:
        return f"{self.kind}, {self.side} px" + (f", JPEG {QUALITY}" if self.jpeg else "")


LOOKS = tuple(
    Look(side=side, varied=varied, jpeg=jpeg) for varied, side, jpeg in product((False, True), SIDES, (False, True))
)
GAINS = tuple(
    Measure(key=f"gain_{kind}", title=f"PSNR over the bicubic filter's, {kind}", unit="dB", better="higher", digits=2)
    for kind in KINDS
)
MEASURES = (
    *GAINS,
    *(Measure(key=f"psnr_{x.key}", title=f"PSNR, {x.title}", unit="dB", better="higher", digits=2) for x in LOOKS),
    *(Measure(key=f"ssim_{x.key}", title=f"SSIM, {x.title}", better="higher") for x in LOOKS),
    Measure(key="lpips", title="LPIPS to the truth", better="lower", needs="--lpips FILE (LPIPS)"),
    Measure(key="identity", title="identity score", better="higher", needs="--arcface FILE (ArcFace)"),
)


@dataclass(frozen=True, kw_only=True)
class DrawnPeople:
    """People of some seeds, `frames` frames of each in every look."""

    seeds: range
    frames: int

    @property
    def names(self) -> list[str]:
        return [str(seed) for seed in self.seeds]

    def facts(self) -> dict[str, object]:
        return {"kind": "seeds", "seeds": [self.seeds.start, self.seeds.stop]}

    def drawn(self, seed: int, look: Look) -> Clip:
        who = Person.random(seed, varied=look.varied)
        states = motion(seed, _BEFORE + self.frames)[_BEFORE:]
        return Clip(identity=who.identity, variety=who.variety, states=tuple(states), px=look.side)


def made_small(picture: np.ndarray, scale: int, *, jpeg: bool) -> np.ndarray:
    """(S, S, 3) uint8 -> (S/scale, S/scale, 3) uint8, by the mean of each square; `jpeg`: as it comes out of one."""
    from PIL import Image

    side = picture.shape[0] // scale
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
    if jpeg:
        packed = io.BytesIO()
        small.save(packed, "JPEG", quality=QUALITY)
        small = Image.open(packed).convert("RGB")
    return np.asarray(small)


class Enlarger(Protocol):
    """A column of the table."""

    name: str
    kind: str  # "bicubic", "lanczos" or "bundle"

    @property
    def scale(self) -> int: ...

    def facts(self) -> dict[str, Any]: ...

    def opened(self) -> AbstractContextManager[Enlarge]:
        """What enlarges the frames of one clip."""
        ...


@dataclass(kw_only=True)
class Filter:
    """An end of the yardstick."""

    kind: str
    scale: int
    name: str
    resize: Callable[[np.ndarray, int, int], np.ndarray]

    def facts(self) -> dict[str, Any]:
        return {"scale": self.scale}

    @contextmanager
    def opened(self) -> Iterator[Enlarge]:
        times = self.scale
        yield lambda frames: [self.resize(f, f.shape[1] * times, f.shape[0] * times) for f in frames]


@dataclass(kw_only=True)
class EnhancerColumn:
    """A bundle of the enhancer, used as `options` say."""

    bundle: Bundle
    config: RuntimeConfig
    profile: Profile
    options: Options
    name: str
    kind: str = "bundle"

    @property
    def scale(self) -> int:
        return self.options.scale

    def facts(self) -> dict[str, Any]:
        return {**run_facts(self.bundle, self.profile, self.config), "options": asdict(self.options)}

    @contextmanager
    def opened(self) -> Iterator[Enlarge]:
        with Enhancer(self.bundle, self.config) as enhancer:
            yield lambda frames: [one.image for one in enhancer.frames(frames, **vars(self.options))]


def enlargers(config: EvaluateConfig) -> tuple[list[Filter], list[EnhancerColumn]]:
    """The yardstick's ends, of every scale that is asked for, and every bundle with every profile.

    Raises BundleError for a bundle of another model, InputError for what one cannot do.
    """
    columns = []
    several = len(config.runtimes) > 1
    for path in config.bundles:
        roles_of(Bundle.open(path, family=""))  # told before anything is hashed
    for path, runtime in product(config.bundles, config.runtimes):
        family = settled_family(path, runtime.family, runtime.device_id)
        bundle = Bundle.open(path, family=family)
        profile = runtime.profile if isinstance(runtime.profile, Profile) else PROFILES.find(runtime.profile)
        options, roles = options_of(profile), roles_of(bundle)
        if lacking := [role for role in needed_roles(options) if role not in roles]:
            raise InputError(
                f"{path} has no {', '.join(lacking)}, which the profile {profile.name} needs; leave it out"
            )
        name = path.resolve().name + (f" {profile.name}" if several else "")
        settled = RuntimeConfig(
            family=family, provider=runtime.provider, device_id=runtime.device_id, threads=runtime.threads
        )
        columns.append(EnhancerColumn(bundle=bundle, config=settled, profile=profile, options=options, name=name))
    if len({column.name for column in columns}) < len(columns):
        raise InputError("a bundle or a profile is given twice; give each once")
    scales = sorted({column.scale for column in columns})
    ends = [
        Filter(kind=kind, scale=scale, name=kind if len(scales) == 1 else f"{kind} x{scale}", resize=resize)
        for scale in scales
        for kind, resize in (("bicubic", bicubic), ("lanczos", lanczos))
    ]
    return ends, columns


class EnlargedMeasures:
    """Opens the user's networks once. Raises InputError for a file that is no such network."""

    def __init__(self, networks: NetworkFiles) -> None:
        self._lpips = open_picture_distance(networks.lpips) if networks.lpips else None
        self._embed = open_arcface(networks.arcface) if networks.arcface else None

    def of_person(self, people: DrawnPeople, seed: int, enlarge: Enlarge, scale: int) -> dict[str, Value]:
        """By key of MEASURES, all but GAINS."""
        values: dict[str, Value] = {}
        distances: list[float] = []
        scores: list[float] = []
        for look in LOOKS:
            drawn = people.drawn(seed, look)
            truth = drawn.frames()
            made = enlarge([made_small(picture, scale, jpeg=look.jpeg) for picture in truth])
            fidelity.require_alike(made, truth, f"the enlargement of {seed}")
            values[f"psnr_{look.key}"] = fidelity.psnr(made, truth)
            values[f"ssim_{look.key}"] = fidelity.ssim(made, truth)
            if self._lpips:
                distances += [self._lpips(a, b) for a, b in zip(made, truth, strict=True)]
            if self._embed:
                scores += [self._alike(*each) for each in zip(made, truth, drawn.landmarks()[:, :5], strict=True)]
        return {
            **values,
            "lpips": float(np.mean(distances)) if distances else NEEDED["lpips"],
            "identity": float(np.mean(scores)) if scores else NEEDED["identity"],
        }

    def _alike(self, made: np.ndarray, truth: np.ndarray, points: np.ndarray) -> float:
        """The cosine of ArcFace's vectors of a face as it was drawn and as it was made."""
        assert self._embed is not None
        ours, true = (self._embed(arcface_input(aligned_face(picture, points))) for picture in (made, truth))
        return float((ours @ true.T).item())


def run_enlargers(
    columns: Sequence[Enlarger],
    people: DrawnPeople,
    measures: EnlargedMeasures,
    on_progress: Callable[[str, int, int], None],
) -> list[Column]:
    """One after the other, so that one bundle is open at a time; each enlarges everybody in every look."""
    found: list[Column] = []
    count = len(people.seeds)
    filtered: dict[int, Sequence[Mapping[str, Value]]] = {}  # by scale, what the bicubic filter's values are
    for column in columns:
        start, before = time.perf_counter(), len(found) * count
        by_person = []
        with column.opened() as enlarge:
            for index, seed in enumerate(people.seeds):
                on_progress(column.name, before + index, len(columns) * count)
                by_person.append(measures.of_person(people, seed, enlarge, column.scale))
        if column.kind == "bicubic":
            filtered[column.scale] = list(map(dict, by_person))
        for values, filters in zip(by_person, filtered[column.scale], strict=True):
            values |= gains(values, filters)
        found.append(
            Column(
                name=column.name,
                kind=column.kind,
                facts=column.facts(),
                seconds=time.perf_counter() - start,
                by_clip=by_person,
                of_all={},
                correlations=[],
            )
        )
    on_progress("done", len(columns) * count, len(columns) * count)
    return found


def gains(values: Mapping[str, Value], filters: Mapping[str, Value]) -> dict[str, Value]:
    """dB by key of GAINS: how much more PSNR a person has than by the bicubic filter, the mean of their looks."""
    found: dict[str, Value] = {}
    for kind in KINDS:
        pairs = [(values[f"psnr_{x.key}"], filters[f"psnr_{x.key}"]) for x in LOOKS if x.kind == kind]
        found[f"gain_{kind}"] = float(
            np.mean([a - b for a, b in pairs if not isinstance(a, Missing) and not isinstance(b, Missing)])
        )
    return found


def people_of(config: EvaluateConfig) -> DrawnPeople:
    """Those that are asked for."""
    assert config.seeds is not None
    return DrawnPeople(seeds=parse_seeds(config.seeds), frames=config.frames or FRAMES)


def note_of_faces(columns: Sequence[EnhancerColumn]) -> list[str]:
    """What a reader should know of bundles that restore nothing."""
    return [
        f"{column.name} has no face restorer: it enlarges alone"
        for column in columns
        if not set(FACES) <= set(roles_of(column.bundle))
    ]

"""What one animated clip is measured with: every number of `measures` that one clip has by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hp_trt.faces.align import aligned_face, arcface_input
from hp_trt.faces.arcface import open_arcface
from hp_trt.faces.face import FaceLocator, largest_face
from hp_trt.faces.found import find_faces
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.mesh import MeshLocator, open_mesh
from hp_trt.faces.mesh_points import POINTS
from hp_trt.measure.evaluation.config import NetworkFiles
from hp_trt.measure.evaluation.measures import NEEDED, Measure
from hp_trt.measure.evaluation.pairs import Drawn, Pair
from hp_trt.measure.metrics import fidelity, following, seams, steadiness
from hp_trt.measure.metrics.judge import JUDGE_PX, Reading
from hp_trt.measure.metrics.networks import open_picture_distance, open_picture_features
from hp_trt.measure.metrics.parameters import ANGLES, EXPRESSION, LEAST_STD, LEAST_STD_PX, RANGES
from hp_trt.measure.metrics.retrieval import nearest
from hp_trt.measure.metrics.value import Missing, Value
from procedural.motion import NAMES

Clip = Sequence[np.ndarray]
Read = Callable[[Clip], Reading]
_NO_TRUTH = Missing("what should come out is not known: cross-reenactment of your own pairs has no true clip")
_DRAWN_ONLY = Missing("what the driver does is known of drawn clips alone (--seeds)")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One clip's numbers."""

    values: dict[str, Value]  # by key of `measures`
    correlations: dict[str, float]  # of a drawn clip: each parameter that its driver moves


class ClipMeasures:
    """Opens the networks once. Raises InputError for a file that is no such network.

    `read` is `Judge.read`; pairs that are not drawn need none.
    """

    def __init__(
        self, wanted: Sequence[Measure], networks: NetworkFiles, *, locator: FaceLocator, read: Read | None = None
    ) -> None:
        self._wanted = {measure.key for measure in wanted}
        self._locator = locator
        self._mesh = open_mesh(networks.landmarks) if networks.landmarks else None
        if self._mesh is None and isinstance(locator, MeshLocator):
            self._mesh = locator
        self._lpips = open_picture_distance(networks.lpips) if networks.lpips else None
        self._coefficients = {
            key: open_picture_features(file)
            for key, file in (("aed", networks.expression), ("apd", networks.pose))
            if file
        }
        self._embed = open_arcface(networks.arcface) if networks.arcface else None
        self._read = read

    @property
    def lmd_points(self) -> str:
        """Of which points the LMD of one's own pairs is; empty where there is none."""
        if self._mesh is not None:
            return f"{POINTS} points of {self._mesh.name}"
        return "" if isinstance(self._locator, HaarLocator) else f"5 points of {self._locator.name}"

    def measure(self, pair: Pair, clip: Clip, joints: Collection[int]) -> Measured:
        """`clip` (N, S, S, 3) uint8, made of `pair`, with its window `joints`. InputError if it is no such clip."""
        expected = pair.driver if pair.truth is None else pair.truth
        fidelity.require_alike(clip, expected, f"the clip made of {pair.name}")
        reading = self._reading(pair, clip)
        values = {
            **self._of_truth(pair, clip),
            **self._of_motion(pair, clip, reading),
            **self._of_identity(pair, clip, reading),
            **of_steadiness(expected, clip, joints),
        }
        return Measured(
            values={key: value for key, value in values.items() if key in self._wanted},
            correlations=by_parameter(pair.drawn, reading) if pair.drawn and reading else {},
        )

    def _reading(self, pair: Pair, frames: Clip) -> Reading | None:
        """What is seen in drawn faces; None of others."""
        if pair.drawn is None:
            return None
        assert self._read is not None, "drawn pairs need a reader"
        return self._read(frames)

    def _of_truth(self, pair: Pair, clip: Clip) -> Mapping[str, Value]:
        truth = pair.truth
        if truth is None:
            return dict.fromkeys(("psnr", "ssim", "lpips", "error_drift"), _NO_TRUTH)
        lpips: Value = NEEDED["lpips"]
        if self._lpips:
            lpips = float(np.mean([self._lpips(a, b) for a, b in zip(clip, truth, strict=True)]))
        return {
            "psnr": fidelity.psnr(clip, truth),
            "ssim": fidelity.ssim(clip, truth),
            "lpips": lpips,
            "error_drift": steadiness.error_drift(clip, truth),
        }

    def _of_motion(self, pair: Pair, clip: Clip, reading: Reading | None) -> Mapping[str, Value]:
        if pair.drawn and reading:
            return _of_drawn_motion(pair.drawn, reading)
        return {
            "lmd": self._located_distance(pair, clip),
            "lmd_drift": _DRAWN_ONLY,
            "parameter_correlation": _DRAWN_ONLY,
            "landmark_correlation": _DRAWN_ONLY,
            "aed": self._coefficient_distance("aed", pair, clip),
            "apd": self._coefficient_distance("apd", pair, clip),
        }

    def _coefficient_distance(self, key: str, pair: Pair, clip: Clip) -> Value:
        features = self._coefficients.get(key)
        return following.mean_distance(features(clip), features(pair.driver)) if features else NEEDED[key]

    def _located_distance(self, pair: Pair, clip: Clip) -> Value:
        """Of `lmd_points`, where a face is found in both pictures."""
        if pair.truth is None:
            return _NO_TRUTH
        if not self.lmd_points:
            return Missing(
                "needs `hp-trt fetch mesh`, or --locator yunet or yoloface: Haar's landmarks are guessed from two eyes"
            )
        finder = self._mesh or self._locator
        both = zip(self._compared(clip), self._compared(pair.truth), strict=True)
        found = [(a, b) for a, b in both if a is not None and b is not None]
        if not found:
            return Missing(f"no face found in the result with {finder.name}")
        ours, true = (np.stack(points) for points in zip(*found, strict=True))
        return following.landmark_distance(ours, true) * JUDGE_PX / len(pair.still)

    def _compared(self, frames: Clip) -> list[np.ndarray | None]:
        """Each frame's points of which LMD is; None: no face. One clip after the other: the mesh follows."""
        if self._mesh is None:
            return list(self._points(frames, None))
        found = [self._mesh.locate(frame, index) for index, frame in enumerate(frames)]
        return [largest_face(faces).mesh if faces else None for faces in found]

    def _of_identity(self, pair: Pair, clip: Clip, reading: Reading | None) -> Mapping[str, Value]:
        values: dict[str, Value] = {"identity": NEEDED["identity"], "retrieval": _DRAWN_ONLY}
        if self._embed and "identity" in self._wanted:
            values["identity"] = self._identity_score(pair, clip, reading)
        if pair.drawn and "retrieval" in self._wanted:
            values["retrieval"] = _retrieval(pair.drawn, clip)
        return values

    def _identity_score(self, pair: Pair, clip: Clip, reading: Reading | None) -> Value:
        portrait = self._reading(pair, [pair.still])
        own = next(self._embeddings([pair.still], portrait), None)
        if own is None:
            return Missing(f"no face found in the portrait's crop with {self._locator.name}")
        scores = [float((own @ vector.T).item()) for vector in self._embeddings(clip, reading)]
        return float(np.mean(scores)) if scores else Missing(f"no face found in the result with {self._locator.name}")

    def _embeddings(self, frames: Clip, reading: Reading | None) -> Iterator[np.ndarray]:
        """ArcFace's vector of every frame whose face is found."""
        assert self._embed is not None
        for frame, points in zip(frames, self._points(frames, reading), strict=True):
            if points is not None:
                yield self._embed(arcface_input(aligned_face(frame, points)))

    def _points(self, frames: Clip, reading: Reading | None) -> Iterator[np.ndarray | None]:
        """Each frame's five points in its own pixels: as read in a drawn face, else the locator's; None: no face."""
        for index, frame in enumerate(frames):
            if reading is not None:
                yield (reading.landmarks[index, :5] + 0.5) * len(frame) / JUDGE_PX - 0.5
            else:
                faces = find_faces(self._locator, frame)
                yield largest_face(faces).landmarks if faces else None


def _of_drawn_motion(drawn: Drawn, reading: Reading) -> Mapping[str, Value]:
    shapes = following.shape_tracks(reading.landmarks), following.shape_tracks(drawn.landmarks)
    still = Missing("the driver does not move")
    parameters = following.mean_correlation(reading.parameters, drawn.parameters, LEAST_STD)
    landmarks = following.mean_correlation(*shapes, LEAST_STD_PX)
    in_range = reading.parameters / RANGES, drawn.parameters / RANGES
    return {
        "lmd": following.landmark_distance(reading.landmarks, drawn.landmarks),
        "lmd_drift": following.landmark_drift(reading.landmarks, drawn.landmarks),
        "parameter_correlation": still if parameters is None else parameters,
        "landmark_correlation": still if landmarks is None else landmarks,
        "aed": following.mean_distance(*(values[:, EXPRESSION] for values in in_range)),
        "apd": following.mean_distance(reading.parameters[:, ANGLES], drawn.parameters[:, ANGLES]),
    }


def by_parameter(drawn: Drawn, reading: Reading) -> dict[str, float]:
    """The correlation of each parameter that the driver moves."""
    used = following.moving(drawn.parameters, LEAST_STD)
    found = following.correlations(reading.parameters[:, used], drawn.parameters[:, used])
    return dict(zip(np.array(NAMES)[used].tolist(), found.tolist(), strict=True))


def _retrieval(drawn: Drawn, clip: Clip) -> Value:
    rivals = list(drawn.rivals())
    if len(rivals) < 2:
        return Missing("needs at least two identities to choose from")
    return 100.0 * (nearest([clip[i] for i in drawn.shown], rivals) == drawn.own)


def of_steadiness(expected: Clip, clip: Clip, joints: Collection[int], *, bursts: bool = False) -> Mapping[str, Value]:
    """What a clip must not do by itself, beside one that should have come out. `bursts`: as `seams.seam_ratio`'s."""
    ratio = seams.seam_ratio(clip, expected, joints, bursts=bursts)
    return {
        "seam_ratio": Missing("no window joint in the clip, or nothing moves") if ratio is None else ratio,
        "flicker": steadiness.flicker(clip, expected),
        "colour_drift": steadiness.colour_drift(clip, expected),
    }

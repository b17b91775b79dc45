"""What one clip of a portrait that speaks is measured with: its mouth, its sync, its chain, and what clips have."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from hp_trt.faces.face import FaceLocator
from hp_trt.measure.evaluation.config import NetworkFiles
from hp_trt.measure.evaluation.measure_clip import Clip, ClipMeasures, Measured, Read, by_parameter, of_steadiness
from hp_trt.measure.evaluation.measures import NEEDED, Measure
from hp_trt.measure.evaluation.pairs import Drawn, Pair
from hp_trt.measure.metrics import chain, fidelity, following
from hp_trt.measure.metrics.judge import JUDGE_PX, Reading
from hp_trt.measure.metrics.mouth import best_lag
from hp_trt.measure.metrics.parameters import LEAST_STD, RANGES
from hp_trt.measure.metrics.published_sync import PublishedSync
from hp_trt.measure.metrics.sync import Sync
from hp_trt.measure.metrics.value import Missing, Value
from procedural.motion import NAMES
from procedural.speech import MOUTH

OurSync = Callable[[Clip, np.ndarray, np.ndarray], Sync]
_STILL_SPEECH = Missing("the speech does not move it")
_STILL_FACE = Missing("it does not move")
_LEAST_STD = 0.5 * LEAST_STD  # speech moves the corners of a mouth less than a face does
_STEADY = 6  # frames before and behind whose faces are averaged


class TalkMeasures(ClipMeasures):
    """Opens the networks once. Raises InputError for a file that is no such network.

    `read` is `Judge.read` and `sync` is `SyncJudge.sync`. `looked_at`: clips of the chain whose numbers are wanted.
    """

    def __init__(
        self,
        wanted: Sequence[Measure],
        networks: NetworkFiles,
        *,
        locator: FaceLocator,
        read: Read,
        sync: OurSync,
        looked_at: Sequence[int] = (),
    ) -> None:
        super().__init__(wanted, networks, locator=locator, read=read)
        self._sync, self._looked_at = sync, looked_at
        self._published = None
        if networks.sync_audio and networks.sync_video:
            self._published = PublishedSync(networks.sync_audio, networks.sync_video)

    def measure(self, pair: Pair, clip: Clip, joints: Collection[int]) -> Measured:
        """`clip` (N, S, S, 3) uint8, made of `pair`, its chain's borders `joints`. InputError if it is no such clip."""
        assert pair.drawn is not None and pair.truth is not None
        fidelity.require_alike(clip, pair.truth, f"the clip made of {pair.name}")
        reading = self._reading(pair, clip)
        assert reading is not None
        values = {
            **_of_mouth(pair.drawn, reading),
            **self._of_sync(pair, clip, reading),
            **self._of_identity(pair, clip, reading),
            **of_steadiness(pair.truth, clip, joints, bursts=True),
            **_of_chain(pair.drawn, pair.truth, clip, reading, min(joints, default=len(clip)), self._looked_at),
        }
        return Measured(
            values={key: value for key, value in values.items() if key in self._wanted},
            correlations=by_parameter(pair.drawn, reading),
        )

    def _of_sync(self, pair: Pair, clip: Clip, reading: Reading) -> Mapping[str, Value]:
        assert pair.sound is not None
        ours = self._sync(clip, reading.landmarks, pair.sound)
        found: dict[str, Value] = {"sync_c": ours.confidence, "sync_d": ours.distance}
        if self._published is None:
            return found | {key: NEEDED[key] for key in ("published_sync_c", "published_sync_d")}
        theirs = self._published.sync(clip, _squares(pair, reading), pair.sound)
        return found | {"published_sync_c": theirs.confidence, "published_sync_d": theirs.distance}


def _of_mouth(drawn: Drawn, reading: Reading) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name in MOUTH:
        index = NAMES.index(name)
        track, truth = reading.parameters[:, index], drawn.parameters[:, index]
        found[f"{name}_error"] = float(np.abs(track - truth).mean() / RANGES[index])
        if (correlation := followed(name, drawn, reading)) is None:
            found |= dict.fromkeys((f"{name}_correlation", f"{name}_lag"), _STILL_SPEECH)
            continue
        found[f"{name}_correlation"] = correlation
        lag = best_lag(track, truth)
        found[f"{name}_lag"] = _STILL_FACE if lag is None else float(lag)
    lag_of_jaw = found["jaw_lag"]
    found["jaw_in_time"] = lag_of_jaw if isinstance(lag_of_jaw, Missing) else 100.0 * (lag_of_jaw == 0)
    return found


def followed(name: str, drawn: Drawn, reading: Reading) -> float | None:
    """How a parameter of the mouth follows what is said: its correlation; None where speech does not move it."""
    index = NAMES.index(name)
    track, truth = reading.parameters[:, index], drawn.parameters[:, index]
    if not truth.std() > _LEAST_STD[index]:
        return None
    return following.correlations(track[:, None], truth[:, None]).item()


def _of_chain(
    drawn: Drawn, truth: Clip, clip: Clip, reading: Reading, size: int, looked_at: Sequence[int]
) -> dict[str, Value]:
    jaw = NAMES.index("jaw")
    found: dict[str, Value] = {}
    for number in looked_at:
        if number * size > len(clip):
            break
        follows = chain.correlation_at(
            number,
            reading.parameters[:, jaw],
            drawn.parameters[:, jaw],
            size=size,
            least_std=float(_LEAST_STD[jaw]),
        )
        seam = chain.seam_at(number, clip, truth, size=size)
        found |= {
            f"jaw_at_{number}": _STILL_SPEECH if follows is None else follows,
            f"drift_at_{number}": chain.colour_drift_at(number, clip, truth, size=size),
            f"seam_at_{number}": Missing("nothing moves") if seam is None else seam,
        }
    return found


def _squares(pair: Pair, reading: Reading) -> np.ndarray:
    """(N, 3): the middle of the face in every frame and half of its longer side, in the frames' own pixels.

    The size is the portrait's; the middle goes with the five points that are read, steadied as a tracker's is.
    """
    assert pair.portrait_faces is not None and pair.drawn is not None
    scale = len(pair.still) / len(pair.portrait)
    x, y, width, height = (scale * number for number in pair.portrait_faces.locate(pair.portrait)[0].box)
    points = reading.landmarks[:, :5].mean(axis=1)
    padded = np.pad(points, ((_STEADY, _STEADY), (0, 0)), mode="edge")
    steady = np.lib.stride_tricks.sliding_window_view(padded, 2 * _STEADY + 1, axis=0).mean(axis=-1)
    moved = (steady - pair.drawn.landmarks[0, :5].mean(axis=0)) * len(pair.still) / JUDGE_PX
    middles = np.array([x + width / 2, y + height / 2]) + moved
    return np.column_stack([middles, np.full(len(middles), max(width, height) / 2)])

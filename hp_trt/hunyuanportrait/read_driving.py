"""One pass over a driving video: crops, in groups whose motion is encoded together, and whoever keeps what they are.

One frame is held at a time, and the crops of one group. A clip's groups are of a window's length; a live session's are
of the new frames of each window, and their intensity is that of the latest frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import FaceNotFound, InputError
from hp_trt.faces.face import FaceLocator
from hp_trt.hunyuanportrait.driving import DrivingCrop, DrivingCrops, first_seen
from hp_trt.hunyuanportrait.geometry import motion_ids
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.profiles import Cuts
from runtime.hunyuanportrait.encode import encode_motion
from runtime.live_windows import LiveWindows
from runtime.stages import Stages
from runtime.streams import Guard

Ids = tuple[int, int]  # the intensities of a group: the head's and the expression's
Keep = Callable[[Sequence[DrivingCrop], Ids], None]  # of a group, called in the stage `motion`
_STAGES = ("read", "crop", "motion")


@dataclass
class Reading:
    """What was met on the way."""

    times: list[Fraction | None] = field(default_factory=list)  # of the frames that have a crop, on their file's clock
    notes: list[str] = field(default_factory=list)  # what a user should know, a line each
    leaps: int = 0  # frames in which the face is elsewhere than it was: scene cuts, and other people


def encode_group(
    backend: Backend,
    session: Session,
    crops: Sequence[DrivingCrop],
    ids: Ids,
    *,
    first_frame: int = 0,
    guard: Guard | None = None,
) -> Buffer:
    """Tokens (n, m, D) of a group of n frames; `session` is of the graph `motion`. Raises NonFiniteError."""
    head_id, exp_id = ids
    return encode_motion(
        backend,
        session,
        face_images=np.stack([crop.face_image for crop in crops]),
        pose_images=np.stack([crop.pose_image for crop in crops]),
        head_id=head_id,
        exp_id=exp_id,
        first_frame=first_frame,
        guard=guard,
    )


def ids_of(crops: Sequence[DrivingCrop]) -> Ids:
    """The intensities of a clip's group."""
    return motion_ids(np.stack([crop.landmarks for crop in crops]))


def read_whole(
    driving: DrivingFrames,
    locator: FaceLocator,
    *,
    geometry: Mapping[str, int],
    window: int,
    max_frames: int,
    stages: Stages,
    keep: Keep,
    cuts: Cuts = "released",
) -> Reading:
    """A whole clip's frames, `window` of them in a group.

    Where a cut sets the crop anew, frames before it are a group of their own: their intensity is that of their shot.

    Raises InputError for a video without frames or of more than `max_frames`, FaceNotFound, and what `keep` raises.
    """
    driving.check_length(max_frames)
    with stages.unit("first_face"):
        shown, face = first_seen(iter(driving), locator, driving.name)
    sizes = {"crop_px": geometry["crop_px"], "size": geometry["motion_px"]}
    cropper = DrivingCrops(locator, face, shown=shown, cuts=cuts, **sizes)
    del shown
    for stage in _STAGES:
        stages.begin(stage, total=driving.total)
    reading, group = Reading(), list[DrivingCrop]()

    def encode() -> None:
        with stages.unit("motion", len(group)):
            keep(group, ids_of(group))
        group.clear()

    size: tuple[int, ...] = ()
    for image, time_s in driving.timed(stages):
        if len(reading.times) == max_frames:
            raise driving.too_many(f"more than {max_frames} frames")
        size = size or image.shape
        if image.shape != size:
            raise InputError(
                f"driving frame {len(reading.times)} has {image.shape[1]} x {image.shape[0]} pixels, those before have "
                f"{size[1]} x {size[0]}; frames of one clip are of one size: make them so"
            )
        reading.times.append(time_s)
        with stages.unit("crop"):
            crop = cropper.crop(image, _since(reading.times))
        if crop.anew and group:
            encode()
        group.append(crop)
        if len(group) == window:
            encode()
    if group:
        encode()
    for stage in _STAGES:
        stages.end(stage)
    reading.notes, reading.leaps = [*driving.notes, *cropper.notes()], cropper.leaps
    return reading


def read_live(driving: DrivingFrames, crops: LiveCrops, *, windows: LiveWindows, stages: Stages, keep: Keep) -> Reading:
    """The same frames as a live session that drops none of them sees them: those from the first face on.

    Raises InputError for a video without a frame, FaceNotFound, and what `keep` raises.
    """
    for stage in _STAGES:
        stages.begin(stage, total=driving.total)
    reading, group, number, window = Reading(), list[DrivingCrop](), 0, 0

    def encode() -> None:
        with stages.unit("motion", len(group)):
            keep(group, crops.intensity(group))
        group.clear()

    for number, (image, time_s) in enumerate(driving.timed(stages), start=1):
        with stages.unit("crop"):
            crop = crops.crop(image, number - 1)
        if crop is None:
            continue
        reading.times.append(time_s)
        group.append(crop)
        if len(group) == windows.new_frames(window):
            encode()
            window += 1
    if group:
        encode()
    if not number:
        raise InputError(f"{driving.name} has no frames; needed is at least one")
    if not reading.times:
        raise FaceNotFound(f"no face in any of the {number} frames of {driving.name}; give another video or locator")
    for stage in _STAGES:
        stages.end(stage)
    reading.notes, reading.leaps = [*driving.notes, *crops.notes()], crops.leaps
    return reading


def _since(times: Sequence[Fraction | None]) -> Fraction | None:
    """The last of the times, from the first one on."""
    first, last = times[0], times[-1]
    return None if first is None or last is None else last - first

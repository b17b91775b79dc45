"""A whole clip: first what moves in all of the driving video, then all frames.

One pass and little memory: driving frames are read, cropped and encoded in groups of a window, and only their motion
tokens stay; latents of the whole clip are denoised together, as released; frames are decoded chunk by chunk.

Source: SPEC 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from engines.backend import Backend, Buffer, Session
from engines.errors import InputError
from hp_trt.faces.face import FaceLocator
from hp_trt.hunyuanportrait.driving import DrivingCrop, DrivingCrops, first_seen
from hp_trt.hunyuanportrait.geometry import motion_ids
from hp_trt.media.driving_frames import DrivingFrames
from hp_trt.profiles import Cuts
from runtime.decode import decode, to_uint8
from runtime.hunyuanportrait import noise
from runtime.hunyuanportrait.denoise import denoise
from runtime.hunyuanportrait.encode import encode_motion
from runtime.hunyuanportrait.memory_bank import Identity, MotionBank
from runtime.hunyuanportrait.sampling import Sampling
from runtime.stages import Stages


@dataclass
class Motion:
    """What is kept of a driving video."""

    bank: MotionBank
    times: list[Fraction | None] = field(default_factory=list)  # of its frames, on their file's clock
    notes: list[str] = field(default_factory=list)  # what a user should know, a line each


def read_motion(
    backend: Backend,
    session: Session,
    driving: DrivingFrames,
    locator: FaceLocator,
    *,
    geometry: Mapping[str, int],
    window: int,
    max_frames: int,
    stages: Stages,
    cuts: Cuts = "released",
) -> Motion:
    """One pass over the driving frames, `window` of them at a time; `session` is of the graph `motion`.

    Where a cut sets the crop anew, frames before it are a group of their own: their intensity is that of their shot.

    Raises InputError for a video without frames or of more than `max_frames`, FaceNotFound, NonFiniteError.
    """
    driving.check_length(max_frames)
    with stages.unit("first_face"):
        shown, face = first_seen(iter(driving), locator, driving.name)
    sizes = {"crop_px": geometry["crop_px"], "size": geometry["motion_px"]}
    cropper = DrivingCrops(locator, face, shown=shown, cuts=cuts, **sizes)
    del shown
    motion = Motion(MotionBank(backend))
    for stage in ("read", "crop", "motion"):
        stages.begin(stage, total=driving.total)
    group: list[DrivingCrop] = []

    def encode() -> None:
        with stages.unit("motion", len(group)):
            head_id, exp_id = motion_ids(np.stack([crop.landmarks for crop in group]))
            tokens = encode_motion(
                backend,
                session,
                face_images=np.stack([crop.face_image for crop in group]),
                pose_images=np.stack([crop.pose_image for crop in group]),
                head_id=head_id,
                exp_id=exp_id,
                first_frame=len(motion.bank),
                guard=motion.bank.guard,
            )
            motion.bank.append(tokens)
        group.clear()

    size: tuple[int, ...] = ()
    for image, time_s in driving.timed(stages):
        if len(motion.times) == max_frames:
            raise driving.too_many(f"more than {max_frames} frames")
        size = size or image.shape
        if image.shape != size:
            raise InputError(
                f"driving frame {len(motion.times)} has {image.shape[1]} x {image.shape[0]} pixels, those before have "
                f"{size[1]} x {size[0]}; frames of one clip are of one size: make them so"
            )
        motion.times.append(time_s)
        with stages.unit("crop"):
            crop = cropper.crop(image, _since(motion.times))
        if crop.anew and group:
            encode()
        group.append(crop)
        if len(group) == window:
            encode()
    if group:
        encode()
    for stage in ("read", "crop", "motion"):
        stages.end(stage)
    motion.notes = [*driving.notes, *cropper.notes()]
    return motion


def _since(times: Sequence[Fraction | None]) -> Fraction | None:
    """The last of the times, from the first one on."""
    first, last = times[0], times[-1]
    return None if first is None or last is None else last - first


def clip_frames(
    backend: Backend,
    sessions: Mapping[str, Session],
    *,
    identity: Identity,
    motion_tokens: Buffer,
    sampling: Sampling,
    side_px: int,
    stages: Stages,
) -> Iterator[tuple[int, np.ndarray]]:
    """Each frame's index and its square, (S, S, 3) uint8 RGB, in order; all are denoised before the first comes.

    `motion_tokens` (N + 2 P, m, D) are a `MotionBank`'s, padded by `sampling.pad_frames`. Raises InputError for a clip
    that is too long for the bundle, BundleError for a window or chunk that it was not built for, NonFiniteError.
    """
    shape = (motion_tokens.shape[0], *identity.start_latents.shape[1:])
    latents = denoise(
        backend,
        sessions,
        identity=identity,
        motion_tokens=motion_tokens,
        noise=noise.initial_noise(sampling.seed, shape, side_px, side_px),
        sampling=sampling,
        stages=stages,
    )
    decoded = decode(
        backend,
        sessions["decoder"],
        latents,
        pad_frames=sampling.pad_frames,
        chunk=sampling.decode_chunk,
        stages=stages,
    )
    for index, frame in decoded:
        yield index, to_uint8(frame)

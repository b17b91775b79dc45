"""HunyuanPortrait's live stream: live crops, motion tokens, the live loop and the live decoder, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from engines.backend import Backend, Buffer, Session
from hp_trt.encoded.driver import DriverFrame, EncodedDriver
from hp_trt.hunyuanportrait.driving import DrivingCrop
from hp_trt.hunyuanportrait.live_crops import LiveCrops
from hp_trt.hunyuanportrait.motion_file import KeptFrame, KeptMotion
from hp_trt.hunyuanportrait.portrait_encoder import encoded
from hp_trt.hunyuanportrait.read_driving import encode_group
from hp_trt.live.stream import DrivenByPictures
from hp_trt.media.portrait import Portrait
from runtime.hunyuanportrait.encode import encode_motion
from runtime.hunyuanportrait.live import LiveLoop
from runtime.hunyuanportrait.sampling import Sampling
from runtime.live_decode import LiveDecoder
from runtime.live_windows import LiveWindows
from runtime.streams import Fetched, Guard

Seen = DrivingCrop | KeptFrame


class PortraitStream(DrivenByPictures):
    """A `hp_trt.live.stream.Stream`. Sessions by role: those of `LiveLoop`, `motion` and `decoder`.

    `crops` and `guard` outlive a stream: the next one goes on where the face was. `warmed`: the kinds of stream whose
    graphs have run, kept by whoever makes several over the same sessions. `kept`: reads a motion file, whose frames may
    be pushed in the place of pictures. Raises what `LiveLoop` raises.
    """

    def __init__(
        self,
        backend: Backend,
        sessions: Mapping[str, Session],
        *,
        portrait: Portrait,
        crops: LiveCrops,
        guard: Guard | None,
        sampling: Sampling,
        windows: LiveWindows,
        side_px: int,
        warmed: set[Hashable] | None = None,
        kept: Callable[[EncodedDriver], KeptMotion] | None = None,
    ) -> None:
        self.concurrent = backend.concurrent
        self._open_kept, self._kept = kept, dict[EncodedDriver, KeptMotion]()
        self.crops = crops
        # What a device captures has the stream's own buffers in it; elsewhere what a first run finds is the sessions'.
        self._warmed = set() if warmed is None or backend.asynchronous else warmed
        self._kind: Hashable = (frozenset(map(id, sessions.values())), windows, replace(sampling, seed=0))
        self._backend, self._motion = backend, sessions["motion"]
        self.guard = guard or (Guard(backend) if backend.asynchronous else None)  # of motion tokens
        self._new_loop = partial(LiveLoop, backend, sessions, sampling=sampling, windows=windows, side_px=side_px)
        self._new_decoder = partial(LiveDecoder, backend, sessions["decoder"])
        self._loop, self._decoder = self._new_loop(identity=encoded(portrait).identity), self._new_decoder()

    def warm_up(self) -> None:
        """Run the first windows of black pictures, with a loop and a decoder that are thrown away.

        A graph's first run of a shape loads its kernels, where need be compiles them, and finds its memory; on a device
        the second is captured. All of it would else hold up the first windows of a session, whose frames come
        meanwhile. A window of each shape is two, a third is the second one's shape again.
        """
        if self._kind in self._warmed:
            return
        self._warmed.add(self._kind)
        loop, decoder = self._new_loop(identity=self._loop.identity), self._new_decoder()
        nobody = Guard(self._backend)  # nothing looks at what is made of nothing
        size = tuple(int(dim) for dim in self._motion.spec.input("face_images").dims[1:])
        for _ in range(3 if self._backend.asynchronous else 2):
            images = np.zeros((loop.wanted, *size), np.float32)
            tokens = encode_motion(
                self._backend, self._motion, face_images=images, pose_images=images, head_id=0, exp_id=0, guard=nobody
            )
            for fetched in decoder.begin(loop.window(tokens)):
                fetched.wait()

    @property
    def queued(self) -> int:
        return self._loop.windows.size

    def new_frames(self, window: int) -> int:
        return self._loop.windows.new_frames(window)

    def taken(self, item: Any, pts_s: Fraction | None, now_s: Fraction, number: int) -> Sequence[tuple[Any, Fraction]]:
        if not isinstance(item, DriverFrame) or self._open_kept is None:
            return super().taken(item, pts_s, now_s, number)
        if item.driver not in self._kept:
            self._kept = {item.driver: self._open_kept(item.driver)}
        return [(self._kept[item.driver].item(item), now_s if pts_s is None else pts_s)]

    def see(self, item: np.ndarray | Seen, index: int) -> Seen | None:
        """What the motion networks see of a picture (H, W, 3) uint8 RGB; None before the first face. What a motion file
        gives in its place was seen when that was made."""
        return self.crops.crop(item, index) if isinstance(item, np.ndarray) else item

    def encode(self, seen: Sequence[Seen]) -> Buffer:
        """A window may have both, where a session goes on with another driver."""
        crops = [item for item in seen if not isinstance(item, KeptFrame)]
        if len(crops) == len(seen):
            return self._encode(crops)
        kept = {at: item.tokens for at, item in enumerate(seen) if isinstance(item, KeptFrame)}
        made = iter(self._backend.download(self._encode(crops)) if crops else ())
        return self._backend.upload(np.stack([kept[at] if at in kept else next(made) for at in range(len(seen))]))

    def _encode(self, seen: Sequence[DrivingCrop]) -> Buffer:
        ids, first = self.crops.intensity(seen), max(self.crops.frames - len(seen), 0)
        return encode_group(self._backend, self._motion, seen, ids, first_frame=first, guard=self.guard)

    def check_tokens(self) -> None:
        if self.guard is not None:
            self.guard.settle(but=1)

    def denoise(self, tokens: Buffer) -> Buffer:
        latents = self._loop.window(tokens)
        # The loop writes its own again; the decoder may be a window behind.
        kept = self._backend.empty(latents.shape, "float32")
        self._backend.take(latents, range(latents.shape[0]), kept)
        return kept

    def check_latents(self) -> None:
        self._loop.check()

    def begin(self, latents: Buffer) -> list[Fetched]:
        return self._decoder.begin(latents)

    def frames(self, begun: Sequence[Fetched]) -> Iterator[np.ndarray]:
        return self._decoder.frames(begun)

    def change(self, portrait: Portrait) -> None:
        identity = encoded(portrait).identity
        if identity is not self._loop.identity:
            self._loop.change_identity(identity)

    def reanchor(self) -> None:
        self.crops.anew = True

    @property
    def held(self) -> int:
        return self.crops.held

    @property
    def faceless(self) -> int:
        return self.crops.faceless

    @property
    def notes(self) -> list[str]:
        return [*self.crops.notes(), *self._backend.notes]

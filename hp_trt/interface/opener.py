"""What a live session of a `Runtime` opens: `hp_trt.live.session.Opener`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engines.errors import InputError
from hp_trt.config import one_of
from hp_trt.interface import arguments
from hp_trt.interface.turns import Turns
from hp_trt.live.queues import POLICIES, Policy
from hp_trt.live.session import LiveSession
from hp_trt.live.stream import Stream
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.model import Driver
from hp_trt.profiles import Profile
from runtime.stages import Stages


@dataclass(frozen=True, kw_only=True)
class LiveOpener:
    """Opens sessions, and what they ask for later. Graphs run in a turn of `turns`."""

    portrait: Callable[[Portrait | Picture], Portrait]  # encoded, or it itself
    profile: Callable[[Profile | str], Profile]  # of mode live, with the caller's options
    open: Callable[[Portrait, Profile, Stream | None], Stream]  # the stream that goes on after another, or anew
    turns: Turns
    driver: Driver

    def stream(self, portrait: Portrait, profile: Profile | str, after: Stream) -> Stream:
        chosen = self.profile(profile)
        with self.turns.taken():
            return self.open(portrait, chosen, after)

    def session(
        self,
        portrait: Portrait,
        profile: Profile,
        *,
        policy: Policy = "block",
        queue_in: int | None = None,
        queue_out: int | None = None,
        stages: Stages,
        whole: bool = False,
    ) -> LiveSession:
        """`whole`: it makes a clip, whose frames wait for it, and whoever takes them all looks for a lost face. Else
        graphs run once before the first frame is taken, which pays where frames come meanwhile."""
        most_in = None if queue_in is None else arguments.whole("queue_in", queue_in, least=1)
        most_out = None if queue_out is None else arguments.whole("queue_out", queue_out, least=1)
        one_of("policy", policy, POLICIES)
        if policy == "latest" and self.driver == "audio":
            raise InputError(
                "the policy latest would leave the last 40 ms of what is said; for a portrait that speaks choose block "
                "or drop-oldest"
            )
        with self.turns.taken():
            stream = self.open(portrait, profile, None)
            if not whole:
                stream.warm_up()
            session = LiveSession(
                stream,
                portrait,
                opener=self,
                policy=policy,
                queue_in=most_in or stream.queued,
                queue_out=most_out or 2 * stream.queued,
                stages=stages,
                turn=self.turns.lock,
                looks=not whole,
            )
            self.turns.end_with_it(session)
        return session

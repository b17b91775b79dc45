"""What a live channel needs of an engine: to open a session for a portrait, and to know what drives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from engines.errors import InputError
from engines.fields import Field
from hp_trt.api import Runtime
from hp_trt.live.session import LiveSession
from hp_trt.media.portrait import Picture, Portrait
from hp_trt.model import Driver

_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a caller wishes for a session. `read` checks it; it fits into a ticket."""

    portrait: str | None = None  # the id of one that the service keeps; None: the client sends one
    profile: str | None = None
    mood: str | None = None
    seed: int | None = None

    @classmethod
    def read(cls, data: Any) -> Self:
        """Of JSON. Raises InputError."""
        try:
            field = Field.of(data)
            unknown = field.mapping().keys() - cls.__annotations__.keys()
            if unknown:
                raise field.wrong(f"an object with {', '.join(cls.__annotations__)} alone", ", ".join(sorted(unknown)))
            given = {key: value for key, value in field.entries(most=10) if value.found is not None}
            names = {key: value.text(most=_LONGEST_NAME) for key, value in given.items() if key != "seed"}
            return cls(**names, seed=given["seed"].whole(0, 2**63 - 1) if "seed" in given else None)
        except ValueError as error:
            raise InputError(f"the wishes for a live session cannot be read: {error}") from error

    def as_json(self) -> Mapping[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


class Engine(Protocol):
    """Opens sessions. Called from any thread."""

    @property
    def driver(self) -> Driver: ...

    def open(self, portrait: Portrait | Picture, wishes: Wishes) -> LiveSession:
        """A session of the policy drop-oldest: a remote driver never waits. Raises HpTrtError."""


class RuntimeEngine:
    """A `Runtime`'s sessions."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def driver(self) -> Driver:
        return self._runtime.model.driver

    def open(self, portrait: Portrait | Picture, wishes: Wishes) -> LiveSession:
        return self._runtime.live(
            portrait, profile=wishes.profile, policy="drop-oldest", seed=wishes.seed, mood=wishes.mood
        )


# The portrait that a caller's id names: a picture, or one that is encoded already. Raises HpTrtError without one.
Portraits = Callable[[str, str], Portrait | Picture]


def no_portraits(caller: str, portrait: str) -> Portrait | Picture:
    """Of a service that keeps none."""
    raise InputError(f"there is no portrait {portrait[:40]!r}; send the picture itself on the socket")

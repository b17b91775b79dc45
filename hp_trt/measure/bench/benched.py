"""What the bench asks of the room of a model, and where each answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engines.manifest import Manifest
from hp_trt.measure.bench.race import Side
from hp_trt.profiles import Profile
from runtime.work import Work

if TYPE_CHECKING:
    from hp_trt.api import Runtime

ROOMS = {  # model -> module:class, imported when a bundle asks for it
    "hunyuanportrait": "hp_trt.hunyuanportrait.benched:BenchedHunyuanPortrait",
    "hallo2": "hp_trt.hallo2.benched:BenchedHallo2",
}


class Released(Protocol):
    """A released program, loaded with a bundle's weights; how it is called is between two rooms of its model."""

    threads: int
    torch: str  # its version


# A bundle's manifest, and how many threads its backend has where that is known.
OpenReleased = Callable[[Manifest, int | None], Released]


class BenchedRoom(Protocol):
    """One model, as the bench sees it."""

    @property
    def driver(self) -> Literal["video", "audio"]: ...  # what moves the portrait

    def sampling(self, own: Mapping[str, Any], profile: Profile, *, steps: int | None, seed: int | None) -> Any:
        """A manifest's `own` with the profile's and the caller's: a dataclass with `seed`, whose fields are what
        `Runtime.animate` takes. Raises InputError."""
        ...

    def rows(self, sampling: Any) -> tuple[int, ...]:
        """Of the denoiser, really run, step by step."""
        ...

    def extent(self, work: Work) -> tuple[int, int]:
        """Frames with those made up at a clip's ends, and windows: of a step, or where clips follow each other, all."""
        ...

    def released(self, manifest: Manifest, sampling: Any, frames: int) -> dict[str, int]:
        """FLOPs by stage of the released program for a clip."""
        ...

    def sides(
        self, runtime: Runtime, released: Any, *, portrait: Path, driver: Path, out: Path, sampling: Any
    ) -> tuple[Side, Side]:
        """The two sides of a race, the exact way and the released way, each a clip from file to file."""
        ...


@cache
def find_room(model: str) -> BenchedRoom:
    """Of a model by its name."""
    module, _, found = ROOMS[model].partition(":")
    room: BenchedRoom = getattr(import_module(module), found)()
    return room

"""How often an enhancement calls its graphs, and on how much: what a plan gives times to. No graph, no device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from hp_trt.enhancer.networks import detector_size
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.pipeline import result_size
from runtime.enhancer.presets import FACE_PX, SCALE
from runtime.enhancer.tiles import padded_size, tiles
from runtime.enhancer.windows import windows


@dataclass(frozen=True, kw_only=True)
class Call:
    """A graph called `times` times alike, on `units` frames or faces, or on a picture of `height` x `width`."""

    role: str
    times: int
    units: int = 1
    height: int = FACE_PX
    width: int = FACE_PX


def calls(
    frames: int, width: int, height: int, options: Options, roles: Collection[str]
) -> Mapping[str, tuple[Call, ...]]:
    """By role, of those that work: all calls for a video of so many frames, each of which shows a face."""
    found: dict[str, tuple[Call, ...]] = {}
    if "detector" in roles:
        looked_at = result_size(width, height, scale=1, released=options.released)
        seen_width, seen_height = detector_size(*looked_at, released=options.released)
        found["detector"] = (Call(role="detector", times=frames, height=seen_height, width=seen_width),)
    if "restorer" in roles:
        lengths = Counter(len(window.items) for window in windows(range(frames)))
        found["restorer"] = tuple(Call(role="restorer", times=n, units=length) for length, n in lengths.items())
    if "parser" in roles:
        found["parser"] = (Call(role="parser", times=frames),)
    if "upscaler" in roles:
        seen = Counter(_tiles_of(width, height, options))
        if options.face_upsample:
            seen += Counter(_tiles_of(FACE_PX, FACE_PX, options))
        found["upscaler"] = tuple(
            Call(role="upscaler", times=n * frames, height=rows, width=columns) for (rows, columns), n in seen.items()
        )
    return found


def _tiles_of(width: int, height: int, options: Options) -> Iterator[tuple[int, int]]:
    """Height and width of every tile that the upscaler is given of one picture."""
    done = 1
    while done < (options.scale if options.repeat else SCALE):
        for tile in tiles(*padded_size(height * done, width * done)):
            yield tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start
        done *= SCALE

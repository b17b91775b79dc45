"""The step behind a clip: the same clip larger, as `hp-trt enhance` makes it, in a file beside it.

Both are kept: the clip is what the larger one is known by (`hp_trt.apps.batch.done_enlarged`), and a small part of its
size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import HpTrtError, InputError
from hp_trt.apps.batch.pairs import Pair
from hp_trt.config import RuntimeConfig
from hp_trt.encoded.encoded_file import is_encoded
from hp_trt.encoded.kept_portrait import picture_of
from hp_trt.enhancer.asked import check_fits, options_for
from hp_trt.enhancer.enhancer import Enhancer
from hp_trt.enhancer.options import Options
from hp_trt.enhancer.pipeline import SCALES
from hp_trt.media.images import FORMATS, load_image
from runtime.stages import Event


@dataclass(frozen=True, kw_only=True)
class Enlarging:
    """What makes clips larger, and by how much. Checked when made; raises InputError."""

    bundle: Path  # of the enhancer
    scale: int = 2
    fidelity: float | None = None  # from 0 to 1; None: the enhancer's own
    face_upsample: bool = False

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise InputError(f"--enhance-scale is one of {', '.join(map(str, SCALES))}, got {self.scale}")
        if self.fidelity is not None and not 0 <= self.fidelity <= 1:
            raise InputError(f"--enhance-fidelity is a number from 0 to 1, got {self.fidelity}")

    @property
    def options(self) -> dict[str, Any]:
        """As `Enhancer.enhance` takes them."""
        return {"scale": self.scale, "fidelity": self.fidelity, "face_upsample": self.face_upsample}

    def name_of(self, out: str) -> str:
        """What a clip is called when it is larger: anna-talk-x2.mp4 of anna-talk.mp4."""
        path = Path(out)
        return f"{path.stem}-x{self.scale}{path.suffix}"

    def chosen(self, bundle: Bundle) -> Options:
        """Raises InputError for options that the opened `bundle` of the enhancer cannot do, BundleError for another."""
        return options_for(bundle, **self.options)

    def open(self, runtime: RuntimeConfig, on_event: Callable[[Event], None] | None = None) -> Enhancer:
        """The enhancer, on the device of `runtime`. Raises what `Enhancer` raises."""
        where: dict[str, Any] = {
            name: getattr(runtime, name) for name in ("family", "provider", "device_id", "threads")
        }
        return Enhancer(self.bundle, RuntimeConfig(**where), on_event=on_event)


def check_names(pairs: Sequence[Pair], enlarging: Enlarging) -> None:
    """Raises InputError where an enlarged clip would have the name of a clip, whatever its letters' case."""
    names = {pair.out.casefold(): pair.out for pair in pairs}
    for pair in pairs:
        name = enlarging.name_of(pair.out)
        if (other := names.get(name.casefold())) is not None:
            raise InputError(
                f"{name} would be two files: {pair.out} enlarged, and the clip {other}; rename a file, or name each "
                "clip in the column out of a table (--pairs)"
            )


def check_room(portraits: Iterable[Path], bundle: Bundle, options: Options, *, available: int | None = None) -> None:
    """Raises InputError for a portrait whose clip is too large to be enlarged, or takes more memory than there is.

    A clip is as large as its portrait. `available`: bytes; None: what this machine has free now. A portrait that
    cannot be read is a failure of its clip, which is told at its turn.
    """
    for path in dict.fromkeys(portraits):
        if (size := _size_of(path)) is not None:
            name = f"--enhance: a clip of {path}"
            check_fits(name, size, bundle, options, writes=True, available=available)


def _size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a clip of that portrait; None: it cannot be read. Most pictures are not decoded for it."""
    from PIL import Image

    try:
        if is_encoded(path):
            height, width = picture_of(path).shape[:2]
            return _even(width, height)
        try:
            with Image.open(path, formats=FORMATS) as image:  # a turn by a quarter changes nothing that is asked here
                return _even(image.width, image.height)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            height, width = load_image(path).shape[:2]
            return _even(width, height)
    except (HpTrtError, OSError):
        return None


def _even(width: int, height: int) -> tuple[int, int]:
    """As a video has them: an odd side is padded."""
    return width + width % 2, height + height % 2

"""Pairs into clips, one after another, with one open Runtime: in this process, or in a worker of a cluster."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.errors import Busy, HpTrtError, InputError
from hp_trt.apps.batch.enlarging import Enlarging
from hp_trt.apps.batch.outcome import Outcome, ends_all, failed
from hp_trt.apps.batch.pairs import Pair
from hp_trt.provenance.options import Provenance
from hp_trt.resume.resumable_video import store_of
from hp_trt.resume.store import Mode, facts_there

if TYPE_CHECKING:
    from hp_trt.api import Runtime
    from hp_trt.enhancer.enhancer import Enhancer
    from hp_trt.media.portrait import Portrait

_MOST_PORTRAITS = 4  # that are kept encoded: pairs come with a portrait's in a row
_BUSY_S = 60.0  # so long a worker of a batch that was killed may go on


@dataclass(frozen=True, kw_only=True)
class Larger:
    """What makes clips larger, opened."""

    enlarging: Enlarging
    enhancer: Enhancer


@dataclass(kw_only=True)
class Maker:
    """Makes clips into the folder `out`. A portrait is encoded once, however many clips it has in a row.

    What it began and was left, here or in an earlier batch, it goes on with, where its profile can.
    """

    runtime: Runtime
    out: Path
    audio: bool  # whether speech moves the portraits
    provenance: Provenance
    sampling: Mapping[str, Any]
    larger: Larger | None = None  # None: clips stay as they are
    _portraits: OrderedDict[Path, Portrait | HpTrtError] = field(default_factory=OrderedDict, init=False)

    def make(self, pair: Pair) -> Outcome:
        """One clip, or what it failed at. Raises what every other clip would meet too, and Ctrl-C."""
        begin_s = time.perf_counter()
        try:
            portrait = self._portrait(pair.portrait)
            animation = self._animate(portrait, pair)
        except Exception as error:
            if ends_all(error):
                error.__notes__ = []
                raise
            return failed(pair.out, error)
        except BaseException as error:
            # It says how `hp-trt animate` would go on with what is kept; a batch does by itself.
            error.__notes__ = []
            raise
        return Outcome(
            out=pair.out,
            state="made",
            frames=animation.frames,
            frames_per_s=round(float(animation.rate), 3),
            seconds=round(time.perf_counter() - begin_s, 2),
            notes=animation.notes,
        )

    def outcomes(self, pair: Pair, *, is_there: bool) -> Iterator[Outcome]:
        """What comes of a pair, as it comes: with a `larger` the clip, then the clip with the larger one. `is_there`:
        the clip is done, and is enlarged alone. Raises as `make`."""
        clip = Outcome(out=pair.out, state="there") if is_there else self.make(pair)
        if self.larger is None:
            yield clip
            return
        clip = replace(clip, enhanced=self.larger.enlarging.name_of(pair.out), enhanced_state="waiting")
        yield clip
        if clip.has_clip:
            yield self._enlarge(clip, self.larger)

    def _portrait(self, path: Path) -> Portrait:
        if path not in self._portraits:
            try:
                self._portraits[path] = self.runtime.portrait(path)
            except HpTrtError as error:  # nor will it for the portrait's next clip
                self._portraits[path] = error
            while len(self._portraits) > _MOST_PORTRAITS:
                self._portraits.popitem(last=False)
        found = self._portraits[path]
        if isinstance(found, HpTrtError):
            raise found.with_traceback(None)
        return found

    def _animate(self, portrait: Portrait, pair: Pair) -> Any:
        out = self.out / pair.out
        how: dict[str, Any] = {"provenance": self.provenance, **self.sampling, **pair.options}
        how["audio" if self.audio else "driving"] = pair.driver
        if self.runtime.profile.mode != "clip":
            return self.runtime.animate(portrait, out=out, **how)
        return going_on(out, lambda mode: self.runtime.animate(portrait, out=out, resume=mode, **how))

    def _enlarge(self, clip: Outcome, larger: Larger) -> Outcome:
        """The larger clip of one that is there, or what that failed at. Raises as `make`."""
        begin_s = time.perf_counter()
        assert clip.enhanced is not None, "whoever asks for it names it"
        video, out = self.out / clip.out, self.out / clip.enhanced
        how: dict[str, Any] = {"provenance": self.provenance, **larger.enlarging.options}
        try:
            made = going_on(out, lambda mode: larger.enhancer.enhance(video, out, resume=mode, **how))
        except Exception as error:
            if ends_all(error):
                error.__notes__ = []
                raise
            wrong = failed(clip.out, error)
            return replace(clip, enhanced_state="failed", error=f"enlarging it: {wrong.error}", code=wrong.code)
        except BaseException as error:
            error.__notes__ = []  # as `make`
            raise
        seconds = (clip.seconds or 0) + time.perf_counter() - begin_s
        own = tuple(note.replace(str(video), clip.out) for note in made.notes)
        return replace(clip, enhanced_state="made", seconds=round(seconds, 2), notes=(*clip.notes, *own))


def going_on(out: Path, make: Callable[[Mode], Any]) -> Any:
    """`make` the file `out`, from where an earlier run of it was left, if it was of the same."""
    waited_s = 0.0
    while True:
        left = bool(facts_there(store_of(out)))
        try:
            return make("resume" if left else "restart")
        except Busy:
            if waited_s >= _BUSY_S:
                raise
            time.sleep(1.0)
            waited_s += 1.0
        except InputError:
            if not left:
                raise
            # What was kept is of other inputs or options: the sidecar would say so of a clip that is done.
            return make("restart")

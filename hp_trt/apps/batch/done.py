"""Which clips are done: their sidecar says the same inputs and options, and their file still is what it says.

Nothing else is believed: not a name, not a time, not an earlier report. Threads and what runs the graphs do not count,
as for a render that is gone on with: they round a last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from engines.bundle import Bundle
from engines.errors import HpTrtError, InputError
from engines.file_record import FileRecord, hash_file
from engines.foreign import reason
from hp_trt.apps.batch.config import BatchConfig
from hp_trt.apps.batch.pairs import Pair
from hp_trt.interface.inputs import with_options
from hp_trt.interface.sealing import file_input, files_of_run, origin_of, what_moves
from hp_trt.model import Model
from hp_trt.profiles import Profile
from hp_trt.provenance.options import Provenance
from hp_trt.provenance.run_seal import Prepared
from hp_trt.provenance.sidecar import Origin, Sidecar, beside, read_sidecar
from hp_trt.resume.facts import as_json, differences
from hp_trt.resume.resumable_video import store_of
from hp_trt.resume.store import ChunkStore

_ASKED, _UNASKED = "asked for", "not asked for"


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """What the sidecar of each pair's clip has to say. No graph is opened."""

    config: BatchConfig
    bundle: Bundle
    model: type[Model]
    profile: Profile
    prepared: Prepared | None = None  # who signs; None: nothing is sealed

    def check(self, pairs: list[Pair]) -> None:
        """Raises InputError for options of a pair that this bundle cannot do: before any work."""
        for options in {tuple(sorted(pair.options.items())) for pair in pairs}:
            self._profile(dict(options))

    def why_not_done(self, pair: Pair) -> str | None:
        """None: the clip is done. Else what is wrong with it; "" where there is none.

        Raises InputError for an input that cannot be read.
        """
        path = self.config.out / pair.out
        return why_not_as_asked(path, lambda: self.of(pair).recipe, self.config.provenance, self.prepared)

    def of(self, pair: Pair) -> Origin:
        """What its sidecar says of it. Raises InputError."""
        base = self.origin(pair.options)
        try:
            inputs = {
                "portrait": file_input(pair.portrait, self._hash),
                **self._of_all,
                what_moves(self.model): file_input(pair.driver, self._hash),
            }
        except OSError as error:
            raise InputError(f"{error.filename}: {reason(error)}; see that it can be read") from error
        return replace(base, inputs=inputs)

    def origin(self, options: Mapping[str, Any]) -> Origin:
        """The same without what goes in."""
        key = tuple(sorted(options.items()))
        if key not in self._origins:
            profile = self._profile(options)
            self._origins[key] = origin_of(self.model, self.bundle, self.config.runtime, profile, {})
        return self._origins[key]

    def _profile(self, options: Mapping[str, Any]) -> Profile:
        return with_options(self.model, self.bundle, self.profile, {**self.config.sampling, **options})

    @cached_property
    def _of_all(self) -> dict[str, Any]:
        """Files that all clips are made with."""
        return files_of_run(self.config.runtime.inputs(), self._hash)

    @cached_property
    def _hashes(self) -> dict[Path, FileRecord]:
        return {}

    @cached_property
    def _origins(self) -> dict[tuple[tuple[str, Any], ...], Origin]:
        return {}

    def _hash(self, path: Path) -> FileRecord:
        """Each file is read once, however many clips it goes into."""
        if path not in self._hashes:
            self._hashes[path] = hash_file(path)
        return self._hashes[path]


def forget_parts(out: Path) -> None:
    """Remove the parts that were kept of a clip which is done: a kill came between its name and their end."""
    if store_of(out).is_dir():
        with suppress(HpTrtError):
            store = ChunkStore(store_of(out), names=("out",), facts={}, mode="restart", rate=Fraction(1))
            store.remove()
            store.close()


def why_not_as_asked(
    path: Path, recipe: Callable[[], Mapping[str, Any]], asked: Provenance, prepared: Prepared | None
) -> str | None:
    """None: the file `path` is there, is what its sidecar says, and that is what is asked for. Else what is wrong with
    it; "" where there is none. `recipe`: of `Origin`, as the sidecar has to say it. Raises what `recipe` raises."""
    try:
        said = read_sidecar(beside(path))
    except (OSError, ValueError):
        return "it had no sidecar" if path.is_file() else ""
    if not path.is_file():
        return ""
    wanted = {**recipe(), **_wanted(path, asked, prepared)}
    if found := next(differences(as_json(_told(said, asked)), as_json(wanted)), None):
        return found
    try:
        return None if hash_file(path) == said.result else "its file was changed"
    except OSError as error:
        return f"it could not be read: {reason(error)}"


def _wanted(path: Path, asked: Provenance, prepared: Prepared | None) -> dict[str, Any]:
    """What a sidecar has to say of what its file carries."""
    wanted: dict[str, Any] = {
        "label": asked.label,
        "mark": _said(asked.mark),
        "credentials": _said(asked.credentials),
        "consent": asked.consent,
    }
    if asked.mark and asked.mark_id is not None:
        wanted["mark"] = f"{asked.mark_id:08x}"
    if prepared is not None and prepared.signer is not None and path.suffix.lower() != ".mkv":
        wanted["credentials"] = prepared.signer.name
    return wanted


def _told(said: Sidecar, asked: Provenance) -> dict[str, Any]:
    """What a sidecar says of the same things, and its recipe."""
    unsigned = said.left_out.get("credentials", _ASKED)
    told = {**said.recipe, "label": said.label, "mark": _said(said.mark_id is not None), "consent": said.consent}
    told["credentials"] = said.signer or (_UNASKED if unsigned == _UNASKED else _ASKED)
    if asked.mark_id is not None and said.mark_id is not None:
        told["mark"] = f"{said.mark_id:08x}"
    return told


def _said(asked: bool) -> str:
    return _ASKED if asked else _UNASKED

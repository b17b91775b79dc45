"""The seal of a run: what every file that the run writes carries, and what it does not, told.

`prepare` comes before the long work: it looks at the places of the sidecars, finds the key and tries it. `RunSeal` is
what files are written with (`hp_trt.media.seal`).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engines.errors import InputError, OutputError, how_to_install
from engines.file_record import hash_file
from engines.part_file import PartFile
from engines.safe_output import check_outputs
from hp_trt.interface import arguments
from hp_trt.media.seal import Sealed
from hp_trt.provenance import credentials
from hp_trt.provenance.label import labelled
from hp_trt.provenance.options import MOST_ID, Provenance
from hp_trt.provenance.sidecar import Origin, beside, is_sidecar, sidecar_text
from hp_trt.provenance.signing import Signer, callback_signer, local_signer, user_signer

if TYPE_CHECKING:
    from hp_trt.provenance.mark import Mark

_CREDENTIALS, _MARK, _SIDECAR = "credentials", "mark", "sidecar"
_UNASKED = "not asked for"
_KEPT = "the mark"  # among the facts of a run that can be gone on with


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What was asked for, and who signs."""

    asked: Provenance
    signer: Signer | None
    left_out: Mapping[str, str]  # of every file of the run: what, and why

    def seal(self, origin: Origin) -> RunSeal:
        """The seal of the run that `origin` describes."""
        return RunSeal(self, origin)


def prepare(
    asked: Provenance | None,
    outputs: Mapping[str, Path | str | None],
    inputs: Mapping[str, Path | str | None],
) -> Prepared | None:
    """Look at all that the seal of `outputs`, files by what a message calls each, will need; None: nothing is asked.

    Raises InputError and OutputError for what cannot be: a key, a place.
    """
    asked = Provenance() if asked is None else arguments.instance("provenance", asked, Provenance)
    assert asked is not None
    if asked.is_none:
        return None
    files = [Path(path) for path in outputs.values() if path is not None]
    if asked.sidecar:
        check_beside(outputs, inputs)
    left_out: dict[str, str] = {}
    for what, wanted in ((_MARK, asked.mark), (_CREDENTIALS, asked.credentials), (_SIDECAR, asked.sidecar)):
        if not wanted:
            left_out[what] = _UNASKED
    return Prepared(asked=asked, signer=_signer(asked, files, left_out), left_out=left_out)


def check_beside(outputs: Mapping[str, Path | str | None], inputs: Mapping[str, Path | str | None]) -> None:
    """Look at the places of the sidecars of `outputs`. Raises InputError and OutputError: one cannot be written, or
    would replace an input, another output, or a file that is no sidecar."""
    wanted = {what: Path(path) for what, path in outputs.items() if path is not None}
    places = {f"the sidecar of {what}": beside(path) for what, path in wanted.items()}
    check_outputs({**wanted, **places}, inputs)
    for what, place in places.items():
        if place.exists() and not is_sidecar(place):
            raise OutputError(
                f"{place} is there and is no sidecar of ours, {what} would replace it; move it, give the result "
                "another name, or leave the sidecar out: --no-sidecar"
            )


class RunSeal:
    """See `hp_trt.media.seal.Seal`. `mark_id` is the run's id, None without a mark; `notes` what to tell of the files.

    `told`: further notes for sidecars, asked for when each is written.
    """

    def __init__(self, prepared: Prepared, origin: Origin) -> None:
        self._asked, self._signer = prepared.asked, prepared.signer
        self._left_out, self._origin = prepared.left_out, origin
        self.told: Callable[[], Iterable[str]] = tuple
        self.mark_id: int | None = None
        self._mark: Mark | None = None
        if self._asked.mark:
            own = self._asked.mark_id
            self._take(secrets.randbits(32) if own is None else own)

    @property
    def facts(self) -> dict[str, Any]:
        """What of it decides the pictures: whoever goes on with a run needs the same."""
        found: dict[str, Any] = {}
        if self.mark_id is not None:
            found[_KEPT] = {"algorithm": credentials.MARK_ALGORITHM, "id": f"{self.mark_id:08x}"}
        return found | ({"the label": True} if self._asked.label else {})

    def go_on(self, facts: Mapping[str, Any]) -> None:
        """Take the id of a run that is gone on with, of its `facts`, unless one was asked for."""
        kept = facts.get(_KEPT)
        if self.mark_id is None or self._asked.mark_id is not None or not isinstance(kept, Mapping):
            return
        with suppress(ValueError, TypeError):  # damaged facts are told by who compares them
            number = int(kept.get("id", ""), 16)
            if 0 <= number <= MOST_ID:
                self._take(number)

    def marked(self, image: np.ndarray) -> np.ndarray:
        if self._asked.label:
            image = labelled(image)
        return image if self._mark is None else self._mark.embed(image)

    def notes_of(self, files: Sequence[Path | str | None]) -> list[str]:
        """What to tell of these files, which the run writes."""
        told: dict[str, None] = {}
        for path in files:
            why = None if path is None else self._why_unsigned(Path(path))
            if path is not None and why is not None and why != _UNASKED:
                whose = "" if _CREDENTIALS in self._left_out else f"{Path(path).name}: "
                told[f"{whose}no Content Credentials, {why}"] = None
        return list(told)

    def note_of_stream(self, name: str) -> str:
        """What to tell of a stream, which nothing stands beside."""
        marked = f"the invisible mark of id {self.mark_id:08x}" if self.mark_id is not None else "no invisible mark"
        return f"{name} has {marked}, and neither Content Credentials nor a sidecar: those are for files"

    def sealed(self, part: PartFile, name: Path, notes: Sequence[str] = (), *, precious: bool = False) -> Sealed:
        left_out = dict(self._left_out)
        signed: tuple[str, str] | None = None
        made = part
        why = self._why_unsigned(name)
        if why is not None:
            left_out[_CREDENTIALS] = why
        else:
            assert self._signer is not None
            made = self._sign(part, name, self._signer, precious)
            signed = self._signer.name, self._signer.algorithm
        try:
            sidecar = self._beside(made, name, signed, left_out, notes) if self._asked.sidecar else None
        except BaseException:
            if made is not part:
                made.discard()
            raise
        if made is not part:
            part.discard()
        return Sealed(made, sidecar)

    def _take(self, number: int) -> None:
        from hp_trt.provenance.mark import InvisibleMark

        self.mark_id, self._mark = number, InvisibleMark(number)

    def _why_unsigned(self, name: Path) -> str | None:
        if (why := self._left_out.get(_CREDENTIALS)) is not None:
            return why
        return _not_signed(name)

    def _sign(self, part: PartFile, name: Path, signer: Signer, precious: bool) -> PartFile:
        """The same under another hidden name, signed."""
        made = PartFile(part.final, precious=precious)
        try:
            claim = credentials.Claim(
                title=_as_text(name.name),
                version=self._origin.version,
                portrait=self._sha256("portrait"),
                driver=(self._origin.driver, self._sha256(self._origin.driver)),
                mark_id=self.mark_id,
            )
            try:
                credentials.sign_file(part.path, made.path, claim, signer)
            except OutputError as error:
                raise OutputError(f"{name} was not written: {error}") from error
        except BaseException:
            with suppress(OSError):
                made.discard()
            raise
        return made

    def _sha256(self, what: str) -> str | None:
        found = self._origin.inputs.get(what)
        return None if found is None else found.sha256

    def _beside(
        self,
        part: PartFile,
        name: Path,
        signed: tuple[str, str] | None,
        left_out: Mapping[str, str],
        notes: Sequence[str],
    ) -> PartFile:
        text = sidecar_text(
            self._origin,
            name=_as_text(name.name),
            result=hash_file(part.path),
            mark=None if self.mark_id is None else (credentials.MARK_ALGORITHM, self.mark_id),
            label=self._asked.label,
            signed=signed,
            left_out=left_out,
            consent=self._asked.consent,
            notes=(*self.told(), *notes),
        )
        made = PartFile(beside(name))
        try:
            with open(made.path, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                made.discard()
            raise
        return made


def _signer(asked: Provenance, files: list[Path], left_out: dict[str, str]) -> Signer | None:
    """Who signs; None where nobody does, which `left_out` has the reason of then."""
    if not asked.credentials:
        return None
    if asked.sign_chain is None:
        if not credentials.is_installed():
            left_out[_CREDENTIALS] = f"c2pa-python is not installed; {how_to_install('provenance')} adds them"
            return None
        if all(_not_signed(path) for path in files):
            return None
        signer = local_signer()
    elif not credentials.is_installed():
        raise InputError(f"signing needs c2pa-python, which is not installed; {how_to_install('provenance')}")
    elif asked.sign_key is not None:
        signer = user_signer(Path(asked.sign_chain), Path(asked.sign_key))
    else:
        assert asked.sign is not None
        signer = callback_signer(Path(asked.sign_chain), asked.sign)
    credentials.try_signer(signer)
    return signer


def _not_signed(name: Path) -> str | None:
    """Why a file of that name has no credentials, if so."""
    if name.suffix.lower() in credentials.FORMATS:
        return None
    kinds = ", ".join(sorted(ending.removeprefix(".") for ending in credentials.FORMATS))
    return f"{name.suffix.removeprefix('.')} files cannot have them ({kinds} can)"


def _as_text(name: str) -> str:
    """A name as JSON can hold it: in a plain locale Python has bytes in the place of letters."""
    return os.fsencode(name).decode(errors="replace")

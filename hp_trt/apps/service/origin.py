"""What results carry of their origin: what a job asks for, signed with the operator's key or this user's local one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines.errors import InputError
from hp_trt.apps.service.job import JobRequest
from hp_trt.apps.service.problems import Problem
from hp_trt.provenance import run_seal
from hp_trt.provenance.options import Provenance

_A_RESULT = {"the result": Path("result.mp4")}


@dataclass(frozen=True, kw_only=True)
class Sealing:
    """Who signs: certificates and the key of the first of them, PEM; neither: a local key. Raises InputError."""

    chain: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        Provenance(sign_chain=self.chain, sign_key=self.key)

    def of(self, request: JobRequest, mark_id: int | None = None) -> Provenance:
        """What the files of a job carry. Raises InputError for a consent that is no line of text."""
        signs = request.credentials
        return Provenance(
            mark=request.mark,
            credentials=signs,
            label=request.label,
            mark_id=mark_id if request.mark else None,
            consent=request.consent,
            sign_chain=self.chain if signs else None,
            sign_key=self.key if signs else None,
        )

    def check(self) -> None:
        """Try the key. Raises InputError for one that cannot sign."""
        run_seal.prepare(Provenance(sidecar=False, sign_chain=self.chain, sign_key=self.key), _A_RESULT, {})

    def ready(self, request: JobRequest, mark_id: int) -> Provenance:
        """As `of`, with the key tried: one that expired meanwhile is no fault of the client's. Raises Problem."""
        if request.credentials:
            try:
                self.check()
            except InputError as error:
                text = "the service's key cannot sign; tell who runs it, or ask again with credentials false"
                raise Problem("internal", text) from error
        return self.of(request, mark_id)

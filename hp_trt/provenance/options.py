"""What of its origin a written file is to carry: all of it, unless somebody says otherwise by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engines.errors import InputError
from hp_trt.interface import arguments

MOST_ID = 2**32 - 1
LONGEST_CONSENT = 2000  # letters


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What written files carry. Checked when made: raises InputError. Its fields:

    mark         an invisible mark in every picture, of the run's id
    credentials  Content Credentials (C2PA) in mp4, mov and png, which need `pip install '.[provenance]'`
    sidecar      OUT.json beside each file OUT: what went in, and what made it
    label        a visible sign in the corner of every picture
    mark_id      the run's id, 32 bits; None: a random one. With one of your own two runs write the same pictures
    consent      what is to be said of the consent of whoever is shown, as you state it; it goes into the sidecar
    sign_chain   the certificates to sign with, PEM, the signer's own first; None: a local key of this user, made when
                 it is first needed, whose certificate says "local, unverified"
    sign_key     the private key of the first of them, PEM without a password
    sign         or a function that signs bytes with that key, where it is kept by a device: of ECDSA in DER or as r and
                 s, of RSA as PSS. It is called once before the work, to try, and once for every file
    """

    mark: bool = True
    credentials: bool = True
    sidecar: bool = True
    label: bool = False
    mark_id: int | None = None
    consent: str | None = None
    sign_chain: Path | str | None = None
    sign_key: Path | str | None = None
    sign: Callable[[bytes], bytes] | None = None

    def __post_init__(self) -> None:
        for name in ("mark", "credentials", "sidecar", "label"):
            object.__setattr__(self, name, arguments.flag(name, getattr(self, name)))
        if self.mark_id is not None:
            number = arguments.whole("mark_id", self.mark_id, least=0, most=MOST_ID)
            object.__setattr__(self, "mark_id", number)
            if not self.mark:
                raise InputError("mark_id is of the mark, and mark is False; leave one of them out")
        if self.consent is not None:
            self._check_consent()
        self._check_signing()

    @property
    def is_none(self) -> bool:
        """Whether files are written as they are."""
        return not (self.mark or self.credentials or self.sidecar or self.label)

    def _check_consent(self) -> None:
        text = arguments.words("consent", self.consent)
        if not (text.strip() and len(text) <= LONGEST_CONSENT and text.isprintable()):
            raise InputError(
                f"consent must be a line of 1 to {LONGEST_CONSENT} printable letters, got {arguments.shown(text)}"
            )
        if not self.sidecar:
            raise InputError("consent stands in the sidecar, and sidecar is False; leave one of them out")

    def _check_signing(self) -> None:
        for name in ("sign_chain", "sign_key"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, arguments.path(name, getattr(self, name)))
        if self.sign is not None:
            arguments.having("sign", self.sign, "function", "__call__")
        keys = [name for name in ("sign_key", "sign") if getattr(self, name) is not None]
        if self.sign_chain is None and keys:
            raise InputError(f"{keys[0]} needs the certificates that belong to it; give sign_chain too")
        if self.sign_chain is not None and len(keys) != 1:
            given = "both" if keys else "neither"
            raise InputError(f"sign_chain needs one of sign_key and sign, got {given}; give one of them")
        if self.sign_chain is not None and not self.credentials:
            raise InputError("sign_chain signs credentials, and credentials is False; leave one of them out")


NOTHING = Provenance(mark=False, credentials=False, sidecar=False)  # files as they are: to measure, to compare

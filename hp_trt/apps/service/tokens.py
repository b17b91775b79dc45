"""Who may: bearer tokens, of which only hashes are kept.

A file of tokens has a line for each: a name, which is whose quota it counts for, and the SHA-256 of the token in hex.
Lines that begin with # are comments. It is refused where others may read it. It is read when the service starts.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from engines.errors import InputError
from engines.fields import read_bytes
from engines.foreign import reason
from engines.safe_output import refusing
from hp_trt.apps.service.problems import Problem

LOCAL = "local"  # whose everything is where no token is asked for
_MOST_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(r"([A-Za-z0-9._-]{1,64})\s+([0-9a-fA-F]{64})")


def owner_of(name: str) -> str:
    """What everything of a token's name is filed under: a name never becomes a path."""
    return hashlib.sha256(f"hp-trt owner {name}".encode()).hexdigest()[:16]


class Tokens:
    """Who a request is from."""

    def __init__(self, names: Mapping[str, str] | None) -> None:
        """`names`: SHA-256 of a token in hex -> its name; None: no token is asked for."""
        self._owners = None if names is None else {digest: owner_of(name) for digest, name in names.items()}

    @classmethod
    def read(cls, path: Path | None) -> Tokens:
        """Those of a file; None: no token is asked for. Raises InputError."""
        return cls(None if path is None else _read(path))

    def owner(self, authorization: str | None) -> str:
        """Whose request it is, by its header. Raises Problem. Every token is compared, each in constant time."""
        if self._owners is None:
            return owner_of(LOCAL)
        scheme, _, token = (authorization or "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = None
        for known, owner in self._owners.items():
            if hmac.compare_digest(known, digest):
                found = owner
        if found is None or scheme.lower() != "bearer":
            raise Problem("unauthorized", "this needs a token that the service knows; send Authorization: Bearer TOKEN")
        return found


def _read(path: Path) -> dict[str, str]:
    try:
        mode = os.stat(path).st_mode
        text = read_bytes(path, most_bytes=_MOST_BYTES).decode()
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no file of tokens ({reason(error)}); --new-token NAME makes one") from error
    if mode & 0o077:
        raise InputError(f"{path} can be read by others (mode {mode & 0o777:03o}); chmod 600 it, and make new tokens")
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = _LINE.fullmatch(line.strip())
        if parts is None:
            raise InputError(f"{path}, line {number}: needed are a name and the SHA-256 of a token in hex")
        found[parts[2].lower()] = parts[1]
    if not found:
        raise InputError(f"{path} has no token; hp-trt serve --new-token NAME adds one")
    return found


def add_token(path: Path, name: str) -> str:
    """A new token, whose hash is added to the file, made for its owner alone. Raises InputError, OutputError."""
    if not _NAME.fullmatch(name):
        raise InputError(f"a token's name has 1 to 64 letters, digits, dots, dashes and underscores, got {name[:80]!r}")
    if path.exists() and path.stat().st_size:
        _read(path)
    token = secrets.token_urlsafe(32)
    line = f"{name} {hashlib.sha256(token.encode()).hexdigest()}\n"
    with refusing(path):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "w", encoding="ascii") as file:
            file.write(line)
    return token

"""Content Credentials (C2PA) in a file, written and read by c2pa-python. Nobody else imports that library.

Nothing of a private picture travels in them: portrait and driver are named by their hashes alone, the library makes no
thumbnails, and no server is asked, for a time stamp or anything else, neither in writing nor in reading. The library
finds a changed byte in all that is shown or heard and in what leads there, but not in those that its own format leaves
open: a box's label, padding, an mp4's first box. `left_open` finds those in files that we signed.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Literal

from engines.errors import HpTrtError, InputError, OutputError, how_to_install
from engines.fields import Field, parse_json
from engines.foreign import foreign, reason
from hp_trt.provenance import left_open
from hp_trt.provenance.signing import Signer

FORMATS = {".mp4": "video/mp4", ".mov": "video/quicktime", ".png": "image/png"}  # that we write and the library signs
GENERATOR = "hp-trt"
MARK_ALGORITHM = "org.hp-trt.mark.1"  # of the soft binding
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_NEEDED = ("c2pa", "cryptography")
_MOST_JSON = 16 << 20  # bytes, of what the library says of a file
_MOST_MANIFESTS = 1000
_LONGEST = 200  # letters of what a stranger's file says
_INSTEAD = "sign with another key, or leave signing out with --no-credentials"
State = Literal["valid", "trusted", "invalid", "unreadable"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What is claimed of a file."""

    title: str  # its name
    version: str  # of the program
    portrait: str | None  # sha256
    driver: tuple[str, str | None]  # what it is, "driving video" or "speech", and its sha256
    mark_id: int | None


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a file's credentials say, as its reader found them."""

    state: State
    why: tuple[str, ...] = ()  # what is wrong, where it is not as it should be
    generator: str = ""  # who claims it, "" where that cannot be read
    signer: str = ""
    source_types: tuple[str, ...] = ()  # the ends of their addresses: "compositeWithTrainedAlgorithmicMedia"
    mark_ids: tuple[int, ...] = ()  # of soft bindings of ours

    @property
    def are_ours(self) -> bool:
        return self.generator == GENERATOR

    @property
    def hold(self) -> bool:
        return self.state in ("valid", "trusted")


def is_installed() -> bool:
    """Whether the packages of the extra are there."""
    return all(find_spec(name) is not None for name in _NEEDED)


def sign_file(source: Path, target: Path, claim: Claim, signer: Signer) -> None:
    """Write the file `source` with credentials into `target`, which is there. The name in `claim` says what it is.

    Raises OSError for what the disk refuses, OutputError for what the library or the signer does.
    """
    with source.open("rb") as read, target.open("r+b", buffering=0) as written:
        written.truncate()
        _sign(read, written, claim, signer)


def try_signer(signer: Signer) -> None:
    """Sign a picture of one pixel. Raises InputError where that fails: the key, the certificate, the device."""
    from PIL import Image

    picture = io.BytesIO()
    Image.new("RGB", (1, 1)).save(picture, format="PNG")
    claim = Claim(title="try.png", version="0", portrait=None, driver=("", None), mark_id=None)
    try:
        _sign(picture, io.BytesIO(), claim, signer)
    except (OSError, OutputError) as error:
        raise InputError(f"{signer.name} cannot sign: {reason(error)}") from error


def read_credentials(path: Path, anchors: str | None = None) -> Credentials | None:
    """What is in the file; None where there are none, or none can be. `anchors`: PEM, of whom to trust.

    Raises ModuleNotFoundError where the library is not installed, InputError for anchors that it does not take.
    """
    import c2pa

    settings = _settings({"verify_trust": True})
    if anchors is not None:
        settings["trust"] = {"user_anchors": anchors}
    with foreign("the anchor cannot be used", "give the certificate of who issued the signer's, PEM"):
        context = c2pa.Context.from_dict(settings)
    with closing(context), path.open("rb") as file:
        try:
            # The kind is told by the bytes: a name may say anything.
            with foreign("no credentials", ""), closing(c2pa.Reader(None, file, context=context)) as reader:
                said, in_detail = reader.json(), reader.detailed_json()
        except HpTrtError as error:
            return _unread(error.__cause__ or error) or _remains(file)
        try:
            found = _read(parse_json(said[: _MOST_JSON + 1]))
            return _as_it_was_signed(found, file, in_detail) if found.hold else found
        except ValueError as error:
            return Credentials(state="unreadable", why=(reason(error),))


def _as_it_was_signed(found: Credentials, file: BinaryIO, in_detail: str) -> Credentials:
    """Credentials that hold, unless a byte was changed that the library does not look at. Raises ValueError."""
    told = parse_json(in_detail[: _MOST_JSON + 1])
    changed = left_open.changed(file, told["manifests"][told["active_manifest"].text(most=_LONGEST)])
    return replace(found, state="invalid", why=(changed,)) if changed else found


def _remains(file: BinaryIO) -> Credentials | None:
    """Of a file without credentials: those that nobody finds any more, because a byte that leads there was changed."""
    begins = left_open.remains(file)
    if begins is None:
        return None
    why = f"changed after it was signed, manifests begin near byte {begins} and what leads there was changed"
    return Credentials(state="invalid", why=(why,))


def _unread(error: BaseException) -> Credentials | None:
    """Of a file that the reader gave up on: a file without any is none, what cannot be made out is."""
    import c2pa

    if isinstance(error, c2pa.C2paError.ManifestNotFound | c2pa.C2paError.NotSupported):
        return None
    text = reason(error)
    # Of a container that the library does not know it says so in words alone.
    if any(words in text for words in ("no JUMBF data found", "could not be detected", "type is unsupported")):
        return None
    return Credentials(state="unreadable", why=(text,))


def _read(said: Field) -> Credentials:
    """Raises ValueError for what is not as the library says it."""
    label = said["active_manifest"].text(most=_LONGEST)
    manifests = dict(said["manifests"].entries(most=_MOST_MANIFESTS))
    if label not in manifests:
        raise said["active_manifest"].wrong("one of the manifests")
    active = manifests[label]
    generators = [one["name"].text() for one in active.get("claim_generator_info", []).listed(most=100)]
    about = active.get("signature_info", {})
    names = [found.text()[:_LONGEST] for key in ("common_name", "issuer") if (found := about.get(key)) is not None]
    state = said["validation_state"].text().lower()
    status = said.get("validation_status", []).listed(most=10_000)
    codes = list(dict.fromkeys(one["code"].text()[:_LONGEST] for one in status))
    sources, ids = _assertions(active)
    return Credentials(
        state="trusted" if state == "trusted" else "valid" if state == "valid" else "invalid",
        why=tuple(codes[:10]),
        generator=generators[0][:_LONGEST] if generators else "",
        signer=names[0] if names else "",
        source_types=sources,
        mark_ids=ids,
    )


def _assertions(active: Field) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Digital source types of actions, and ids of our mark in soft bindings."""
    sources: dict[str, None] = {}
    ids: dict[int, None] = {}
    for one in active.get("assertions", []).listed(most=10_000):
        label = one["label"].text()
        if label.startswith("c2pa.actions"):
            for action in one["data"].get("actions", []).listed(most=10_000):
                if (found := action.get("digitalSourceType")) is not None:
                    sources[found.text().rsplit("/", 1)[-1][:_LONGEST]] = None
        elif label.startswith("c2pa.soft-binding") and one["data"]["alg"].text() == MARK_ALGORITHM:
            for block in one["data"]["blocks"].listed(most=1000):
                ids[_id(block["value"])] = None
    return tuple(sources)[:10], tuple(ids)[:10]


def _id(value: Field) -> int:
    text = value.text()
    if len(text) != 8 or not set(text) <= set("0123456789abcdef"):
        raise value.wrong("8 hex digits")
    return int(text, 16)


def _sign(source: Any, target: Any, claim: Claim, signer: Signer) -> None:
    import c2pa

    kind = FORMATS[Path(claim.title).suffix.lower()]
    asked, written = _Asked(signer.sign), _Written(target)
    failed = None
    with ExitStack() as opened:
        try:
            with foreign("it could not be signed", _INSTEAD, error=OutputError):
                open_before = left_open.digest(source)
                if signer.sign is None:
                    about = c2pa.C2paSignerInfo(signer.algorithm, signer.chain.encode(), signer.key.encode(), None)
                    made = c2pa.Signer.from_info(about)
                else:
                    algorithm = getattr(c2pa.C2paSigningAlg, signer.algorithm.upper())
                    made = c2pa.Signer.from_callback(asked, algorithm, signer.chain)
                opened.callback(made.close)
                context = opened.enter_context(closing(c2pa.Context.from_dict(_settings({}), signer=made)))
                builder = opened.enter_context(
                    closing(c2pa.Builder(_manifest(claim, kind, open_before), context=context))
                )
                builder.sign(kind, source, written)
        except OutputError as error:
            failed = error
    # The library tells neither what its own streams nor what its signer raised.
    if written.error is not None:
        raise written.error
    if asked.error is not None:
        if not isinstance(asked.error, Exception):  # Ctrl-C while a device waited for its button
            raise asked.error
        raise OutputError(f"the signing function failed ({reason(asked.error)}); {_INSTEAD}") from asked.error
    if failed is not None:
        raise failed
    try:
        left_open.finish(target, open_before, signer.algorithm)
    except ValueError as error:
        raise OutputError(
            f"it could not be signed (c2pa-python signs in a form that hp-trt does not know: {error}); "
            f"{how_to_install('provenance')}, or leave signing out with --no-credentials"
        ) from error


class _Asked:
    """A signing function, which remembers what it raised."""

    def __init__(self, sign: Callable[[bytes], bytes] | None) -> None:
        self._sign = sign
        self.error: BaseException | None = None

    def __call__(self, data: bytes) -> bytes:
        assert self._sign is not None
        try:
            made = self._sign(data)
            if not isinstance(made, bytes | bytearray) or not made:
                raise TypeError(f"it gave a {type(made).__name__}, needed bytes")
            return bytes(made)
        except BaseException as error:
            self.error = error
            raise RuntimeError("signing failed") from error  # which the library takes for a failure


class _Written:
    """A file to write into, which remembers what the disk refused."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def read(self, size: int = -1) -> bytes:
        found: bytes = self._file.read(size)
        return found

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def flush(self) -> None:
        self._file.flush()

    def truncate(self, size: int | None = None) -> int:
        return int(self._file.truncate(size))


def _settings(verify: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is asked of any server, and no picture of a picture is made."""
    quiet = {"remote_manifest_fetch": False, "ocsp_fetch": False}
    return {"version": 1, "builder": {"thumbnail": {"enabled": False}}, "verify": {**quiet, **verify}}


def _manifest(claim: Claim, kind: str, open_before: str) -> str:
    agent = {"name": GENERATOR, "version": claim.version}
    sources = {"portrait": claim.portrait, claim.driver[0]: claim.driver[1]}
    ingredients = [
        {"title": what, "label": what, "relationship": "inputTo", "instance_id": f"sha256:{sha256}"}
        for what, sha256 in sources.items()
        if sha256 is not None
    ]
    created: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": _SOURCE, "softwareAgent": agent}
    if ingredients:
        created["parameters"] = {"ingredientIds": [one["label"] for one in ingredients]}
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [created]}}
    assertions: list[dict[str, Any]] = [actions, left_open.assertion(open_before)]
    if claim.mark_id is not None:
        blocks = [{"scope": {}, "value": f"{claim.mark_id:08x}"}]
        bound = {"alg": MARK_ALGORITHM, "pad": "", "blocks": blocks}
        assertions.append({"label": "c2pa.soft-binding", "data": bound})
    return json.dumps(
        {
            "claim_generator_info": [agent],
            "title": claim.title,
            "format": kind,
            "ingredients": ingredients,
            "assertions": assertions,
        }
    )

"""Who signs: a certificate chain and the key of its first certificate, the user's own or a local one.

The local key is made when it is first needed, in one file of the user's state folder, which nobody else can read. Its
certificate says that nobody has checked who it is: it shows that a file is as this user's hp-trt wrote it, to whoever
has its anchor, and no name. A certificate that signed itself is refused by readers, so there are two: that of the
signer, and that of its issuer, whose key is forgotten when both are made.

Source of what a signer's certificate must be: C2PA 2.2, 14.5.1.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engines.errors import InputError
from engines.fields import read_bytes
from engines.foreign import foreign, reason
from engines.part_file import write_whole

KEY_NAME, ANCHOR_NAME = "local-signer.pem", "local-anchor.pem"
LOCAL = "hp-trt local, unverified"  # the signer's name
_ROOT = "hp-trt local root, unverified"
_MOST_BYTES = 1 << 20  # of a chain, a key or an anchor
_YEARS = 10
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_CLAIM_SIGNING = "1.3.6.1.4.1.62558.2.1"  # c2pa-kp-claimSigning
_INSTEAD = "give --sign-chain and --sign-key, or leave signing out with --no-credentials"


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Whoever signs, by one of two: its key, or a function that gives the signature of bytes, of ECDSA in DER or as r
    and s."""

    chain: str  # PEM, the signer's own certificate first
    algorithm: str  # as C2PA calls it: "es256"
    name: str  # the certificate's common name
    key: str = field(default="", repr=False)  # PEM, PKCS 8; "" where a function signs
    sign: Callable[[bytes], bytes] | None = None


def user_signer(chain: Path, key: Path) -> Signer:
    """Of two PEM files. Raises InputError: unreadable, of another kind, expired, or not of each other."""
    text, certificates = _chain_of(chain)
    private = _key_of(_pem(key, "the private key"), key)
    if _public(private.public_key()) != _public(certificates[0].public_key()):
        raise InputError(
            f"{key} is not the key of the first certificate in {chain} ({_name(certificates[0])}); give the key that "
            "belongs to it, or put its certificate first"
        )
    return replace(_signer(text, certificates, chain), key=_pkcs8(private))


def callback_signer(chain: Path, sign: Callable[[bytes], bytes]) -> Signer:
    """Of a PEM file and whoever keeps the key. Raises InputError."""
    text, certificates = _chain_of(chain)
    return replace(_signer(text, certificates, chain), sign=sign)


def local_signer() -> Signer:
    """The local key's, which is made where there is none. Raises InputError for one that cannot be used."""
    path = state_folder() / KEY_NAME
    if not os.path.lexists(path):
        _make_local(path)
    _check_private(path)
    data = _pem(path, "the local key")
    try:
        certificates = _certificates(data, path)
        private = _key_of(data, path)
        signer = replace(_signer(_pem_of(certificates), certificates, path), key=_pkcs8(private))
    except InputError as error:
        raise InputError(f"{error}. It is the local key: remove {path}, and a new one is made") from error
    if _public(private.public_key()) != _public(certificates[0].public_key()):
        raise InputError(
            f"{path}: the local key and its certificate do not belong together; remove it, and a new one is made"
        )
    anchor, content = path.with_name(ANCHOR_NAME), _pem_of(certificates[-1:]).encode()
    with suppress(OSError):  # for who wants to verify: signing needs it not
        if not anchor.is_file() or anchor.read_bytes() != content:
            write_whole(anchor, content)
    return signer


def state_folder() -> Path:
    """The user's state folder, $XDG_STATE_HOME or ~/.local/state, and hp-trt in it. Raises InputError without one."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(given):
        return Path(given) / "hp-trt"
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise InputError(f"there is no home folder to keep a local key in; set XDG_STATE_HOME, {_INSTEAD}")
    return Path(home, ".local", "state", "hp-trt")


def anchors(path: Path) -> str:
    """The certificates of a PEM file that is to be trusted, and nothing else of it. Raises InputError."""
    return _chain_of(path, "the anchor")[0]


def _signer(text: str, certificates: list[Any], path: Path) -> Signer:
    """Of a chain, still without what signs. Raises InputError for one that readers would refuse."""
    own = certificates[0]
    now = datetime.now(UTC)
    with foreign(f"{path}: its first certificate cannot be read", "give another chain"):
        begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
        is_own_issuer = own.subject == own.issuer
        algorithm = _algorithm(own.public_key())
        name = _name(own)
    if now > ends:
        raise InputError(f"{path}: the certificate of {name} expired on {ends:%Y-%m-%d}; get another one")
    if now < begins:
        raise InputError(f"{path}: the certificate of {name} is valid from {begins:%Y-%m-%d} on; see to the clock")
    if is_own_issuer:
        raise InputError(
            f"{path}: the certificate of {name} signed itself, which readers of Content Credentials refuse; put the "
            "signer's own certificate first, which another one issued"
        )
    if not algorithm:
        raise InputError(
            f"{path}: the certificate of {name} has a key that cannot sign Content Credentials; take one of ECDSA "
            "(P-256, P-384, P-521), Ed25519 or RSA of at least 2048 bits"
        )
    return Signer(chain=text, algorithm=algorithm, name=name)


def _chain_of(path: Path, what: str = "the certificate chain") -> tuple[str, list[Any]]:
    certificates = _certificates(_pem(path, what), path)
    return _pem_of(certificates), certificates


def _certificates(data: bytes, path: Path) -> list[Any]:
    from cryptography import x509

    with foreign(f"{path} has no certificates that can be read", "give a PEM file, -----BEGIN CERTIFICATE-----"):
        return x509.load_pem_x509_certificates(data)


def _key_of(data: bytes, path: Path) -> Any:
    from cryptography.hazmat.primitives import serialization

    with foreign(f"{path} has no private key that can be read", "give a PEM file, without a password"):
        return serialization.load_pem_private_key(data, password=None)


def _pem(path: Path, what: str) -> bytes:
    try:
        return read_bytes(path, most_bytes=_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {what} cannot be read ({reason(error)}); see to it, or {_INSTEAD}") from error


def _pem_of(certificates: list[Any]) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def _public(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    found: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return found


def _name(certificate: Any) -> str:
    from cryptography.x509.oid import NameOID

    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string() or "no name"


def _algorithm(public: Any) -> str:
    """As C2PA calls it; "" of a key that it does not take."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, ec.EllipticCurvePublicKey):
        return _CURVES.get(public.curve.name, "")
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    return "ps256" if isinstance(public, rsa.RSAPublicKey) and public.key_size >= 2048 else ""


def _pkcs8(private: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return str(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def _check_private(path: Path) -> None:
    """Raises InputError for a local key that others may read, or that is somebody else's to say."""
    try:
        status = os.lstat(path)
    except OSError as error:
        raise InputError(f"{path}: the local key cannot be read ({reason(error)}); {_INSTEAD}") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}, the local key, is no regular file; move it away, and a new key is made")
    if status.st_mode & 0o077:
        raise InputError(
            f"{path}, the local key, can be read by others (mode {stat.S_IMODE(status.st_mode):03o}); if nobody has, "
            f"chmod 600 {path}, else remove it, and a new one is made"
        )


def _make_local(path: Path) -> None:
    """Make the key. Of two processes that do it at once the first has its way. Raises InputError."""
    content = _new_local()
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was quicker: its key is the user's
                os.link(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path}: a local key cannot be made there ({reason(error)}); set XDG_STATE_HOME to a folder that can be "
            f"written, {_INSTEAD}"
        ) from error


def _new_local() -> bytes:
    """A new key, its certificate, and its issuer's, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

    def named(name: str) -> x509.Name:
        attributes = {NameOID.COMMON_NAME: name, NameOID.ORGANIZATION_NAME: LOCAL}
        return x509.Name([x509.NameAttribute(kind, text) for kind, text in attributes.items()])

    def usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
        return x509.KeyUsage(signs, False, False, False, False, issues, False, False, False)

    begins = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)  # a clock elsewhere may be behind

    def begun(name: str, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(_ROOT))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=365 * _YEARS))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer, critical=False)
        )

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
    for_claims = x509.ExtendedKeyUsage([ObjectIdentifier(_CLAIM_SIGNING), ExtendedKeyUsageOID.EMAIL_PROTECTION])
    issued = [
        begun(LOCAL, own.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs=True, issues=False), critical=True)
        .add_extension(for_claims, critical=False),
        begun(_ROOT, root.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs=False, issues=True), critical=True),
    ]
    return (_pkcs8(own) + _pem_of([one.sign(root, hashes.SHA256()) for one in issued])).encode()

"""Certificates and keys to sign with, good ones and bad ones, made by `cryptography` alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "es512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


@dataclass(frozen=True)
class Pair:
    """Files: the chain, the key, and who issued the certificate."""

    chain: Path
    key: Path
    anchor: Path


def name(text: str) -> x509.Name:
    pairs = {NameOID.COMMON_NAME: text, NameOID.ORGANIZATION_NAME: "Tests"}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs.items()])


def make_pair(
    folder: Path,
    algorithm: str = "es256",
    *,
    begins_days: int = -10,
    days: int = 20,
    self_signed: bool = False,
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    password: bytes | None = None,
) -> Pair:
    """A certificate of "A signer", and the key that belongs to it, in `folder`, which is made."""
    folder.mkdir(exist_ok=True)
    root, own = KEYS["es256"](), KEYS[algorithm]()
    begins = datetime.now(UTC) + timedelta(days=begins_days)
    issuer = name("A signer" if self_signed else "A root")

    def made(subject: x509.Name, public, *, ca: bool) -> x509.Certificate:
        signs = own if self_signed else root
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca, 0 if ca else None), critical=True)
            .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, False, False, False), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signs.public_key()), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        digest = None if isinstance(signs, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(signs, digest)

    leaf, above = made(name("A signer"), own.public_key(), ca=False), made(issuer, root.public_key(), ca=True)
    texts = [one.public_bytes(Encoding.PEM) for one in (leaf, above)]
    pair = Pair(chain=folder / "chain.pem", key=folder / "key.pem", anchor=folder / "anchor.pem")
    pair.chain.write_bytes(b"".join(texts))
    pair.anchor.write_bytes(texts[1])
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    pair.key.write_bytes(own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    pair.key.chmod(0o600)
    return pair

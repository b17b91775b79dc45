"""The one form in which a manifest store of ours is written; a store of any other form was changed after signing.

A C2PA store is boxes in boxes (JUMBF). Hashes and the signature cover what is claimed, but a reader skips the rest: the
labels and sizes of boxes around them, unknown boxes, the padding beside the signature. An ECDSA signature has a twin as
well, (r, n - s), which anyone can compute and which holds: of the two the smaller s is ours. So each byte of a store is
either signed, or hashed by what is signed, or fixed here.

Source: C2PA 2.2, 11.1 (boxes and labels), 13.2 (signature, padding); ISO 19566-5 (JUMBF); RFC 8949 (CBOR heads).
"""

from __future__ import annotations

_TYPE_END = bytes.fromhex("0011 0010 8000 00aa 0038 9b71")
_PLAIN, _SALTED = 0x03, 0x13  # toggles of a description: it has a label; and a salt
_NULL = b"\xf6"
_COSE = b"\xd2\x84"  # tag 18 in one byte, a list of four
_BYTES, _TEXT, _MAP = 2, 3, 5  # CBOR's major types
_PADS = (b"pad", b"pad2")
# Orders of the curves, SEC 2 and FIPS 186: P-256, P-384, P-521.
_ORDERS = {
    "es256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "es384": int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
    "es512": int("1" + "f" * 65 + "a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409", 16),
}


def check_form(store: bytes, algorithm: str) -> None:
    """Raises ValueError, which says what is not as it is written. `algorithm`: of the signature, "es256"."""
    ((kind, content),) = _boxes(store, "a store", count=1)
    (manifest,) = _described(kind, content, b"c2pa", b"c2pa", count=1)
    assertions, claim, signature = _described(*manifest, b"c2ma", None, count=3)
    for kind, content in _described(*assertions, b"c2as", b"c2pa.assertions", count=None):
        _only_cbor(_described(kind, content, b"cbor", None, count=1, salted=True))
    _only_cbor(_described(*claim, b"c2cl", b"c2pa.claim.v2", count=1))
    cose = _only_cbor(_described(*signature, b"c2cs", b"c2pa.signature", count=1))
    signed = _signature(cose)
    if _smaller(signed, algorithm) != signed:
        raise ValueError("the signature is the other one of two that hold, which is not how it was written")


def smaller_twin(store: bytes, algorithm: str) -> bytes:
    """The store with the smaller of the two signatures that hold; the store itself of an algorithm that has but one.

    Raises ValueError for a store of another form.
    """
    ((_, content),) = _boxes(store, "a store", count=1)
    *_, (_, manifest) = _boxes(content, "a store")
    *_, (_, signature) = _boxes(manifest, "a manifest")
    *_, (_, cose) = _boxes(signature, "a signature")
    signed = _signature(cose)  # the last bytes of all
    return store[: len(store) - len(signed)] + _smaller(signed, algorithm)


def _boxes(data: bytes, what: str, *, count: int | None = None) -> list[tuple[bytes, bytes]]:
    """The boxes that fill `data`, each its kind and content. ValueError where they do not, or are not `count`."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        if not 8 <= size <= len(data) - at:
            raise ValueError(f"{what} has a box of {size} bytes where {len(data) - at} are left")
        found.append((data[at + 4 : at + 8], data[at + 8 : at + size]))
        at += size
    if count is not None and len(found) != count:
        raise ValueError(f"{what} has {len(found)} boxes, needed {count}")
    return found


def _described(
    kind: bytes, content: bytes, of: bytes, label: bytes | None, *, count: int | None, salted: bool = False
) -> list[tuple[bytes, bytes]]:
    """What a box of boxes holds behind its description, which says what it is; `label` None: any."""
    name = (label or of).decode()
    if kind != b"jumb":
        raise ValueError(f"the box of {name} is no box of boxes")
    (first, said), *rest = _boxes(content, name) or [(b"", b"")]
    end = said.find(b"\0", 17)
    if first != b"jumd" or said[:16] != of + _TYPE_END or end < 0 or (label is not None and said[17:end] != label):
        raise ValueError(f"the box of {name} is described as something else")
    private = _boxes(said[end + 1 :], f"the description of {name}")
    if (said[16], [one for one, _ in private]) not in ((_PLAIN, []), (_SALTED, [b"c2sh"] if salted else None)):
        raise ValueError(f"the description of {name} has other toggles")
    if count is not None and len(rest) != count:
        raise ValueError(f"the box of {name} holds {len(rest)} boxes, needed {count}")
    return rest


def _only_cbor(boxes: list[tuple[bytes, bytes]]) -> bytes:
    ((kind, content),) = boxes
    if kind != b"cbor":
        raise ValueError("a box that should be of CBOR is of another kind")
    return content


def _signature(cose: bytes) -> bytes:
    """The signature, which ends the COSE structure; before it stands what is signed, and padding of zeros alone."""
    if cose[:2] != _COSE:
        raise ValueError("the box of c2pa.signature is of another form")
    _, at = _string(cose, 2, _BYTES)
    pads, at = _head(cose, at, _MAP)
    for name in _PADS[:pads]:
        key, at = _string(cose, at, _TEXT)
        padding, at = _string(cose, at, _BYTES)
        if key != name or any(padding):
            raise ValueError("the padding beside the signature is not zeros")
    if pads > len(_PADS) or cose[at : at + 1] != _NULL:
        raise ValueError("there is more beside the signature than padding")
    signed, at = _string(cose, at + 1, _BYTES)
    if at != len(cose):
        raise ValueError("there is something behind the signature")
    return signed


def _string(data: bytes, at: int, major: int) -> tuple[bytes, int]:
    length, at = _head(data, at, major)
    if length > len(data) - at:
        raise ValueError("the box of c2pa.signature is cut off")
    return data[at : at + length], at + length


def _head(data: bytes, at: int, major: int) -> tuple[int, int]:
    """A number of CBOR in its shortest form, and where it ends."""
    first = data[at] if at < len(data) else -1
    extra = first & 31
    width = 0 if extra < 24 else 1 << extra - 24
    number = extra if not width else int.from_bytes(data[at + 1 : at + 1 + width])
    shortest = 0 if number < 24 else 1 if number < 1 << 8 else 2 if number < 1 << 16 else 4
    if first < 0 or first >> 5 != major or width != shortest or at + 1 + width > len(data):
        raise ValueError("the box of c2pa.signature is of another form")
    return number, at + 1 + width


def _smaller(signed: bytes, algorithm: str) -> bytes:
    """Of r and s the twin with the smaller s."""
    order = _ORDERS.get(algorithm)
    if order is None:
        return signed
    half = len(signed) // 2
    s = int.from_bytes(signed[half:])
    return signed[:half] + min(s, order - s).to_bytes(len(signed) - half) if 0 < s < order else signed

"""Stores built by hand: the one form, and one for each way to leave it."""

from __future__ import annotations

import struct

import pytest

from hp_trt.provenance.store_form import _ORDERS, check_form, smaller_twin

END = bytes.fromhex("00110010800000aa00389b71")
SIGNATURE = b"r" * 32 + b"\x11" * 32


def box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def described(kind: bytes, label: bytes, *inside: bytes, toggles: int = 3, private: bytes = b"") -> bytes:
    return box(b"jumb", box(b"jumd", kind + END + bytes([toggles]) + label + b"\0" + private), *inside)


def cose(
    pads: bytes = b"\xa1\x63pad\x58\x1e" + bytes(30), head: bytes = b"\xd2\x84", signed: bytes = SIGNATURE
) -> bytes:
    return head + b"\x43\xa1\x01\x26" + pads + b"\xf6\x58" + bytes([len(signed)]) + signed


def store(**other: bytes) -> bytes:
    """`other`: in place of the box of that name."""
    salt = box(b"c2sh", b"salt salt")
    one = described(b"cbor", b"c2pa.actions.v2", box(b"cbor", b"\xa0"), toggles=0x13, private=salt)
    two = described(b"cbor", b"c2pa.soft-binding", box(b"cbor", b"\xa0"))
    parts = {
        "assertions": described(b"c2as", b"c2pa.assertions", other.get("one", one), two),
        "claim": described(b"c2cl", b"c2pa.claim.v2", box(b"cbor", b"\xa0")),
        "signature": described(b"c2cs", b"c2pa.signature", box(b"cbor", other.get("cose", cose()))),
    }
    parts |= {name: made for name, made in other.items() if name in parts}
    manifest = described(b"c2ma", b"urn:c2pa:1", *parts.values(), other.get("behind", b""))
    return described(b"c2pa", b"c2pa", manifest, other.get("another", b""))


def test_the_form_in_which_we_write_is_taken():
    check_form(store(), "es256")
    for pads in (b"\xa0", b"\xa2\x63pad\x40\x64pad2\x43\0\0\0"):
        check_form(store(cose=cose(pads)), "es256")


def claim(*inside: bytes, label: bytes = b"c2pa.claim.v2", kind: bytes = b"c2cl", toggles: int = 3, private=b""):
    return described(kind, label, *(inside or (box(b"cbor", b"\xa0"),)), toggles=toggles, private=private)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (b"", "a store has 0 boxes, needed 1"),
        (store() + box(b"free"), "a store has 2 boxes, needed 1"),
        (store()[:-1], "a store has a box of 4"),
        (box(b"cbor", b"\xa0"), "the box of c2pa is no box of boxes"),
        (box(b"jumb"), "the box of c2pa is described as something else"),
        (store(another=box(b"free", b"text")), "the box of c2pa holds 2 boxes, needed 1"),
        (store(behind=box(b"free", b"text")), "the box of c2ma holds 4 boxes, needed 3"),
        (store(claim=claim(label=b"c2pa.claim.v3")), "the box of c2pa.claim.v2 is described as something else"),
        (store(claim=claim(kind=b"c2cx")), "the box of c2pa.claim.v2 is described as something else"),
        (store(claim=claim(toggles=0x43)), "the description of c2pa.claim.v2 has other toggles"),
        (store(claim=claim(toggles=0x13, private=box(b"c2sh", b"s"))), "of c2pa.claim.v2 has other toggles"),
        (store(claim=claim(private=box(b"free"))), "the description of c2pa.claim.v2 has other toggles"),
        (store(claim=claim(private=b"x")), "the description of c2pa.claim.v2 has a box of 120 bytes where 1 are left"),
        (store(claim=claim(box(b"cbor"), box(b"free"))), "the box of c2pa.claim.v2 holds 2 boxes, needed 1"),
        (store(claim=claim(box(b"json", b"{}"))), "a box that should be of CBOR is of another kind"),
        (store(one=described(b"cbor", b"a", box(b"cbor"), toggles=0x53)), "the description of cbor has other toggles"),
        (store(one=described(b"json", b"a", box(b"json"))), "the box of cbor is described as something else"),
        (store(one=box(b"free")), "the box of cbor is no box of boxes"),
        (store(cose=cose(b"\xa1\x63pad\x58\x1e" + b"a message" + bytes(21))), "the padding beside the signature is"),
        (store(cose=cose(b"\xa1\x63pax\x41\0")), "the padding beside the signature is not zeros"),
        (store(cose=cose(b"\xa1\x63pad\x58\x01\0")), "the box of c2pa.signature is of another form"),
        (store(cose=cose(b"\xa3\x63pad\x40\x64pad2\x40\x64pad3\x40")), "more beside the signature than padding"),
        (store(cose=cose(b"\xa1\x63pad\x5b" + b"\xff" * 8)), "the box of c2pa.signature is of another form"),
        (store(cose=cose(b"\xa1\x63pad\x59\xff\xff")), "the box of c2pa.signature is cut off"),
        (store(cose=cose(b"\xbf\xff")), "the box of c2pa.signature is of another form"),
        (store(cose=cose(head=b"\xd8\x12\x84")), "the box of c2pa.signature is of another form"),
        (store(cose=cose() + b"\0"), "there is something behind the signature"),
        (store(cose=b"\xd2\x84"), "the box of c2pa.signature is of another form"),
    ],
)
def test_each_other_form_is_told(made, says):
    with pytest.raises(ValueError, match=says):
        check_form(made, "es256")


@pytest.mark.parametrize(("algorithm", "half"), [("es256", 32), ("es384", 48), ("es512", 66)])
def test_of_two_signatures_that_hold_the_smaller_is_ours(algorithm, half):
    order = _ORDERS[algorithm]
    small = b"r" * half + (order // 3).to_bytes(half)
    large = small[:half] + (order - order // 3).to_bytes(half)
    one, other = (store(cose=cose(signed=signed)) for signed in (small, large))
    check_form(one, algorithm)
    with pytest.raises(ValueError, match="the signature is the other one of two that hold"):
        check_form(other, algorithm)
    assert smaller_twin(other, algorithm) == one == smaller_twin(one, algorithm)


@pytest.mark.parametrize("algorithm", ["ed25519", "ps256"])
def test_a_signature_without_a_twin_stays(algorithm):
    made = store(cose=cose(signed=b"\xff" * 64))
    check_form(made, algorithm)
    assert smaller_twin(made, algorithm) == made

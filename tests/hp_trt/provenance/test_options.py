from __future__ import annotations

import re

import pytest

from engines.errors import InputError
from hp_trt.provenance.options import NOTHING, Provenance


def test_everything_but_the_visible_sign_is_on_by_default():
    asked = Provenance()
    assert (asked.mark, asked.credentials, asked.sidecar, asked.label) == (True, True, True, False)
    assert not asked.is_none and NOTHING.is_none and not Provenance(**{**vars(NOTHING), "label": True}).is_none


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mark": 1}, "mark must be True or False, got 1"),
        ({"mark_id": 2**32}, "mark_id can be at most 4294967295, got 4294967296"),
        ({"mark_id": -1}, "mark_id must be a whole number of at least 0, got -1"),
        ({"mark_id": 3, "mark": False}, "mark_id is of the mark, and mark is False; leave one of them out"),
        ({"consent": " "}, "consent must be a line of 1 to 2000 printable letters, got ' '"),
        ({"consent": "a\nb"}, "consent must be a line"),
        ({"consent": "a" * 2001}, "consent must be a line"),
        ({"consent": "yes", "sidecar": False}, "consent stands in the sidecar, and sidecar is False"),
        ({"sign_key": "k.pem"}, "sign_key needs the certificates that belong to it; give sign_chain too"),
        ({"sign": print}, "sign needs the certificates that belong to it; give sign_chain too"),
        ({"sign_chain": "c.pem"}, "sign_chain needs one of sign_key and sign, got neither; give one of them"),
        ({"sign_chain": "c.pem", "sign_key": "k.pem", "sign": print}, "got both; give one of them"),
        ({"sign_chain": "c.pem", "sign": 3}, "sign must be a function, got 3"),
        (
            {"sign_chain": "c.pem", "sign_key": "k.pem", "credentials": False},
            "sign_chain signs credentials, and credentials is False; leave one of them out",
        ),
    ],
)
def test_what_cannot_be_is_told_when_it_is_made(given, says):
    with pytest.raises(InputError, match=re.escape(says)):
        Provenance(**given)

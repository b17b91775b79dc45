"""What is told before a graph is opened is what is told when it is open."""

from __future__ import annotations

import pytest

from engines.errors import BundleError, InputError
from hp_trt import Enhancer
from hp_trt.enhancer.asked import check_fits, notes_of, options_for
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, make_bundle


@pytest.mark.parametrize("graphs", [ALL, ALL[:1], ALL[:3]])
def test_notes_are_those_of_the_opened_enhancer(tmp_path, graphs):
    bundle = make_bundle(tmp_path / "b", graphs, kind="published")
    with Enhancer(bundle, backend=StandIn()) as opened:
        assert notes_of(bundle) == opened.notes
        assert opened.restores == (len(graphs) == 4)


def test_options_are_checked_against_what_the_bundle_has(tmp_path):
    plain = make_bundle(tmp_path / "plain", ALL[:1])
    assert options_for(plain, scale=4).facts()["fidelity"] == 0.5
    with pytest.raises(InputError, match="fidelity: only with a face restorer"):
        options_for(plain, fidelity=1)
    assert options_for(make_bundle(tmp_path / "faces"), face_upsample=True, fidelity=1).wanted().fidelity == 1.0
    with pytest.raises(BundleError, match="which animates"):
        notes_of(make_bundle(tmp_path / "b", model="hallo2"))


def test_what_the_caller_holds_counts(tmp_path):
    bundle = make_bundle(tmp_path / "b", ALL[:1])
    options = options_for(bundle)
    check_fits("it", (64, 64), bundle, options, writes=False, available=2 << 30)
    with pytest.raises(
        InputError, match=r"it would become 128 x 128, which takes about 3.4 GiB of memory, and 2.0 GiB"
    ):
        check_fits("it", (64, 64), bundle, options, writes=False, held_bytes=3 << 30, available=2 << 30)

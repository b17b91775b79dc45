"""What is told before a graph is opened is what is told when it is open."""

from __future__ import annotations

import pytest

from engines.errors import BundleError, InputError
from hp_trt import Enhancer
from hp_trt.enhancer.asked import check_fits, notes_of, wanted_of
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, make_bundle


@pytest.mark.parametrize("graphs", [ALL, ALL[:1], ALL[:3]])
def test_notes_are_those_of_the_opened_enhancer(tmp_path, graphs):
    bundle = make_bundle(tmp_path / "b", graphs, kind="published")
    with Enhancer(bundle, backend=StandIn()) as opened:
        assert notes_of(bundle) == opened.notes
        assert opened.restores == (len(graphs) == 4)


def test_options_are_checked_against_what_the_bundle_has(tmp_path):
    plain = make_bundle(tmp_path / "plain", ALL[:1])
    assert (wanted_of(plain, 4).scale, wanted_of(plain, 4).fidelity) == (4, 0.5)
    with pytest.raises(InputError, match="fidelity: only with a face restorer"):
        wanted_of(plain, 2, fidelity=1)
    assert wanted_of(make_bundle(tmp_path / "faces"), 2, True, 1).fidelity == 1.0
    with pytest.raises(BundleError, match="which animates"):
        notes_of(make_bundle(tmp_path / "b", model="hallo2"))


def test_what_the_caller_holds_counts(tmp_path):
    bundle = make_bundle(tmp_path / "b", ALL[:1])
    wanted = wanted_of(bundle, 2)
    check_fits("it", (64, 64), bundle, wanted, writes=False, available=2 << 30)
    with pytest.raises(
        InputError, match=r"it would become 128 x 128, which takes about 3.4 GiB of memory, and 2.0 GiB"
    ):
        check_fits("it", (64, 64), bundle, wanted, writes=False, held_bytes=3 << 30, available=2 << 30)

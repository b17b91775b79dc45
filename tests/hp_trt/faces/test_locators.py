from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.faces.flow import FlowLocator
from hp_trt.faces.landmarks_file import LandmarksFile
from hp_trt.faces.locators import open_live_locator, open_locator
from hp_trt.media.images import load_image


def test_a_locator_of_an_unknown_kind_lists_the_kinds():
    with pytest.raises(InputError, match="choose haar, yunet, yoloface, mesh or landmarks"):
        open_locator("magic")


@pytest.mark.parametrize("kind", ["yunet", "yoloface", "landmarks"])
def test_a_locator_without_its_file_says_so(kind, tmp_path):
    with pytest.raises(InputError, match="none was given"):
        open_locator(kind)
    with pytest.raises(InputError, match="no such file"):
        open_locator(kind, tmp_path / "missing")


def test_the_default_locator_needs_no_file(sample):
    assert len(open_locator().locate(load_image(sample[0]))) == 1


def test_a_live_session_follows_by_flow_what_the_cascades_find_and_others_by_themselves(sample):
    assert isinstance(open_live_locator(), FlowLocator)
    known = next(iter(sample[0].parent.glob("*.landmarks.json")))
    assert isinstance(open_live_locator("landmarks", known), LandmarksFile)

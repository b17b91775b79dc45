from __future__ import annotations

import pytest

from engines.errors import InputError
from hp_trt.faces.locators import open_locator
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

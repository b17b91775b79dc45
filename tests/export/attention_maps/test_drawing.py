"""Maps, tokens and frames as a picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from export.attention_maps.drawing import draw
from export.attention_maps.maps import LevelFrames, LevelMap, LevelTokens, Looked

FOUND = (
    LevelMap(level=0, what="read", values=np.eye(4), even=0.25, on="a frame"),
    LevelTokens(level=0, what="tokens", values=np.full((4, 4, 16), 1 / 16), on="a frame"),
    LevelFrames(level=0, what="frames", values=np.full((3, 3), 1 / 3)),
    LevelMap(level=1, what="read", values=np.zeros((2, 2)), even=0.0, on="a frame"),
)


@pytest.mark.parametrize("kind", [".png", ".svg", ".pdf"])
def test_every_kind_of_picture_is_drawn_also_of_levels_that_lack_a_quantity(tmp_path, kind):
    looked = Looked(pictures={"a frame": np.zeros((16, 16, 3), np.uint8)}, found=FOUND)
    out = tmp_path / f"m{kind}"
    draw(looked, out, kind, "where it looks")
    assert out.stat().st_size > 1000


def test_tokens_have_two_columns_and_other_quantities_one(tmp_path):
    looked = Looked(pictures={"a frame": np.zeros((16, 16, 3), np.uint8)}, found=FOUND)
    sizes = []
    for found in (FOUND[:1], FOUND[:2], FOUND[:3]):
        draw(Looked(pictures=looked.pictures, found=found), tmp_path / "m.png", ".png", "")
        with Image.open(tmp_path / "m.png") as picture:
            sizes.append(picture.width)
    assert sizes == [sizes[0], 3 * sizes[0], 4 * sizes[0]]

"""Videos of wide colours against plain formulas of the standards, for colours whose light is known."""

from __future__ import annotations

from fractions import Fraction
from math import log

import av
import numpy as np
import pytest

from hp_trt.media.wide_colour import _P3, _PRIMARIES_XY, _SRGB_XY, WideColour, _to_xyz
from tests.hp_trt.awkward_clips import MODES

# ITU-R BT.2087-0, annex 2, and Apple's published matrix of Display P3: light to light of BT.709's primaries.
FROM_BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
FROM_P3 = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
PQ, HLG, BT709, BT2020, P3 = 16, 18, 1, 9, 12
# Skin, leaves, grey, black: sRGB levels.
COLOURS = [(200, 150, 120), (60, 120, 60), (128, 128, 128), (0, 0, 0)]


def light(level: float) -> float:
    """Of an sRGB level."""
    part = level / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def pq(part_of_paper: float) -> float:
    power = (part_of_paper * 203 / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(display: np.ndarray) -> np.ndarray:
    """Display light, 1 for paper, to the signal: the OOTF turned round, then the OETF."""
    cd_m2 = display * 203 / 1000
    luminance = max(float(cd_m2 @ [0.2627, 0.6780, 0.0593]), 1e-12)
    scene = cd_m2 * luminance ** (1 / 1.2 - 1)
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * log(4 * a)
    return np.array([(3 * e) ** 0.5 if e <= 1 / 12 else a * log(12 * e - b) + c for e in scene])


def signal(colour, transfer: int, primaries: int) -> np.ndarray:
    """What a camera of such colours records of an sRGB colour: (3,) in [0, 1]."""
    matrix = {BT2020: FROM_BT2020, P3: FROM_P3}.get(primaries, np.eye(3))
    wide = np.clip(np.linalg.solve(matrix, [light(level) for level in colour]), 0, None)
    if transfer == PQ:
        return np.array([pq(part) for part in wide])
    if transfer == HLG:
        return hlg(wide)
    return np.array([12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in wide])


def recorded(path, transfer: int, primaries: int):
    """Four squares of COLOURS, of 10 bits."""
    image = np.zeros((32, 64, 3), np.uint16)
    for number, colour in enumerate(COLOURS):
        image[:, 16 * number : 16 * number + 16] = np.rint(signal(colour, transfer, primaries) * 65535)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 32, "yuv444p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = transfer, primaries, 9, 2
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(image, format="rgb48le")
            frame = frame.reformat(format="yuv444p10le", dst_colorspace=9, dst_color_range=2)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.color_trc, frame.color_primaries = transfer, primaries
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("read", MODES)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize(
    ("transfer", "primaries"), [(PQ, BT2020), (HLG, BT2020), (BT709, BT2020), (BT709, P3), (PQ, P3)]
)
def test_wide_colours_come_as_the_srgb_that_they_mean(tmp_path, read, name, transfer, primaries):
    images, notes = read(recorded(tmp_path / name, transfer, primaries))
    assert len(images) == 3 and notes == []
    for number, colour in enumerate(COLOURS):
        found = images[1][16, 16 * number + 8].astype(int)
        assert abs(found - colour).max() <= 6, (found, colour)  # read in 8 bits, of which one of PQ is 4 of sRGB


@pytest.mark.parametrize("read", MODES)
def test_ordinary_colours_keep_their_numbers(tmp_path, read):
    images, _ = read(recorded(tmp_path / "a.mkv", BT709, BT709))
    for number, colour in enumerate(COLOURS):
        assert abs(images[1][16, 16 * number + 8].astype(int) - colour).max() <= 2


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_lights_grow_lighter_and_never_leave_the_range(transfer):
    grey = np.linspace(0, 255, 64).astype(np.uint8)
    image = np.broadcast_to(grey[None, :, None], (32, 64, 3)).copy()
    found = WideColour().srgb(image, transfer, BT2020)[0].astype(int)
    assert (np.diff(found, axis=0) >= 0).all() and found.min() == 0 and found.max() >= 250
    assert np.ptp(found, axis=1).max() <= 1  # grey stays grey


def test_the_matrices_are_the_published_ones():
    for primaries, published in ((BT2020, FROM_BT2020), (P3, FROM_P3)):
        ours = np.linalg.inv(_to_xyz(_SRGB_XY)) @ _to_xyz(_PRIMARIES_XY[primaries])
        np.testing.assert_allclose(ours, published, atol=5e-4)
    assert P3 == _P3

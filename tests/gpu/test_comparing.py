"""How far an output may be from the reference's."""

from __future__ import annotations

import numpy as np
import pytest

from tests.gpu.comparing import difference


def test_a_wrong_frame_is_measured_in_decibels():
    frame = np.zeros((1, 3, 4, 4))
    assert difference("vae_decoder", frame, frame).psnr_db == np.inf
    off = difference("vae_decoder", frame + 0.02, frame)  # 0.01 of the shown range: 40 dB
    assert off.psnr_db == pytest.approx(40) and not difference("vae_decoder", frame + 0.019, frame).missed
    assert difference("vae_decoder", frame + 0.021, frame).missed == "needs more than 40 dB"
    assert difference("denoiser", frame * np.nan, frame + 1).missed == "needs less than 0.01"

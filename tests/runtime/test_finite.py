"""What is refused because it is no number."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.finite import require_finite_frames


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sum_that_is_not_finite_refuses_its_frame(bad):
    require_finite_frames(np.array([0, 3e38], np.float32), "frames 0 to 1")
    with pytest.raises(NonFiniteError, match="tiny: frames 3 to 5: 1 of 3 frames hold values that are NaN or infinite"):
        require_finite_frames(np.array([0, bad, 1], np.float32), "tiny: frames 3 to 5")

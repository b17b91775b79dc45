from __future__ import annotations

import numpy as np

from hp_trt.measure.metrics.retrieval import nearest


def test_the_least_different_clip_is_found_through_noise():
    rng = np.random.default_rng(0)
    clips = rng.integers(40, 200, (6, 3, 16, 16, 3))
    for own in range(6):
        seen = (clips[own] + rng.normal(0, 20, clips[own].shape)).clip(0, 255).astype(np.uint8)
        assert nearest(seen, (candidate.astype(np.uint8) for candidate in clips)) == own


def test_of_equals_the_first_is_the_nearest():
    same = np.zeros((2, 4, 4, 3), np.uint8)
    assert nearest(same, [same + 1, same, same]) == 1

"""Which rows run, and that what is left out would not have counted."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.hunyuanportrait.guidance import Row, ramp, rows_of_steps

U, D, C = Row.UNCONDITIONAL, Row.DROP_MOTION, Row.CONDITIONAL


@pytest.mark.parametrize(
    ("g1", "g2", "rows"),
    [
        (2.0, 2.0, (U, C)),  # the released default
        (1.0, 1.0, (C,)),
        (1.0, 2.0, (D, C)),
        (1.5, 2.5, (U, D, C)),
        (0.0, 0.0, (U,)),
        (1.0, 0.0, (D,)),
        (2.0, 0.0, (U, D)),
    ],
)
def test_only_rows_that_count_are_run(g1, g2, rows):
    [step] = rows_of_steps((g1, g1), (g2, g2), 1)
    assert step.rows == rows
    assert step.weights.shape == (len(rows),)
    assert step.weights.dtype == np.float32
    assert (step.weights != 0).all()


@pytest.mark.parametrize("pair", [((1.5, 2.5), (2.0, 3.0)), ((1, 3), (3, 1)), ((0, 2), (0, 2)), ((2.5, 2.5), (2, 3))])
@pytest.mark.parametrize("steps", [1, 2, 5, 25])
def test_the_weighted_sum_is_the_released_combination(pair, steps):
    rng = np.random.default_rng(0)
    v = {row: rng.standard_normal(1000) for row in Row}
    for step, g1, g2 in zip(
        rows_of_steps(*pair, steps), np.linspace(*pair[0], steps), np.linspace(*pair[1], steps), strict=True
    ):
        released = v[U] + g1 * (v[D] - v[U]) + g2 * (v[C] - v[D])
        combined = sum(weight * v[row] for row, weight in zip(step.rows, step.weights, strict=True))
        np.testing.assert_allclose(combined, released, atol=3e-6)  # float32 weights of a few units, |v| < 4
        assert step.rows


def test_the_rows_change_along_a_ramp():
    rows = [step.rows for step in rows_of_steps((1, 3), (3, 1), 3)]
    assert rows == [(D, C), (U, C), (U, D, C)]


@pytest.mark.parametrize("ends", [(2, 2), (1.5, 2.5), (1, 7.3), (0.1, 10), (3, 1), (-1, 0)])
def test_a_ramp_is_torchs_linspace_bit_for_bit(ends):
    torch = pytest.importorskip("torch")
    for steps in (*range(1, 40), 100):
        np.testing.assert_array_equal(ramp(*ends, steps), torch.linspace(*ends, steps, dtype=torch.float32).numpy())


def test_a_step_without_guidance_runs_the_conditional_row_alone():
    steps = rows_of_steps((2, 4), (2, 4), 3, guided=[False, True, False])
    assert [step.rows for step in steps] == [(C,), (U, C), (C,)]
    assert steps[1].weights.tolist() == [-2, 3]  # the ramp goes on beneath: 3 in the middle

from __future__ import annotations

import math

import pytest

LARGE = 1 << 20  # elements: only full-size networks have many such entries


@pytest.fixture(scope="package", autouse=True)
def large_weights(request):
    """A full-size network is filled by the rule once for our module, its export and the released network.

    They share the arrays, which nobody writes to: 6 GB, until whoever needs the memory clears what this yields. The
    released network's tests, in reference/, come first.
    """
    made = {}
    if not any(item.get_closest_marker("full_size") for item in request.session.items):
        yield made
        return
    from export.weights import random

    real = random.random_weight

    def random_weight(key, shape, *, integer=False, prefix=""):
        if integer or math.prod(shape) < LARGE:
            return real(key, shape, integer=integer, prefix=prefix)
        entry = (prefix + key, tuple(shape))
        if entry not in made:
            made[entry] = real(key, shape, prefix=prefix)
        return made[entry]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(random, "random_weight", random_weight)
        yield made
    made.clear()

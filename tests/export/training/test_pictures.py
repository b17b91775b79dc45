from __future__ import annotations

import numpy as np
import pytest

from engines.errors import InputError
from export.training import pictures
from export.training.pictures import HELD_OUT, TRAINING, Pictures, held_out, sample


def test_what_is_measured_on_is_never_learnt_from_and_neither_shows_people():
    assert not set(TRAINING) & set(HELD_OUT)
    people = {"astronaut.png", "camera.png", "lfw_subset.npy", "retina.jpg", "ihc.png", "cell.png"}
    assert not people & {*TRAINING, *HELD_OUT}


def test_what_is_drawn_is_of_the_generators_numbers_and_varies():
    made = Pictures()
    drawn = [made.draw(np.random.default_rng(seed), 48) for seed in range(12)]
    assert all((picture.shape, picture.dtype) == ((48, 48, 3), np.uint8) for picture in drawn)
    assert np.array_equal(made.draw(np.random.default_rng(3), 48), drawn[3])
    assert min(np.abs(a.astype(int) - b).mean() for i, a in enumerate(drawn) for b in drawn[:i]) > 5


def test_the_held_out_pictures_are_squares_of_the_size_that_is_asked_for():
    found = held_out(64)
    assert len(found) == len(HELD_OUT)
    assert all(picture.shape == (64, 64, 3) and picture.std() > 10 for picture in found.values())


def test_a_missing_picture_says_what_to_install(monkeypatch):
    monkeypatch.setattr(pictures.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"coffee\.png of scikit-image is not there; pip install"):
        sample("coffee.png")

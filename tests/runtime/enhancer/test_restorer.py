from __future__ import annotations

import numpy as np
import pytest

from engines.errors import NonFiniteError
from runtime.enhancer.restorer import PASTED, labels, restore
from tests.fakes import FakeBackend, spec

RESTORER = spec(
    "a restorer", {"faces": ("f", 3, 512, 512), "fidelity": (1,)}, {"restored": ("f", 3, 512, 512)}, most=16
)
PARSER = spec("a parser", {"face": ("b", 3, 512, 512)}, {"logits": ("b", 19, 512, 512)}, most=16)


def test_a_window_goes_in_from_minus_1_to_1_and_comes_out_clamped_and_rounded():
    seen = {}

    def formula(faces, fidelity):
        seen.update(faces=faces, fidelity=fidelity)
        return {"restored": (faces * 1.5).astype(np.float32)}

    backend = FakeBackend()
    faces = [np.full((512, 512, 3), value, np.uint8) for value in (0, 255, 128)]
    made = restore(backend, backend.session(RESTORER, formula), faces, 0.7)
    assert seen["fidelity"].tolist() == [np.float32(0.7)]
    assert [float(one.mean()) for one in seen["faces"]] == pytest.approx([-1, 1, 128 / 127.5 - 1], abs=1e-6)
    assert [int(one[0, 0, 0]) for one in made] == [0, 255, round((1.5 * (128 / 127.5 - 1) + 1) * 127.5)]


def test_nothing_is_run_for_a_window_without_a_face():
    backend = FakeBackend()
    session = backend.session(RESTORER, lambda **_: {})
    assert restore(backend, session, [], 0.5) == [] and session.runs == []


def test_labels_are_the_classes_that_the_parser_finds_most_likely():
    def formula(face):
        logits = np.zeros((1, 19, 512, 512), np.float32)
        logits[:, 4, :256], logits[:, 18, 256:] = 2, 3
        return {"logits": logits}

    backend = FakeBackend()
    found = labels(backend, backend.session(PARSER, formula), np.zeros((512, 512, 3), np.uint8))
    assert found.dtype == np.uint8 and set(found[:256].ravel()) == {4} and set(found[256:].ravel()) == {18}
    assert 4 in PASTED and not {0, 14, 16, 17, 18} & set(PASTED)


def test_what_is_no_number_is_told():
    backend = FakeBackend()
    broken = backend.session(RESTORER, lambda faces, fidelity: {"restored": faces * np.float32(np.inf)})
    with pytest.raises(NonFiniteError, match="face restorer"):
        restore(backend, broken, [np.full((512, 512, 3), 9, np.uint8)], 0.5)

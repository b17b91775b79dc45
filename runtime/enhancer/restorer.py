"""A window of aligned faces through the restorer, and one face through the parser.

Source: SPEC 9, restorer and parser.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.backend import Backend, Session
from engines.errors import NonFiniteError
from runtime.enhancer.tiles import to_uint8

# Of the parser's classes, those that are pasted: all of a face but hair, hat, earring, necklace, neck and cloth.
PASTED = (*range(1, 14), 15)


def restore(backend: Backend, session: Session, faces: Sequence[np.ndarray], fidelity: float) -> list[np.ndarray]:
    """Aligned faces (512, 512, 3) uint8 RGB of one window, at most 16, as the restorer sees them together.

    `fidelity` in [0, 1]: 0 is the restorer's own idea of the face, 1 stays with the picture. Raises NonFiniteError.
    """
    if not faces:
        return []
    kind = session.spec.input("faces").dtype
    given = backend.upload(_planes(faces).astype(kind))
    weight = backend.upload(np.array([fidelity], session.spec.input("fidelity").dtype))
    made = backend.download(session.run({"faces": given, "fidelity": weight})["restored"]).astype(np.float32)
    return list(to_uint8((made + 1) / 2, "the face restorer").transpose(0, 2, 3, 1))


def labels(backend: Backend, session: Session, face: np.ndarray) -> np.ndarray:
    """What each pixel of a face (512, 512, 3) uint8 RGB is: (512, 512) uint8, of 19 classes. Raises NonFiniteError."""
    given = backend.upload(_planes([face]).astype(session.spec.input("face").dtype))
    logits = backend.download(session.run({"face": given})["logits"])[0]
    if not np.isfinite(logits).all():
        raise NonFiniteError("the face parser returned NaN or infinity; build the bundle with --precision fp32")
    return np.asarray(logits.argmax(axis=0), np.uint8)


def _planes(faces: Sequence[np.ndarray]) -> np.ndarray:
    """(F, 3, 512, 512) float32 in [-1, 1]."""
    stacked = np.stack(faces).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)) * 2 - 1

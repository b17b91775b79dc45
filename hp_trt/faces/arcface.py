"""Who the portrait is, as one vector: ArcFace, from the user's own arcface.onnx.

Without the file the vector is zero, as the released programs allow. The picture goes in as the model's upstream gives
it: RGB in [0, 1], no mean, no scale of 255, for the first model; in [-1, 1] for the second, which also wants the vector
as it is, of any length (`open_raw_arcface`).

Source: SPEC 7.2, step 5; the second model's SPEC 7, portrait.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.faces.networks import fits, open_onnx, require_numbers, signature

ID_DIM, _SIDE = 512, 112
Embed = Callable[[np.ndarray], np.ndarray]

_ADVICE = "give arcface.onnx, or leave it out to animate without identity vector"


def no_identity(face: np.ndarray) -> np.ndarray:
    """(1, 512) float32 zeros for any face."""
    return np.zeros((1, ID_DIM), np.float32)


def open_arcface(path: Path | str) -> Embed:
    """The network in `path` as a function: (3, 112, 112) float32 in [0, 1] -> (1, 512) float32 of length 1.

    It is tried once. Raises InputError when the file is missing or is not such a network, EngineMismatch where ONNX
    Runtime is missing.
    """
    embed_raw = open_raw_arcface(path)

    def embed(face: np.ndarray) -> np.ndarray:
        vector = embed_raw(face)
        return (vector / np.float32(np.linalg.norm(vector))).astype(np.float32)

    return embed


def open_raw_arcface(path: Path | str) -> Embed:
    """`open_arcface` without its last step: the vector is as long as the network makes it.

    What range the picture has is the caller's: the function passes it on.
    """
    path = Path(path)
    session = open_onnx(path, "an ArcFace network", _ADVICE)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    picture = len(inputs) == 1 and fits(inputs[0], (None, 3, _SIDE, _SIDE))
    if not picture or len(outputs) != 1 or not fits(outputs[0], (None, ID_DIM)):
        raise InputError(
            f"{path} {signature(session)}; an ArcFace network takes floats [1, 3, {_SIDE}, {_SIDE}] and gives "
            f"[1, {ID_DIM}]: {_ADVICE}"
        )

    def run(face: np.ndarray) -> np.ndarray:
        with foreign(f"{path} does not run as ArcFace", _ADVICE):
            result = session.run([outputs[0].name], {inputs[0].name: face[None]})[0]
        return require_numbers(result, (1, ID_DIM), f"{path}, run as ArcFace,", _ADVICE)

    def embed(face: np.ndarray) -> np.ndarray:
        vector = run(face)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise InputError(f"{path} gave a vector of length {length} for the portrait; try another picture or file")
        return vector.astype(np.float32)

    run(np.full((3, _SIDE, _SIDE), 0.5, np.float32))
    return embed

"""Who the portrait is, as one vector: ArcFace, from the user's own arcface.onnx.

Without the file the vector is zero, as the released program allows. The picture goes in as
upstream gives it: RGB in [0, 1], no mean, no scale of 255.

Source: SPEC 7.2, step 5.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from engines import families
from engines.errors import InputError

ID_DIM = 512
Embed = Callable[[np.ndarray], np.ndarray]


def no_identity(face: np.ndarray) -> np.ndarray:
    """(1, 512) float32 zeros for any face."""
    return np.zeros((1, ID_DIM), np.float32)


def open_arcface(path: Path | str) -> Embed:
    """The network in `path` as a function: (3, 112, 112) float32 in [0, 1] -> (1, 512) float32 of length 1.

    Raises InputError when the file is missing or is not such a network, EngineMismatch where ONNX Runtime is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; give arcface.onnx, or leave it out to animate without identity vector")
    onnxruntime = families.load(families.ONNXRUNTIME)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise InputError(f"{path} is not an ONNX network that onnxruntime can open; download it again") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or list(inputs[0].shape[1:]) != [3, 112, 112] or outputs[0].shape[-1] != ID_DIM:
        raise InputError(
            f"{path} takes {[i.shape for i in inputs]} and gives {[o.shape for o in outputs]}; "
            f"an ArcFace network takes [1, 3, 112, 112] and gives [1, {ID_DIM}]"
        )

    def embed(face: np.ndarray) -> np.ndarray:
        vector = session.run([outputs[0].name], {inputs[0].name: face[None]})[0].reshape(1, ID_DIM)
        length = float(np.linalg.norm(vector))
        if not np.isfinite(length) or length == 0:
            raise InputError(f"{path} gave a vector of length {length} for the portrait; try another picture or file")
        return (vector / np.float32(length)).astype(np.float32)

    return embed

"""What the tests of the golden `program` cases share: recorded detections, and the faked ArcFace."""

from __future__ import annotations

import numpy as np

from hp_trt.faces.face import Face
from tests.golden_cases import Case


class RecordedFaces:
    """A locator that answers with recorded detections, in the order in which they were made."""

    name = "recorded detections"
    reads_pixels = True
    steadiness = 0.0

    def __init__(self, *answers: list[Face]) -> None:
        self.answers = list(answers)

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        return self.answers.pop(0)


def portrait_faces(case: Case) -> RecordedFaces:
    """The source picture's faces, then its crop's; a case without ArcFace may have recorded none of those."""
    return RecordedFaces(_faces(case, "source"), _faces(case, "crop"))


def driving_faces(case: Case) -> list[list[Face]]:
    """The faces of each driving frame that the program read."""
    parts = [case.inputs[f"det_driving_{part}"] for part in ("boxes", "landmarks", "scores")]
    return [_made(*frame) for frame in zip(*parts, strict=True)][: case.options["max_frames"]]


def driving_frames(case: Case) -> np.ndarray:
    """The driving frames that the program read: (N, H, W, 3) uint8."""
    return case.inputs["driving_frames"][: case.options["max_frames"]]


def motion_px(case: Case) -> int:
    """Side of the recorded face images; the released 256 where none were recorded."""
    recorded = [case.outputs[name] for name in ("face_images_u8", "face_images") if name in case.outputs]
    return recorded[0].shape[-1] if recorded else 256


def id_embedding(case: Case, arcface_input: np.ndarray) -> np.ndarray:
    """(id_dim,) float32: ArcFace as it was faked while recording, zeros for a case without it."""
    if not case.options["use_arcface"]:
        return np.zeros(case.config["appearance"]["id_dim"], np.float32)
    rule = case.options["fake_arcface"]
    embedding = arcface_input.reshape(-1)[:: rule["stride"]][: rule["count"]]
    return (embedding / np.linalg.norm(embedding)).astype(np.float32)


def recorded_names(case: Case, results: dict[str, np.ndarray]) -> list[str]:
    """The outputs of `case` that `results` has a value for."""
    return [name for name in case.outputs if name.removesuffix("_u8") in results]


def _faces(case: Case, what: str) -> list[Face]:
    names = [f"det_{what}_{part}" for part in ("boxes", "landmarks", "scores")]
    return _made(*(case.inputs[name] for name in names)) if all(name in case.inputs for name in names) else []


def _made(boxes: np.ndarray, landmarks: np.ndarray, scores: np.ndarray) -> list[Face]:
    return [
        Face(box=tuple(box.tolist()), landmarks=points, score=float(score))
        for box, points, score in zip(boxes, landmarks, scores, strict=True)
    ]

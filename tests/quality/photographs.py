"""What a bundle makes of photographs: docs/quality.md has what this prints.

    python -m tests.quality.photographs --bundle shipped:pocket --portrait me.png --driving talk.mp4 --sheet sheet.png

First the autoencoder alone: PSNR of pictures through the bundle's encoder and decoder, of the portrait's crop and of
scikit-image's sample pictures that no training of ours sees (`export.training.pictures.HELD_OUT`); `--photographs DIR`
adds the pictures of a folder, cut to their middle squares. Then, of a bundle that a video drives, how mouth, lids and
head follow: the face mesh's landmarks of the driver and of the result, relative to the face, and the correlation over
time of what they measure. Needs `hp-trt fetch mesh`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from engines.bundle import Bundle
from engines.safe_output import safe_output
from export.training.pictures import held_out
from hp_trt import Runtime, RuntimeConfig
from hp_trt.faces.face import largest_face
from hp_trt.faces.locators import open_locator
from hp_trt.fetch.table import MESH
from hp_trt.hunyuanportrait.geometry import corners, portrait_box
from hp_trt.media.video import VideoReader
from hp_trt.shipped import bundle_folder

ENOUGH = 0.6  # of a correlation
COLUMNS, CELL_PX = 8, 160
# Points of the mesh. Eyes first on the picture's left.
_OUTER_EYES, _UPPER_LIDS, _LOWER_LIDS = (33, 263), (159, 386), (145, 374)
_UPPER_LIP, _LOWER_LIP, _CORNERS, _NOSE, _CHIN = 13, 14, (61, 291), 4, 152

Measure = Callable[[np.ndarray], np.ndarray]  # (F, 468, 2), eyes level and one apart, to (F,)


def upright(meshes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(F, 468, 2) relative to the face: the outer eye corners at -0.5, 0 and 0.5, 0; and (F,) the turn taken away."""
    left, right = meshes[:, _OUTER_EYES[0]], meshes[:, _OUTER_EYES[1]]
    across = right - left
    turn = np.arctan2(across[:, 1], across[:, 0])
    cos, sin = np.cos(-turn), np.sin(-turn)
    rotation = np.stack([np.stack([cos, -sin], axis=1), np.stack([sin, cos], axis=1)], axis=1)
    moved = meshes - ((left + right) / 2)[:, None]
    return np.einsum("fij,fkj->fki", rotation, moved) / np.linalg.norm(across, axis=1)[:, None, None], turn


def _gap(one: int, other: int) -> Measure:
    return lambda points: np.linalg.norm(points[:, one] - points[:, other], axis=1)


# What is measured, and from which deviation of the driver's on it counts as moved: parts of the eyes' distance.
MEASURES: Mapping[str, tuple[Measure, float]] = {
    "mouth opens": (_gap(_UPPER_LIP, _LOWER_LIP), 0.004),
    "mouth widens": (_gap(*_CORNERS), 0.006),
    "left lid": (_gap(_UPPER_LIDS[0], _LOWER_LIDS[0]), 0.004),
    "right lid": (_gap(_UPPER_LIDS[1], _LOWER_LIDS[1]), 0.004),
    "head turns": (lambda points: points[:, _NOSE, 0], 0.01),
    "head nods": (lambda points: points[:, _NOSE, 1] / points[:, _CHIN, 1], 0.006),
}
TILT, TILT_MOVES = "head tilts", np.radians(0.6)


def signals(meshes: np.ndarray) -> dict[str, np.ndarray]:
    """(F,) each: MEASURES and TILT of (F, 468, 2)."""
    points, turn = upright(meshes)
    return {**{name: measure(points) for name, (measure, _) in MEASURES.items()}, TILT: turn}


def follows(driver: np.ndarray, result: np.ndarray) -> dict[str, float]:
    """The correlation of each signal over frames seen in both; NaN of what the driver does not move.

    driver, result (F, 468, 2), NaN where no face was found.
    """
    both = np.isfinite(driver).all(axis=(1, 2)) & np.isfinite(result).all(axis=(1, 2))
    if both.sum() < 3:
        return dict.fromkeys([*MEASURES, TILT], float("nan"))
    one, other = signals(driver[both]), signals(result[both])
    found = {}
    for name, wanted in one.items():
        least = MEASURES[name][1] if name in MEASURES else TILT_MOVES
        if wanted.std() < least:
            found[name] = float("nan")
        elif other[name].std() < 1e-9:
            found[name] = 0.0
        else:
            found[name] = float(np.corrcoef(wanted, other[name])[0, 1])
    return found


def meshes(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(F, 468, 2) float64 of the largest face of each frame, NaN where there is none. Small frames are enlarged."""
    locator = open_locator("mesh", MESH.place)
    found = []
    for number, frame in enumerate(frames):
        times = max(1, round(384 / min(frame.shape[:2])))
        large = cv2.resize(frame, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC) if times > 1 else frame
        faces = locator.locate(large, number)
        mesh = largest_face(faces).mesh if faces else None
        found.append(np.full((468, 2), np.nan) if mesh is None else mesh / times)
    return np.stack(found)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """dB, of uint8 pictures."""
    return float(-10 * np.log10(max(np.square(one.astype(float) - other).mean() / 255**2, 1e-10)))


class Autoencoder:
    """A bundle's encoder and decoder, of either model."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        bundle = Bundle.open(folder, family="onnxruntime")
        graphs = bundle.manifest.graphs
        names = [next(name for name in graphs if name.endswith(part)) for part in ("vae_encoder", "vae_decoder")]
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(bundle.model_path(name), providers=["CPUExecutionProvider"]) for name in names
        )
        sampling = bundle.manifest.sampling
        self._scale = np.float32(sampling.get("scaling_factor", 0.18215))  # of the latents that the decoder takes
        self.px = int(self._encoder.get_inputs()[0].shape[2])

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """(px, px, 3) uint8, encoded and decoded."""
        planes = picture.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
        latents = self._encoder.run(None, {self._encoder.get_inputs()[0].name: planes})[0]
        pixels = [output.name for output in self._decoder.get_outputs()].index("pixels")
        return self._decoder.run(None, {self._decoder.get_inputs()[0].name: latents * self._scale})[pixels][0]


def portrait_square(path: Path, px: int) -> np.ndarray:
    """(px, px, 3) uint8: what is cut of a portrait, as the runtime cuts it."""
    image = np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])
    face = largest_face(open_locator("mesh", MESH.place).locate(image))
    height, width = image.shape[:2]
    x0, y0, x1, y1 = portrait_box(corners(face.box), height=height, width=width)
    return cv2.resize(image[y0:y1, x0:x1], (px, px), interpolation=cv2.INTER_AREA)


def squares(folder: Path, px: int) -> Iterator[tuple[str, np.ndarray]]:
    """The pictures of a folder, their middle squares in `px`."""
    for path in sorted(folder.iterdir()):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is not None:
            side = min(picture.shape[:2])
            y, x = ((length - side) // 2 for length in picture.shape[:2])
            cut = np.ascontiguousarray(picture[y : y + side, x : x + side, ::-1])
            yield path.stem, cv2.resize(cut, (px, px), interpolation=cv2.INTER_AREA)


def sheet(rows: Sequence[Sequence[np.ndarray]], out: Path) -> None:
    """COLUMNS moments of each row's frames, one row below the other."""
    cells = [
        np.hstack(
            [
                cv2.resize(frames[int(i)], (CELL_PX, CELL_PX), interpolation=cv2.INTER_AREA)
                for i in np.linspace(0, len(frames) - 1, COLUMNS).round()
            ]
        )
        for frames in rows
    ]
    with safe_output(out) as part:
        Image.fromarray(np.vstack(cells)).save(part, format=out.suffix[1:].upper())


def main() -> None:
    parser = argparse.ArgumentParser(description="What a bundle makes of photographs.")
    parser.add_argument("--bundle", type=bundle_folder, required=True)
    parser.add_argument("--portrait", type=Path, help="a photograph of a face")
    parser.add_argument("--driving", type=Path, help="a video of a face; without, the autoencoder alone")
    parser.add_argument("--photographs", type=Path, help="a folder of pictures for the autoencoder")
    parser.add_argument("--sheet", type=Path, help="a picture of driver and result")
    asked = parser.parse_args()
    autoencoder = Autoencoder(asked.bundle)
    pictures = held_out(autoencoder.px)
    frames: list[np.ndarray] = []
    if asked.portrait:
        with Runtime(asked.bundle, RuntimeConfig(locator="mesh")) as runtime:
            portrait = runtime.portrait(asked.portrait)
            if asked.driving:
                frames = [frame.crop for frame in runtime.frames(portrait, asked.driving)]
        pictures["the portrait"] = portrait_square(asked.portrait, autoencoder.px)
    if asked.photographs:
        pictures |= dict(squares(asked.photographs, autoencoder.px))
    print("| encoded and decoded | PSNR, dB |\n|---|---|")
    for name, picture in pictures.items():
        print(f"| {name} | {psnr(picture, autoencoder(picture)):.2f} |")
    if frames:
        driver = list(VideoReader(asked.driving))[: len(frames)]
        one, other = meshes(driver), meshes(frames)
        seen = np.isfinite(other).all(axis=(1, 2)).sum()
        print(f"\nthe mesh finds a face in {seen} of {len(frames)} frames")
        print("\n| follows the driver | correlation |\n|---|---|")
        for name, value in follows(one, other).items():
            print(f"| {name} | {'the driver does not' if np.isnan(value) else f'{value:.2f}'} |")
        if asked.sheet:
            sheet([driver, frames], asked.sheet)


if __name__ == "__main__":
    main()

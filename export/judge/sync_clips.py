"""What the sync judge learns from and is tested on: drawn people who speak, their mouths and what is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from export.judge.judge_pictures import spoiled
from hp_trt.measure.metrics.judge import JUDGE_PX
from hp_trt.measure.metrics.sound_features import BANDS, FPS, QUIETEST, ROWS_A_FRAME, log_mel
from hp_trt.measure.metrics.sync import WINDOW
from hp_trt.measure.metrics.sync_judge import MOUTH_PX, mouths, picture_windows, sound_windows
from procedural.clip import Clip
from procedural.identity import Identity
from procedural.speech import LANGUAGES, sentence, talking

MARGIN = 4  # pixels round what is seen of a mouth, out of which every clip is seen from a little elsewhere
_LOUDER = 0.4  # of `log_mel`, either way: 20 dB


@dataclass(frozen=True, kw_only=True)
class SpokenClips:
    """n clips of N frames."""

    mouths: np.ndarray  # (n, N, H + 2 MARGIN, W + 2 MARGIN, 3) uint8
    heard: np.ndarray  # (n, 4 N, bands) float32, as `log_mel`


def spoken_clips(
    first_seed: int, count: int, frames: int, on_progress: Callable[[int], None] = lambda done: None
) -> SpokenClips:
    """One clip a seed, in every language by turns. Half of them are spoiled, every frame of a clip alike."""
    height, width = MOUTH_PX
    seen = np.empty((count, frames, height + 2 * MARGIN, width + 2 * MARGIN, 3), np.uint8)
    heard = np.empty((count, frames * ROWS_A_FRAME, BANDS), np.float32)
    languages = list(LANGUAGES)
    for number, seed in enumerate(range(first_seed, first_seed + count)):
        speech = sentence(seed, frames / FPS, language=languages[seed % len(languages)])
        states = talking(seed, speech.phonemes, frames)
        clip = Clip(identity=Identity.random(seed), states=tuple(states), px=JUDGE_PX)
        pictures = clip.frames()
        if number % 2:
            pictures = [spoiled(picture, np.random.default_rng([seed, 7])) for picture in pictures]
        seen[number] = mouths(pictures, clip.landmarks(), seen.shape[2:4])
        heard[number] = log_mel(speech.samples)[: heard.shape[1]]
        on_progress(number + 1)
    return SpokenClips(mouths=seen, heard=heard)


def batches(clips: SpokenClips, size: int, windows: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
    """Without end: of `size` clips so many windows in a row, pictures (size * windows, 15, H, W) and sound.

    Each clip is seen from a little elsewhere and heard as loud as it comes.
    """
    height, width = MOUTH_PX
    frames = windows + WINDOW - 1
    while True:
        pictures, sounds = [], []
        for number in rng.integers(len(clips.mouths), size=size):
            start = int(rng.integers(clips.mouths.shape[1] - frames + 1))
            y, x = rng.integers(2 * MARGIN + 1, size=2)
            seen = clips.mouths[number, start : start + frames, y : y + height, x : x + width]
            heard = clips.heard[number, start * ROWS_A_FRAME : (start + frames) * ROWS_A_FRAME]
            pictures.append(picture_windows(seen) * np.float32(rng.uniform(0.85, 1.15)))
            louder = np.float32(rng.uniform(-_LOUDER, _LOUDER))
            sounds.append(sound_windows(np.maximum(heard + louder, np.float32(QUIETEST))))
        yield np.concatenate(pictures), np.concatenate(sounds)

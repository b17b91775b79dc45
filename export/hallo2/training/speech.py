"""The first phase: the speech encoder with the audio projection, which learn what lips do and what is heard.

Two linear questions are asked of every frame's audio tokens, and thrown away in the end: the mouth's four numbers, and
which phoneme it is. So what the denoising net is told says both, in a form that a linear layer can read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from export.hallo2.networks.projections import AudioProjection
from export.hallo2.networks.speech_encoder import SpeechEncoder
from export.hallo2.training.drawn import SYMBOLS, Sentence, Sentences
from export.training.phase import Modules
from procedural.speech import MOUTH
from runtime.hallo2.audio_plan import conv_outputs
from runtime.hallo2.presets import SAMPLES_PER_FRAME
from runtime.hallo2.speech import normalised, positions, windows

_LEAST_FRAMES = 50  # of a sentence that is cut
_NOISY = 0.5  # of the sentences
_QUIET_DB = (8.0, 40.0)  # of the noise below the speech
_CLASSES = 0.2  # weight of the question for the phoneme


class Questions(nn.Module):
    """(N, k, Da) audio tokens -> lips (N, 4), and a score for each phoneme (N, len(SYMBOLS))."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.lips = nn.Linear(tokens * width, len(MOUTH))
        self.phoneme = nn.Linear(tokens * width, len(SYMBOLS))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        flat = tokens.flatten(1)
        return self.lips(flat), self.phoneme(flat)


class SpeechPhase:
    """A sentence, or a part of one, a batch."""

    name = "speech"
    curves: tuple[str, ...] = ("loss", "lips", "phoneme", "right")
    batches = 2
    learning_rate = 1.5e-3
    faster: Mapping[str, float] = {}

    def __init__(
        self, modules: Modules, *, sentences: Sentences, numbers: list[int], steps: int, device: torch.device
    ) -> None:
        projection = cast(AudioProjection, modules["audioproj"])
        torch.manual_seed(0)
        questions = Questions(projection.config.tokens, projection.config.width).to(device)
        self.modules: Modules = {**modules, "questions": questions}
        self.sentences, self.numbers, self.steps, self.device = sentences, numbers, steps, device
        spread = np.concatenate([sentences.load(number).lips for number in numbers[:50]]).std(axis=0)
        self.spread = torch.from_numpy(spread + 1e-3).to(device)

    def loss(self, step: int, rng: np.random.Generator) -> dict[str, Tensor]:
        sentence = self.sentences.load(int(rng.choice(self.numbers)))
        first, frames = _cut(rng, len(sentence.lips))
        wave = _heard(rng, sentence, first, frames)
        lips, scores = self.modules["questions"](self.tokens(wave, frames))
        truth = torch.from_numpy(np.array(sentence.lips[first : first + frames])).to(self.device)
        spoken = torch.from_numpy(np.array(sentence.classes[first : first + frames])).to(self.device)
        error = ((lips - truth) / self.spread).square().mean()
        phoneme = F.cross_entropy(scores, spoken)
        right = (scores.argmax(dim=1) == spoken).float().mean()
        return {"loss": error + _CLASSES * phoneme, "lips": error, "phoneme": phoneme, "right": right}

    def tokens(self, wave: np.ndarray, frames: int) -> Tensor:
        """Audio tokens (frames, k, Da) of a whole sound `wave`, as the application makes them."""
        return tokens_of(self.modules, wave, frames, self.device)

    def finish(self, modules: Modules) -> None:
        """The averaged networks are what is kept; nothing else to do."""


def tokens_of(modules: Modules, wave: np.ndarray, frames: int, device: torch.device) -> Tensor:
    """Audio tokens (frames, k, Da) of a whole sound (n,), by the networks `speech_encoder` and `audioproj`."""
    encoder = cast(SpeechEncoder, modules["speech_encoder"])
    ready = torch.from_numpy(normalised(wave)).to(device)
    left, fraction = (torch.from_numpy(array).to(device) for array in positions(frames, conv_outputs(len(wave))))
    features = encoder(ready, left, fraction)
    near = windows(np.arange(frames))  # which frames each frame hears
    return modules["audioproj"](features[torch.from_numpy(near).to(device)])


def _cut(rng: np.random.Generator, total: int) -> tuple[int, int]:
    """First frame and number of frames: a part of the sentence, as a clip's sound may begin and end anywhere."""
    frames = int(rng.integers(min(_LEAST_FRAMES, total), total + 1))
    return int(rng.integers(total - frames + 1)), frames


def _heard(rng: np.random.Generator, sentence: Sentence, first: int, frames: int) -> np.ndarray:
    """The sound of these frames, (frames * SAMPLES_PER_FRAME,), with noise half of the time."""
    part = slice(first * SAMPLES_PER_FRAME, (first + frames) * SAMPLES_PER_FRAME)
    wave = sentence.samples[part].astype(np.float32) / 32768
    if rng.uniform() < _NOISY:
        loud = float(np.sqrt(np.square(wave).mean())) * 10 ** (-rng.uniform(*_QUIET_DB) / 20)
        wave = wave + loud * rng.normal(size=len(wave)).astype(np.float32)
    return wave

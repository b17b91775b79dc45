import numpy as np
import pytest
import torch

from export.hallo2.presets import TALK_POCKET
from export.hallo2.training.drawn import Sentences
from export.hallo2.training.initial_weights import with_initial_weights
from export.hallo2.training.speech import SpeechPhase, tokens_of
from procedural.speech import sentence
from runtime.hallo2.audio_plan import conv_outputs
from runtime.hallo2.speech import normalised, positions, windows


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    build = TALK_POCKET.architecture.build
    return {n: with_initial_weights(build(n, device="cpu")) for n in ("speech_encoder", "audioproj")}


def test_tokens_are_those_that_the_loop_makes(networks):
    wave = sentence(3, 0.4).samples
    with torch.no_grad():
        tokens = tokens_of(networks, wave, 10, torch.device("cpu"))
        left, fraction = (torch.from_numpy(a) for a in positions(10, conv_outputs(len(wave))))
        features = networks["speech_encoder"](torch.from_numpy(normalised(wave)), left, fraction)
        heard = torch.from_numpy(windows(features.numpy()))
        assert torch.allclose(tokens, networks["audioproj"](heard), atol=1e-5)


def test_a_step_sees_the_same_of_the_same_numbers(networks, tmp_path):
    sentences = Sentences(folder=tmp_path, count=1)
    list(sentences.draw_missing())
    phase = SpeechPhase(networks, sentences=sentences, numbers=[0], steps=1, device=torch.device("cpu"))
    with torch.no_grad():
        losses = [phase.loss(0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert all(torch.isfinite(value) for value in losses[0].values())

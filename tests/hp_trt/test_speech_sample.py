import json
import wave

import numpy as np
import pytest

from engines.errors import OutputError
from hp_trt.__main__ import main
from hp_trt.hallo2.sound import Sound
from hp_trt.sample import landmarks_beside, parameters_beside
from hp_trt.speech_sample import write_speech_sample
from procedural.motion import NAMES
from procedural.speech import HZ, Phoneme, mouth, sentence


def test_sound_and_truth_are_as_long_as_asked_for(tmp_path):
    portrait, speech = write_speech_sample(tmp_path, seed=7, frames=30)
    with wave.open(str(speech)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, HZ)
        heard = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32767
    assert np.allclose(heard, sentence(7, 1.2).samples, atol=1e-4)
    truth = json.loads(parameters_beside(speech).read_text())
    assert len(truth["parameters"]) == len(truth["landmarks"]) == 30 and truth["names"] == list(NAMES)
    said = [Phoneme(*row) for row in truth["phonemes"]]
    jaw = [row[NAMES.index("jaw")] for row in truth["parameters"]]
    assert np.allclose(jaw, mouth(said, 30)[:, 0], atol=0.02)
    assert portrait.is_file() and landmarks_beside(portrait).is_file()


def test_the_application_reads_the_sound(tmp_path):
    _, speech = write_speech_sample(tmp_path, frames=10)
    assert sum(len(piece) for piece in Sound(speech)) == 10 * HZ // 25


def test_the_command_writes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["hp-trt", "sample", "--speech", "--out", str(tmp_path), "--frames", "5"])
    main()
    assert "speech.wav" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "portrait.landmarks.json", "portrait.png", "speech.parameters.json", "speech.wav",
    ]  # fmt: skip


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="out"):
        write_speech_sample(tmp_path / "out")

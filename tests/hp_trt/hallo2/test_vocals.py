"""Separation against the recorded case, and with networks whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.errors import EngineMismatch, InputError
from hp_trt.hallo2.vocals import N_FFT, RATE, open_separator, separate
from tests.golden_cases import HALLO2_FOLDER, check, golden_cases, load_case
from tests.hp_trt.faces.small_networks import DOUBLE, FLOAT, network

SMALL = {"n_fft": 256, "hop": 32, "dim_f": 129, "segment": 24, "overlap": 0.25, "compensate": 1.0, "peak": 0.9}


def tone(samples: int, *, hz: float = 440, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    """(2, n), the right channel a quarter behind and half as loud."""
    phase = 2 * np.pi * hz * np.arange(samples) / rate
    return np.stack([level * np.sin(phase), level / 2 * np.cos(phase)]).astype(np.float32)


def passing(path: Path, dims: list[int | str]) -> Path:
    """A network that gives what it takes."""
    onnx = pytest.importorskip("onnx")
    info = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Identity", ["input"], ["output"])
    graph = onnx.helper.make_graph([node], "passing", [info("input", FLOAT, dims)], [info("output", FLOAT, dims)])
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


@golden_cases(kind="preprocess", targets=["vocal_separation"], folder=HALLO2_FOLDER)
def test_separation_is_the_released_separators(case_name):
    case = load_case(case_name, HALLO2_FOLDER)
    gain = case.inputs["gain"]
    vocals = separate(case.inputs["wave"], lambda spectrum: spectrum * gain, **case.options)
    assert vocals.dtype == np.float32
    check(case, {"vocals": vocals}, 1e-4)  # float32 spectra


@pytest.mark.parametrize("samples", [1, 5, 300, 480, 481, 736, 5000])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5])
def test_a_network_that_lets_all_pass_gives_the_sound_but_for_its_lowest_tones(samples, overlap):
    wave = tone(samples, hz=3000, rate=8000)
    heard = separate(wave, lambda spectrum: spectrum, **SMALL | {"overlap": overlap})
    assert heard.shape == wave.shape
    # A tone that is cut off, or reflected at a chunk's end, has a little of every frequency there, of the three lowest
    # too: 0.004 where chunks meet without overlap.
    np.testing.assert_allclose(heard[:, 200:-200], wave[:, 200:-200], atol=8e-3)
    assert np.abs(heard - wave).max() < 0.15  # at the sound's own ends; a number everywhere


def test_channels_and_halves_of_the_spectrum_keep_their_places():
    wave = tone(4000, hz=3000, rate=8000)
    for kept, other in [((0, 1), 1), ((2, 3), 0)]:
        gain = np.zeros((4, 1, 1), np.float32)
        gain[list(kept)] = 1
        heard = separate(wave, lambda spectrum, gain=gain: spectrum * gain, **SMALL)
        assert not heard[other].any()
        np.testing.assert_allclose(heard[1 - other, 300:-300], wave[1 - other, 300:-300], atol=2e-3)


def test_what_is_too_loud_goes_down_to_the_peak_before_and_after():
    seen = []

    def louder(spectrum):
        seen.append(np.abs(spectrum).max())
        return 3 * spectrum

    wave = tone(4000, hz=3000, rate=8000, level=1.0)
    heard = separate(wave, louder, **SMALL)
    assert abs(np.abs(heard).max() - 0.9) < 1e-6
    quiet = []
    separate(wave * np.float32(0.9), lambda spectrum: quiet.append(np.abs(spectrum).max()) or spectrum, **SMALL)
    np.testing.assert_allclose(seen, quiet, rtol=1e-5)


def test_silence_stays_silence_and_a_voice_that_is_nowhere_is_silence():
    def never(spectrum):
        raise AssertionError("there is nothing to be heard")

    assert not separate(np.zeros((2, 999), np.float32), never, **SMALL).any()
    assert separate(np.zeros((2, 0), np.float32), never, **SMALL).shape == (2, 0)
    assert not separate(tone(999), lambda spectrum: 0 * spectrum, **SMALL).any()


@pytest.mark.parametrize("dims", [[1, 4, 3841, 12], ["batch", 4, 3841, 12]])
def test_a_file_says_its_own_sizes(tmp_path, dims):
    separator = open_separator(passing(tmp_path / "Kim_Vocal_2.onnx", dims))
    assert (separator.dim_f, separator.segment) == (3841, 12)
    wave = tone(30_000)
    heard = separator.separate(wave)
    inner = slice(N_FFT, -N_FFT)
    np.testing.assert_allclose(heard[:, inner], 1.009 * wave[:, inner], atol=5e-3)


def test_a_file_that_is_missing_or_no_network_is_one_line(tmp_path):
    path = tmp_path / "Kim_Vocal_2.onnx"
    with pytest.raises(InputError, match=r"no such file; give Kim_Vocal_2\.onnx, or leave it out"):
        open_separator(path)
    path.write_bytes(b"no network")
    with pytest.raises(InputError, match="is not an ONNX network"):
        open_separator(path)


@pytest.mark.usefixtures("no_onnx_runtime")
def test_without_onnx_runtime_it_says_how_to_install_it(tmp_path):
    path = tmp_path / "Kim_Vocal_2.onnx"
    path.touch()
    with pytest.raises(EngineMismatch, match="onnxruntime is not installed; pip install"):
        open_separator(path)


@pytest.mark.parametrize(
    ("inputs", "outputs", "kind", "found"),
    [
        (
            {"x": [1, 3, 64, 12]},
            {"y": ([1, 4, 64, 12], 0.5)},
            FLOAT,
            r"takes x float\[1, 3, 64, 12\].*; an MDX network",
        ),
        ({"x": [1, 4, 64, 12]}, {"y": ([1, 512], 0.5)}, FLOAT, r"gives y float\[1, 512\]; an MDX network"),
        ({"x": [1, 4, 64, 12]}, {"y": ([1, 4, 64, 12], 0.5)}, DOUBLE, "takes x double"),
        ({"x": [2, 4, 64, 12]}, {"y": ([2, 4, 64, 12], 0.5)}, FLOAT, "one sound at a time"),
        ({"x": [1, 4, 3842, 12]}, {"y": ([1, 4, 3842, 12], 0.5)}, FLOAT, "at most 3841 frequencies"),
        ({"x": [1, 4, 64, 8]}, {"y": ([1, 4, 64, 8], 0.5)}, FLOAT, "9 to 4096 moments"),
        ({"x": [1, 4, 64, 12]}, {"y": ([1, 4, 64, 12], np.nan)}, FLOAT, "gave numbers that are not finite"),
        ({"x": [1, 4, 64, 12]}, {"y": ([1, 4, 64, 13], 0.5)}, FLOAT, "gave numbers of shape"),
    ],
)
def test_another_network_is_refused_at_opening(tmp_path, inputs, outputs, kind, found):
    path = network(tmp_path / "other.onnx", inputs, outputs, kind=kind)
    with pytest.raises(InputError, match=f"other.onnx.*{found}.*give Kim_Vocal_2.onnx, or leave it out") as told:
        open_separator(path)
    assert "\n" not in str(told.value)

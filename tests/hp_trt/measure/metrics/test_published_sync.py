"""Networks of the published form whose vectors are known."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from engines.errors import InputError
from hp_trt.measure.metrics.published_sync import PublishedSync, face_square
from hp_trt.measure.metrics.sound_features import mfcc

FRAMES, PX = 60, 40
SCALE, SHIFT = 40.0, 280.0  # what coefficients become, to be as large as pictures
LOUD = np.random.default_rng(1).uniform(0.05, 1, FRAMES)  # of each frame, and how bright it is


def half(path, *, shape, numbers, scale=1.0, shift=0.0):
    """Scaled and shifted, the mean over all that its input has of a window, as `numbers` alike."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [len(shape) - 1], list(range(1, len(shape))))
    twice = helper.make_tensor("twice", TensorProto.INT64, [2], [1, numbers])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
            helper.make_node("Mul", ["m", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "shift"], ["shifted"]),
            helper.make_node("Unsqueeze", ["shifted", "one"], ["u"]),
            helper.make_node("Tile", ["u", "twice"], ["y"]),
        ],
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, numbers])],
        [
            axes,
            twice,
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
            helper.make_tensor("shift", TensorProto.FLOAT, [], [shift]),
        ],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture
def halves(tmp_path):
    def make(n="n", numbers=(4, 4)):
        audio = half(tmp_path / "audio.onnx", shape=[n, 1, 13, 20], numbers=numbers[0], scale=SCALE, shift=SHIFT)
        video = half(tmp_path / "video.onnx", shape=[n, 3, 5, 224, 224], numbers=numbers[1])
        return audio, video

    return make


def pictures(shades):
    return [np.full((PX, PX, 3), round(shade), np.uint8) for shade in shades]


def middle(frames):
    return np.tile([PX / 2 - 0.5, PX / 2 - 0.5, PX / 6], (frames, 1))


@pytest.mark.parametrize("late", [-1, 0, 2])
def test_pictures_that_are_late_are_seen_to_be(halves, late):
    """They are as bright as their sound's coefficients are on average, but so many frames later."""
    noise = np.random.default_rng(2).standard_normal((FRAMES + 8, 640)) * 0.1
    samples = (noise * np.resize(LOUD, FRAMES + 8)[:, None]).astype(np.float32)
    rows = np.append(found := mfcc(samples.reshape(-1)), found[-1:], axis=0)
    heard = SHIFT + SCALE * rows.reshape(-1, 4 * 13)[: FRAMES + 8].mean(axis=1)
    own = PublishedSync(*halves()).sync(
        pictures(heard[4 - late :][:FRAMES]), middle(FRAMES), samples[4 : 4 + FRAMES].reshape(-1)
    )
    assert own.lag == late
    assert own.confidence > 0


@pytest.mark.parametrize("n", ["n", 1, 3])
def test_a_file_for_so_many_windows_at_once_gives_the_same_numbers(halves, n):
    samples = np.random.default_rng(3).standard_normal(640 * 12).astype(np.float32) * 0.1
    found = PublishedSync(*halves(n)).sync(pictures(100 * LOUD[:12]), middle(12), samples)
    again = PublishedSync(*halves()).sync(pictures(100 * LOUD[:12]), middle(12), samples)
    assert found.distance == pytest.approx(again.distance) and found.confidence == pytest.approx(again.confidence)


def test_the_face_is_cut_with_what_is_beside_and_below_it_in_blue_green_red(halves):
    """Of a picture that is red above and blue below, cut at the blue's edge."""
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[:50, :, 0], frame[50:, :, 2] = 200, 100
    square = face_square(frame, 50.0, 50.0, 20.0, px=56)
    assert square.shape == (56, 56, 3) and square.dtype == np.float32
    assert square[0, 28].tolist() == [0, 0, 200], "its top is 20 pixels above the middle"
    rows_of_red = int((square[:, 28, 2] > 100).sum())
    assert rows_of_red == 20 and square[-1, 28].tolist() == [100, 0, 0]


def test_halves_of_two_networks_are_refused(halves):
    with pytest.raises(InputError, match=r"gives vectors of 4 numbers and .*audio\.onnx of 8; needed are both halves"):
        PublishedSync(*halves(numbers=(8, 4))).sync(pictures(100 * LOUD[:9]), middle(9), np.zeros(640 * 9, np.float32))


def test_what_is_no_such_network_is_refused(halves, tmp_path):
    audio, video = halves()
    with pytest.raises(InputError, match=r"needed is a network that takes coefficients \(n, 1, 13, 20\)"):
        PublishedSync(video, audio)
    with pytest.raises(InputError, match="no such file"):
        PublishedSync(tmp_path / "none.onnx", video)

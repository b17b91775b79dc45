"""What needs a network of the user's, or has no truth."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from hp_trt.faces.face import Face
from hp_trt.faces.haar import HaarLocator
from hp_trt.faces.mesh import MeshLocator
from hp_trt.faces.mesh_points import POINTS
from hp_trt.measure.evaluation import measure_clip
from hp_trt.measure.evaluation.config import NetworkFiles
from hp_trt.measure.evaluation.distributions import Distributions
from hp_trt.measure.evaluation.folders import FolderPairs
from hp_trt.measure.evaluation.measure_clip import ClipMeasures
from hp_trt.measure.evaluation.measures import NEEDED, measures
from hp_trt.measure.metrics.frechet import frechet_distance
from hp_trt.measure.metrics.value import Missing
from tests.hp_trt.measure.evaluation.fakes import joints_of
from tests.hp_trt.measure.evaluation.folders import write_pair
from tests.hp_trt.measure.metrics.test_networks import network


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_pair(folder / "anna", 7, frames=6)
    write_pair(folder / "ben", 8, frames=6)
    return folder


class Finder:
    """A detector that reads pixels: the brighter the picture, the further right and down its face."""

    name, reads_pixels, steadiness = "a finder", True, 0.0

    def __init__(self, blind: bool = False) -> None:
        self._blind = blind

    def locate(self, image, frame=0):
        points = np.array([[10.0, 10], [40, 10], [25, 25], [12, 40], [38, 40]]) + image.mean() / 255
        return [] if self._blind else [Face(box=(0.0, 0.0, 1.0, 1.0), landmarks=points, score=1.0)]


def measured(folder, protocol, make, *, locator=None, **files):
    locator = locator or HaarLocator()
    pair = FolderPairs(protocol, folder, None, locator).pair(0, 64)
    clip_measures = ClipMeasures(measures(protocol), NetworkFiles(**files), locator=locator)
    return clip_measures.measure(pair, made := make(pair), joints_of(len(made))).values


def driver(pair):
    return pair.driver


def darker(pair):
    return [frame // 2 for frame in pair.driver]


def arcface(path):
    """The mean colour of each picture in the first three of 512 numbers."""
    pads = helper.make_tensor("pads", TensorProto.INT64, [4], [0, 0, 0, 509])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["a", "axes"], ["m"], keepdims=0),
            helper.make_node("Pad", ["m", "pads"], ["y"]),
        ],
        "colours",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 512])],
        [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]), pads],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_in_cross_of_ones_own_pairs_there_is_no_truth_and_that_is_said(pairs):
    values = measured(pairs, "cross", driver)
    for key in ("psnr", "ssim", "lpips", "lmd"):
        assert "has no true clip" in values[key].why
    for key in ("parameter_correlation", "landmark_correlation", "retrieval"):
        assert "drawn clips alone" in values[key].why
    assert values["aed"] == NEEDED["aed"] and values["apd"] == NEEDED["apd"]
    assert values["flicker"] == 0, "of the driver's own"


def test_coefficients_are_compared_with_the_drivers(pairs, tmp_path):
    means = network(tmp_path / "m.onnx", "ReduceMean", {"a": [1, 3, "h", "w"]}, axes=[2, 3])
    same = measured(pairs, "cross", driver, expression=means, pose=means)
    assert same["aed"] == same["apd"] == 0
    found = measured(pairs, "cross", darker, expression=means)
    pair = FolderPairs("cross", pairs, None, HaarLocator()).pair(0, 64)
    expected = np.abs(np.stack(darker(pair)).mean(axis=(1, 2)) - np.stack(pair.driver).mean(axis=(1, 2))).mean() / 255
    assert found["aed"] == pytest.approx(expected, rel=1e-4)
    assert found["apd"] == NEEDED["apd"]


def test_lpips_is_the_mean_over_frames(pairs, tmp_path):
    shape = [1, 3, "h", "w"]
    file = network(tmp_path / "l.onnx", "ReduceMean", {"a": shape, "b": shape}, axes=[0, 1, 2, 3])
    pair = FolderPairs("self", pairs, None, HaarLocator()).pair(0, 64)
    expected = (np.stack(darker(pair)).mean() - np.stack(pair.truth).mean()) / 127.5
    assert measured(pairs, "self", darker, lpips=file)["lpips"] == pytest.approx(expected, rel=1e-4)


def test_the_identity_score_is_the_cosine_of_arcfaces_vectors(pairs, tmp_path):
    file = arcface(tmp_path / "arcface.onnx")

    def score(colours) -> float:
        def make(pair):
            return [(pair.still * np.array(colours)).astype(np.uint8)] * 6

        return measured(pairs, "cross", make, locator=Finder(), arcface=file)["identity"]

    assert score((1, 1, 1)) == pytest.approx(1)
    assert score((0.5, 0.5, 0.5)) == pytest.approx(1, abs=1e-3), "darkness is no other identity to this network"
    assert score((1, 0, 0)) < 0.9


def test_without_a_face_there_is_no_identity_score(pairs, tmp_path):
    file = arcface(tmp_path / "arcface.onnx")
    found = measured(pairs, "cross", driver, locator=Finder(blind=True), arcface=file)["identity"]
    assert found == Missing("no face found in the portrait's crop with a finder")


def test_landmark_distance_of_ones_own_pairs_is_the_locators(pairs):
    assert "Haar's landmarks are guessed" in measured(pairs, "self", driver)["lmd"].why
    assert measured(pairs, "self", driver, locator=Finder())["lmd"] == 0
    pair = FolderPairs("self", pairs, None, HaarLocator()).pair(0, 64)
    shift = np.mean([(t.mean() - d.mean()) / 255 for t, d in zip(pair.truth, darker(pair), strict=True)])
    found = measured(pairs, "self", darker, locator=Finder())["lmd"]
    assert found == pytest.approx(np.hypot(shift, shift) * 128 / 64), "a crop of 64 px in px of 128"


class Mesh(MeshLocator):
    """468 points that lie the further right the brighter the picture; a black one shows nobody."""

    def __init__(self) -> None:
        self.frames = []

    def locate(self, image, frame=0):
        self.frames.append(frame)
        points = np.tile([10 + 3 * image.mean() / 255, 20], (POINTS, 1))
        face = Face(box=(0.0, 0.0, 1.0, 1.0), landmarks=points[:5] + 99, score=1.0, mesh=points)
        return [face] if image.any() else []


@pytest.mark.parametrize("option", ["landmarks", "locator"])
def test_landmark_distance_is_of_the_meshs_points_where_there_is_one(pairs, monkeypatch, option, tmp_path):
    mesh, opened = Mesh(), []
    monkeypatch.setattr(measure_clip, "open_mesh", lambda path: opened.append(path) or mesh)
    given = {"landmarks": tmp_path / "f"} if option == "landmarks" else {"locator": mesh}
    pair = FolderPairs("self", pairs, None, HaarLocator()).pair(0, 64)

    def half_dark(pair):
        return [frame // 2 if index else frame * 0 for index, frame in enumerate(pair.driver)]

    found = measured(pairs, "self", half_dark, **given)
    shift = np.mean([(t.mean() - d.mean()) / 255 for t, d in zip(pair.truth[1:], half_dark(pair)[1:], strict=True)])
    assert found["lmd"] == pytest.approx(3 * shift * 128 / 64), "over the frames in which both show a face"
    assert mesh.frames[-12:] == [*range(6), *range(6)], "in order, a clip at a time, so that it can follow"
    assert opened == ([tmp_path / "f"] if option == "landmarks" else [])
    nobody = measured(pairs, "self", lambda pair: [frame * 0 for frame in pair.driver], **given)
    assert nobody["lmd"] == Missing("no face found in the result with the face mesh")


def test_which_points_landmark_distance_is_of_is_told():
    def told(locator, **files):
        return ClipMeasures(measures("self"), NetworkFiles(**files), locator=locator).lmd_points

    assert told(HaarLocator()) == ""
    assert told(Finder()) == "5 points of a finder"
    assert told(Mesh()) == "468 points of the face mesh"


def test_fid_and_fvd_are_distances_of_all_clips_features(pairs, tmp_path):
    pictures = network(tmp_path / "p.onnx", "ReduceMean", {"a": [1, 3, "h", "w"]}, axes=[2, 3])
    videos = network(tmp_path / "v.onnx", "ReduceMean", {"a": [1, 3, 2, "h", "w"]}, axes=[3, 4])
    distributions = Distributions(NetworkFiles(fid_features=pictures, fvd_features=videos))
    source = FolderPairs("self", pairs, None, HaarLocator())
    both = [source.pair(index, 64) for index in range(2)]
    for pair in both:
        distributions.add(pair, darker(pair))
    means = [np.stack([f.mean(axis=(0, 1)) for p in both for f in make(p)]) / 255 for make in (darker, driver)]
    values = distributions.values()
    assert values["fid"] == pytest.approx(frechet_distance(*means), rel=1e-4)
    assert values["fvd"] > 0
    distributions.begin()
    for pair in both:
        distributions.add(pair, pair.truth)
    assert distributions.values()["fid"] == pytest.approx(0, abs=1e-6), "the last contestant's clips are forgotten"


def test_too_few_clips_or_no_true_ones_give_no_distance(pairs, tmp_path):
    whole = network(tmp_path / "v.onnx", "ReduceMean", {"a": [1, 3, "t", "h", "w"]}, axes=[2, 3, 4])
    distributions = Distributions(NetworkFiles(fvd_features=whole))
    assert "needs true clips" in distributions.values()["fvd"].why
    pair = FolderPairs("self", pairs, None, HaarLocator()).pair(0, 64)
    distributions.add(pair, pair.driver)
    assert "at least two clips" in distributions.values()["fvd"].why
    assert distributions.values()["fid"] == NEEDED["fid"]

"""What the judge learns from, and that its file computes what its network does."""

from __future__ import annotations

import copy
import re
from itertools import islice

import numpy as np
import pytest
import torch

from export.judge.judge import card, correlations, write_onnx
from export.judge.judge_network import JudgeNetwork, close_look
from export.judge.judge_pictures import batches, drawn_faces, planes, spoiled
from hp_trt.measure.metrics.judge import JUDGE_PX, Judge
from hp_trt.shipped import JUDGE
from procedural.identity import Identity
from procedural.landmarks import POINTS, landmarks
from procedural.motion import NAMES, State


@pytest.fixture(scope="module")
def faces():
    return drawn_faces(700_000, 8)


def test_a_face_is_its_seeds_and_lies_where_its_points_say(faces):
    assert faces.pictures.shape == (8, JUDGE_PX, JUDGE_PX, 3) and faces.pictures.dtype == np.uint8
    assert faces.points.shape == (8, len(POINTS), 2) and faces.parameters.shape == (8, len(NAMES))
    again = drawn_faces(700_003, 1)
    np.testing.assert_array_equal(again.pictures[0], faces.pictures[3])
    calm = landmarks(Identity.random(700_003), State(), JUDGE_PX)
    assert np.linalg.norm(faces.points[3] - calm, axis=1).max() < 40, "somewhere on the same face"


def test_every_second_face_has_parameters_that_tell_nothing_of_each_other():
    many = drawn_faces(700_000, 120).parameters[::2]
    pairs = [(a, b) for a in ("yaw_deg", "pitch_deg", "jaw", "corners") for b in ("lid_left", "brow_left", "rounding")]
    found = [np.corrcoef(many[:, NAMES.index(a)], many[:, NAMES.index(b)])[0, 1] for a, b in pairs]
    assert np.abs(found).max() < 0.45  # of 60 independent draws, beyond three standard deviations


def test_spoiling_keeps_the_picture_recognisable_and_its_form(faces):
    rng = np.random.default_rng(0)
    others = [spoiled(faces.pictures[0], rng) for _ in range(30)]
    assert all(other.shape == faces.pictures[0].shape and other.dtype == np.uint8 for other in others)
    changes = [np.abs(other.astype(int) - faces.pictures[0]).mean() for other in others]
    assert max(changes) > 5 and max(changes) < 60
    assert len({other.tobytes() for other in others}) > 15


def test_batches_hold_every_face_once_a_round(faces):
    seen_points = [points for _, points, _ in islice(batches(faces, 4, np.random.default_rng(0)), 2)]
    found = np.concatenate(seen_points)
    np.testing.assert_array_equal(found[np.lexsort(found[:, 0].T)], faces.points[np.lexsort(faces.points[:, 0].T)])


def test_a_close_look_is_upright_and_in_the_middle():
    """A bar along the line of tilted eyes lies level in the cut, through its middle row."""
    points = torch.zeros(1, len(POINTS), 2)
    names = ("left eye", "right eye", "left eye's left corner", "left eye's right corner")
    for name, place in zip(names, ((40, 50), (80, 70), (32, 46), (48, 54)), strict=True):
        points[0, POINTS.index(name)] = torch.tensor(place, dtype=torch.float32)
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    distance = ((y - 50) * 2 - (x - 40)).abs() / 5**0.5
    picture = torch.exp(-(distance**2) / 2).expand(1, 3, 128, 128)
    corners = [POINTS.index(name) for name in names[2:]]
    cut = close_look(picture, points, corners, (16, 24))
    assert cut.shape == (1, 3, 16, 24)
    rows = cut[0, 0].mean(dim=1)
    assert rows.argmax() in (7, 8) and rows[7] == pytest.approx(rows[8].item(), abs=0.02)
    assert cut[0, 0, 7].std() < 0.05, "level"


def test_the_file_computes_what_the_network_does_to_half_precision(faces, tmp_path):
    torch.manual_seed(0)
    network = JudgeNetwork(torch.zeros(len(NAMES)), torch.ones(len(NAMES)))
    network.train()(torch.from_numpy(planes(faces.pictures)))  # norms that are not the identity
    network.eval()
    with torch.no_grad():
        points, parameters = copy.deepcopy(network)(torch.from_numpy(planes(faces.pictures)))
    write_onnx(network, tmp_path / "judge.onnx")
    found = Judge(tmp_path / "judge.onnx", threads=1).read(list(faces.pictures))
    np.testing.assert_allclose(found.landmarks, points, atol=0.05)
    np.testing.assert_allclose(found.parameters, parameters, atol=0.02)
    assert [path.name for path in tmp_path.iterdir()] == ["judge.onnx"]
    assert (tmp_path / "judge.onnx").stat().st_size < 1_000_000


def test_a_correlation_is_of_each_parameter_by_itself():
    true = np.random.default_rng(0).standard_normal((50, 2))
    np.testing.assert_allclose(correlations(true * [2, -1], true), [1, -1])


def test_the_summary_is_one_line_and_says_what_the_cards_tables_say():
    text, summary = card(JUDGE, held_out=16, steps=2400, faces=12_000, seed=0)
    said = re.fullmatch(
        rf"On 16 held-out faces: (\S+) px mean landmark error at {JUDGE_PX} px \((\S+) spoiled\), "
        r"mean parameter correlation (\S+) \((\S+) spoiled\)\.",
        summary,
    )
    assert said is not None and summary in " ".join(text.split())
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    for names, columns in ((POINTS, said.groups()[:2]), (NAMES, said.groups()[2:])):
        rows = [row for row in cells if len(row) == 3 and row[0] in names]
        assert len(rows) == len(names)
        for place, mean in enumerate(columns, start=1):
            # The table is rounded to hundredths of a pixel or thousandths, and so is the summary.
            assert np.mean([float(row[place]) for row in rows]) == pytest.approx(float(mean), abs=0.011)

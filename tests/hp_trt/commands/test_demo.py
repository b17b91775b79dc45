"""`hp-trt demo`: a first result, of what comes with the package alone."""

from __future__ import annotations

import json
from functools import partial

import pytest

import hp_trt.sample as samples
from hp_trt.media.images import load_image
from tests.hp_trt.clips import contents


@pytest.fixture
def short(monkeypatch) -> None:
    """Drawn drivers of three frames."""
    monkeypatch.setattr(samples, "write_sample", partial(samples.write_sample, frames=3))


def test_it_draws_people_and_animates_them(hp_trt, tmp_path, short):
    ended = hp_trt("demo", "--out", tmp_path / "new", "--seed", 3, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out.splitlines()[-1])
    assert (result["out"], result["frames"]) == (str(tmp_path / "new" / "demo.mp4"), 3)
    assert contents(tmp_path / "new" / "demo.mp4").size == (512, 512)
    assert contents(tmp_path / "new" / "demo-crop.mp4").size == (128, 128)
    assert load_image(tmp_path / "new" / "demo.png").shape[1] > 500
    assert (tmp_path / "new" / "sample" / "driving.mp4").is_file()
    assert "note" not in {json.loads(line)["event"] for line in ended.out.splitlines()}


def test_with_files_of_ones_own_nothing_is_drawn_and_what_to_expect_is_told(hp_trt, tmp_path, sample):
    ended = hp_trt("demo", "--out", tmp_path, "--portrait", sample[0], "--driving", sample[1])
    assert ended.code == 0, ended.err
    assert ended.err == "note: pocket was trained on drawn people: of a photograph it makes a smear\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo-crop.mp4", "demo.mp4", "demo.png"]


def test_without_onnx_runtime_it_says_what_to_install_and_draws_nothing(hp_trt, tmp_path, monkeypatch):
    monkeypatch.setattr("engines.families.is_installed", lambda family: False)
    ended = hp_trt("demo", "--out", tmp_path)
    assert ended.code == 2
    assert ended.err.startswith("error: onnxruntime is not installed; pip install '.[cpu]'")
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_would_replace_an_input_is_refused(hp_trt, tmp_path, sample):
    (tmp_path / "demo.png").write_bytes(sample[0].read_bytes())
    ended = hp_trt("demo", "--out", tmp_path, "--portrait", tmp_path / "demo.png")
    assert ended.code == 2 and "demo.png" in ended.err
    assert (tmp_path / "demo.png").read_bytes() == sample[0].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["demo.png"]

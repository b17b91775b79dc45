"""Nodes that make pictures larger, on what stands in for ComfyUI: graphs that repeat pixels, and the shipped ones."""

from __future__ import annotations

import gc
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from hp_trt import Enhancer, HpTrtError, InputError
from hp_trt.enhancer import enhancer, memory
from hp_trt.media.video import VideoReader
from hp_trt.provenance.mark import InvisibleMark, InvisibleMarkFinder
from hp_trt.provenance.sidecar import read_sidecar
from hp_trt.sample import write_driving
from tests.hp_trt.enhancer.stand_in import ALL, StandIn, frame, make_bundle, write_video
from tests.integrations.comfyui import stand_in
from tests.integrations.comfyui.stand_in import InterruptProcessingException, VideoFromFile, ran

FRAMES = 3
PLAIN = {"mark": False}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """`faces` has all graphs, `plain` the upscaler alone."""
    folder = tmp_path_factory.mktemp("bundles")
    make_bundle(folder / "faces")
    make_bundle(folder / "plain", ALL[:1])
    return folder


@pytest.fixture
def opened(nodes, bundles, monkeypatch):
    """An enhancer of one of them, as its node gives it."""
    monkeypatch.setattr(enhancer, "open_backend", lambda *_: StandIn())
    return lambda name: ran(nodes["Enhancer"], bundle=str(bundles / name))._args[0]


def batch(pictures: list[np.ndarray]) -> torch.Tensor:
    """As an IMAGE."""
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / 255)


def pixels(image: torch.Tensor) -> np.ndarray:
    return np.rint(image.numpy() * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def given() -> list[np.ndarray]:
    return [frame(number) for number in range(FRAMES)]


def test_frames_become_larger_the_same_as_in_python_and_fps_goes_through(nodes, bundles, opened, given, seen):
    made, fps, notes = ran(nodes["Enhance"], enhancer=opened("faces"), images=batch(given), fps=30.0, **PLAIN)._args
    assert made.dtype == torch.float32 and made.shape == (FRAMES, 160, 192, 3) and fps == 30.0
    assert "noise, for trying alone" in notes and "show no face" not in notes
    with Enhancer(bundles / "faces", backend=StandIn()) as direct:
        expected = [one.image for one in direct.frames(given)]
    assert np.array_equal(pixels(made), np.stack(expected))
    assert [value for _, value in seen.bars] == sorted(value for _, value in seen.bars) and seen.bars[-1] == ("7", 1.0)
    assert any(0.2 < value < 0.8 for _, value in seen.bars), "on the way"


def test_options_are_those_of_the_enhancer_and_frames_without_a_face_are_told(nodes, opened, given):
    how = {"scale": "4", "fidelity": 1.0, "face_upsample": True, **PLAIN}
    pictures = [*given, frame(3, face=False)]
    made, _, notes = ran(nodes["Enhance"], enhancer=opened("faces"), images=batch(pictures), **how)._args
    assert made.shape == (4, 320, 384, 3) and "1 of 4 frames show no face: they are enlarged alone" in notes


def test_one_image_is_a_batch_too_and_alpha_is_left_out(nodes, opened):
    image = torch.cat((batch([frame(0)]), torch.ones(1, 80, 96, 1)), dim=3).double()
    made = ran(nodes["Enhance"], enhancer=opened("plain"), images=image, **PLAIN)._args[0]
    assert np.array_equal(pixels(made)[0], frame(0).repeat(2, axis=0).repeat(2, axis=1))


def test_images_are_taken_one_by_one(nodes, opened, given, parts, monkeypatch):
    converted = []
    plain = parts("values")._array
    monkeypatch.setattr(parts("values"), "_array", lambda one: (converted.append(tuple(one.shape)), plain(one))[1])
    ran(nodes["Enhance"], enhancer=opened("plain"), images=batch(given), **PLAIN)
    assert set(converted) == {(80, 96, 3)}, "no float copy of the batch is made"


@pytest.mark.heavy  # what looks for marks takes seconds
def test_frames_are_marked_and_keep_the_mark_that_they_carry(nodes, opened, tmp_path):
    write_driving(tmp_path / "drawn.mp4", seed=3, frames=16)
    drawn = list(VideoReader(tmp_path / "drawn.mp4"))
    for given, expected in ((drawn, None), ([InvisibleMark(0x1234ABCD).embed(one) for one in drawn], 0x1234ABCD)):
        made = ran(nodes["Enhance"], enhancer=opened("plain"), images=batch(given))._args[0]
        found = InvisibleMarkFinder().find(pixels(made)).payload
        assert found is not None and expected in (None, found)


def test_a_video_goes_from_file_to_file_with_what_says_where_it_is_from(nodes, opened, given, seen, sealed, tmp_path):
    video = VideoFromFile(str(write_video(tmp_path / "talk.mp4", given, sound=True)))
    how = {"credentials": False, "consent": "asked"}
    made = ran(nodes["EnhanceVideo"], enhancer=opened("faces"), video=video, **how)
    path = Path(made._args[0].get_stream_source())
    assert path == seen.outputs / "hp-trt" / "enhanced_00001_.mp4" and "noise, for trying alone" in made._args[1]
    assert made._ui._values == [{"filename": path.name, "subfolder": "hp-trt", "type": "output"}]
    info = VideoReader(path).info
    assert (info.width, info.height, info.frames, info.has_sound) == (192, 160, FRAMES, True)
    assert read_sidecar(path.with_name(f"{path.name}.json")).consent == "asked"
    assert seen.bars[-1] == ("7", 1.0)


def test_stop_ends_both_and_leaves_nothing(nodes, opened, seen, monkeypatch, tmp_path):
    pictures = [frame(number) for number in range(30)]
    video = VideoFromFile(str(write_video(tmp_path / "talk.mp4", pictures)))

    def set_progress(_self, value, max_value, node_id=None):
        stand_in.interrupt_current_processing()

    monkeypatch.setattr(stand_in._Execution, "set_progress", set_progress)
    for node, inputs in (("Enhance", {"images": batch(pictures), **PLAIN}), ("EnhanceVideo", {"video": video})):
        with pytest.raises(InterruptProcessingException):
            ran(nodes[node], enhancer=opened("plain"), **inputs)
    assert not [path for path in seen.outputs.rglob("*") if path.is_file()]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("enhance-")]


def test_a_batch_that_does_not_fit_is_refused_with_the_way_that_streams(nodes, opened, monkeypatch):
    images = torch.zeros(1, 80, 96, 3).expand(100_000, 80, 96, 3)
    monkeypatch.setattr(memory, "available_bytes", lambda: 30 << 30)
    with pytest.raises(
        InputError, match=r"a batch of 100000 images would become 192 x 160, which takes about 3.* GiB .* 30.0 GiB are"
    ) as it:
        ran(nodes["Enhance"], enhancer=opened("plain"), images=images, **PLAIN)
    assert str(it.value).endswith("a VIDEO given to Enhance Video is never in memory as a whole")


def test_wrong_inputs_are_refused_in_one_line(nodes, opened, given):
    images, plain = batch(given), opened("plain")
    cases = [
        ("for the model hunyuanportrait, which animates", "Enhancer", {"bundle": "shipped:pocket"}),
        ("there is no bundle shipped:big", "Enhancer", {"bundle": "shipped:big"}),
        ("use it with hp-trt enhance", "Bundle", {"bundle": "shipped:enhancer_pocket"}),
        ("fidelity: only with a face restorer", "Enhance", {"enhancer": plain, "images": images, "fidelity": 0.5}),
        ("fidelity must be a number from 0 to 1", "Enhance", {"enhancer": plain, "images": images, "fidelity": -0.5}),
        ("face_upsample: only with", "Enhance", {"enhancer": plain, "images": images, "face_upsample": True}),
        ("an image is (1, H, W, 3)", "Enhance", {"enhancer": plain, "images": images[0]}),
        ("an image is (1, H, W, 3)", "Enhance", {"enhancer": plain, "images": images[:0]}),
        ("no numbers", "Enhance", {"enhancer": plain, "images": images * torch.nan}),
        ("/none.mp4", "EnhanceVideo", {"enhancer": plain, "video": VideoFromFile("/none.mp4")}),
    ]
    for says, node, inputs in cases:
        with pytest.raises(HpTrtError) as refused:
            ran(nodes[node], **inputs)
        text = str(refused.value)
        assert says in text and "\n" not in text, text


def test_the_shipped_one_says_its_licence_and_is_closed_when_nothing_holds_it(nodes):
    held, notes = ran(nodes["Enhancer"])._args
    assert notes.startswith("licence: Apache-2.0") and "no face is restored" in notes
    opened = held.enhancer
    del held
    gc.collect()
    with pytest.raises(InputError, match="closed"):
        list(opened.frames([frame(0)]))


def test_an_enhancer_that_was_built_anew_is_opened_anew(nodes, tmp_path):
    node = nodes["Enhancer"]
    assert node.fingerprint_inputs(bundle=str(tmp_path)) is None
    (tmp_path / "manifest.json").write_text(json.dumps({}))
    assert node.fingerprint_inputs(bundle=str(tmp_path))

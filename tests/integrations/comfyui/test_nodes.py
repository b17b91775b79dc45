"""The nodes make videos, on what stands in for ComfyUI: few frames, few steps, `shipped:pocket` and `talk_pocket`."""

from __future__ import annotations

import gc
import json
import wave
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from hp_trt import BundleError, FaceNotFound, InputError
from hp_trt.sample import write_sample
from tests.integrations.comfyui import stand_in
from tests.integrations.comfyui.stand_in import InterruptProcessingException, VideoFromFile, ran

FRAMES = 6
HOW = {"steps": 2, "seed": 3}
pytestmark = pytest.mark.xdist_group("comfyui")  # one runtime of each kind


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> tuple[Path, Path]:
    return write_sample(tmp_path_factory.mktemp("sample"), frames=FRAMES)


@pytest.fixture(scope="module")
def image(sample) -> torch.Tensor:
    """The portrait as an IMAGE."""
    return torch.from_numpy(np.asarray(Image.open(sample[0]).convert("RGB")).astype(np.float32) / 255)[None]


@pytest.fixture(scope="module")
def opened(nodes):
    return ran(nodes["Bundle"])._args[0]


@pytest.fixture(scope="module")
def portrait(nodes, opened, image):
    return ran(nodes["Portrait"], runtime=opened, image=image)._args[0]


@pytest.fixture(scope="module")
def speaking(nodes, image):
    """A portrait of `shipped:talk_pocket`."""
    runtime, notes = ran(nodes["Bundle"], bundle="shipped:talk_pocket")._args
    assert "vocals" in notes
    return ran(nodes["Portrait"], runtime=runtime, image=image)._args[0]


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A clip, and what ComfyUI saw of it."""

    outputs: Path
    path: Path
    pictures: list[np.ndarray]
    shown: list[dict]
    bars: list[tuple[str | None, float]]


@pytest.fixture(scope="module")
def followed(nodes, portrait, sample, tmp_path_factory) -> Followed:
    """A clip of `portrait`. Read only."""
    seen = stand_in.seen()
    seen.outputs, seen.bars = tmp_path_factory.mktemp("followed"), []
    made = ran(nodes["Animate"], portrait=portrait, driving=VideoFromFile(str(sample[1])), **HOW)
    path = Path(made._args[0].get_stream_source())
    return Followed(
        outputs=seen.outputs, path=path, pictures=pictures(path), shown=made._ui._values, bars=list(seen.bars)
    )


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def pictures(path: Path | str) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_there_are_nine_nodes_and_each_takes_what_its_schema_says(nodes):
    enlarging = ["Enhancer", "Enhance", "EnhanceVideo"]
    assert list(nodes) == ["Bundle", "Portrait", "Motion", "Animate", "Talk", *enlarging, "Verify"]
    for node in nodes.values():
        schema = node.define_schema()
        ids = [one.id for one in (*schema.inputs, *schema.outputs)]
        assert len(set(ids)) == len(ids) and schema.category == "hp-trt" and schema.description


def test_a_portrait_follows_a_video_into_a_file_among_the_outputs(followed):
    assert followed.path == followed.outputs / "hp-trt" / "animated_00001_.mp4"
    assert len(followed.pictures) == FRAMES and followed.pictures[0].shape == (512, 512, 3)
    assert not np.array_equal(followed.pictures[0], followed.pictures[-1])
    assert followed.shown == [{"filename": followed.path.name, "subfolder": "hp-trt", "type": "output"}]


def test_a_bar_goes_to_its_end_and_never_back(followed):
    values = [value for _, value in followed.bars]
    assert {node for node, _ in followed.bars} == {"7"}
    assert values == sorted(values) and len(values) > 4 and values[-1] == 1.0
    assert any(0.1 < value < 0.8 for value in values), "while it is denoised"


def test_a_video_in_memory_is_the_same_video(nodes, portrait, sample, followed, seen):
    (seen.outputs / "hp-trt").mkdir()
    (seen.outputs / "hp-trt" / "animated_00004_.mp4").touch()
    in_memory = VideoFromFile(BytesIO(sample[1].read_bytes()))
    video = ran(nodes["Animate"], portrait=portrait, driving=in_memory, **HOW)._args[0]
    assert Path(video.get_stream_source()).name == "animated_00005_.mp4"
    assert same(pictures(video.get_stream_source()), followed.pictures)


def test_a_motion_file_stands_for_its_video(nodes, opened, portrait, sample, followed, seen):
    motion, path = ran(nodes["Motion"], runtime=opened, driving=VideoFromFile(str(sample[1])))._args
    assert Path(path) == motion == seen.outputs / "hp-trt" / "motion_00001_.motion.safetensors"
    taken = ran(nodes["Motion"], file=path)._args[0]
    video = ran(nodes["Animate"], portrait=portrait, motion=taken, **HOW)._args[0]
    assert same(pictures(video.get_stream_source()), followed.pictures)


def test_stop_ends_a_clip_and_leaves_nothing(nodes, portrait, sample, seen, monkeypatch):
    def set_progress(_self, value, max_value, node_id=None):
        if value > 0.3:
            stand_in.interrupt_current_processing()

    monkeypatch.setattr(stand_in._Execution, "set_progress", set_progress)
    with pytest.raises(InterruptProcessingException):
        ran(nodes["Animate"], portrait=portrait, driving=VideoFromFile(str(sample[1])), steps=3)
    assert not seen.interrupted, "ComfyUI has heard of it"
    assert not [path for path in seen.outputs.rglob("*") if path.is_file()]


def test_a_portrait_speaks_with_its_sound(nodes, speaking, seen):
    rate = 16_000
    tone = torch.sin(torch.arange(rate // 4) * 0.2)[None, None].repeat(1, 2, 1) * 0.3
    audio = {"waveform": tone, "sample_rate": rate}
    made = ran(nodes["Talk"], portrait=speaking, audio=audio, steps=1, mood="happy", mood_strength=0.5)
    path = Path(made._args[0].get_stream_source())
    assert path.parent == seen.outputs / "hp-trt" and len(pictures(path)) >= 6
    with av.open(str(path)) as container:
        heard = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)])
    assert 0.1 < np.abs(heard).max() < 0.5


def test_what_is_made_is_found_by_verify(nodes, portrait, sample, followed, sealed):
    how = {"steps": 1, "credentials": False, "consent": "asked"}
    video = ran(nodes["Animate"], portrait=portrait, driving=VideoFromFile(str(sample[1])), **how)._args[0]
    made = ran(nodes["Verify"], video=video)
    verdict, report = made._args
    assert verdict == "intact" and made._ui._value.startswith(video.get_stream_source())
    found = json.loads(report)
    assert found["sidecar"]["consent"] == "asked" and found["mark"]["id"]
    assert ran(nodes["Verify"], file=str(followed.path))._args[0] == "nothing", "nor is there anything in it"


def test_a_bundle_is_closed_when_nothing_holds_it_any_more(nodes):
    opened = ran(nodes["Bundle"])._args[0]
    runtime = opened.runtime
    del opened
    gc.collect()
    with pytest.raises(InputError, match="closed"):
        runtime.portrait(np.zeros((64, 64, 3), np.uint8))


def test_a_bundle_that_was_built_anew_is_opened_anew(nodes, tmp_path):
    node = nodes["Bundle"]
    assert node.fingerprint_inputs(bundle=str(tmp_path), profile="exact") is None
    (tmp_path / "manifest.json").write_text("{}")
    first = node.fingerprint_inputs(bundle=str(tmp_path), profile="exact")
    (tmp_path / "manifest.json").write_text("{ }")
    assert first and node.fingerprint_inputs(bundle=str(tmp_path), profile="exact") != first
    assert node.fingerprint_inputs(bundle="shipped:nothing") is None


def test_wrong_inputs_are_refused_in_one_line(nodes, opened, portrait, speaking, image, sample, seen):
    video = VideoFromFile(str(sample[1]))
    cases = [
        (BundleError, "no bundle at", nodes["Bundle"], {"bundle": "/none/at/all"}),
        (InputError, "there is no profile", nodes["Bundle"], {"profile": "exactly"}),
        (InputError, "one of image and file is needed, got none", nodes["Portrait"], {"runtime": opened}),
        (InputError, "a batch of 2", nodes["Portrait"], {"runtime": opened, "image": image.repeat(2, 1, 1, 1)}),
        (FaceNotFound, "face", nodes["Portrait"], {"runtime": opened, "image": torch.zeros(1, 64, 64, 3)}),
        (InputError, "no numbers", nodes["Portrait"], {"runtime": opened, "image": image * torch.nan}),
        (InputError, "got none", nodes["Animate"], {"portrait": portrait}),
        (InputError, "speech", nodes["Animate"], {"portrait": speaking, "driving": video}),
        (InputError, "driving and audio", nodes["Motion"], {"driving": video, "audio": {}}),
        (InputError, "connect a Bundle", nodes["Motion"], {"driving": video}),
        (InputError, "no motion file at", nodes["Motion"], {"file": "/none.safetensors"}),
        (InputError, "/none.mp4", nodes["Verify"], {"file": "/none.mp4"}),
    ]
    for kind, says, node, inputs in cases:
        with pytest.raises(kind) as refused:
            ran(node, **inputs)
        assert says.removeprefix("driving and audio") in str(refused.value) and "\n" not in str(refused.value)
    assert not [path for path in seen.outputs.rglob("*") if path.is_file()]


def test_a_cut_video_is_written_and_a_whole_one_is_not(parts, sample, tmp_path):
    class Cut(VideoFromFile):
        def get_active_trim_window(self):
            return 0.04, 0.08

        def save_to(self, path):
            Path(path).write_bytes(b"cut")

    values = parts("values")
    with values.file_of_video(VideoFromFile(str(sample[1]))) as path:
        assert path == sample[1]
    with values.file_of_video(Cut(str(sample[1]))) as path:
        assert path.read_bytes() == b"cut"
    assert not path.exists()


def test_an_image_gives_its_own_bits_back(parts):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    for kind in (torch.float32, torch.float64):
        image = torch.from_numpy(pixels).to(kind) / 255
        assert np.array_equal(parts("values").picture_of(image), pixels[0])
    assert parts("values").picture_of(torch.full((1, 2, 2, 4), 2.0)).max() == 255


def test_sound_is_kept_to_its_last_bit(parts):
    samples = np.random.default_rng(0).uniform(-1, 1, (1, 2, 999)).astype(np.float32)
    audio = {"waveform": torch.from_numpy(samples), "sample_rate": 44_100}
    with parts("values").file_of_audio(audio) as path:
        with pytest.raises(wave.Error, match="unknown format: 3"):  # floats: not of the module, but of FFmpeg
            wave.open(str(path)).close()
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            assert (stream.rate, stream.channels, stream.codec.name) == (44_100, 2, "pcm_f32le")
            heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
    assert np.array_equal(heard, samples[0].T.reshape(-1))
    with pytest.raises(InputError, match="channels"), parts("values").file_of_audio({**audio, "waveform": samples[0]}):
        pass

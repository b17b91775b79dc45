"""The model streams the frames of a Runtime, on what stands in for Triton: few frames, one step, shipped bundles."""

from __future__ import annotations

import importlib.util
import json
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from hp_trt import RuntimeConfig
from hp_trt.provenance.mark import InvisibleMarkFinder
from hp_trt.sample import write_sample
from hp_trt.shipped import bundle_folder
from integrations.triton.repository import ExportConfig, export_repository
from tests.integrations.triton import stand_in
from tests.integrations.triton.stand_in import answers, request

FRAMES = 6
pytestmark = pytest.mark.xdist_group("triton")  # one runtime
BARE = json.dumps({"steps": 1, "mark": False, "crop": True})


@pytest.fixture(scope="module")
def utilities():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "triton_python_backend_utils", stand_in.module())
        yield


def served(folder: Path, preset: str, **parameters: str):
    """The model of a repository, loaded as the backend does: by its file, with its config as JSON."""
    out = folder / "repo"
    runtime = RuntimeConfig(threads=2, **parameters)
    export_repository(ExportConfig(bundle=bundle_folder(preset), out=out, runtime=runtime, only=("stitch",)))
    spec = importlib.util.spec_from_file_location("1.model", out / "hp_trt" / "1" / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize(args_of(out))
    return model


def args_of(out: Path) -> dict[str, str]:
    config = text_format.Parse((out / "hp_trt" / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    as_json = json_format.MessageToJson(config, preserving_proto_field_name=True)
    return {
        "model_config": as_json,
        "model_instance_kind": "CPU",
        "model_instance_device_id": "0",
        "model_repository": str(out / "hp_trt"),
        "model_version": "1",
        "model_name": "hp_trt",
    }


@pytest.fixture(scope="module")
def model(utilities, tmp_path_factory):
    found = served(tmp_path_factory.mktemp("served"), "shipped:pocket")
    yield found
    found.finalize()


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> tuple[bytes, bytes]:
    portrait, driving = write_sample(tmp_path_factory.mktemp("sample"), frames=FRAMES)
    return portrait.read_bytes(), driving.read_bytes()


@pytest.fixture(scope="module")
def first(model, sample) -> list[dict[str, np.ndarray]]:
    """What a client gets of a clip, as plain as can be. Read only."""
    asked = request(portrait=sample[0], driving=sample[1], options=BARE)
    assert model.execute([asked]) is None
    return answers(asked)


def test_frames_come_one_by_one_as_a_runtime_makes_them(model, sample, first, tmp_path):
    assert [int(frame["index"][0]) for frame in first] == list(range(FRAMES))
    assert [frame["time_s"][0] for frame in first] == [number / 25 for number in range(FRAMES)]
    assert {int(frame["mark_id"][0]) for frame in first} == {-1}
    (tmp_path / "p.png").write_bytes(sample[0])
    (tmp_path / "d.mp4").write_bytes(sample[1])
    own = list(model._runtime.frames(tmp_path / "p.png", tmp_path / "d.mp4", steps=1))
    for frame, ours in zip(first, own, strict=True):
        assert frame["frame"].dtype == np.uint8 and np.array_equal(frame["frame"], ours.crop)


def test_two_requests_are_answered_and_frames_are_marked_unless_somebody_says_no(model, sample, first):
    options = json.dumps({"steps": 1, "mark_id": "0badcafe", "label": True})
    marked = request(portrait=sample[0], driving=sample[1], options=options)
    wrong = request(portrait=sample[0], driving=b"no video")
    model.execute([wrong, marked])
    with pytest.raises(RuntimeError):
        answers(wrong)
    found = answers(marked)
    pictures = [frame["frame"] for frame in found]
    assert len(found) == FRAMES and pictures[0].shape == (512, 512, 3)
    assert InvisibleMarkFinder().find(pictures).payload == 0x0BADCAFE == int(found[0]["mark_id"][0])


def test_a_client_that_goes_ends_its_request_between_two_frames(model, sample):
    asked = request(cancel_after=2, portrait=sample[0], driving=sample[1], options=BARE)
    model.execute([asked])
    sender = asked._sender
    assert sender._final == 1 and 2 <= len(sender._sent) - 1 < FRAMES
    assert sender._sent[-1].error().code() == stand_in.TritonError.CANCELLED


def test_a_client_that_has_gone_is_noticed_before_the_first_frame(model, sample):
    asked = request(cancel_after=0, portrait=sample[0], driving=sample[1], options=BARE)
    asked._sender._cancelled.set()
    model.execute([asked])
    (only,) = asked._sender._sent
    assert only.error().code() == stand_in.TritonError.CANCELLED and asked._sender._final == 1


def test_wrong_requests_are_refused_in_one_line_and_are_final(model, sample):
    portrait, driving = sample
    cases = [
        ("a portrait is needed", {"driving": driving}),
        ("got neither", {"portrait": portrait}),
        ("got both", {"portrait": portrait, "driving": driving, "audio": driving}),
        ("speech", {"portrait": portrait, "audio": driving}),
        ("the portrait", {"portrait": b"no picture", "driving": driving}),
        ("there is no 'stepz'", {"portrait": portrait, "driving": driving, "options": '{"stepz": 1}'}),
        ("steps must be a whole number", {"portrait": portrait, "driving": driving, "options": '{"steps": "1"}'}),
        ("8 hex digits", {"portrait": portrait, "driving": driving, "options": '{"mark_id": "x"}'}),
        ("options cannot be used", {"portrait": portrait, "driving": driving, "options": "no JSON"}),
        ("letters", {"portrait": portrait, "driving": driving, "options": " " * 20_000}),
        ("mood", {"portrait": portrait, "driving": driving, "options": '{"mood": "happy"}'}),
    ]
    for says, inputs in cases:
        asked = request(**inputs)
        model.execute([asked])
        (only,) = asked._sender._sent
        message = only.error().message()
        assert says in message and "\n" not in message, message
        assert only.error().code() == stand_in.TritonError.INVALID_ARG and asked._sender._final == 1
        assert "/" not in message or "options" in inputs, "no folder of the server's"


def test_speech_moves_a_portrait_of_a_bundle_that_speaks(utilities, sample, tmp_path):
    model = served(tmp_path, "shipped:talk_pocket")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(4000) * 0.2) * 9000).astype("<i2").tobytes())
    options = json.dumps({"steps": 1, "mood": "happy:0.5"})
    asked = request(portrait=sample[0], audio=(tmp_path / "a.wav").read_bytes(), options=options)
    model.execute([asked])
    found = answers(asked)
    assert len(found) >= 6 and {int(frame["mark_id"][0]) for frame in found} != {-1}
    model.finalize()


def test_a_model_that_cannot_be_is_told_when_it_is_loaded(utilities, model, tmp_path):
    kind, refused = type(model), stand_in.TritonModelException
    config = {"parameters": {"profile": {"string_value": "exactly"}}}
    args = {"model_name": "hp_trt", "model_instance_kind": "CPU", "model_instance_device_id": "0"}
    with pytest.raises(refused, match=r"set model_transaction_policy \{ decoupled: true \}"):
        kind().initialize({**args, "model_config": json.dumps(config)})
    config["model_transaction_policy"] = {"decoupled": True}
    with pytest.raises(refused, match="there is no profile"):
        kind().initialize({**args, "model_config": json.dumps(config)})
    for wrong in ({"threads": "many"}, {"thread": "1"}):
        config["parameters"] = {name: {"string_value": value} for name, value in wrong.items()}
        with pytest.raises(refused, match=r"config\.pbtxt cannot be used"):
            kind().initialize({**args, "model_config": json.dumps(config)})

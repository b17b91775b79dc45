"""A repository is whole, loads in a plain ONNX Runtime to the same bits, and replaces nothing but one of its own."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from engines.bundle import Bundle
from engines.errors import EngineMismatch
from engines.onnx_backend import OnnxBackend
from engines.plan_choice import platform_name
from engines.plans import PlanOptions, Target
from engines.spec import NetworkSpec
from hp_trt import BundleError, InputError, OutputError, RuntimeConfig
from hp_trt.shipped import bundle_folder
from integrations.triton import repository
from integrations.triton.export import main
from integrations.triton.repository import ExportConfig, export_repository
from tests.engines.bundles import make_bundle_with_plans
from tests.hp_trt.command_line import as_typed, refused


def config_of(out: Path, preset: str = "shipped:pocket", **more) -> ExportConfig:
    runtime = more.pop("runtime", RuntimeConfig())
    return ExportConfig(bundle=bundle_folder(preset), out=out, runtime=runtime, **more)


@pytest.fixture(scope="module", params=["shipped:pocket", "shipped:talk_pocket"])
def exported(request, tmp_path_factory) -> tuple[str, Path]:
    """A preset and its repository. Read only."""
    out = tmp_path_factory.mktemp("exported") / "repo"
    export_repository(config_of(out, request.param))
    return request.param, out


def inputs_of(spec: NetworkSpec) -> dict[str, np.ndarray]:
    """Some, of the sizes that are often."""
    rng = np.random.default_rng(0)
    found = {}
    for tensor in spec.inputs:
        shape = [spec.ranges[dim].opt if isinstance(dim, str) else dim for dim in tensor.dims]
        found[tensor.name] = (rng.random(shape) * (0 if "int" in tensor.dtype else 1)).astype(tensor.dtype)
    return found


def graph_file(out: Path, name: str) -> Path:
    found = out / name / "1" / "model.onnx"
    return found / "model.onnx" if found.is_dir() else found


def test_every_graph_is_a_model_that_a_plain_onnx_runtime_loads(exported):
    preset, out = exported
    graphs = Bundle.open(bundle_folder(preset), family="").manifest.graphs
    assert {path.name for path in out.iterdir()} == {"hp_trt", *graphs}
    for name, graph in graphs.items():
        config = text_format.Parse((out / name / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
        assert config.name == name
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(graph_file(out, name)), options, ["CPUExecutionProvider"])
        assert [node.name for node in session.get_inputs()] == [tensor.name for tensor in graph.spec.inputs]
        assert [node.name for node in session.get_outputs()] == [tensor.name for tensor in graph.spec.outputs]


COMPUTED = {"shipped:pocket": ("tiny_decoder", "motion"), "shipped:talk_pocket": ("audio_tokens",)}


def test_an_exported_graph_computes_what_ours_does_to_the_last_bit(exported):
    preset, out = exported
    for name in COMPUTED[preset]:
        compare(preset, out, name)


def compare(preset: str, out: Path, name: str) -> None:
    bundle = Bundle.open(bundle_folder(preset), family="")
    given = inputs_of(bundle.spec(name))
    backend = OnnxBackend(threads=1)
    ours = backend.load(bundle.spec(name), bundle.model_path(name))
    made = {key: np.array(value) for key, value in ours.run(given).items()}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.use_deterministic_compute = 1, True
    session = onnxruntime.InferenceSession(str(graph_file(out, name)), options, ["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    for key, value in zip(names, session.run(names, given), strict=True):
        assert np.array_equal(value, made[key]), key
    backend.close()


def test_the_runtimes_model_has_its_bundle_and_nothing_is_on_the_disk_twice(exported):
    preset, out = exported
    inside = Bundle.open(out / "hp_trt" / "1" / "bundle")
    assert inside.manifest == Bundle.open(bundle_folder(preset), family="").manifest
    for name, graph in inside.manifest.graphs.items():
        assert os.path.samefile(graph_file(out, name), inside.path / graph.main)
    assert (out / "hp_trt" / "1" / "model.py").read_bytes() == Path(repository._CODE).read_bytes()


def test_files_are_linked_to_the_bundle_or_copied_where_that_is_asked_for(tmp_path):
    source = bundle_folder("shipped:pocket") / "pocket.safetensors"
    copied = export_repository(config_of(tmp_path / "copied", copy=True, only=("motion",)))
    inside = tmp_path / "copied" / "hp_trt" / "1" / "bundle" / source.name
    assert not os.path.samefile(inside, source) and copied.linked_bytes == 0
    assert copied.copied_bytes == sum(path.stat().st_size for path in inside.parent.iterdir())
    assert os.path.samefile(inside, tmp_path / "copied" / "motion" / "1" / "model.onnx" / source.name)
    assert copied.graphs == ["motion"] and {p.name for p in (tmp_path / "copied").iterdir()} == {"hp_trt", "motion"}


def test_where_there_are_no_links_files_are_copied(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(18, "cross-device")))
    made = export_repository(config_of(tmp_path / "repo", only=("live_stitch",)))
    assert made.linked_bytes == 0 and made.copied_bytes > 20e6
    Bundle.open(tmp_path / "repo" / "hp_trt" / "1" / "bundle")


def test_a_repository_of_ours_is_made_anew_and_another_folder_is_let_be(tmp_path):
    out = tmp_path / "repo"
    out.mkdir()
    export_repository(config_of(out, only=("motion",)))
    (out / "hp_trt" / "1" / "__pycache__").mkdir()
    (out / "hp_trt" / "1" / "__pycache__" / "model.cpython-312.pyc").touch()  # a server has run it
    export_repository(config_of(out, only=("stitch",)))
    assert {path.name for path in out.iterdir()} == {"hp_trt", "stitch"}
    assert {path.name for path in tmp_path.iterdir()} == {"repo"}

    text = out / "stitch" / "config.pbtxt"
    was = text.read_text()
    text.write_text(was + "instance_group [ { count: 2 } ]\n")
    with pytest.raises(OutputError, match=r"stitch/config.pbtxt was changed since"):
        config_of(out)
    text.write_text(was)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes.txt, which was not exported"):
        config_of(out)
    (out / "notes.txt").unlink()
    (out / "hp_trt" / "repository.json").write_text('{"format": "x"}')
    with pytest.raises(OutputError, match="is not empty, and is no repository"):
        config_of(out)


def test_what_fails_on_the_way_leaves_what_was_there(tmp_path, monkeypatch):
    out = tmp_path / "repo"
    export_repository(config_of(out, only=("motion",)))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.stat().st_size < 10**5}

    def full(*_given) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left"):
        export_repository(config_of(out))
    with pytest.raises(OutputError, match="No space left"):
        export_repository(config_of(tmp_path / "new"))
    assert {path.name for path in tmp_path.iterdir()} == {"repo"}
    assert {path: path.read_bytes() for path in before} == before
    monkeypatch.undo()
    rename = os.rename

    def once(source, target):
        if Path(target) == out and Path(source).name != "old":
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", once)
    with pytest.raises(OutputError, match="Input/output error"):
        export_repository(config_of(out))
    assert {path.name for path in tmp_path.iterdir()} == {"repo"}
    assert {path: path.read_bytes() for path in before} == before


@pytest.fixture
def any_model(monkeypatch):
    """Bundles of any bytes: no model is asked whether it can do with them."""
    monkeypatch.setattr(repository, "check_runs", lambda *_given: None)


def with_plans(path: Path, **options) -> Target:
    """A bundle at `path` with plans of the target."""
    target = Target(
        family="tensorrt",
        version="10.16.1.11",
        capabilities=("9.0",),
        gpu="NVIDIA H200",
        platform=platform_name(),
        options=PlanOptions(**options),
    )
    make_bundle_with_plans(path, target, a=b"graph a", b=b"graph b")
    return target


def test_plans_of_a_target_become_models_of_tensorrt(tmp_path, any_model):
    target = with_plans(tmp_path / "b")
    name = target.folder.rpartition("/")[2]
    runtime = RuntimeConfig(family="tensorrt")
    made = export_repository(
        ExportConfig(bundle=tmp_path / "b", out=tmp_path / "repo", runtime=runtime, target=name[:12])
    )
    bundle = Bundle.open(tmp_path / "repo" / "hp_trt" / "1" / "bundle", family="tensorrt")
    for graph in ("a", "b"):
        plan = bundle.path / bundle.manifest.engines[target.folder].plans[graph].main
        assert os.path.samefile(plan, tmp_path / "repo" / graph / "1" / "model.plan")
        text = (tmp_path / "repo" / graph / "config.pbtxt").read_text()
        assert text_format.Parse(text, model_config_pb2.ModelConfig()).platform == "tensorrt_plan"
    assert made.notes == ["plans run on NVIDIA H200 in TensorRT 10.16.1.11 alone"]
    told = text_format.Parse((tmp_path / "repo/hp_trt/config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert told.parameters["family"].string_value == "tensorrt"
    graphs = export_repository(ExportConfig(bundle=tmp_path / "b", out=tmp_path / "plain", runtime=RuntimeConfig()))
    assert graphs.graphs == ["a", "b"]
    plain = Bundle.open(tmp_path / "plain" / "hp_trt" / "1" / "bundle", family="")
    assert not (plain.path / "engines").exists(), "plans of another family stay where they were"


def test_plans_that_triton_could_not_run_are_refused(tmp_path, any_model):
    runtime = RuntimeConfig(family="tensorrt")
    with_plans(tmp_path / "stripped", strip=True)
    with pytest.raises(EngineMismatch, match="plans without weights"):
        export_repository(ExportConfig(bundle=tmp_path / "stripped", out=tmp_path / "o", runtime=runtime))
    with_plans(tmp_path / "b")
    with pytest.raises(InputError, match="--target x names none of tensorrt-"):
        export_repository(ExportConfig(bundle=tmp_path / "b", out=tmp_path / "o", runtime=runtime, target="x"))
    with pytest.raises(EngineMismatch, match="holds no plans for tensorrt; build them"):
        export_repository(config_of(tmp_path / "o", runtime=runtime))
    with pytest.raises(InputError, match=r"family is onnxruntime or tensorrt, got openvino"):
        config_of(tmp_path / "o", runtime=RuntimeConfig(family="openvino"))
    with pytest.raises(InputError, match="one of TensorRT's sets"):
        config_of(tmp_path / "o", target="x")
    assert not (tmp_path / "o").exists()


def test_a_damaged_bundle_and_a_graph_that_is_not_there_are_refused(tmp_path):
    shutil.copytree(bundle_folder("shipped:pocket"), tmp_path / "b")
    file = tmp_path / "b" / "motion.onnx"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(BundleError, match=r"motion\.onnx"):
        export_repository(ExportConfig(bundle=tmp_path / "b", out=tmp_path / "o", runtime=RuntimeConfig()))
    with pytest.raises(InputError, match="has no graph nothing; there are appearance"):
        export_repository(config_of(tmp_path / "o", only=("nothing",)))
    with pytest.raises(InputError, match="no profile"):
        export_repository(config_of(tmp_path / "o", runtime=RuntimeConfig(profile="exactly")))
    assert not (tmp_path / "o").exists()


def test_the_command_says_what_it_wrote(tmp_path, monkeypatch, capfd):
    words = ("export", "--bundle", "shipped:pocket", "--out", tmp_path / "r", "--only", "stitch", "--profile", "live")
    ended = as_typed(main, *words, "--json", patch=monkeypatch, capture=capfd)
    said = json.loads(ended.out.splitlines()[-1])
    assert ended.code == 0 and said["graphs"] == ["stitch"] and said["linked_bytes"] + said["copied_bytes"] > 20e6
    told = text_format.Parse((tmp_path / "r/hp_trt/config.pbtxt").read_text(), model_config_pb2.ModelConfig())
    assert {key: value.string_value for key, value in told.parameters.items()} == {"profile": "live"}
    inside = bundle_folder("shipped:pocket") / "repo"
    words = ("export", "--bundle", "shipped:pocket", "--out", inside)
    refused(as_typed(main, *words, patch=monkeypatch, capture=capfd), "which is the bundle")
    assert not inside.exists()

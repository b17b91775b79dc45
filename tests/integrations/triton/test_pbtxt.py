"""Configs are parsed by Triton's own protobuf, and say what the promises say."""

from __future__ import annotations

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from engines.bundle import Bundle
from engines.spec import DTYPES, DimRange, NetworkSpec, TensorSpec
from hp_trt.shipped import bundle_folder
from integrations.triton.pbtxt import TYPES, graph_config, runtime_config


def parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def type_name(tensor) -> str:
    return model_config_pb2.DataType.Name(tensor.data_type)


@pytest.mark.parametrize("preset", ["shipped:pocket", "shipped:talk_pocket"])
@pytest.mark.parametrize(("backend", "platform"), [("onnxruntime", "onnxruntime_onnx"), ("tensorrt", "tensorrt_plan")])
def test_a_graphs_config_says_what_its_promise_says(preset, backend, platform):
    graphs = Bundle.open(bundle_folder(preset), family="").manifest.graphs
    assert len(graphs) > 9
    for name, graph in graphs.items():
        config = parsed(graph_config(graph.spec, backend))
        assert (config.name, config.platform, config.backend) == (name, platform, backend)
        assert config.max_batch_size == 0 and not config.HasField("dynamic_batching")
        for told, promised in ((config.input, graph.spec.inputs), (config.output, graph.spec.outputs)):
            assert [one.name for one in told] == [one.name for one in promised]
            assert [type_name(one) for one in told] == [TYPES[one.dtype] for one in promised]
            sizes = [[-1 if isinstance(dim, str) else dim for dim in one.dims] for one in promised]
            assert [list(one.dims) for one in told] == sizes


def test_every_type_that_graphs_may_have_is_one_of_tritons():
    assert set(TYPES) == set(DTYPES)
    assert set(TYPES.values()) <= set(model_config_pb2.DataType.keys())


def test_a_tensor_without_dimensions_is_told_as_one_and_how_far_sizes_go_stands_beside():
    spec = NetworkSpec(
        name="odd",
        inputs=(TensorSpec(name="x", dims=("rows",), dtype="bool"), TensorSpec(name="t", dims=(), dtype="float16")),
        outputs=(TensorSpec(name="y", dims=("rows", 2), dtype="uint8"),),
        ranges={"rows": DimRange(min=1, opt=2, max=3)},
    )
    text = graph_config(spec, "onnxruntime")
    assert "# rows: 1 to 3, often 2" in text.splitlines()
    config = parsed(text)
    assert list(config.input[1].dims) == [1] and config.input[1].HasField("reshape")
    assert list(config.input[1].reshape.shape) == [] and not config.input[0].HasField("reshape")


@pytest.mark.parametrize("on_gpu", [False, True])
def test_the_runtimes_model_is_decoupled_and_its_parameters_come_back_as_they_were(on_gpu):
    given = {"profile": "live", "arcface": '/a "b"\\c\t\x01ü/x.onnx'}
    config = parsed(runtime_config("hp_trt", given, on_gpu=on_gpu))
    assert config.name == "hp_trt" and config.backend == "python" and config.model_transaction_policy.decoupled
    assert config.max_batch_size == 0
    assert {key: value.string_value for key, value in config.parameters.items()} == given
    (group,) = config.instance_group
    kinds = model_config_pb2.ModelInstanceGroup.Kind
    assert (group.count, group.kind) == (1, kinds.Value("KIND_GPU" if on_gpu else "KIND_CPU"))
    assert {one.name: one.optional for one in config.input} == {
        "portrait": False,
        "driving": True,
        "audio": True,
        "options": True,
    }
    assert [(one.name, type_name(one), list(one.dims)) for one in config.output] == [
        ("frame", "TYPE_UINT8", [-1, -1, 3]),
        ("index", "TYPE_INT64", [1]),
        ("time_s", "TYPE_FP64", [1]),
        ("mark_id", "TYPE_INT64", [1]),
    ]

"""What is said about attention: by kernels' rules, by hand-made graphs, and by an inspector's answer as text."""

from __future__ import annotations

import json

import onnx
import pytest
from onnx import TensorProto, helper

from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.plans.attention import attention_line, find_attention, is_fused, read_engine, size_of, summary

SPEC = NetworkSpec(
    name="g",
    inputs=(TensorSpec(name="q", dims=("rows", 2, 10, 64), dtype="float16"),),
    outputs=(TensorSpec(name="y", dims=("rows", 2, 10, 64), dtype="float16"),),
    ranges={"rows": DimRange(min=1, opt=2, max=3)},
)


def graph(path, nodes, shapes, dtype=TensorProto.FLOAT16):
    """A graph from `q` to `y`; `shapes`: of the values that are asked for."""
    values = {name: helper.make_tensor_value_info(name, dtype, dims) for name, dims in shapes.items()}
    made = helper.make_graph(
        nodes,
        "g",
        [values.pop("q")],
        [helper.make_tensor_value_info("y", dtype, None)],
        value_info=list(values.values()),
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 23)]), path)
    return path


def attention_graph(path, width=64, dtype=TensorProto.FLOAT16, queries=10, keys=70):
    node = helper.make_node("Attention", ["q", "k", "k"], ["y"], name="ask")
    shapes = {"q": ["25*rows", 2, queries, width], "k": ["25*rows", 2, keys, width]}
    return graph(path, [node], shapes, dtype)


@pytest.mark.parametrize(
    ("dtype", "query", "fused"),
    [
        ("float16", (2, 5, 10, 64), True),
        ("float16", (1, 2, 10, 32), True),
        ("float16", (-1, 1, 10, 64), True),
        ("bfloat16", (2, 5, -1, 128), True),
        ("float16", (2, 5, 10, 512), False),
        ("float32", (2, 5, 10, 64), False),
        ("float16", (2, 5, 1, 64), False),
        ("float16", (1, 1, 10, 64), False),
    ],
)
def test_fused_kernels_exist_for_these(dtype, query, fused):
    assert is_fused(dtype, query) is fused
    assert is_fused(dtype, query, rtx=True) is fused


def test_heads_160_wide_have_a_kernel_in_one_family_for_sure(tmp_path):
    """So the other may take them apart, and whoever builds hears how large their maps are."""
    assert [is_fused("float16", (2, 5, 10, 160), rtx=rtx) for rtx in (False, True)] == [False, True]
    path = attention_graph(tmp_path / "g.onnx", width=160)
    facts = [summary(find_attention(path, SPEC, rtx=rtx)) for rtx in (False, True)]
    assert [(one["fused"], len(one["score_maps"])) for one in facts] == [(0, 1), (1, 0)]


def test_an_attention_with_a_kernel_keeps_its_scores_to_itself(tmp_path):
    facts = summary(find_attention(attention_graph(tmp_path / "g.onnx"), SPEC))
    assert facts == {
        "count": 1,
        "fused": 1,
        "loose": 0,
        "from": "network",
        "kinds": [{"kind": "fused", "dtype": "float16", "head_width": 64, "count": 1}],
        "score_maps": [],
    }
    assert attention_line(facts) == "1 attention, fused"


@pytest.mark.parametrize(
    ("queries", "keys", "loose"),
    [(25, 25, 1), (32, 32, 1), (33, 25, 0), (25, 33, 0), ("rows", "rows", 1), ("rows", 64, 0)],
)
def test_a_small_attention_may_be_taken_apart_whatever_kernels_there_are(tmp_path, queries, keys, loose):
    """A window's frames among themselves: fixed in a clip's denoiser, free in a live one's."""
    facts = summary(find_attention(attention_graph(tmp_path / "g.onnx", queries=queries, keys=keys), SPEC))
    assert (facts["fused"], facts["loose"], facts["score_maps"]) == (1, loose, [])
    assert attention_line(facts) == "1 attention, fused" + loose * ", 1 of them only where there is a kernel"


@pytest.mark.parametrize(("width", "dtype", "size"), [(512, TensorProto.FLOAT16, 2), (64, TensorProto.FLOAT, 4)])
def test_one_without_a_kernel_may_write_them_and_how_large_they_are_is_said(tmp_path, width, dtype, size):
    facts = summary(find_attention(attention_graph(tmp_path / "g.onnx", width, dtype), SPEC))
    assert facts["score_maps"] == [
        {
            "name": "ask",
            "opt": [50, 2, 10, 70],
            "max": [75, 2, 10, 70],
            "opt_bytes": 50 * 2 * 10 * 70 * size,
            "max_bytes": 75 * 2 * 10 * 70 * size,
        }
    ]
    assert attention_line(facts).startswith(
        "0 of 1 attention fused; without a fused kernel ask may write scores of 50 x 2 x 10 x 70, 0."
    )


def test_products_with_a_softmax_between_them_are_found(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["s"]),
        helper.make_node("Mul", ["s", "scale"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["p"], name="spelled"),
        helper.make_node("Cast", ["p"], ["c"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["c", "v"], ["y"]),
    ]
    path = graph(tmp_path / "g.onnx", nodes, {"q": ["rows", 10, 64], "scaled": ["rows", 10, 7]})
    found = find_attention(path, SPEC)
    assert [(a.name, a.kind, a.opt, a.max) for a in found] == [("spelled", "spelled out", (2, 10, 7), (3, 10, 7))]


@pytest.mark.parametrize("after", ["Transpose", "Relu"])
def test_a_softmax_for_itself_is_no_attention(tmp_path, after):
    nodes = [
        helper.make_node("MatMul", ["q", "k"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"], name="probabilities"),
        helper.make_node(after, ["p"], ["t"]),
        helper.make_node("MatMul", ["t", "v"], ["y"]),
    ]
    path = graph(tmp_path / "g.onnx", nodes, {"q": ["rows", 10, 64], "s": ["rows", 10, 7]})
    facts = summary(find_attention(path, SPEC))
    assert facts["count"] == 0 and attention_line(facts) == "no attention"


def engine(*shapes) -> str:
    outputs = [{"Name": "t", "Dimensions": list(shape), "Datatype": "Half"} for shape in shapes]
    layers = [{"Name": f"layer{i}", "LayerType": "kgen", "Outputs": [o]} for i, o in enumerate(outputs)]
    return json.dumps({"Layers": [*layers, "name alone"]})


def test_an_engine_that_writes_a_score_map_is_found_out(tmp_path):
    found = find_attention(attention_graph(tmp_path / "g.onnx"), SPEC)
    facts = read_engine(engine((75, 2, 10, 64), (75, 2, 10, 70), (10, 70)), found)
    assert facts["from"] == "engine"
    assert facts["written"] == [{"layer": "layer1", "shape": [75, 2, 10, 70]}]
    assert attention_line(facts) == "1 attention, fused; score maps that the engine writes: 1"


def test_an_engine_that_writes_none_says_so(tmp_path):
    facts = read_engine(engine((75, 2, 10, 64)), find_attention(attention_graph(tmp_path / "g.onnx"), SPEC))
    assert facts["written"] == []
    assert attention_line(facts) == "1 attention, fused; score maps that the engine writes: 0"


@pytest.mark.parametrize(("text", "value"), [("rows", 3), ("25*rows", 75), ("2*rows + 1", 7), ("rows//2", 1), ("9", 9)])
def test_dimensions_are_computed_as_the_exporter_writes_them(text, value):
    assert size_of(text, {"rows": 3}) == value


def test_a_dimension_that_is_not_arithmetic_is_not_run():
    with pytest.raises(ValueError, match="cannot read the dimension"):
        size_of("__import__('os').getpid()", {})

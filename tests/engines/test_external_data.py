"""Where a graph takes its weights from is read from its bytes, and held against onnx's own reading."""

from __future__ import annotations

import numpy as np
import pytest

from engines import external_data
from engines.external_data import outside

onnx = pytest.importorskip("onnx")


def graph_with_weights_in(place: str, *, where: str = "initializer"):
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, place, offset=0, length=16)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    x = onnx.helper.make_tensor_value_info("x", 1, [4])
    y = onnx.helper.make_tensor_value_info("y", 1, [4])
    add = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    constant = onnx.helper.make_node("Constant", [], ["w"], value=tensor)
    if where == "initializer":
        graph = onnx.helper.make_graph([add], "g", [x], [y], [tensor])
    elif where == "constant":
        graph = onnx.helper.make_graph([constant, add], "g", [x], [y])
    else:  # in a branch of a branch
        branch = onnx.helper.make_graph([constant], "b", [], [onnx.helper.make_tensor_value_info("w", 1, [4])])
        yes = onnx.helper.make_tensor("yes", onnx.TensorProto.BOOL, [], [True])
        condition = onnx.helper.make_node("Constant", [], ["c"], value=yes)
        choose = onnx.helper.make_node("If", ["c"], ["w"], then_branch=branch, else_branch=branch)
        graph = onnx.helper.make_graph([condition, choose, add], "g", [x], [y])
    return onnx.helper.make_model(graph)


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
@pytest.mark.parametrize("place", ["/etc/passwd", "../other/w.data", "other.data", "sub/g.onnx.data"])
def test_weights_that_the_bundle_does_not_vouch_for_are_found_wherever_they_are_named(tmp_path, where, place):
    onnx.save(graph_with_weights_in(place, where=where), tmp_path / "g.onnx")
    known = ["onnx/g-0/g.onnx", "onnx/g-0/g.onnx.data"]
    assert outside(tmp_path / "g.onnx", known) == place


@pytest.mark.parametrize("where", ["initializer", "constant", "branch"])
def test_weights_in_a_file_beside_the_graph_are_right(tmp_path, where):
    onnx.save(graph_with_weights_in("g.onnx.data", where=where), tmp_path / "g.onnx")
    assert outside(tmp_path / "g.onnx", ["onnx/g-0/g.onnx", "onnx/g-0/g.onnx.data"]) == ""


@pytest.mark.parametrize("content", [b"", b"graph", b"\xff" * 100, b":\xff\xff\xff\xff\x0f", b":\x02" * 50])
def test_what_is_no_graph_is_left_to_whoever_loads_it(tmp_path, content):
    (tmp_path / "g.onnx").write_bytes(content)
    assert outside(tmp_path / "g.onnx", ["g.onnx"]) == ""


def test_an_interruption_passes_as_it_is(tmp_path, monkeypatch):
    """The pieces that were being read are still held then."""
    onnx.save(graph_with_weights_in("g.onnx.data"), tmp_path / "g.onnx")
    read, left = external_data._varint, iter(range(8))

    def interrupted(data, at):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(data, at)

    monkeypatch.setattr(external_data, "_varint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        outside(tmp_path / "g.onnx", ["onnx/g-0/g.onnx", "onnx/g-0/g.onnx.data"])

"""What an exported file holds: operators that engines know, no trace of what was folded, nothing of this machine."""

from __future__ import annotations

import collections
import gc
import math
from pathlib import Path

import onnx
import pytest
import torch
from torch.fx import config as fx_config

from engines.errors import InternalError
from engines.spec import DimRange, NetworkSpec, TensorSpec
from export.graphs.trace import OPSET, export_onnx
from export.hunyuanportrait.networks.blocks import TemporalConv
from export.hunyuanportrait.networks.unet import UNet, UNetConfig
from tests.export.tiny import TINY

pytestmark = pytest.mark.xdist_group("tiny-build")


@pytest.fixture(scope="module")
def models(tiny_bundle) -> dict[str, onnx.ModelProto]:
    graphs = tiny_bundle.manifest.graphs.items()
    return {n: onnx.load(tiny_bundle.path / record.main, load_external_data=False) for n, record in graphs}


def kinds(model: onnx.ModelProto) -> collections.Counter[str]:
    return collections.Counter(node.op_type for node in model.graph.node)


def transformer_layers(config: UNetConfig) -> int:
    """Pairs of a spatial and a temporal block in the whole UNet."""
    top = len(config.block_out_channels) - 1
    down = [n for n, has in zip(range(top + 1), config.down_attention, strict=True) if has]
    up = [top - i for i, has in enumerate(config.up_attention) if has]
    depth, layers = config.transformer_layers_per_block, config.layers_per_block
    return sum(layers[n] * depth[n] for n in down) + depth[top] + sum((layers[n] + 1) * depth[n] for n in up)


def test_every_attention_is_one_operator(models):
    """Self-attention, and attention to the image and to the motion; in space, and in time."""
    assert kinds(models["denoiser"])["Attention"] == 6 * transformer_layers(TINY.architecture.unet)
    assert kinds(models["appearance"])["Attention"] == TINY.architecture.appearance["depth"]
    assert kinds(models["vae_encoder"])["Attention"] == kinds(models["vae_decoder"])["Attention"] == 1
    assert not any(kinds(model)["Softmax"] for model in models.values())


def test_the_published_unet_has_sixteen_transformers():
    assert transformer_layers(UNetConfig()) == 16


def test_positions_times_and_the_pose_are_constants_of_the_denoiser(models):
    found = kinds(models["denoiser"])
    assert not {"Sin", "Cos", "Range", "If", "Loop", "Exp", "Log"} & found.keys()
    with torch.device("meta"):
        unet = UNet(TINY.architecture.unet)
    own = sum(isinstance(module, torch.nn.Conv2d | TemporalConv) for module in unet.modules())
    assert found["Conv"] == own  # the pose guider's are gone
    names = {tensor.name for tensor in models["denoiser"].graph.initializer}
    assert not [name for name in names if "pose_guider" in name or "time_embedding" in name]


def test_the_appearance_graph_holds_no_dead_branch(models):
    patches = 1
    assert kinds(models["appearance"])["Conv"] == patches
    assert not {"Resize", "BatchNormalization"} & kinds(models["appearance"]).keys()


def test_a_context_is_projected_once_a_row_and_never_repeated(models):
    found = kinds(models["denoiser"])
    assert "Tile" not in found
    assert found["ReduceMean"] <= 1  # the window's mean of the motion; the image tokens are their own mean


@pytest.mark.parametrize("name", ["appearance", "motion", "vae_encoder", "denoiser", "stitch", "vae_decoder"])
def test_names_and_free_sizes_are_those_of_the_spec(models, tiny_bundle, name):
    spec, graph = tiny_bundle.manifest.graphs[name].spec, models[name].graph
    for promised, made in ((spec.inputs, graph.input), (spec.outputs, graph.output)):
        assert [value.name for value in made] == [tensor.name for tensor in promised]
        for value, tensor in zip(made, promised, strict=True):
            dims = [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
            assert [isinstance(d, str) for d in dims] == [isinstance(d, str) for d in tensor.dims], value.name


def test_every_file_is_opset_23_with_its_weights_beside_it(models, tiny_bundle):
    assert OPSET == 23
    for name, model in models.items():
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)], name
        path = tiny_bundle.path / tiny_bundle.manifest.graphs[name].main
        assert path.with_name(f"{name}.onnx.data").is_file() or name == "stitch"
        outside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
        assert {e.value for t in outside for e in t.external_data if e.key == "location"} <= {f"{name}.onnx.data"}
        inside = [math.prod(t.dims) for t in model.graph.initializer if t not in outside]
        assert max(inside, default=0) < 256, f"{name} holds {max(inside)} numbers of one tensor in the graph itself"


def test_no_file_tells_where_it_was_made(models, tiny_bundle):
    for name, model in models.items():
        assert not [node.name for node in model.graph.node if node.doc_string or node.metadata_props], name
        content = (tiny_bundle.path / tiny_bundle.manifest.graphs[name].main).read_bytes()
        for word in (str(Path(__file__).parents[3]), str(Path.home()), "site-packages", ".py"):
            assert word.encode() not in content, f"{name} contains {word}"


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def spec_of(outputs: tuple[int | str, ...], inputs: tuple[int | str, ...] = ("rows", 3)) -> NetworkSpec:
    named = {d for d in (*inputs, *outputs) if isinstance(d, str)}
    return NetworkSpec(
        name="doubled",
        inputs=(TensorSpec(name="x", dims=inputs, dtype="float32"),),
        outputs=(TensorSpec(name="y", dims=outputs, dtype="float32"),),
        ranges={name: DimRange(min=1, opt=2, max=9) for name in named},
    )


def test_a_graph_that_breaks_its_promise_is_not_written(tmp_path):
    path, example = tmp_path / "doubled.onnx", {"x": torch.zeros(2, 3)}
    with pytest.raises(InternalError, match=r"y came out as .*, promised \('rows', 4\)"):
        export_onnx(Doubled(), spec_of(("rows", 4)), example, path)
    with pytest.raises(InternalError, match="its spec promises"):
        export_onnx(Doubled(), spec_of(("rows",)), example, path)
    with pytest.raises(InternalError, match="tracing fixed 'rows' at 2"):
        export_onnx(Doubled(), spec_of(("rows", 3), inputs=(2, 3)), example, path)
    assert not list(tmp_path.iterdir())


def test_equal_modules_give_equal_files(tmp_path):
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "doubled.onnx"
        export_onnx(Doubled(), spec_of(("rows", 3)), {"x": torch.zeros(2, 3)}, path)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_an_export_goes_without_collection_and_stack_traces_and_leaves_both_as_they_were(tmp_path):
    seen = []

    class Noting(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((gc.isenabled(), fx_config.do_not_emit_stack_traces))
            return 2 * x

    before = (gc.isenabled(), fx_config.do_not_emit_stack_traces)
    export_onnx(Noting(), spec_of(("rows", 3)), {"x": torch.zeros(2, 3)}, tmp_path / "doubled.onnx")
    assert set(seen) == {(False, True)}
    assert (gc.isenabled(), fx_config.do_not_emit_stack_traces) == before == (True, False)

"""The bundles that come with the package are what `export` makes today."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from engines.bundle import Bundle
from engines.errors import BundleError, InternalError
from export.build import BuildConfig
from export.shipping import ship as shipping
from export.shipping.ship import ship
from hp_trt.shipped import ENHANCER_POCKET, POCKET, POCKET_LIVE, TALK_POCKET, bundle_folder

MEND = (
    "the graphs that come with hp-trt are not those of today; make them, by python -m export.shipping --preset PRESET, "
    "and commit them"
)
# By preset: its files of weights.
WEIGHTS = {"pocket": [POCKET, POCKET_LIVE], "talk_pocket": [TALK_POCKET], "enhancer_pocket": [ENHANCER_POCKET]}
# Constants are folded by the kernels of the machine that exports: another kind of processor sums in another order.
ROUNDING = 1e-5


@pytest.fixture(scope="module", params=WEIGHTS)
def shipped(request) -> Bundle:
    try:
        return Bundle.open(bundle_folder(f"shipped:{request.param}"), family="onnxruntime")
    except BundleError as error:  # of another schema, or of other weights than those beside it
        pytest.fail(f"{error}; {MEND}")


@pytest.fixture
def package(tmp_path) -> list[Path]:
    """Files of weights in a folder of their own."""
    return [Path(shutil.copy(path, tmp_path)) for path in (POCKET, POCKET_LIVE)]


@pytest.fixture
def own_small(tiny_bundle, monkeypatch) -> Bundle:
    """A bundle of random weights: none of them is in pocket's files, so all stay in its graphs."""
    monkeypatch.setattr(shipping, "MOST_KEPT_BYTES", 1 << 40)
    return tiny_bundle


def without_constants(path: Path) -> tuple[bytes, dict[str, np.ndarray]]:
    """A graph without the values of its float constants, and these by name."""
    model = onnx.load(path, load_external_data=False)
    values = {}
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL and tensor.data_type == TensorProto.FLOAT:
            values[tensor.name] = numpy_helper.to_array(tensor)
            tensor.ClearField("raw_data")
    return model.SerializeToString(deterministic=True), values


def test_its_promises_and_its_settings_are_those_of_today(shipped):
    manifest = shipped.manifest
    weights, *live = WEIGHTS[manifest.preset]
    config = BuildConfig(
        preset=manifest.preset,
        bundle=Path("b"),
        weights=weights,
        live=bool(live),
        live_weights=live[0] if live else None,
    )
    model = config.model
    assert {name: record.spec for name, record in manifest.graphs.items()} == {
        name: graph.spec for name, graph in config.graphs().items()
    }, MEND
    today = {"sampling": model.sampling(config.window), "geometry": model.geometry(config.size_px)}
    assert {"sampling": manifest.sampling, "geometry": manifest.geometry} == json.loads(json.dumps(today)), MEND
    assert manifest.command == config.words(), MEND


@pytest.mark.slow  # for the bundles it needs: a build takes a minute
def test_its_graphs_are_those_that_export_makes_today(own_bundle, shipped, tmp_path):
    preset = shipped.manifest.preset
    made = Bundle.open(own_bundle(preset), family="onnxruntime")
    ship(made, [Path(shutil.copy(path, tmp_path)) for path in WEIGHTS[preset]])
    for name in made.manifest.graphs:
        today, values = without_constants(tmp_path / f"{name}.onnx")
        there, shipped_values = without_constants(shipped.model_path(name))
        assert today == there, f"{name}: {MEND}"
        for constant, value in values.items():
            scale = np.abs(value).max(initial=0)
            assert np.abs(shipped_values[constant] - value).max(initial=0) <= ROUNDING * scale, f"{name}: {MEND}"


def test_it_writes_no_number_twice(shipped):
    graphs = [shipped.model_path(name) for name in shipped.manifest.graphs]
    kept = sum(value.nbytes for path in graphs for value in without_constants(path)[1].values())
    read = sum(record.weights_bytes for record in shipped.manifest.graphs.values())
    # Of 39 MB in float32 that the exported graphs of pocket have; talk_pocket's denoisers have folded products, the
    # upscaler's first convolution is laid out for pixels, and its biases are short.
    most, least = {
        "pocket": (600_000, 15_000_000),
        "talk_pocket": (1_300_000, 15_000_000),
        "enhancer_pocket": (15_000, 80_000),
    }[shipped.manifest.preset]
    assert kept < most < least < read


def test_made_again_of_the_same_not_a_byte_changes(own_small, package):
    folder = package[0].parent
    made = ship(own_small, package)
    assert set(made.changed) == {f"{name}.onnx" for name in own_small.manifest.graphs} | {"manifest.json"}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    built = replace(own_small.manifest, sampling={k: _tuples(v) for k, v in own_small.manifest.sampling.items()})
    assert ship(replace(own_small, manifest=built), package).changed == ()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def _tuples(value):
    """As a build has them that has just ended, and was not read from its manifest."""
    return tuple(value) if isinstance(value, list) else value


def test_a_graph_that_there_is_no_more_goes(own_small, package):
    (package[0].parent / "gone.onnx").write_bytes(b"x")
    assert "gone.onnx" in ship(own_small, package).changed
    assert not (package[0].parent / "gone.onnx").exists()
    assert Bundle.open(package[0].parent).manifest.graphs.keys() == own_small.manifest.graphs.keys()


def test_weights_that_are_in_no_file_are_refused_before_anything_is_written(tiny_bundle, package):
    with pytest.raises(InternalError, match=r"\d+ bytes of constants are in none of the files of weights"):
        ship(tiny_bundle, package)
    assert sorted(path.name for path in package[0].parent.iterdir()) == [POCKET.name, POCKET_LIVE.name]

"""The published architecture, all 2.09 billion parameters, built and compared graph by graph.

Few pixels and frames: every weight and every node is there, and a CPU is done in minutes.
"""

from __future__ import annotations

import pytest

from export.build import BuildConfig, build_bundle
from runtime.hunyuanportrait.presets import HALF


@pytest.mark.full_size
@pytest.mark.usefixtures("quick_weights")
def test_the_full_model_builds_in_half_precision_and_agrees_with_its_networks(tmp_path):
    config = BuildConfig(preset="hunyuanportrait", bundle=tmp_path / "bundle", precision="fp16", size=64, frames=2)
    graphs = build_bundle(config).manifest.graphs
    assert {name for name, record in graphs.items() if record.precision == "fp16"} == HALF & set(graphs)
    # Half of the limits that a build holds itself to; measured are 0.007 for the denoiser, less for the others.
    assert all(0 <= record.parity["max"] < 0.1 and record.parity["rms"] < 0.015 for record in graphs.values())
    # fp16 of 1,575,741,162 UNet parameters is 3.15 GB; constants folded in and time MLPs left out are below a tenth.
    size = sum(file.bytes for file in graphs["denoiser"].files.values())
    assert 3.0e9 < size < 3.4e9

"""Two exports at a time where two cores, and memory for both, gain by it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from export.build import BuildConfig
from export.two_processes.choice import SURE, begins_early, graph_parameters, usual_processes

GB = 10**9


def parameters(preset, tmp_path, **options) -> list[int]:
    config = BuildConfig(preset=preset, bundle=tmp_path, **options)
    return [*graph_parameters(config.model, config.graphs()).values()]


@pytest.mark.parametrize(
    ("preset", "cores", "free_bytes", "expected"),
    [
        ("pocket", 2, 8 * GB, 2),
        ("pocket", 16, 8 * GB, 2),
        ("pocket", 1, 64 * GB, 1),
        ("pocket", 2, 2 * GB, 1),
        ("hunyuanportrait", 8, 24 * GB, 1),  # two UNets' worth: the denoiser and its step embedding are both of one
        ("hunyuanportrait", 8, 64 * GB, 2),
        ("tiny", 2, 64 * GB, 1),  # too small to be worth another process
    ],
)
def test_two_where_there_are_cores_and_memory_for_both(tiny_preset, tmp_path, preset, cores, free_bytes, expected):
    chosen = usual_processes(parameters(preset, tmp_path), cores=cores, free_bytes=free_bytes)
    assert chosen == expected


def test_graphs_in_8_bits_are_made_of_other_graphs_and_weigh_nothing(tiny_preset, tmp_path):
    plain = parameters(tiny_preset, tmp_path)
    assert parameters(tiny_preset, tmp_path, quantize=("int8",)) == [*plain, 0]
    assert sum(plain) > 0


def test_the_second_process_begins_early_only_for_what_will_take_two(tmp_path):
    for preset in SURE:
        assert usual_processes(parameters(preset, tmp_path), cores=2, free_bytes=4 * GB) == 2
        assert begins_early(preset, tmp_path, cores=2, free_bytes=4 * GB)
        assert not begins_early(preset, tmp_path, cores=1, free_bytes=4 * GB)
        assert not begins_early(preset, tmp_path, cores=2, free_bytes=2 * GB)
    assert not begins_early("hunyuanportrait", tmp_path, cores=2, free_bytes=64 * GB)


def test_nothing_begins_early_for_a_bundle_that_is_there(tmp_path):
    (tmp_path / "manifest.json").touch()
    assert not begins_early("pocket", tmp_path, cores=2, free_bytes=64 * GB)


def test_choosing_does_not_import_what_it_is_about():
    """The second process would begin seconds later."""
    code = "import sys, export.build_engines; assert not {'torch', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

"""Checkpoints and what builds and trainings keep, with bytes that are others: a result, or our own error."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from engines import families
from engines.errors import BundleError
from engines.fields import parse_json
from export.hunyuanportrait.training.recorded import _index
from export.plans.timing_cache import MAGIC, read_timing_cache
from export.training.files import load_state, save_state
from export.weights.checkpoints import mismatches, read_checkpoint, unusable
from export.weights.packed import networks_in
from tests.hostile import damaged, fuzz, refused_or_right, spoiled

SHAPES = {"weight": (4, 3), "bias": (4,)}
ROOT = Path(__file__).parents[2]


def state():
    return {"weight": torch.arange(12.0).reshape(4, 3), "bias": torch.zeros(4)}


def saved(path: Path, **options) -> bytes:
    save_file(state(), path, metadata={"hp-trt": "{}"}) if path.suffix == ".safetensors" else torch.save(
        state(), path, **options
    )
    return path.read_bytes()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return {
        "zip": saved(folder / "a.pth"),
        "old": saved(folder / "b.pth", _use_new_zipfile_serialization=False),
        "safetensors": saved(folder / "c.safetensors"),
    }


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
@fuzz(150)
@given(data=st.data())
def test_a_checkpoint_of_other_bytes_is_read_or_refused(good, tmp_path, kind, data):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    path.write_bytes(data.draw(damaged(good[kind])))
    with refused_or_right():
        found = read_checkpoint(path)
        assert isinstance(mismatches(found, SHAPES), list) and isinstance(unusable(found), list)
    if kind == "safetensors":
        with refused_or_right():
            networks_in(path, ("live_unet",))


HEADER = {
    "__metadata__": {"hp-trt": "{}"},
    "weight": {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]},
    "bias": {"dtype": "F32", "shape": [4], "data_offsets": [48, 64]},
}


@fuzz(150)
@given(header=spoiled(HEADER))
def test_a_safetensors_file_of_another_header_is_read_or_refused(tmp_path, header):
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(64))
    with refused_or_right():
        unusable(read_checkpoint(tmp_path / "w.safetensors"))


@fuzz(60)
@given(data=st.data())
def test_a_training_state_of_other_bytes_is_read_or_refused(good, tmp_path, data):
    path = tmp_path / "phase.pt"
    save_state(path, {"step": 3, "weights": {"unet": state()}})
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    with refused_or_right():
        assert isinstance(load_state(path), dict)


INDEX = {"asked": {"clips": 3}, "gives": {"a.mp4": 2}, "why": {"b.mp4": "no face"}, "training": [0], "held_out": [1]}


@fuzz(100)
@given(found=spoiled(INDEX))
def test_an_index_of_clips_is_read_or_a_value_error(found):
    try:
        index = _index(parse_json(json.dumps(found)))
    except ValueError:
        return
    assert all(isinstance(number, int) for number in (*index["training"], *index["gives"].values()))


@fuzz(80)
@given(data=st.data())
def test_a_timing_cache_of_other_bytes_is_refused(tmp_path, data):
    family = families.TENSORRT
    facts = {"magic": MAGIC, "family": family.name, "version": "11.4", "sha256": "0" * 64}
    line = data.draw(st.one_of(spoiled(facts).map(lambda found: json.dumps(found).encode()), st.binary(max_size=99)))
    (tmp_path / "timing.cache").write_bytes(line + b"\n" + data.draw(st.binary(max_size=9)))
    with pytest.raises(BundleError, match="timing cache"):  # no bytes have that hash
        read_timing_cache(family, "11.4", tmp_path / "timing.cache")


READ = """
import resource, sys
from pathlib import Path
from engines.errors import CheckpointError
from export.weights.checkpoints import read_checkpoint, unusable
import torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unusable(read_checkpoint(Path(sys.argv[1])))
except CheckpointError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_a_file_that_unpacks_to_a_thousand_times_its_size_takes_no_memory(tmp_path):
    path = tmp_path / "bomb.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            with archive.open(name, "w", force_zip64=True) as part:
                if name.endswith("/data/0"):
                    for _ in range(10):  # of 16 MiB each
                        part.write(bytes(16 << 20))
                else:
                    part.write(content)
    assert path.stat().st_size < 1 << 20
    ran = subprocess.run([sys.executable, "-c", READ, path], cwd=ROOT, capture_output=True, text=True, timeout=60)
    *said, grown_mib = ran.stdout.splitlines()
    assert ran.returncode == 0 and "a compressed archive" in said[0], ran.stderr
    assert int(grown_mib) < 100

"""An I/O error at every write of everything that is written: old or new, never between, nothing left, and told."""

from __future__ import annotations

import pytest

from tests.engines.faulty_disk import run_on_a_faulty_disk

BEGIN = """
import json, os, shutil, sys
from pathlib import Path
import numpy as np
from tests.engines.faulty_disk import at_every_write
folder = Path(sys.argv[1])
final = folder / "final"

def old():
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    final.write_bytes(b"old")

def old_or(new):
    def is_whole(ended):
        found = final.read_bytes()
        assert found == new or (found == b"old" and not ended), found[:40]
        assert os.listdir(folder) == ["final"], os.listdir(folder)
    return is_whole

def old_or_a_picture(ended):
    from PIL import Image
    if final.read_bytes() != b"old":
        Image.open(final).load()
    else:
        assert not ended
    assert os.listdir(folder) == ["final"]
"""

PROGRAMS = {
    "a file": """
from engines.safe_output import safe_output
new = b"new " * 30_000
def work():
    with safe_output(final) as part, part.open("wb") as file:
        for _ in range(3):
            file.write(new[:40_000])
at_every_write(folder, work, prepare=old, is_whole=old_or(new))
""",
    "a bundle": """
from engines.bundle import Bundle
from tests.engines.bundles import make_bundle, make_bundle_with_plans
def prepare():
    shutil.rmtree(folder, ignore_errors=True)
    make_bundle(folder, a=b"old a", b=b"same b")
def is_whole(ended):
    bundle = Bundle.open(folder)
    found = {name: bundle.model_path(name).read_bytes() for name in bundle.manifest.graphs}
    assert found == {"a": b"new a", "b": b"same b"} or (found["a"] == b"old a" and not ended), found
    make_bundle_with_plans(folder, a=b"new a", b=b"same b")  # goes on
    assert Bundle.open(folder).model_path("a").read_bytes() == b"new a"
    assert not (folder / ".build").exists() and len(list((folder / "onnx").iterdir())) == 2
at_every_write(folder, lambda: make_bundle_with_plans(folder, a=b"new a", b=b"same b"), prepare=prepare,
               is_whole=is_whole, every=every)
""",
    "a new bundle": """
from engines.bundle import Bundle
from engines.errors import BundleError
from tests.engines.bundles import make_bundle
def is_whole(ended):
    try:
        Bundle.open(folder)
    except BundleError:
        assert not ended
    make_bundle(folder, a=b"new a")
    Bundle.open(folder)
at_every_write(folder, lambda: make_bundle(folder, a=b"new a"),
               prepare=lambda: shutil.rmtree(folder, ignore_errors=True), is_whole=is_whole)
""",
    "a report": """
from hp_trt.measure.evaluation.outputs import put_out
import hp_trt.measure.evaluation.outputs as outputs
outputs.show = lambda report, console: None
report = {"rows": list(range(5000))}
new = (json.dumps(report, indent=2) + "\\n").encode()
at_every_write(folder, lambda: put_out(report, final, None), prepare=old, is_whole=old_or(new))
import runtime.bench
at_every_write(folder, lambda: runtime.bench._hand_out(report, final), prepare=old, is_whole=old_or(new))
""",
    "a plot": """
from engines.safe_output import safe_output
from hp_trt.measure.evaluation.plot import draw_plot
report = {"measures": [], "columns": [], "clips": [], "protocol": "self", "frames": 1}
def work():
    with safe_output(final) as part:
        draw_plot(report, part, ".png")
at_every_write(folder, work, prepare=old, is_whole=old_or_a_picture)
""",
    "a contact sheet": """
from hp_trt.media import contact_sheet
contact_sheet.load_image = lambda path: np.zeros((8, 8, 3), np.uint8)
contact_sheet.thumbnails = lambda video, chosen: []
at_every_write(folder, lambda: contact_sheet.write_sheet(final, portrait=final, driving=final, result=final, frames=1),
               prepare=old, is_whole=old_or_a_picture)
""",
    "a video": """
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
final = folder / "final.mp4"
pictures = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), dtype=np.uint8)
def work():
    with VideoWriter(final, width=64, height=48) as writer:
        for picture in pictures:
            writer.write(picture)
def is_whole(ended):
    if final.read_bytes() != b"old":
        assert len(list(VideoReader(final))) == 6
    else:
        assert not ended
    assert os.listdir(folder) == ["final.mp4"]
at_every_write(folder, work, prepare=old, is_whole=is_whole)
""",
    "a long render": """
from tests.hp_trt.resume.rendering import render
out = folder / "talk.mp4"
def prepare():
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    out.write_bytes(b"old")
prepare(); render(folder, chunks=2, crop=False); new = out.read_bytes()
def is_whole(ended):
    found = out.read_bytes()
    assert found == new or (found == b"old" and not ended), found[:40]
    assert set(os.listdir(folder)) <= {"talk.mp4", "talk.mp4.resume"}, os.listdir(folder)
    render(folder, chunks=2, crop=False, mode="resume")  # goes on
    assert out.read_bytes() == new and os.listdir(folder) == ["talk.mp4"]
at_every_write(folder, lambda: render(folder, chunks=2, crop=False), prepare=prepare, is_whole=is_whole, every=every)
""",
    "a sample": """
from hp_trt.sample import write_driving, write_sample
from hp_trt.media.video import VideoReader
def is_whole(ended):
    names = set(os.listdir(folder)) if folder.exists() else set()
    for name in names:
        path = folder / name
        len(list(VideoReader(path))) if path.suffix == ".mp4" else path.suffix == ".png" or json.loads(path.read_text())
    assert len(names) == 8 or not ended
at_every_write(folder, lambda: write_sample(folder, frames=1),
               prepare=lambda: shutil.rmtree(folder, ignore_errors=True), is_whole=is_whole, every=every)
""",
    "what a training writes": """
import torch
from export.training.files import load_state, new_file, save_state
state = {"step": 3, "weights": {"a": torch.arange(3000.0)}}
def is_whole(ended):
    found = None if final.read_bytes() == b"old" else load_state(final)
    assert (found is None and not ended) or torch.equal(found["weights"]["a"], state["weights"]["a"])
    assert os.listdir(folder) == ["final"]
at_every_write(folder, lambda: save_state(final, state), prepare=old, is_whole=is_whole)
def see():
    with new_file(final) as file:
        np.save(file, np.arange(9000))
def is_seen(ended):
    assert (final.read_bytes() == b"old" and not ended) or np.load(final)[-1] == 8999
    assert os.listdir(folder) == ["final"]
at_every_write(folder, see, prepare=old, is_whole=is_seen)
from export.hunyuanportrait.training.clips import save_arrays
from export.weights.packed import write_weights
arrays = {"a": np.arange(4000), "b": np.ones(3)}
def is_clip(ended):
    clip = folder / "clips" / "0"
    assert clip.is_dir() or not ended
    if clip.is_dir():
        assert sorted(os.listdir(clip)) == ["a.npy", "b.npy"] and np.load(clip / "a.npy")[-1] == 3999
at_every_write(folder, lambda: save_arrays(folder / "clips" / "0", arrays), prepare=old, is_whole=is_clip)
states = {"unet": {"w": torch.arange(5000.0)}}
old(); write_weights(final, states, preset="pocket"); new = final.read_bytes()
at_every_write(folder, lambda: write_weights(final, states, preset="pocket"), prepare=old, is_whole=old_or(new))
""",
}
LONG = ("a sample", "a bundle", "a long render")  # hundreds of builds, and of encoded videos


def ways(what: str) -> list:
    """What is long fails at each write in one of two ways with every change, and in both where that is heavy."""
    if what not in LONG:
        return [pytest.param(what, 1, id=what)]
    return [
        pytest.param(what, 2, id=what, marks=pytest.mark.slow),
        pytest.param(what, 1, id=f"{what} in both ways", marks=pytest.mark.heavy),
    ]


@pytest.mark.parametrize(("what", "every"), [way for what in PROGRAMS for way in ways(what)])
def test_a_failing_disk_leaves_old_or_new_and_is_told(what, every, tmp_path):
    program = f"every = {every}\n{BEGIN}{PROGRAMS[what]}"
    writes = run_on_a_faulty_disk(program, tmp_path / "disk").split()
    assert int(writes[0]) >= 3, "the disk was not asked"

"""The bundle that comes with the package: found by its name, and refused where a file of it is another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.errors import BundleError, EngineMismatch, InputError
from engines.gpu import Gpu
from engines.manifest import MANIFEST_NAME, own_hash, to_text
from engines.plan_choice import Here, choose_plans
from hp_trt import Runtime, shipped
from hp_trt.shipped import POCKET, POCKET_BUNDLE, POCKET_LIVE, bundle_folder

AGAIN = (
    "install hp-trt again, or build a bundle of your own: "
    "python -m export.build_engines --preset pocket --precision fp32 --bundle NEW_FOLDER"
)


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """The package's folder of pocket, as a copy that may be damaged."""
    folder = Path(shutil.copytree(POCKET.parent, tmp_path / "pocket"))
    monkeypatch.setitem(shipped._BUNDLES, POCKET_BUNDLE, folder)
    return folder


def other_weights(folder: Path) -> None:
    """As large, with one bit turned round: a file of another training."""
    content = bytearray((folder / POCKET.name).read_bytes())
    content[-1] ^= 1
    (folder / POCKET.name).write_bytes(content)


def cut_off(folder: Path) -> None:
    (folder / POCKET.name).write_bytes((folder / POCKET.name).read_bytes()[:-100_000])


def swapped(folder: Path) -> None:
    one, other = (folder / path.name for path in (POCKET, POCKET_LIVE))
    one.rename(folder / "between")
    other.rename(one)
    (folder / "between").rename(other)


def gone(folder: Path) -> None:
    (folder / POCKET.name).unlink()


def other_graph(folder: Path) -> None:
    shutil.copyfile(folder / "vae_encoder.onnx", folder / "vae_decoder.onnx")


def linked(folder: Path) -> None:
    (folder / POCKET.name).unlink()
    (folder / POCKET.name).symlink_to(POCKET)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (other_weights, f"{POCKET.name} was changed: sha256 [0-9a-f]+..., needed [0-9a-f]+...; {AGAIN}"),
        (cut_off, rf"{POCKET.name} was changed: \d+ bytes, needed {POCKET.stat().st_size}; {AGAIN}"),
        (swapped, rf"{POCKET.name} was changed: {POCKET_LIVE.stat().st_size} bytes, needed \d+; {AGAIN}"),
        (gone, f"lacks {POCKET.name}; {AGAIN}"),
        (other_graph, rf"vae_decoder.onnx was changed: \d+ bytes, needed \d+; {AGAIN}"),
        (linked, f"holds {POCKET.name} as a link, its files must lie in it; put the file itself there, or {AGAIN}"),
    ],
)
def test_what_is_not_as_it_was_shipped_is_refused_before_it_is_opened(package, damage: Callable[[Path], None], says):
    damage(package)
    with pytest.raises(BundleError, match=says):
        Runtime(POCKET_BUNDLE)


def test_a_manifest_that_does_not_vouch_for_a_graph_is_refused(package):
    data = json.loads((package / MANIFEST_NAME).read_text())
    del data["graphs"]["vae_decoder"]["files"]["vae_decoder.onnx"]
    (package / MANIFEST_NAME).write_text(to_text(data | {"sha256": own_hash(data)}))
    with pytest.raises(BundleError, match=f"does not vouch for vae_decoder.onnx; {AGAIN}"):
        Bundle.open(package)


def test_a_package_that_has_lost_its_bundle_says_so(package):
    (package / MANIFEST_NAME).unlink()
    with pytest.raises(BundleError, match=r"shipped:pocket is not in .*, where it should be; install hp-trt again"):
        bundle_folder(POCKET_BUNDLE)


def test_a_name_that_none_has_is_refused_and_any_other_text_is_a_folder():
    with pytest.raises(
        InputError, match="there is no bundle shipped:large; with hp-trt comes shipped:pocket, shipped:talk_"
    ):
        bundle_folder("shipped:large")
    assert bundle_folder("pocket") == Path("pocket")
    assert bundle_folder(Path("out/shipped:pocket")) == Path("out/shipped:pocket")


def test_it_opens_with_no_writing_beside_it(package):
    before = sorted(package.iterdir())
    for family in (None, "onnxruntime", ""):
        assert Bundle.open(package, family=family).manifest.preset == "pocket"
    assert sorted(package.iterdir()) == before


def test_plans_are_built_in_a_bundle_of_ones_own(package):
    gpu = Gpu(index=0, name="H200", capability="9.0", total_bytes=1, driver_cuda=(13, 0))
    here = Here(family="tensorrt", version="11.0", device=gpu)
    with pytest.raises(EngineMismatch, match=r"--precision fp32 --bundle NEW_FOLDER --family tensorrt$"):
        choose_plans(Bundle.open(package), here, ["denoiser"])


@pytest.mark.slow  # for the bundle it needs: a build takes a minute
@pytest.mark.parametrize("profile", ["exact", "live"])
def test_its_frames_are_those_of_an_exported_bundle(pocket_bundle, sample, profile):
    from hp_trt import RuntimeConfig

    made = []
    for bundle in (pocket_bundle, POCKET_BUNDLE):
        with Runtime(bundle, RuntimeConfig(profile=profile, threads=2)) as runtime:
            made.append([frame.crop for frame in runtime.frames(sample[0], sample[1], steps=1)])
    exported, shipped = (np.array(frames, np.int16) for frames in made)
    assert exported.shape == (12, 128, 128, 3)
    # Constants are folded by the kernels of the machine that exports (tests/export/shipping): a millionth of a velocity
    # apart, which turns the rounding of a few levels of 255.
    off = np.abs(exported - shipped)
    assert off.max() <= 1
    assert off.mean() < 1e-3

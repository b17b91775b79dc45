"""A bundle's numbers are held against its graphs, and the graphs against each other."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from engines.bundle import Bundle
from engines.errors import BundleError
from engines.manifest import Manifest
from hp_trt.hunyuanportrait.promises import check_bundle
from tests.hp_trt.test_fuzz_bundles import GOOD, promise


def edited(**changes) -> Bundle:
    """A good bundle with fields, named by the keys that lead there with two underscores between, that are others."""
    data = copy.deepcopy(GOOD)
    for name, value in changes.items():
        *keys, last = name.split("__")
        parent = data
        for key in keys:
            parent = parent[int(key) if key.isdigit() else key]
        if value is ...:
            del parent[last]
        else:
            parent[int(last) if last.isdigit() else last] = value
    return Bundle(path=Path("b"), manifest=Manifest.from_json(data))


def test_a_bundle_whose_numbers_fit_passes():
    check_bundle(edited())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"geometry__crop_px": 10**6}, "geometry.crop_px must be a whole number of 8 to 2048, got 1000000"),
        ({"geometry__crop_px": 128}, "geometry.crop_px is 128, size is [64, 64]"),
        ({"geometry__crop_px": 128, "size": [128, 128]}, "needed is (1, 3, 128, 128)"),
        ({"geometry__crop_px": ...}, "geometry.crop_px is missing"),
        ({"geometry__motion_px": None}, "geometry.motion_px must be a whole number of 8 to 2048, got null"),
        ({"geometry__motion_px": 64}, "motion has face_images of ('n0', 3, 32, 32), needed is (*, 3, 64, 64)"),
        ({"geometry__appearance_px": "28"}, "geometry.appearance_px must be a whole number of 8 to 2048, got '28'"),
        ({"geometry__appearance_px": True}, "geometry.appearance_px must be a whole number"),
        ({"size": [64, 32]}, "geometry.crop_px is 64, size is [64, 32], needed is a square of it"),
        ({"frames": 4000}, "frames must be 1 to 256, got 4000"),
        ({"frames": 6}, "sampling.window is 5, the bundle's frames are 6"),
        ({"frames": 6, "sampling__window": 6}, "denoiser has latents of (5, 4, 8, 8), needed is (6, 4, 8, 8)"),
        ({"sampling__window": 10**6}, "window can be at most 10000, got 1000000"),
        ({"sampling__steps": 0}, "steps needs a whole number of at least 1, got 0"),
        ({"sampling__stepz": 1}, "there is no sampling option stepz; did you mean steps?"),
        ({"graphs__stitch__flops": {}}, "graphs.stitch.flops.call is missing"),
        ({"graphs__vae_encoder__spec__outputs__0__dims__1": 5}, "has latents of (5, 4, 8, 8), needed is (5, 5, 8, 8)"),
        ({"graphs__motion__spec__inputs__2__dtype": "float32"}, "has head_id of float32, needed is int64"),
        ({"graphs__vae_decoder__spec__outputs__1__dtype": "float32"}, "has pixels of float32, needed is uint8"),
        (
            {"graphs__vae_decoder__spec__outputs": [promise("vae_decoder").to_json()["outputs"][0]]},
            "has the outputs ['frames'], needed are frames, pixels, sums",
        ),
        ({"graphs__vae_encoder__spec__inputs__0__name": "x"}, "has the inputs ['x'], needed are image"),
    ],
)
def test_a_number_that_does_not_fit_is_told_with_what_makes_the_bundle_again(changes, says):
    with pytest.raises(BundleError) as caught:
        check_bundle(edited(**changes))
    assert says in str(caught.value)
    assert "rebuild it: python -m export.build_engines" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": [64]}, "size must be a list of 2, got 1"),
        ({"size__0": -1}, "size[0] must be a whole number of 1 to 4096, got -1"),
        ({"frames": 1.5}, "frames must be a whole number of 1 to 4096, got 1.5"),
        ({"weights__kind": 7}, "weights.kind must be text, got 7"),
        ({"weights__fingerprint": ...}, "weights.fingerprint is missing"),
        ({"versions": {"torch": None}}, "versions.torch must be text, got null"),
        ({"created": []}, "created must be text, got []"),
        ({"precision": "fp8"}, "precision must be one of fp32, fp16, got 'fp8'"),
        ({"graphs__stitch__parity__max": "x"}, "graphs.stitch.parity.max must be a number, got 'x'"),
        ({"graphs__stitch__flops__call": None}, "graphs.stitch.flops.call must be a number, got null"),
        ({"graphs__stitch__built__seconds": []}, "graphs.stitch.built.seconds must be a number, got []"),
        (
            {"graphs__stitch__spec__inputs__0__dims__1": 0},
            "graphs.stitch.spec.inputs[0].dims[1] must be a whole number",
        ),
        ({"graphs__stitch__spec__lane": "fast"}, "graphs.stitch.spec.lane must be one of denoise, decode, got 'fast'"),
        ({"graphs__stitch__spec__ranges__n0": [1, 2]}, "graphs.stitch.spec.ranges.n0 must be a list of 3, got 2"),
        ({"graphs__stitch__name": "other"}, "must lie in onnx/other-"),
    ],
)
def test_a_field_of_another_kind_is_told_with_its_place(changes, says):
    with pytest.raises(ValueError, match=r"must|missing") as caught:
        edited(**changes)
    assert says in str(caught.value)

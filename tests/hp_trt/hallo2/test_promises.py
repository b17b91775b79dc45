"""A bundle's numbers are held against its graphs, and the graphs against each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from engines.bundle import Bundle
from engines.errors import BundleError
from engines.manifest import Manifest
from hp_trt.hallo2.promises import check_bundle, knows_moods, levels_of
from tests.hostile import fuzz, refused_or_right, spoiled
from tests.hp_trt.hallo2.bundles import good

GOOD = good()


def bundle_of(data: dict) -> Bundle:
    return Bundle(path=Path("b"), manifest=Manifest.from_json(data))


def edited(**changes) -> Bundle:
    """A good bundle with fields, named by the keys that lead there with two underscores between, that are others.

    Tensors of a graph are told by their names.
    """
    data = good()
    for name, value in changes.items():
        *keys, last = name.split("__")
        parent = data
        for key in keys:
            if isinstance(parent, list) and not key.isdigit():
                parent = next(tensor for tensor in parent if tensor["name"] == key)
            else:
                parent = parent[int(key) if key.isdigit() else key]
        if value is ...:
            del parent[last]
        else:
            parent[int(last) if last.isdigit() else last] = value
    return bundle_of(data)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_a_bundle_whose_numbers_fit_passes_whatever_its_number_of_levels(levels):
    bundle = bundle_of(good(levels=levels))
    check_bundle(bundle)
    assert levels_of(bundle.manifest) == levels


def test_a_bundle_in_half_has_tokens_and_banks_in_half():
    check_bundle(bundle_of(good(precision="fp16")))


@pytest.mark.parametrize("moods", [True, False])
def test_both_denoisers_are_told_of_a_mood_or_none_is(moods):
    check_bundle(bundle_of(good(moods=moods)))
    assert knows_moods(bundle_of(good(moods=moods)).manifest) == moods
    assert not knows_moods(bundle_of(good(moods=moods, names=["stitch"])).manifest)
    mixed, other = good(moods=moods), good(moods=not moods)
    mixed["graphs"]["talk_denoiser_one"] = other["graphs"]["talk_denoiser_one"]
    with pytest.raises(BundleError, match=r"talk_denoiser(_one)? has the inputs .*, needed are .*mood"):
        check_bundle(bundle_of(mixed))


@pytest.mark.parametrize("dims", [[1, 5], [1, 7], [6], [2, 6], [1, "n"]])
def test_as_many_moods_are_told_as_there_are_labels(dims):
    data = good(moods=True)
    inputs = data["graphs"]["talk_denoiser"]["spec"]["inputs"]
    next(tensor for tensor in inputs if tensor["name"] == "mood")["dims"] = dims
    if "n" in dims:
        data["graphs"]["talk_denoiser"]["spec"]["ranges"]["n"] = [1, 2, 8]
    with pytest.raises(BundleError, match=r"talk_denoiser has mood of .*, needed is \(1, 6\)"):
        check_bundle(bundle_of(data))


@pytest.mark.parametrize("name", ["talk_denoiser", "talk_denoiser_one", "reference", "bank_kv"])
def test_any_graph_with_banks_tells_the_number_of_levels(name):
    assert levels_of(bundle_of(good(levels=2, names=[name])).manifest) == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"geometry__crop_px": 10**6}, "geometry.crop_px must be a whole number of 32 to 2048, got 1000000"),
        ({"geometry__crop_px": 72}, "geometry.crop_px must be a multiple of 32, for 3 levels, got 72"),
        ({"geometry__crop_px": 128}, "geometry.crop_px is 128, size is [64, 64]"),
        ({"geometry__crop_px": 128, "size": [128, 128]}, "needed is (1, 3, 128, 128)"),
        ({"geometry__crop_px": ...}, "geometry.crop_px is missing"),
        ({"geometry__motion_frames": 0}, "geometry.motion_frames must be a whole number of 1 to 256, got 0"),
        ({"geometry__motion_frames": 2}, "has motion_0 of (5, 6, 64, 32), needed is (5, 4, 64, 32)"),
        ({"geometry__face_ratio": "1.2"}, "geometry.face_ratio must be a number, got '1.2'"),
        ({"geometry__lip_ratio": 0.5}, "geometry.lip_ratio must be a number of 1 to 10, got 0.5"),
        ({"size": [64, 32]}, "geometry.crop_px is 64, size is [64, 32], needed is a square of it"),
        ({"frames": 4000}, "frames must be 1 to 256, got 4000"),
        ({"frames": 6}, "talk_denoiser has latents of (5, 4, 8, 8), needed is (6, 4, 8, 8)"),
        ({"sampling__steps": 0}, "steps needs a whole number of at least 1, got 0"),
        ({"sampling__stepz": 1}, "there is no sampling option stepz; did you mean steps?"),
        ({"graphs__stitch__flops": {}}, "graphs.stitch.flops.call is missing"),
        ({"graphs__talk_denoiser_one__spec__inputs__motion_1__dims__1": 6}, "has motion_1 of (4, 6, 16, 64)"),
        ({"graphs__talk_denoiser__spec__inputs__mask_2__dims__1": 5}, "has mask_2 of (3, 5), needed is (3, 4)"),
        (
            {"graphs__reference__spec__outputs__bank_1__dims__0": 7},
            "bank_kv has bank_1 of (4, 2, 16, 64), needed is (7, 2, 16, 64)",
        ),
        ({"graphs__bank_kv__spec__outputs__value_2__dims__1": 4}, "value_2 of (3, 4, 4, 96), needed is (3, 2, 4, 96)"),
        ({"graphs__speech_encoder__spec__inputs__left__dtype": "float32"}, "has left of float32, needed is int64"),
        ({"graphs__talk_identity__spec__inputs__embedding__dims__1": 256}, "embedding of (1, 256), needed is (1, 512)"),
        ({"graphs__talk_vae_encoder__spec__inputs__pictures__name": "x"}, "has the inputs x, needed are pictures"),
        ({"graphs__reference__spec__outputs__bank_2__name": "bank_7"}, "has the outputs bank_0, bank_1, bank_7"),
        (
            {"graphs__talk_denoiser__spec__inputs__mask_2__name": "task_2"},
            "bank_0, bank_1, bank_2, needed are bank_0, bank_1",
        ),
        ({"graphs__reference__spec__outputs__bank_2__dtype": "float16"}, "bank_2 of float16, needed is float32"),
        ({"graphs__talk_steps__spec__inputs__timesteps__dtype": "int64"}, "timesteps of int64, needed is float32"),
        ({"precision": "fp16"}, "tokens of float32, needed is float16"),
    ],
)
def test_a_number_that_does_not_fit_is_told_with_what_makes_the_bundle_again(changes, says):
    with pytest.raises(BundleError) as caught:
        check_bundle(edited(**changes))
    assert says in str(caught.value)
    assert "rebuild it: python -m export.build_engines" in str(caught.value)


def test_a_bundle_without_a_graph_that_has_banks_is_refused():
    with pytest.raises(BundleError, match=r"there is no graph of talk_denoiser, .* and one is needed"):
        check_bundle(bundle_of(good(names=["stitch"])))


@fuzz(60)
@given(data=spoiled(GOOD))
def test_a_manifest_that_was_spoiled_is_used_or_refused(data):
    try:
        bundle = bundle_of(data)
    except ValueError:
        return
    with refused_or_right():
        check_bundle(bundle)

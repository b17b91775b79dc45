"""A portrait file in the place of a picture: the same portrait, bit for bit; or a refusal that says why.

That the clips are the same too is in `tests/hp_trt/hunyuanportrait/test_motion_file.py`.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from engines.errors import InputError
from hp_trt.encoded.encoded_file import EncodedFile
from hp_trt.encoded.kept_portrait import picture_of
from hp_trt.hunyuanportrait.portrait_encoder import encoded
from hp_trt.hunyuanportrait.portrait_file import portrait_of_file
from tests.fakes import FakeBackend
from tests.hp_trt.encoded.made import BRIEF, forged, shipped_bundle, with_other_graph


def read(path, bundle=None):
    return portrait_of_file(FakeBackend(), bundle or shipped_bundle(), EncodedFile(path, "portrait"))


def test_the_portrait_of_the_file_is_that_of_the_picture(made_files, pocket_runtime):
    picture, file = (pocket_runtime.portrait(path) for path in (made_files.portrait, made_files.portrait_file))
    np.testing.assert_array_equal(file.image, picture.image)
    assert (file.key, file.notes, file.path) == (picture.key, picture.notes, made_files.portrait_file)
    square = np.random.default_rng(0).integers(0, 256, encoded(file).square.shape, np.uint8)
    np.testing.assert_array_equal(file.paste(square), picture.paste(square))
    one, other = encoded(file), encoded(picture)
    assert one.box == other.box
    pairs = [(one.square, other.square), (one.embedding, other.embedding)]
    pairs += [(getattr(one.identity, n), getattr(other.identity, n)) for n in ("image_latents", "start_latents")]
    pairs += [tuple(pocket_runtime.backend.download(own.identity.image_tokens) for own in (one, other))]
    for made, expected in pairs:
        np.testing.assert_array_equal(made, expected)


def test_noise_on_the_portrait_is_of_the_same_square(made_files, pocket_runtime):
    """It encodes the square again, which a file holds for that."""
    noisy = {**BRIEF, "noise_aug_strength": 0.1}
    made = [
        [frame.crop for frame in pocket_runtime.frames(one, made_files.motion, **noisy)]
        for one in (made_files.portrait, made_files.portrait_file)
    ]
    np.testing.assert_array_equal(*made)


def test_a_portrait_of_a_file_becomes_the_same_file(made_files, pocket_runtime, tmp_path):
    made = pocket_runtime.write_portrait(tmp_path / "again.safetensors", made_files.portrait_file)
    assert made.path.read_bytes() == made_files.portrait_file.read_bytes()
    assert (made.bytes, made.frames) == (made.path.stat().st_size, None)


def test_the_picture_in_it_can_be_seen(made_files):
    np.testing.assert_array_equal(picture_of(made_files.portrait_file), np.asarray(Image.open(made_files.portrait)))


@pytest.mark.parametrize("graph", ["appearance", "vae_encoder"])
def test_a_file_of_another_graph_is_refused_with_both_keys(made_files, graph):
    with pytest.raises(InputError, match=f"by a graph {graph} with the key [0-9a-f]{{12}}, .* has ffffffffffff"):
        read(made_files.portrait_file, with_other_graph(shipped_bundle(), graph))


def nan(tensors):
    tensors["latents"][0, 0, 0, 0] = np.inf


def picture(image, format="PNG"):
    def put(tensors):
        file = io.BytesIO()
        image.save(file, format=format)
        tensors["picture"] = np.frombuffer(file.getvalue(), np.uint8)

    return put


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (nan, "latents holds NaN or infinity"),
        (lambda tensors: tensors.pop("square"), "it has no square"),
        (lambda tensors: tensors.pop("picture"), "it has no picture"),
        (lambda tensors: tensors.update(square=tensors["square"][1:]), "square is"),
        (lambda tensors: tensors.update(embedding=tensors["embedding"].astype(np.float64)), "needed is .* float32"),
        (lambda tensors: tensors.update(picture=tensors["picture"][:200]), "is no portrait file"),
        (lambda tensors: tensors.update(more=np.zeros(1)), "of which nothing is known"),
        (picture(Image.new("RGB", (64, 64)), "JPEG"), "is no portrait file"),
        (picture(Image.new("L", (512, 512))), "its picture is of L, needed is RGB"),
        (picture(Image.new("RGB", (20, 20))), "must be a part of the picture of 20 x 20 pixels"),
        (picture(Image.new("1", (9000, 9000))), "megapixels are decoded"),
    ],
)
def test_tensors_that_are_no_portrait_are_refused(made_files, tmp_path, tensors, said):
    with pytest.raises(InputError, match=said):
        read(forged(made_files.portrait_file, tmp_path / "x", tensors=tensors))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"box": [5, 5, 5, 9]}, "must be a part of the picture"),
        ({"box": [0, 0, 9]}, "a list of 4"),
        ({"box": [-1, 0, 9, 9]}, "whole number of 0"),
        ({"key": "../x"}, "64 lower-case hex digits"),
        ({"made_for": {"crop_px": 512}}, "was made for crop_px 512, .* is for appearance_px"),
        ({"made_for": {"crop_px": "x"}}, "must be a number"),
    ],
)
def test_a_header_that_is_no_portraits_is_refused(made_files, tmp_path, said, told):
    with pytest.raises(InputError, match=told):
        read(forged(made_files.portrait_file, tmp_path / "x", about=lambda about: about["of"].update(said)))

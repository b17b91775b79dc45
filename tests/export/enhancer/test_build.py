"""Whole bundles of the enhancer, by the build that every model has."""

from __future__ import annotations

import pytest

from engines.bundle import Bundle, read_manifest
from engines.errors import InputError
from export.attention_maps.asked import Asked
from export.build_engines import main
from export.enhancer.architecture import NETWORKS
from export.enhancer.model import LICENCES
from export.models import look
from runtime.enhancer.presets import MODEL
from tests.export.enhancer.tiny import make_known, state_of, write, write_all
from tests.hp_trt.command_line import as_typed

GRAPHS = tuple(f"enhance_{network}" for network in NETWORKS)


@pytest.fixture
def built(monkeypatch, capfd, tmp_path):
    """The command as it is typed, on tiny networks in the published ones' place; graphs are not compared."""
    make_known(monkeypatch)
    bundle = tmp_path / "bundle"

    def run(*words):
        place = ("--preset", "enhancer", "--bundle", bundle, "--no-parity")
        return as_typed(main, "build_engines", *place, *words, patch=monkeypatch, capture=capfd), bundle

    return run


def test_the_upscalers_bundle_is_built_and_compared_with_its_network(bundle_of):
    manifest = Bundle.open(bundle_of(preset="enhancer_pocket")).manifest
    assert (manifest.model, tuple(manifest.graphs)) == (MODEL, GRAPHS[:1])
    record = manifest.graphs["enhance_upscaler"]
    assert record.parity["max"] <= 5e-5 and record.precision == "fp32"
    assert manifest.geometry == {"face_px": 512, "scale": 2}
    assert "licences" not in manifest.weights  # random numbers have none


def test_a_bundle_in_half_precision_takes_and_gives_full_precision(bundle_of):
    manifest = Bundle.open(bundle_of(preset="enhancer_pocket", precision="fp16")).manifest
    record = manifest.graphs["enhance_upscaler"]
    assert record.precision == "fp16" and record.parity["rms"] <= 0.03
    assert {t.dtype for t in (*record.spec.inputs, *record.spec.outputs)} == {"float32"}


def test_published_files_that_are_not_there_leave_their_graphs_out_with_a_note(built, tmp_path):
    weights = write_all(tmp_path / "pretrained_models", ("upscaler",))
    ended, bundle = built("--weights", weights)
    assert ended.code == 0 and "1 graph, 1 built" in ended.out
    said = "without the graphs of restorer, parser, detector, which need hallo2/net_g.pth, facelib/parsing_parsenet.pth"
    assert said in ended.err and "S-Lab" not in ended.err
    manifest = read_manifest(bundle)
    assert tuple(manifest["graphs"]) == GRAPHS[:1] and "licences" not in manifest["weights"]


def test_a_dry_run_tells_licences_and_what_would_be_left_out_too(built, tmp_path):
    weights = write_all(tmp_path / "pretrained_models", ("upscaler",))
    write(weights, "restorer", state_of("restorer"))
    ended, bundle = built("--weights", weights, "--dry-run")
    assert ended.code == 0 and "2 would be built" in ended.out and not bundle.exists(), ended.err
    assert "note: licence: S-Lab License 1.0, non-commercial use only" in ended.err
    assert "note: without the graphs of parser, detector" in ended.err


@pytest.mark.slow  # for a restorer of 512 pixels: a minute
def test_a_bundle_of_published_files_tells_the_restorers_licence_in_the_manifest_and_as_it_is_built(built, tmp_path):
    ended, bundle = built("--weights", write_all(tmp_path / "pretrained_models"))
    assert ended.code == 0, ended.err
    assert "note: licence: S-Lab License 1.0, non-commercial use only" in ended.err and "without" not in ended.err
    manifest = read_manifest(bundle)
    assert tuple(manifest["graphs"]) == GRAPHS
    assert manifest["weights"]["kind"] == "published"
    assert manifest["weights"]["licences"] == dict(LICENCES)


@pytest.mark.parametrize(("network", "place"), [("restorer", "upscaler"), ("upscaler", "restorer")])
def test_a_file_in_anothers_place_is_refused_in_a_sentence(built, tmp_path, network, place):
    weights = write_all(tmp_path / "pretrained_models", ("upscaler",))
    write(weights, network, state_of(network), place=place)
    ended, _ = built("--weights", weights)
    assert ended.code != 0
    assert f"is the {place}'s place, and the file there holds the {network}" in ended.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--live",), "preset enhancer_pocket has no graphs for --live: it enlarges finished videos; leave it out"),
        (("--reuse", "--quantize", "int8"), "no graphs for --reuse and --quantize"),
        (("--live-weights", "my.safetensors"), "has no live mode, and my.safetensors is for one"),
        (("--size", "256"), "the enhancer takes pictures of any size"),
        (("--frames", "8"), "up to 16 frames together; leave --size and --frames out"),
        (("--only", "enhance_restorer"), "there is no graph enhance_restorer; choose from enhance_upscaler"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_one_line(words, says, tmp_path, monkeypatch, capfd):
    place = ("--preset", "enhancer_pocket", "--random-weights", "--bundle", tmp_path / "bundle")
    ended = as_typed(main, "build_engines", *place, *words, patch=monkeypatch, capture=capfd)
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error: ")]
    assert ended.code == 2 and says in line
    assert not (tmp_path / "bundle").exists()


def test_nothing_attends_to_anybody_here(tmp_path):
    asked = Asked.__new__(Asked)
    object.__setattr__(asked, "preset", "enhancer_pocket")
    with pytest.raises(InputError, match="enhancer_pocket animates nobody, so there is nothing to look at"):
        look(asked)

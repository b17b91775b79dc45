"""Builds: only what changed is made again, a kill costs no finished graph, and no wrong graph is kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import export.build
import export.graphs.build_graph
from engines.bundle import Bundle
from engines.errors import BundleError, CheckpointError, InputError, ParityError
from export.build import BuildConfig, build_bundle, content_facts, deciding_networks
from export.graphs.graph_steps import digest
from export.graphs.trace import export_onnx
from export.hunyuanportrait.architecture import LIVE_NETWORKS, NETWORKS
from export.hunyuanportrait.upstream import NETWORK_FILES
from export.weights.checkpoints import fingerprint
from export.weights.packed import write_weights
from export.weights.random import random_state_dict
from export.weights.source import RandomWeights
from runtime.hunyuanportrait.presets import HALF
from tests.export.tiny import TINY

pytestmark = pytest.mark.xdist_group("tiny-build")

GRAPHS = ["appearance", "motion", "vae_encoder", "step_embedding", "denoiser", "stitch", "vae_decoder"]


def copy_of(bundle: Bundle, folder: Path) -> Path:
    return Path(shutil.copytree(bundle.path, folder / "bundle"))


def test_a_bundle_holds_every_graph_with_its_parity_and_its_weights_origin(tiny_bundle):
    manifest = Bundle.open(tiny_bundle.path).manifest
    assert list(manifest.graphs) == GRAPHS
    assert all(0 <= record.parity["max"] < 5e-5 for record in manifest.graphs.values())
    assert manifest.weights["kind"] == "random"
    assert set(manifest.weights["fingerprint"]) == set(NETWORKS)
    assert manifest.graphs["denoiser"].flops["call"] < manifest.graphs["denoiser"].flops["released"]


def test_a_second_build_exports_nothing_and_changes_no_graph(tiny_bundle, tmp_path, exported):
    path = copy_of(tiny_bundle, tmp_path)
    steps = []
    again = build_bundle(BuildConfig(preset=TINY.name, bundle=path), lambda p: steps.append((p.graph, p.step)))
    assert exported == []
    assert steps == [(name, "reuse") for name in GRAPHS]
    assert again.manifest.graphs == tiny_bundle.manifest.graphs


def test_a_killed_build_goes_on_where_it_stopped(tmp_path, exported, monkeypatch):
    config = BuildConfig(preset=TINY.name, bundle=tmp_path / "bundle")
    copy = export.graphs.build_graph.export_onnx

    def killed(module, spec, example, path):
        if spec.name == "denoiser":
            raise KeyboardInterrupt
        copy(module, spec, example, path)

    monkeypatch.setattr(export.graphs.build_graph, "export_onnx", killed)
    with pytest.raises(KeyboardInterrupt):
        build_bundle(config)
    assert exported == GRAPHS[:4]
    with pytest.raises(BundleError):  # nothing is offered as a bundle before it is whole
        Bundle.open(config.bundle)

    exported.clear()
    monkeypatch.setattr(export.graphs.build_graph, "export_onnx", copy)
    bundle = build_bundle(config)
    assert exported == GRAPHS[4:]
    assert list(bundle.manifest.graphs) == GRAPHS


def test_only_the_named_graph_is_built_again_when_it_is_damaged(tiny_bundle, tmp_path, exported):
    path = copy_of(tiny_bundle, tmp_path)
    (path / tiny_bundle.manifest.graphs["stitch"].main).unlink()
    build_bundle(BuildConfig(preset=TINY.name, bundle=path, only=("stitch",)))
    assert exported == ["stitch"]
    assert Bundle.open(path).manifest.graphs.keys() == set(GRAPHS)


def test_an_intact_graph_is_not_built_again_because_it_is_named(tiny_bundle, tmp_path, exported):
    build_bundle(BuildConfig(preset=TINY.name, bundle=copy_of(tiny_bundle, tmp_path), only=("stitch",)))
    assert exported == []


def test_without_parity_a_graph_that_was_compared_is_kept_and_a_new_one_says_so(tiny_bundle, tmp_path, exported):
    path = copy_of(tiny_bundle, tmp_path)
    (path / tiny_bundle.manifest.graphs["stitch"].main).unlink()
    unchecked = build_bundle(BuildConfig(preset=TINY.name, bundle=path, parity=False)).manifest.graphs
    assert exported == ["stitch"]
    assert [name for name, record in unchecked.items() if not record.parity] == ["stitch"]

    exported.clear()
    checked = build_bundle(BuildConfig(preset=TINY.name, bundle=path)).manifest.graphs
    assert exported == ["stitch"]
    assert all(record.parity for record in checked.values())
    assert checked["stitch"].folder != unchecked["stitch"].folder  # a good graph is never replaced in its place


def test_only_one_graph_of_a_bundle_that_is_not_there_says_what_to_do(tmp_path, exported):
    with pytest.raises(InputError, match=r"is not there yet; leave --only out once"):
        build_bundle(BuildConfig(preset=TINY.name, bundle=tmp_path / "bundle", only=("stitch",)))
    assert not (tmp_path / "bundle").exists()


def test_weights_in_upstreams_layout_build_and_say_where_they_came_from(tiny_preset, tmp_path, exported):
    # Every published entry, BatchNorm's whole-number counters too; the VAE in half precision, as upstream's file is.
    for network in NETWORKS:
        file = tmp_path / "pretrained_weights" / NETWORK_FILES[network][0]
        file.parent.mkdir(parents=True, exist_ok=True)
        state = random_state_dict(TINY.architecture.build(network))
        if network == "vae":
            save_file({key: tensor.half() for key, tensor in state.items()}, file)
        else:
            torch.save(state, file)

    config = BuildConfig(
        preset=TINY.name, bundle=tmp_path / "bundle", weights=tmp_path / "pretrained_weights", parity=False
    )
    weights = build_bundle(config).manifest.weights
    assert exported == GRAPHS
    assert weights["kind"] == "published"
    assert weights["source"] == str(tmp_path / "pretrained_weights")
    assert weights["fingerprint"]["unet"] == fingerprint(random_state_dict(TINY.architecture.build("unet")))


def test_a_wrong_graph_stops_the_build_and_leaves_the_old_bundle(tiny_bundle, tmp_path, monkeypatch):
    path = copy_of(tiny_bundle, tmp_path)
    before = {file: file.read_bytes() for file in path.rglob("*.onnx*")}

    def wrong(module, spec, example, to):
        if spec.name == "step_embedding":
            with torch.no_grad():
                module.time_embedding.linear_2.weight[0, 0] += 0.5
        export_onnx(module, spec, example, to)

    monkeypatch.setattr(export.graphs.build_graph, "export_onnx", wrong)
    monkeypatch.setattr(export.build, "code_hash", lambda *rooms: "changed")  # every graph is to be built again
    with pytest.raises(ParityError, match=r"step_embedding disagrees with its network: .* the graph was not kept"):
        build_bundle(BuildConfig(preset=TINY.name, bundle=path))
    assert {file: file.read_bytes() for file in before} == before
    assert Bundle.open(path).manifest == tiny_bundle.manifest


def test_a_half_precision_bundle_passes_its_parity_on_a_cpu(tiny_preset, tmp_path):
    bundle = build_bundle(BuildConfig(preset=tiny_preset, bundle=tmp_path / "bundle", precision="fp16"))
    records = bundle.manifest.graphs
    assert {name for name, record in records.items() if record.precision == "fp16"} == HALF & set(GRAPHS)
    # Seen: 0.007 at worst and 0.0016 rms, in pocket's denoiser and decoder. Far inside what is tolerated.
    assert all(record.parity["max"] < 0.05 and record.parity["rms"] < 0.01 for record in records.values())
    assert records["denoiser"].parity["max"] > 1e-4  # it is half precision indeed


def keys(config: BuildConfig, prefix: str = "") -> dict[str, str]:
    source = RandomWeights(config.model.build, prefix)
    return {
        name: digest(content_facts(graph, config, {n: source.fingerprint(n) for n in graph.networks}))
        for name, graph in config.graphs().items()
    }


def changed(config: BuildConfig, prefix: str = "", **changes) -> set[str]:
    before, after = keys(config), keys(replace(config, **changes), prefix)
    return {name for name in before if before[name] != after[name]}


def test_a_change_rebuilds_just_the_graphs_it_concerns(tiny_preset, tmp_path):
    config = BuildConfig(preset=tiny_preset, bundle=tmp_path)
    assert changed(config) == set()
    assert changed(config, bundle=tmp_path / "elsewhere") == set()
    assert changed(config, size=32) == {"vae_encoder", "denoiser", "stitch", "vae_decoder"}
    assert changed(config, frames=4) == {"motion", "denoiser", "stitch"}  # motion: the largest group it may get
    assert changed(config, precision="fp16") == {*HALF & set(GRAPHS), "motion"}  # motion: the precision of its tokens
    assert changed(config, prefix="other/") == set(GRAPHS) - {"stitch"}


def test_one_changed_network_rebuilds_its_graphs_alone(tiny_preset, tmp_path):
    config = BuildConfig(preset=tiny_preset, bundle=tmp_path, quantize=("int8",))
    fingerprints = dict.fromkeys(NETWORKS, "as before")

    def keys_with(**others):
        known = {**fingerprints, **others}
        return {
            n: digest(content_facts(g, config, {k: known[k] for k in deciding_networks(g, config.model)}))
            for n, g in config.graphs().items()
        }

    def touched(network):
        return {name for name, key in keys_with().items() if keys_with(**{network: "changed"})[name] != key}

    on_clips = {"denoiser_int8"}  # calibrated on what all networks together make
    assert touched("unet") == {"step_embedding", "denoiser"} | on_clips
    assert touched("pose_guider") == {"denoiser"} | on_clips  # folded into its stem
    assert touched("vae") == {"vae_encoder", "vae_decoder"} | on_clips
    assert touched("image_proj") == touched("appearance") == {"appearance"} | on_clips
    assert touched("head_pose") == touched("expression") == touched("motion_refiner") == {"motion"} | on_clips


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"preset": "poket"}, "no preset 'poket'; did you mean pocket"),
        ({"precision": "int8"}, "no precision 'int8'; there are: fp32, fp16"),
        ({"size": 100}, "size 100 gives latents of 12.5 cells; .* choose a multiple of 64"),
        ({"size": 96}, "size 96 gives latents of 12 cells; the UNet halves them 3 times: choose a multiple of 64"),
        ({"size": -64}, "size -64 .*choose a multiple of 64"),
        ({"frames": 1}, "a window of 1 frames cannot be built; choose 2 to 256"),
        ({"live_weights": Path("w")}, "live weights were given for a bundle without live mode"),
        ({"only": ("live_stitch",)}, "no graph live_stitch; choose from appearance"),
        ({"only": ("denoise",)}, "no graph denoise; choose from appearance, .*denoiser"),
    ],
)
def test_a_setting_that_cannot_be_built_says_what_can(tmp_path, wrong, says):
    with pytest.raises(InputError, match=says):
        BuildConfig(**{"preset": "pocket", "bundle": tmp_path, **wrong})


@pytest.fixture
def live_weights(tmp_path) -> Path:
    """A file of live networks for the tiny preset, distilled from its random UNet."""
    states = {name: random_state_dict(TINY.architecture.build(name), "live/") for name in LIVE_NETWORKS}
    path = tmp_path / "live.safetensors"
    write_weights(path, states, preset=TINY.name, teacher=RandomWeights(TINY.architecture.build).fingerprint("unet"))
    return path


def test_live_mode_adds_graphs_and_changes_none(tiny_preset, tmp_path, live_weights):
    plain = BuildConfig(preset=tiny_preset, bundle=tmp_path)
    noise = replace(plain, live=True)
    assert [*noise.graphs()] == [*GRAPHS, "live_denoiser", "live_stitch", "tiny_decoder"]
    assert {name: keys(noise)[name] for name in GRAPHS} == keys(plain)
    # Published weights without live ones: what needs no others.
    published = replace(noise, weights=tmp_path)
    assert [*published.graphs()] == [*GRAPHS, "live_denoiser", "live_stitch"]
    networks = {name: graph.networks for name, graph in replace(noise, live_weights=live_weights).graphs().items()}
    assert networks["live_denoiser"] == ("live_unet", "pose_guider")
    assert published.graphs()["live_denoiser"].networks == ("unet", "pose_guider")


def test_a_bundle_of_live_weights_says_where_they_came_from(tiny_bundle, tmp_path, live_weights, monkeypatch):
    def copy(module, spec, example, path: Path) -> None:  # what a graph holds is another test's
        source = tiny_bundle.manifest.graphs["stitch"]
        for file in (tiny_bundle.path / source.folder).glob("stitch.onnx*"):
            shutil.copy(file, path.parent / file.name.replace("stitch", spec.name))

    monkeypatch.setattr(export.graphs.build_graph, "export_onnx", copy)
    path = copy_of(tiny_bundle, tmp_path)
    config = BuildConfig(preset=TINY.name, bundle=path, live=True, live_weights=live_weights, parity=False)
    steps = []
    manifest = build_bundle(config, lambda p: steps.append((p.graph, p.step))).manifest
    assert [name for name, step in steps if step == "reuse"] == GRAPHS
    assert Bundle.open(path).manifest == manifest
    assert manifest.weights["live"] == str(live_weights)
    assert manifest.weights["kind"] == "random"
    assert set(manifest.weights["fingerprint"]) == {*NETWORKS, *LIVE_NETWORKS}
    assert manifest.graphs["live_denoiser"].flops.keys() == {"call"}
    # Without live mode the same folder is a bundle again, and nothing of it is exported.
    again = build_bundle(replace(config, live=False, live_weights=None)).manifest
    assert [*again.graphs] == GRAPHS and "live" not in again.weights


def test_live_weights_distilled_from_another_unet_are_refused(tiny_preset, tmp_path, live_weights):
    states = {name: random_state_dict(TINY.architecture.build(name)) for name in LIVE_NETWORKS}
    write_weights(live_weights, states, preset=TINY.name, teacher="0" * 64)
    config = BuildConfig(preset=tiny_preset, bundle=tmp_path / "bundle", live=True, live_weights=live_weights)
    with pytest.raises(CheckpointError, match=r"its live_unet was distilled from another unet .*export.distill"):
        build_bundle(config)
    # A decoder alone goes with every UNet.
    write_weights(live_weights, {"tiny_decoder": states["tiny_decoder"]}, preset=TINY.name, teacher="0" * 64)
    assert export.build.open_weights(config).fingerprint("tiny_decoder")


def test_onnx_runtime_may_come_as_its_package_for_gpus(monkeypatch):
    from importlib import metadata

    known = metadata.version

    def version(package):
        if package == "onnxruntime":
            raise metadata.PackageNotFoundError(package)
        return known(package)

    monkeypatch.setattr("export.build.metadata.version", version)
    assert export.build.exporter_versions()["onnxruntime"].count(".") == 2

"""What `hp-trt inspect` shows of plans: what they are for, what they cost, and what is not known about them."""

from __future__ import annotations

import io
import json
from dataclasses import replace

from rich.console import Console

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.engine_choice import EngineChoice, faster
from engines.manifest import OWN_SOURCE, Manifest, own_hash
from engines.plans import PlanOptions
from hp_trt.commands.inspect import show, summary
from tests.engines.bundles import (
    CPU_TARGET,
    TARGET,
    make_bundle,
    make_bundle_with_plans,
    make_bundle_with_table,
    make_graph,
    make_plan,
    manifest_of,
    with_plans,
)
from tests.hp_trt.command_line import refused
from tests.hp_trt.hallo2.bundles import FRAMES, MOTION_FRAMES, good


def text_of(bundle: Bundle) -> str:
    console = Console(width=200, record=True, highlight=False, file=io.StringIO())
    show(bundle, console)
    return console.export_text()


def test_plans_are_shown_with_their_target_attention_and_cost(tmp_path):
    text = text_of(make_bundle_with_plans(tmp_path, unet=b"graph"))
    assert f"{TARGET.folder}: tensorrt-rtx 1.7.1.116 for capability 8.9, 12.0 on linux" in text
    assert "1 of 2" in text and "2.0" in text
    assert "unet: 1 of 2 attentions fused" in text
    assert "not checked: no GPU to run it on" in text


def test_where_the_weights_come_from_is_shown(tmp_path):
    bundle = make_bundle(tmp_path, unet=b"graph")
    trained = replace(bundle.manifest, weights={"kind": "trained", "source": OWN_SOURCE, "fingerprint": {}})
    shown = Bundle(path=tmp_path, manifest=trained)
    assert "weights    trained: came with hp-trt" in text_of(shown)
    assert summary(shown)["weights"]["kind"] == "trained"


def test_numbers_count_graphs_and_plans(tmp_path):
    bundle = make_bundle_with_plans(tmp_path, unet=b"graph")
    files = [p for p in tmp_path.rglob("*") if p.is_file() and not p.name.startswith(".")]
    on_disk = sum(p.stat().st_size for p in files if p.name not in ("record.json", "manifest.json"))
    assert summary(bundle)["bytes"] == on_disk


def test_a_plan_without_weights_says_that_it_was_compared_with_others(tmp_path):
    stripped = replace(TARGET, options=PlanOptions(strip=True))
    with BundleWriter(tmp_path) as writer:
        old = make_graph(writer, "unet", b"old weights", structure="same")
        plan = replace(make_plan(writer, old, b"plan", stripped), parity={"max": 0.01, "rms": 0.001})
        plan = writer.finish(replace(plan, files={}))
        for graph in (old, make_graph(writer, "unet", b"new weights", structure="same")):
            text = text_of(Bundle(path=tmp_path, manifest=with_plans(manifest_of(graph), plan, target=stripped)))
            assert ("1.0e-02, other weights" in text) == (graph is not old)
            assert "1.0e-02" in text and "strip" in text


def test_words_of_a_bundle_are_shown_and_obeyed_by_nobody(tmp_path):
    bundle = make_bundle_with_plans(tmp_path, replace(TARGET, gpu="[/bold]\x1b[2J", version="[red]"), unet=b"graph")
    odd = {"kind": "random", "source": "\x1b]0;title\x07 [/]" + "x" * 5000, "fingerprint": {}}
    shown = Bundle(path=tmp_path, manifest=replace(bundle.manifest, weights=odd, created="[/]"))
    text = text_of(shown)
    assert "\x1b" not in text and "\\x1b]0;title" in text
    assert "[/bold]" in text and "[red]" in text
    assert max(map(len, text.splitlines())) < 700


def test_a_plan_of_which_nothing_was_written_down_is_shown(tmp_path):
    bundle = make_bundle_with_plans(tmp_path, unet=b"graph")
    [(folder, engines)] = bundle.manifest.engines.items()
    bare = {name: replace(plan, attention={}, built={}) for name, plan in engines.plans.items()}
    shown = replace(bundle.manifest, engines={folder: replace(engines, plans=bare)})
    assert "not known" in text_of(Bundle(path=tmp_path, manifest=shown))


def test_a_bundle_that_its_model_cannot_work_with_is_refused_as_when_it_is_opened(hp_trt, tmp_path):
    bundle = make_bundle(tmp_path / "b", unet=b"graph")
    data = bundle.manifest.to_json() | {"geometry": {"crop_px": 10**6, "appearance_px": 28, "motion_px": 32}}
    (bundle.path / "manifest.json").write_text(json.dumps(data | {"sha256": own_hash(data)}))
    refused(hp_trt("inspect", bundle.path), "geometry.crop_px must be a whole number of 8 to 2048, got 1000000")


def test_a_bundle_that_speech_drives_says_so_and_how_long_its_clips_are(tmp_path):
    talks = Bundle(path=tmp_path, manifest=Manifest.from_json(good()))
    text = text_of(talks)
    assert "model      hallo2, moved by speech" in text
    assert f"clips of {FRAMES} frames, 0.2 s, each going on from {MOTION_FRAMES} motion frames" in text
    assert summary(talks)["driver"] == "audio"
    foreign = replace(make_bundle(tmp_path, unet=b"graph").manifest, model="anothers")
    assert summary(Bundle(path=tmp_path, manifest=foreign))["driver"] is None
    assert "anothers, of another version" in text_of(Bundle(path=tmp_path, manifest=foreign))


def test_of_plans_for_a_cpu_the_table_of_engines_is_shown_with_what_was_measured(tmp_path):
    choices = {
        "denoiser": faster({"onnxruntime": 4.0, "openvino": 3.0, "openvino-bf16": 2.0}, sizes={"rows": 2}, threads=2),
        "vae_decoder": EngineChoice(exported="onnxruntime", why_not="OpenVINO does not compile it"),
    }
    text = text_of(make_bundle_with_table(tmp_path, choices))
    assert f"{CPU_TARGET.folder}: openvino 2026.4.1 for {CPU_TARGET.gpu} on linux" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["denoiser", "openvino", "openvino-bf16", "4", "3", "2"] in [row[:6] for row in rows]
    assert ["vae_decoder", "onnxruntime", "-", "-", "-", "-"] in [row[:6] for row in rows]
    assert "vae_decoder: OpenVINO does not compile it" in text
    assert "engine" in summary(Bundle.open(tmp_path))["engines"][CPU_TARGET.folder]["plans"]["denoiser"]["built"]

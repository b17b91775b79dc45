"""The build command given nonsense: one line, the right exit code, and nothing in a folder that is not ours."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from engines.bundle import Bundle
from export.build_engines import main
from export.hunyuanportrait.architecture import NETWORKS
from export.hunyuanportrait.presets import PRESETS
from export.hunyuanportrait.upstream import NETWORK_FILES
from export.weights.own import OWN_LIVE_WEIGHTS, OWN_WEIGHTS
from export.weights.packed import write_weights
from export.weights.source import RandomWeights
from tests.hp_trt.command_line import as_typed

POCKET = ("--preset", "pocket", "--random-weights")
RTX = ("--family", "tensorrt-rtx", "--capability", "8.9")
POSE = NETWORK_FILES["pose_guider"][0]


@pytest.fixture
def build(monkeypatch, capfd, tmp_path):
    """Runs the command in this process; (exit code, the error's line). Anything else on stderr is a note."""

    def run(*words, bundle=tmp_path / "bundle"):
        ended = as_typed(main, "build_engines", *words, "--bundle", bundle, patch=monkeypatch, capture=capfd)
        lines = [line for line in ended.err.splitlines() if not line.startswith("note: ")]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        return ended.code, lines[0]

    return run


@pytest.fixture
def weights(tiny_preset, tmp_path):
    """A folder in upstream's layout with the tiny preset's weights."""
    from safetensors.torch import save_file

    source = RandomWeights(PRESETS[tiny_preset].architecture.build)
    for network, files in NETWORK_FILES.items():
        path = tmp_path / "weights" / files[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        state = {key: tensor.clone() for key, tensor in source.state(network).items()}
        save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return tmp_path / "weights"


@pytest.fixture
def trained(tiny_preset, tmp_path):
    """A file of trained weights for the tiny preset."""
    source = RandomWeights(PRESETS[tiny_preset].architecture.build)
    write_weights(tmp_path / "my.safetensors", {n: source.state(n) for n in NETWORKS}, preset=tiny_preset)
    return tmp_path / "my.safetensors"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "needs --preset"),
        (
            ("--preset", "hunyuanportrait"),
            "neither was given; choose one (only pocket, talk_pocket, enhancer_pocket have weights",
        ),
        (("--preset", "hunyuanportrait", *RTX), "have weights of their own): hunyuanportrait has none"),
        (("--preset", "pokcet"), "did you mean pocket?"),
        ((*POCKET, "--weights", "w"), "both were given"),
        (("--preset", "pokcet", "--random-weights"), "did you mean pocket?"),
        (("--random-weights",), "needs --preset"),
        (("--live", *RTX), "needs --preset"),
        ((*POCKET, "--no-live", "--live-weights", "w"), "give one of them"),
        ((*POCKET, "--live-weights", "/no/such.safetensors"), "/no/such.safetensors: cannot be read: No such"),
        ((*POCKET, "--family", "tensorrt-rxt"), "did you mean tensorrt-rtx?"),
        ((*POCKET, "--family", "tensorrt-rtx"), "--capability"),
        ((*POCKET, *RTX, "--strip"), "needs a GPU to build plans with --strip"),
        ((*POCKET, *RTX, "--optimization-level", "6"), "must be 0 to 5"),
        ((*POCKET, *RTX, "--max-aux-streams", "17"), "--max-aux-streams can be 0 to 16, got 17"),
        ((*POCKET, *RTX, "--tiling-optimization-level", "4"), "the tiling optimization level must be 0 to 3, got 4"),
        ((*POCKET, "--max-aux-streams", "2"), "--max-aux-streams is for plans"),
        ((*POCKET, *RTX, "--workspace", "-1"), "must be 1 byte to 8 EiB"),
        ((*POCKET, "--capability", "8.9"), "--capability is for plans"),
        ((*POCKET, "--weight-streaming"), "--weight-streaming is for plans"),
        ((*POCKET, "--workspace", "2"), "--workspace is for plans"),
        ((*RTX, "--workspace", "nan"), "--workspace"),
        ((*RTX, "--workspace", "inf"), "--workspace"),
        ((*RTX, "--workspace", "1e30"), "--workspace"),
        ((*RTX, "--workspace", "0"), "the workspace must be 1 byte to 8 EiB, got 0 bytes"),
        (RTX, "there is no bundle at"),
        ((*POCKET, "--precision", "int8"), "there is no precision 'int8'; there are: fp32, fp16"),
        ((*POCKET, "--quantize", "int4"), "no quantisation 'int4'; did you mean int8? There are: int8, fp8"),
        ((*POCKET, "--size", "0"), "choose a multiple of 64"),
        ((*POCKET, "--size", "100"), "choose a multiple of 64"),
        ((*POCKET, "--size", "1000000000"), "at most 2048"),
        ((*POCKET, "--frames", "0"), "choose 2 to 256"),
        ((*POCKET, "--frames", "x"), "--frames"),
        ((*POCKET, "--only", "denoise"), "there is no graph denoise"),
        ((*POCKET, "--only", "stitch"), "is not there yet; leave --only out once"),
        (("--preset", "pocket", "--weights", "/no/such/folder"), "/no/such/folder is not a folder"),
        (("--preset", "pocket", "--weights", "/no/such.safetensors"), "/no/such.safetensors: cannot be read: No such"),
    ],
)
def test_an_option_that_cannot_be_is_refused(build, tmp_path, words, says):
    code, error = build(*words)
    assert code == 2 and says in error
    folder = tmp_path / "bundle"
    assert not folder.exists() or not [p for p in folder.rglob("*") if not p.name.startswith(".")]


def test_all_that_is_wrong_with_the_weights_comes_in_one_line(build, weights, tiny_preset, tmp_path):
    state = torch.load(weights / POSE)
    first, second = list(state)[:2]
    state.pop(first)
    torch.save(state | {"more": torch.zeros(2), second: torch.zeros(3, 3)}, weights / POSE)
    (weights / NETWORK_FILES["head_pose"][0]).unlink()
    code, error = build("--preset", tiny_preset, "--weights", weights)
    assert code == 2 and "2 of 8 files" in error
    for text in (
        f"1 missing key: {first}",
        "1 unexpected key: more",
        f"{second} is (3, 3), needs",
        "head_pose: no file",
    ):
        assert text in error
    assert not (tmp_path / "bundle").exists()


def test_weights_of_another_preset_are_refused(build, weights):
    code, error = build("--preset", "hunyuanportrait", "--weights", weights)
    assert code == 2 and "choose the preset they belong to" in error


def test_trained_weights_of_another_preset_are_refused(build, trained, tmp_path):
    code, error = build("--preset", "pocket", "--weights", trained)
    assert code == 2 and f"{trained} holds weights of preset tiny, asked for is pocket" in error
    assert not (tmp_path / "bundle").exists()


def test_a_damaged_file_of_trained_weights_is_refused(build, trained, tiny_preset, tmp_path):
    os.truncate(trained, trained.stat().st_size - 1)
    code, error = build("--preset", tiny_preset, "--weights", trained)
    assert code == 2 and f"{trained}: truncated, or not a safetensors file" in error
    assert not (tmp_path / "bundle").exists()


def test_a_package_that_lost_its_weights_says_so(build, monkeypatch, tmp_path):
    monkeypatch.setitem(OWN_WEIGHTS, "pocket", tmp_path / "gone.safetensors")
    code, error = build("--preset", "pocket")
    assert code == 2 and "gone.safetensors, the weights that come with hp-trt, is not there; install hp-trt" in error


class Code:
    """What a pickle could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def _nan(path: Path) -> None:
    state = torch.load(path)
    state[next(iter(state))].view(-1)[0] = float("nan")
    torch.save(state, path)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda path: path.write_bytes(pickle.dumps(Code(path.parent / "ran"))), "it was not run"),
        (lambda path: torch.save({"a": Code(path.parent / "ran")}, path), "it was not run"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "truncated"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: torch.save({k: v.long() for k, v in torch.load(path).items()}, path), "not of a floating"),
        (_nan, "1 key with NaN or infinity"),
    ],
    ids=["code", "code-in-zip", "cut", "empty", "integers", "nan"],
)
def test_a_file_that_holds_no_usable_weights_is_named(build, weights, tiny_preset, tmp_path, harm, says):
    harm(weights / POSE)
    code, error = build("--preset", tiny_preset, "--weights", weights)
    assert code == 2 and says in error and str(weights / POSE) in error
    assert not (weights / POSE).with_name("ran").exists()
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_is_not_ours_stays_as_it_is(build, tiny_preset, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")
    code, error = build("--preset", tiny_preset, "--random-weights", bundle=folder)
    assert code == 2 and "holds thesis.txt" in error
    assert [p.name for p in folder.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_bundles_place_stays(build, tiny_preset, tmp_path):
    (tmp_path / "f").write_text("mine")
    for bundle in (tmp_path / "f", tmp_path / "f" / "below"):
        code, _ = build("--preset", tiny_preset, "--random-weights", bundle=bundle)
        assert code == 2
    assert (tmp_path / "f").read_text() == "mine"


def test_a_bundle_of_another_preset_or_a_newer_schema_is_not_replaced(build, tiny_preset, tiny_bundle, tmp_path):
    folder = Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy"))
    code, error = build(*POCKET, bundle=folder)
    assert code == 2 and f"a bundle of preset {tiny_preset}, asked for pocket" in error
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"schema": 99}))
    code, error = build("--preset", tiny_preset, "--random-weights", bundle=folder)
    assert code == 2 and "has schema 99" in error
    assert (folder / "onnx").is_dir()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--size", "64"), "was exported with size 16, asked for 64; leave --size out, or export again"),
        (("--frames", "25"), "was exported with frames 3, asked for 25"),
        (("--precision", "fp16"), "was exported with precision fp32, asked for fp16"),
        (("--only", "denoise"), "there is no graph denoise; choose from appearance"),
    ],
)
def test_plans_of_other_graphs_than_the_bundles_are_refused(build, tiny_bundle, words, says):
    code, error = build(*RTX, *words, bundle=tiny_bundle.path)
    assert code == 2 and says in error


def test_plans_are_built_of_a_bundles_graphs_without_weights(tiny_bundle, tmp_path):
    path = Path(shutil.copytree(tiny_bundle.path, tmp_path / "bundle"))
    command = [sys.executable, "-m", "export.build_engines", *RTX, "--only", "stitch", "--bundle", str(path), "--json"]
    dry = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, check=True)
    assert json.loads(dry.stdout)["dry_run"] == [
        {"what": "plan", "name": "stitch", "build": True, "why": "the bundle has no plans for tensorrt-rtx"}
    ]
    for built in (1, 0):
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        events = [json.loads(line) for line in made.stdout.splitlines()]
        assert events[-1]["plans_built"] == built
        assert "not compared with their graphs: no GPU to run it on" in " ".join(e.get("text", "") for e in events)
    (engines,) = Bundle.open(path).manifest.engines.values()
    assert engines.plans.keys() == {"stitch"}
    assert (engines.target.family, engines.target.capabilities) == ("tensorrt-rtx", ("8.9",))


@pytest.fixture
def told(monkeypatch, capfd):
    """Runs the command to its end; what it printed, a JSON object a line."""

    def run(*words):
        ended = as_typed(main, "build_engines", *words, "--json", patch=monkeypatch, capture=capfd)
        assert not ended.code, ended.err
        return [json.loads(line) for line in ended.out.splitlines()]

    return run


@pytest.mark.xdist_group("tiny-build")
def test_a_preset_with_weights_of_its_own_needs_no_option_whatever_the_family(
    told, trained, tiny_preset, exported, tmp_path, monkeypatch
):
    from export.plans import build_plans

    monkeypatch.setitem(OWN_WEIGHTS, tiny_preset, trained)
    bundle = tmp_path / "bundle"
    words = ("--preset", tiny_preset, "--bundle", bundle, "--no-parity")
    events = told(*words)
    assert events[-1]["built"] == len(exported) == 7
    assert not [event for event in events if "random" in event.get("text", "")]
    weights = Bundle.open(bundle).manifest.weights
    assert (weights["kind"], weights["source"]) == ("trained", str(trained))
    # Plans: the same weights again, in the precision they are built in; nothing is built of TensorRT here.
    monkeypatch.setattr(build_plans, "build_plans", lambda bundle, config, *rest: pytest.fail("before the graphs"))
    lines = told(*words, *RTX, "--precision", "fp32", "--dry-run")[-1]["dry_run"]
    assert {(line["what"], line["build"]) for line in lines} == {("graph", False), ("plan", True)}


def test_weights_used_at_another_size_than_they_were_trained_at_are_said_to_be(told, trained, tiny_preset, monkeypatch):
    from export import build

    monkeypatch.setattr(
        build,
        "build_bundle",
        lambda config, tell, processes, beside: SimpleNamespace(manifest=SimpleNamespace(graphs={})),
    )
    for words, said in (((), 0), (("--size", "32"), 1), (("--frames", "4"), 1)):
        events = told("--preset", tiny_preset, "--weights", trained, "--bundle", trained.parent / "b", *words)
        notes = [
            event["text"] for event in events if "trained at 16 pixels and 3 frames together" in event.get("text", "")
        ]
        assert len(notes) == said, events


@pytest.mark.xdist_group("tiny-build")
def test_graphs_may_go_without_the_comparison_that_engines_get(tiny_preset, tmp_path, monkeypatch, capfd):
    import export.build
    import export.plans.build_plans

    asked: dict[str, bool] = {}

    class Stop(Exception):
        pass

    def build_bundle(config, on_progress, processes, beside):
        asked["graphs"] = config.parity
        return SimpleNamespace(manifest=SimpleNamespace(graphs={}))

    def build_plans(bundle, config, on_progress, reference, warn):
        asked["plans"] = config.parity
        raise Stop

    monkeypatch.setattr(export.build, "build_bundle", build_bundle)
    monkeypatch.setattr(export.plans.build_plans, "build_plans", build_plans)
    words = ("--preset", tiny_preset, "--random-weights", *RTX, "--no-graph-parity", "--bundle", tmp_path / "b")
    ended = as_typed(main, "build_engines", *words, patch=monkeypatch, capture=capfd)
    assert asked == {"graphs": False, "plans": True}
    assert "graphs are not compared with their networks (--no-graph-parity)" in ended.err


def test_live_mode_comes_with_the_weights_of_the_package_and_else_when_asked_for(
    told, trained, tiny_preset, tmp_path, monkeypatch
):
    from export import build

    live = tmp_path / "live.safetensors"
    source = RandomWeights(PRESETS[tiny_preset].architecture.build)
    write_weights(live, {n: source.state(n) for n in ("live_unet", "tiny_decoder")}, preset=tiny_preset)
    monkeypatch.setitem(OWN_WEIGHTS, tiny_preset, trained)
    monkeypatch.setitem(OWN_LIVE_WEIGHTS, tiny_preset, live)
    asked = []

    def build_bundle(config, tell, processes, beside):
        asked.append(config)
        return SimpleNamespace(manifest=SimpleNamespace(graphs={}))

    monkeypatch.setattr(build, "build_bundle", build_bundle)
    words = ("--preset", tiny_preset, "--bundle", tmp_path / "bundle")
    for more, expected in (
        ((), (True, live)),
        (("--no-live",), (False, None)),
        (("--only", "tiny_decoder"), (True, live)),
        (("--random-weights",), (False, None)),
        (("--random-weights", "--live"), (True, None)),
        (("--weights", trained), (False, None)),  # the package's are of its own weights
        (("--weights", trained, "--live-weights", live), (True, live)),
        (("--weights", trained, "--live"), (True, None)),
    ):
        told(*words, *more)
        assert (asked[-1].live, asked[-1].live_weights) == expected, more
        told(*asked[-1].words(), *words[2:], *(more if "--only" in more else ()))
        assert asked[-1] == asked[-2], more
    live.unlink()
    told(*words)
    assert (asked[-1].live, asked[-1].live_weights) == (False, None)


def test_the_words_that_a_bundle_keeps_ask_for_the_same_graphs_again(told, tiny_preset, tmp_path, monkeypatch):
    from export import build

    asked = []

    def build_bundle(config, tell, processes, beside):
        asked.append(config)
        return SimpleNamespace(manifest=SimpleNamespace(graphs={}))

    monkeypatch.setattr(build, "build_bundle", build_bundle)
    (tmp_path / "pretrained" / "hyportrait").mkdir(parents=True)
    place = ("--bundle", tmp_path / "my bundle")
    for words in (
        ("--random-weights",),
        ("--random-weights", "--precision", "fp16", "--size", "32", "--frames", "4", "--live", "--reuse"),
        ("--weights", tmp_path / "pretrained", "--no-graph-parity"),
        ("--random-weights", "--quantize", "int8", "--quantize", "fp8", "--calibrate", "my portrait.png", "clip.mp4"),
    ):
        told("--preset", tiny_preset, *words, *place)
        told(*asked[-1].words(), *place)
        assert asked[-1] == asked[-2], words
    assert asked[0].words() == ("--preset", tiny_preset, "--random-weights", "--precision", "fp32")

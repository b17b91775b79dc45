"""Opening a bundle: what is refused, and in which words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.bundle import Bundle
from engines.errors import BundleError
from engines.file_record import hash_bytes
from engines.manifest import OWN_SOURCE, SCHEMA, GraphRecord, Manifest, build_command, mending, own_hash, to_text
from tests.deep_folders import deep_folders
from tests.engines.bundles import key_of, make_bundle, manifest_of, spec_of
from tests.engines.test_external_data import graph_with_weights_in

COMMAND = "python -m export.build_engines --preset pocket --random-weights --size 64 --bundle "


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    make_bundle(folder, stitch=b"stitch graph", denoiser=b"denoiser graph")
    return folder


def edit_manifest(path: Path, edit: Callable[[dict], None], *, sign: bool = True) -> None:
    data = json.loads((path / "manifest.json").read_text())
    edit(data)
    if sign:
        data["sha256"] = own_hash(data)
    (path / "manifest.json").write_text(json.dumps(data))


def refusal(path: Path, **options: str) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.open(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_good_bundle_gives_back_what_was_committed(path):
    bundle = Bundle.open(path, preset="pocket")
    assert bundle.manifest.size == (64, 64)
    assert bundle.spec("denoiser") == spec_of("denoiser")
    assert bundle.model_path("denoiser").read_bytes() == b"denoiser graph"
    assert bundle.manifest.sampling == {"steps": 4, "window": 5}
    assert "stitch" in bundle
    assert "motion" not in bundle


def test_hidden_files_are_nobodys_business(path):
    (path / ".DS_Store").write_bytes(b"")
    (path / "onnx" / ".nfs0001").write_bytes(b"")
    Bundle.open(path)


def test_a_graph_that_the_bundle_lacks_is_named_with_what_there_is(path):
    with pytest.raises(BundleError, match="has no graph motion, only stitch, denoiser; rebuild it"):
        Bundle.open(path).graph("motion")


def test_a_path_without_anything_says_how_to_build(tmp_path):
    assert "there is no bundle at" in refusal(tmp_path / "nowhere")
    assert "build one: python -m export.build_engines --preset" in refusal(tmp_path / "nowhere")


def test_a_file_is_no_bundle(tmp_path):
    (tmp_path / "video.mp4").write_bytes(b"")
    assert "is a file, a bundle is a folder" in refusal(tmp_path / "video.mp4")


def test_any_other_folder_is_no_bundle(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"")
    assert "is not a bundle: it has no manifest.json" in refusal(tmp_path)


def test_somebody_elses_manifest_is_no_bundle(tmp_path):
    (tmp_path / "manifest.json").write_text('{"short_name": "web app"}')
    assert "is not a bundle: manifest.json is not ours" in refusal(tmp_path)


def test_a_manifest_cut_short_is_called_damaged(path):
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text[: len(text) // 2])
    assert "manifest.json is damaged, no json" in refusal(path)


def test_a_newer_schema_says_which_program_reads_it(path):
    def newer(data):
        data["schema"] = SCHEMA + 1
        data["versions"]["hp_trt"] = "7.2.0"

    edit_manifest(path, newer, sign=False)
    assert f"has schema {SCHEMA + 1}, this program reads {SCHEMA}; install hp-trt 7.2.0 or later" in refusal(path)


def test_an_older_schema_asks_for_a_rebuild(path):
    command = (
        f"--preset pocket [--weights PATH | --random-weights] --precision fp32 --frames 5 --size 64 --bundle {path}"
    )
    edit_manifest(path, lambda data: data.update(schema=4))
    assert refusal(path) == (
        f"{path / 'manifest.json'} has schema 4, needed {SCHEMA}; rebuild it: python -m export.build_engines --preset "
        f"pocket --random-weights --size 64 --bundle {path}"
    )
    edit_manifest(path, lambda data: (data.update(schema=2), data.pop("command"), data.pop("model")))
    assert refusal(path) == (
        f"{path / 'manifest.json'} has schema 2, needed {SCHEMA}; rebuild it: python -m export.build_engines {command}"
    )


def test_a_manifest_edited_by_hand_is_noticed(path):
    edit_manifest(path, lambda data: data.update(preset="hunyuanportrait"), sign=False)
    assert "manifest.json was changed after the build" in refusal(path)


def test_a_manifest_without_a_field_names_it(path):
    edit_manifest(path, lambda data: data.pop("frames"))
    assert "cannot be used: frames is missing; rebuild it" in refusal(path)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("--preset pocket", "command must be a list, got '--preset pocket'"),
        ([1], "command[0] must be text, got 1"),
        (None, "command must be a list, got null"),
    ],
)
def test_a_command_that_is_no_words_is_not_accepted_and_not_quoted(path, command, says):
    edit_manifest(path, lambda data: data.update(command=command))
    message = refusal(path)
    assert f"cannot be used: {says}; rebuild it: " in message
    assert "--preset pocket [--weights PATH | --random-weights] --precision fp32" in message


def test_a_file_outside_its_folder_is_not_accepted():
    record = GraphRecord(name="x", key=key_of(b""), spec=spec_of("x"), precision="fp32").to_json()
    record["files"] = {"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}
    with pytest.raises(ValueError, match="a file must lie in onnx/x-"):
        GraphRecord.from_json(record)


def test_another_preset_is_refused_when_one_is_asked_for(path):
    assert "is a bundle of preset pocket, needed hunyuanportrait" in refusal(path, preset="hunyuanportrait")


@pytest.mark.parametrize("name", ["stitch.onnx", "stitch.onnx.data", "record.json"])
def test_a_missing_file_is_named_with_the_command_that_mends_it(path, name):
    [file] = path.glob(f"onnx/stitch-*/{name}")
    file.unlink()
    assert refusal(path) == f"{path} lacks {file.relative_to(path)}; rebuild it: {COMMAND}{path}"


def test_a_file_changed_in_one_bit_is_noticed(path):
    [file] = path.glob("onnx/denoiser-*/denoiser.onnx.data")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    message = refusal(path)
    assert f"{file} was changed: sha256 " in message
    assert message.endswith(f"rebuild it: {COMMAND}{path}")


def test_a_file_cut_short_is_noticed_by_its_size(path):
    [file] = path.glob("onnx/denoiser-*/denoiser.onnx.data")
    os.truncate(file, 10)
    assert f"{file} was changed: 10 bytes, needed 1400" in refusal(path)


def test_a_changed_record_is_noticed(path):
    [file] = path.glob("onnx/denoiser-*/record.json")
    file.write_text(file.read_text().replace("0.5", "0.1"))
    assert f"{file} was changed after the build" in refusal(path)


@pytest.mark.parametrize("name", ["notes.txt", "onnx/other.onnx", "engines/trt/denoiser.plan"])
def test_a_foreign_file_is_named(path, name):
    (path / name).parent.mkdir(parents=True, exist_ok=True)
    (path / name).write_text("mine")
    assert f"{path} holds {name}, which the build did not write; move it elsewhere" in (message := refusal(path))
    assert message.endswith(f"{COMMAND}NEW_FOLDER")  # where it stands, a build refuses the same file


def test_folders_without_end_are_no_part_of_a_bundle(path):
    (path / "onnx" / "mine").mkdir()
    with deep_folders(path / "onnx" / "mine"):
        assert "which the build did not write" in refusal(path)


def test_a_graph_that_a_killed_build_left_behind_does_no_harm(path, tmp_path):
    other = make_bundle(tmp_path / "other", motion=b"motion graph")
    [left] = (other.path / "onnx").iterdir()
    left.rename(path / "onnx" / left.name)
    Bundle.open(path)


def test_the_command_that_rebuilds_is_the_one_that_built():
    words = ("--preset", "pocket", "--weights", "my weights.safetensors", "--reuse")
    command = build_command(Path("b"), {"command": list(words), "preset": "other", "precision": "fp32"})
    assert command == (
        "python -m export.build_engines --preset pocket --weights 'my weights.safetensors' --reuse --bundle b"
    )


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (None, "--preset PRESET [--weights PATH | --random-weights]"),
        ({"preset": "pocket"}, "--preset pocket [--weights PATH | --random-weights]"),
        ({"preset": "pocket", "weights": {"kind": "trained", "source": OWN_SOURCE}}, "--preset pocket"),
        ({"frames": 5, "size": 3}, "--preset PRESET [--weights PATH | --random-weights] --frames 5"),
    ],
)
def test_without_a_command_what_is_left_of_a_manifest_is_quoted(manifest, words):
    assert build_command(Path("b"), manifest) == f"python -m export.build_engines {words} --bundle b"


def test_a_manifest_survives_its_own_json():
    record = GraphRecord(name="x", key=key_of(b""), spec=spec_of("x"), precision="fp16", parity={"max": 1e-6})
    manifest = manifest_of(record)
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_a_link_in_the_place_of_a_file_is_refused(path, tmp_path):
    for pattern in ("onnx/denoiser-*/denoiser.onnx.data", "onnx/stitch-*/record.json", "manifest.json"):
        [file] = path.glob(pattern)
        file.rename(tmp_path / "elsewhere")
        file.symlink_to(tmp_path / "elsewhere")
        assert f"{path} holds {file.relative_to(path)} as a link, its files must lie in it" in refusal(path)
        file.unlink()
        (tmp_path / "elsewhere").rename(file)
    Bundle.open(path)


def test_a_graph_whose_weights_lie_elsewhere_is_refused(tmp_path):
    content = graph_with_weights_in("../../secret.data").SerializeToString()
    assert "denoiser.onnx takes weights from '../../secret.data', needed is a file beside it" in refusal(
        make_bundle(tmp_path / "odd", denoiser=content).path
    )


@pytest.mark.parametrize("size", [-1, 1 << 60, True, 1.0, None, "9"])
def test_a_size_that_no_file_has_is_refused(path, size):
    def edit(data):
        [first, *_] = data["graphs"]["stitch"]["files"].values()
        first["bytes"] = size

    edit_manifest(path, edit)
    assert ".bytes must be a whole number of 0 to 1125899906842624" in refusal(path)


def test_a_manifest_larger_than_any_is_not_read(path):
    with (path / "manifest.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert "at most 67108864 are read" in refusal(path)


@pytest.mark.parametrize("name", ["x" * 300, "no\0name", "a/" * 3000])
def test_a_path_that_can_be_none_is_refused(name):
    assert "bundle" in refusal(Path(name))


@pytest.fixture
def flat(tmp_path) -> Path:
    """As it lies in a package: two graphs that read one file of weights, and a card beside them."""
    contents = {"stitch.onnx": b"stitch graph", "denoiser.onnx": b"denoiser graph", "trained.safetensors": b"weights"}
    files = {name: hash_bytes(content) for name, content in contents.items()}
    records = [
        GraphRecord(
            name=name,
            key=key_of(name.encode()),
            spec=spec_of(name),
            precision="fp32",
            files={file: files[file] for file in (f"{name}.onnx", "trained.safetensors")},
            apart=False,
        )
        for name in ("stitch", "denoiser")
    ]
    for name, content in (contents | {"card.md": b"about"}).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "manifest.json").write_text(to_text(manifest_of(*records).to_json()))
    return tmp_path


def test_a_flat_bundle_opens_whatever_else_its_package_has_beside_it(flat):
    bundle = Bundle.open(flat)
    assert bundle.model_path("denoiser") == flat / "denoiser.onnx"
    assert Manifest.from_json(bundle.manifest.to_json()) == bundle.manifest


def test_what_mends_a_flat_bundle_is_another_installation(flat):
    (flat / "trained.safetensors").write_bytes(b"Weights")
    again = f"install hp-trt again, or build a bundle of your own: {COMMAND}NEW_FOLDER"
    assert refusal(flat).endswith(f"; {again}")
    assert mending(flat, {}).startswith("rebuild it: python -m export.build_engines")


def test_a_graph_that_its_record_does_not_vouch_for_is_not_opened(flat):
    def edit(data):
        del data["graphs"]["stitch"]["files"]["stitch.onnx"]

    edit_manifest(flat, edit)
    assert "manifest.json does not vouch for stitch.onnx; install hp-trt again" in refusal(flat)

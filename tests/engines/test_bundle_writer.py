"""Writing a bundle: nothing finished is lost, nothing good is destroyed, whatever happens in between."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.errors import BundleError, OutputError
from tests.engines.bundles import key_of, make_bundle, make_graph, manifest_of


def visible(path: Path) -> set[str]:
    return {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file() and "/." not in f"/{p.relative_to(path)}"}


def stop_half_way(path: Path, error: BaseException) -> None:
    """A build that fails with graph a finished and graph b begun."""
    with BundleWriter(path) as writer:
        make_graph(writer, "a", b"new a")
        (writer.stage("b", key_of(b"new b")) / "b.onnx").write_bytes(b"new")
        raise error


def test_a_second_build_of_the_same_graphs_builds_nothing(tmp_path, monkeypatch):
    make_bundle(tmp_path, a=b"graph a", b=b"graph b")
    monkeypatch.setattr(BundleWriter, "stage", lambda *_: pytest.fail("built again"))
    make_bundle(tmp_path, a=b"graph a", b=b"graph b")


def test_a_rebuild_keeps_what_is_the_same_and_sweeps_what_is_not(tmp_path):
    make_bundle(tmp_path, a=b"graph a", b=b"graph b")
    kept = (tmp_path / "onnx" / f"a-{key_of(b'graph a')[:12]}" / "a.onnx").stat().st_mtime_ns
    make_bundle(tmp_path, a=b"graph a", b=b"another b")
    bundle = Bundle.open(tmp_path)
    assert bundle.model_path("a").stat().st_mtime_ns == kept
    assert bundle.model_path("b").read_bytes() == b"another b"
    assert len(list((tmp_path / "onnx").iterdir())) == 2
    assert not (tmp_path / ".build").exists()


def test_a_build_stopped_half_way_leaves_the_old_bundle_and_resumes(tmp_path, monkeypatch):
    make_bundle(tmp_path, a=b"old a")
    before = visible(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        stop_half_way(tmp_path, KeyboardInterrupt())
    assert visible(tmp_path) == before
    assert Bundle.open(tmp_path).model_path("a").read_bytes() == b"old a"

    staged = []
    stage = BundleWriter.stage
    monkeypatch.setattr(BundleWriter, "stage", lambda self, name, key: staged.append(name) or stage(self, name, key))
    make_bundle(tmp_path, a=b"new a", b=b"new b")
    assert staged == ["b"]
    assert Bundle.open(tmp_path).model_path("b").read_bytes() == b"new b"


@pytest.mark.parametrize("after", range(12))
def test_a_kill_at_any_point_of_the_commit_leaves_one_good_bundle(tmp_path, monkeypatch, after):
    """The process dies (here: every later write fails) after so many renames and removals."""
    make_bundle(tmp_path, a=b"old a", b=b"old b")
    calls = iter(range(1000))

    class Killed(BaseException):
        pass

    def counted(real):
        def call(*args, **kwargs):
            if next(calls) >= after:
                raise Killed
            return real(*args, **kwargs)

        return call

    with suppress(Killed), BundleWriter(tmp_path) as writer:
        records = [make_graph(writer, "a", b"new a"), make_graph(writer, "b", b"new b")]
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", counted(os.rename))
            patch.setattr(os, "replace", counted(os.replace))
            patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
            writer.commit(manifest_of(*records))
    content = {Bundle.open(tmp_path).model_path(name).read_bytes()[:3] for name in "ab"}
    assert content in ({b"old"}, {b"new"})
    make_bundle(tmp_path, a=b"new a", b=b"new b")
    assert Bundle.open(tmp_path).model_path("a").read_bytes() == b"new a"
    assert len(list((tmp_path / "onnx").iterdir())) == 2


def test_a_damaged_graph_is_built_again_and_replaced(tmp_path):
    bundle = make_bundle(tmp_path, a=b"graph a")
    bundle.model_path("a").write_bytes(b"graph x")
    make_bundle(tmp_path, a=b"graph a")
    assert Bundle.open(tmp_path).model_path("a").read_bytes() == b"graph a"


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_manifest_is_mended_by_a_rebuild(tmp_path, text):
    make_bundle(tmp_path, a=b"graph a")
    (tmp_path / "manifest.json").write_text(text)
    if text == "[]":  # whole, and not ours: nothing tells that it may go
        with pytest.raises(BundleError, match=r"manifest\.json is not a bundle's manifest"):
            make_bundle(tmp_path, a=b"graph a")
    else:
        make_bundle(tmp_path, a=b"graph a")
        Bundle.open(tmp_path)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"sea")
    with pytest.raises(BundleError, match=r"holds holiday\.jpg, which is no part of a bundle"):
        make_bundle(tmp_path, a=b"graph a")
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_bundle_of_another_preset_is_not_replaced(tmp_path):
    make_bundle(tmp_path, a=b"graph a")
    with (
        pytest.raises(BundleError, match="is a bundle of preset pocket, asked for hunyuanportrait"),
        BundleWriter(tmp_path, preset="hunyuanportrait"),
    ):
        pass


def test_a_bundle_of_a_newer_program_is_not_replaced(tmp_path):
    make_bundle(tmp_path, a=b"graph a")
    data = json.loads((tmp_path / "manifest.json").read_text()) | {"schema": 99}
    (tmp_path / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match=r"has schema 99, this program reads 3; install hp-trt 0\.1\.0 or later"):
        make_bundle(tmp_path, a=b"graph a")


def hold(path: Path, ready: multiprocessing.synchronize.Event, done: multiprocessing.synchronize.Event) -> None:
    with BundleWriter(path):
        ready.set()
        done.wait(60)


def test_a_second_build_is_told_who_is_building(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(BundleError, match=f"is being built by process {other.pid} on .*; wait until it is done"):
            make_bundle(tmp_path, a=b"graph a")
    finally:
        done.set()
        other.join()
    make_bundle(tmp_path, a=b"graph a")


def test_a_full_disk_is_said_in_one_line_and_its_space_given_back(tmp_path):
    with pytest.raises(OutputError, match=r"No space left on device; free some space.*Finished graphs are kept"):
        stop_half_way(tmp_path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert [p.name.split("-")[0] for p in (tmp_path / ".build").iterdir()] == ["onnx+a"]


def test_a_full_disk_while_the_manifest_is_written_keeps_the_old_one(tmp_path, monkeypatch):
    make_bundle(tmp_path, a=b"old a")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def build():
        with BundleWriter(tmp_path) as writer:
            record = make_graph(writer, "a", b"new a")
            monkeypatch.setattr(os, "fsync", full)
            writer.commit(manifest_of(record))

    with pytest.raises(OutputError, match="No space left"):
        build()
    assert Bundle.open(tmp_path).model_path("a").read_bytes() == b"old a"
    assert not list(tmp_path.glob(".manifest*"))


def test_a_failure_that_is_not_about_the_bundle_stays_what_it_is(tmp_path):
    with pytest.raises(PermissionError), BundleWriter(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/weights/unet.pth")


def test_a_bundle_path_below_a_file_is_an_output_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="a part of its path is a file"):
        make_bundle(tmp_path / "file" / "bundle", a=b"")
    with pytest.raises(OutputError, match="is a file, a bundle is a folder"):
        make_bundle(tmp_path / "file", a=b"")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="is not writable"):
        make_bundle(tmp_path, a=b"")

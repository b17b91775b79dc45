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

from engines import bundle as bundle_module
from engines.bundle import Bundle
from engines.bundle_writer import BundleWriter
from engines.errors import BundleError, DiskError, OutputError
from tests.deep_folders import deep_folders
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
    with pytest.raises(BundleError, match=r"has schema 99, this program reads 5; install hp-trt 0\.1\.0 or later"):
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


LINKS = [
    ".build", ".lock", ".lock.holder", "onnx", "engines", "manifest.json", ".manifest.json.new",
    "engines/x/timing.cache", ".build/onnx+a-0123456789ab", "onnx/a-0123456789ab", "onnx/a-0123456789ab/a.onnx",
    "onnx/a-0123456789ab/record.json", ".manifest.json.0123456789abcdef.part",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["folder", "file", "nothing"])
@pytest.mark.parametrize("name", LINKS)
def test_a_link_that_a_build_would_write_or_delete_through_is_refused(tmp_path, name, kind):
    mine = tmp_path / "mine"
    (mine / "photos").mkdir(parents=True)
    (mine / "photos" / "sea.jpg").write_bytes(b"sea")
    (mine / "letter").write_bytes(b"dear")
    before = sorted(mine.rglob("*"))
    link = tmp_path / "b" / name
    link.parent.mkdir(parents=True)
    link.symlink_to({"folder": mine, "file": mine / "letter", "nothing": mine / "gone"}[kind])
    with pytest.raises(BundleError, match=r"is a link, and a bundle has folders and files alone.*remove it"):
        make_bundle(tmp_path / "b", a=b"graph a")
    assert sorted(mine.rglob("*")) == before and (mine / "letter").read_bytes() == b"dear"
    assert (mine / "photos" / "sea.jpg").read_bytes() == b"sea" and link.is_symlink()


@pytest.mark.parametrize("name", [".build", "onnx", "engines"])
def test_folders_without_end_are_no_place_for_a_bundle(tmp_path, name):
    (tmp_path / name).mkdir()
    with deep_folders(tmp_path / name), pytest.raises(BundleError, match="inside each other more than 8 deep"):
        make_bundle(tmp_path, a=b"graph a")


def test_a_pipe_in_a_bundle_is_refused_and_not_waited_for(tmp_path):
    (tmp_path / ".build").mkdir()
    os.mkfifo(tmp_path / ".build" / "x")
    with pytest.raises(BundleError, match="is no regular file"):
        make_bundle(tmp_path, a=b"graph a")


def test_a_bundle_may_be_reached_through_a_link_of_the_users(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "disk")
    make_bundle(tmp_path / "b", a=b"graph a")
    assert Bundle.open(tmp_path / "disk").model_path("a").read_bytes() == b"graph a"


def test_a_failing_disk_is_told_as_the_disks(tmp_path):
    with pytest.raises(DiskError, match="Input/output error; the disk fails") as found:
        stop_half_way(tmp_path, OSError(errno.EIO, os.strerror(errno.EIO)))
    assert found.value.exit_code == 1


def build_again_and_again(path: Path, count: int) -> None:
    for number in range(count):
        make_bundle(path, a=b"graph %d" % number, b=b"the same")


def test_a_reader_beside_a_writer_always_sees_a_whole_bundle(tmp_path):
    """Another process commits one bundle after the other; what was swept under a reader's hands is read anew."""
    make_bundle(tmp_path, a=b"graph 0", b=b"the same")
    writer = multiprocessing.get_context("spawn").Process(target=build_again_and_again, args=(tmp_path, 25))
    writer.start()
    seen = []
    try:
        while writer.is_alive():
            seen.append(Bundle.open(tmp_path).manifest.graphs["a"].key)
    finally:
        writer.terminate()
        writer.join()
    assert len(set(seen)) > 3, f"{len(seen)} reads met {len(set(seen))} of 25 bundles"
    assert seen[-1] == key_of(b"graph 24") or Bundle.open(tmp_path)


def test_a_bundle_that_changes_at_every_look_names_its_writer(tmp_path, monkeypatch):
    make_bundle(tmp_path, a=b"graph a")
    real, numbers = bundle_module.read_manifest, iter(range(1000))
    monkeypatch.setattr(bundle_module, "read_manifest", lambda path: real(path) | {"created": str(next(numbers))})
    with pytest.raises(BundleError, match="is being built: it changed 20 times while it was read; wait for the build"):
        Bundle.open(tmp_path)

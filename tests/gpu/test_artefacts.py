"""Graphs and plans that are exported and built meanwhile: one that fails costs no lines but those that need it."""

from __future__ import annotations

import time

import pytest

from engines import families
from tests.gpu import children
from tests.gpu.artefacts import Artefact, made_by
from tests.gpu.builders import Builder
from tests.gpu.examples import child, told
from tests.gpu.lines import Found, NotRun
from tests.gpu.sizes import SIZES


def test_who_waits_for_a_plan_hears_that_it_will_not_come(tmp_path):
    plan = Artefact(tmp_path, "denoiser", "tensorrt-rtx")
    with pytest.raises(NotRun, match="no time left: the tensorrt-rtx plan of denoiser is not done"):
        plan.wait(time.time() - 1)
    plan.announce(error="see its line")
    with pytest.raises(NotRun, match="there is no tensorrt-rtx plan of denoiser: see its line"):
        plan.wait(time.time() + 5)


def test_a_crash_while_building_costs_its_graph_alone(tmp_path, monkeypatch):
    artefacts = [Artefact(tmp_path, graph) for graph in ("step_embedding", "denoiser", "stitch")]
    code = (
        "import os, pathlib\n"
        f"for folder, name in {[(str(d.path.parent), d.graph) for d in artefacts]!r}:\n"
        "    word = pathlib.Path(folder, name + '.json')\n"
        "    if not word.exists():\n"
        "        if name == 'denoiser': os.kill(os.getpid(), 11)\n"
        "        word.parent.mkdir(parents=True)\n"
        "        word.write_text(json.dumps({'error': ''}))\n"
    )
    builder = Builder(artefacts, lambda: child(tmp_path, monkeypatch, code, time.time() + 30))
    (died,) = builder.child.wait()
    assert died.status == "failed" and builder.goes_on()
    assert not list(builder.child.wait()) and not builder.goes_on()
    for artefact in (artefacts[0], artefacts[2]):
        assert not artefact.wait(0)["error"]
    with pytest.raises(NotRun, match="exported graph of denoiser: the process died of SIGSEGV, see the lines of the"):
        artefacts[1].wait(0)


def test_what_an_ended_process_leaves_undone_is_told_to_whoever_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "GRACE_S", 0.2)
    artefacts = [Artefact(tmp_path, graph) for graph in ("step_embedding", "denoiser")]
    builder = Builder(artefacts, lambda: child(tmp_path, monkeypatch, "import time; time.sleep(60)", time.time() + 0.3))
    list(builder.child.wait())
    assert not builder.goes_on()
    with pytest.raises(NotRun, match="there is no exported graph of denoiser: no time was left"):
        artefacts[1].wait(time.time() + 5)


def test_plans_are_built_of_the_graphs_that_there_are(tmp_path, lines, monkeypatch):
    from tests.gpu import part_build

    monkeypatch.setattr(part_build, "build", lambda plan, graph, _: plan.announce() or Found(text=graph.graph))
    Artefact(tmp_path, "denoiser").announce(error="see its line")
    Artefact(tmp_path, "stitch").announce()
    Artefact(tmp_path, "motion", "tensorrt").announce(error="its process died")
    part_build.tell_build(lines, "tensorrt", SIZES["mini"], tmp_path, ("denoiser", "stitch", "motion"))
    assert [(one.section, one.name, one.status, one.text) for one in told(lines)] == [
        ("build, mini", "tensorrt plan, denoiser", "not run", "there is no exported graph of denoiser: see its line"),
        ("build, mini", "tensorrt plan, stitch", "ok", "stitch"),
    ]
    with pytest.raises(NotRun, match="there is no tensorrt plan of denoiser"):
        Artefact(tmp_path, "denoiser", "tensorrt").wait(0)


def test_the_check_goes_on_with_an_exporter_that_fails(tmp_path, lines, monkeypatch):
    pytest.importorskip("torch")
    from tests.gpu import part_artefacts

    def export(module, spec, example, path):
        assert spec.name != "stitch", "an assertion of a pass over another exporter's graph"
        path.write_bytes(b"graph")

    monkeypatch.setattr(part_artefacts, "export_onnx", export)
    part_artefacts.tell_artefacts(lines, SIZES["mini"], tmp_path, ("step_embedding", "stitch", "motion"), (), "")
    assert [one.status for one in told(lines)] == ["ok", "failed", "ok"]
    assert told(lines)[1].text.startswith("AssertionError: an assertion of a pass")
    with pytest.raises(NotRun, match="there is no exported graph of stitch: see its line"):
        Artefact(tmp_path, "stitch").wait(0)


def test_what_an_earlier_check_left_is_kept_while_code_and_libraries_are_the_same(tmp_path, monkeypatch):
    graph = Artefact(tmp_path, "denoiser")
    graph.path.parent.mkdir(parents=True)
    graph.path.write_bytes(b"a graph")
    graph.announce(spec={})
    graph.forget_other()
    assert graph.done
    graph.path.write_bytes(b"a longer graph")  # half written, or somebody else's
    graph.forget_other()
    assert not graph.done
    graph.announce(spec={})
    monkeypatch.setattr("tests.gpu.artefacts.made_by", lambda family: "another version")
    graph.forget_other()
    assert not graph.done


@pytest.mark.parametrize("word", ["", "{}", "[]", '{"made_by": 3, "bytes": 7}'])
def test_a_word_that_is_none_is_forgotten_and_so_is_a_failure(tmp_path, word):
    graph = Artefact(tmp_path, "denoiser")
    graph.announce(error="it failed")
    graph.forget_other()
    assert not graph.done
    graph.path.parent.mkdir(parents=True, exist_ok=True)
    graph.path.with_suffix(".json").write_text(word)
    graph.forget_other()
    assert not graph.done


def test_plans_are_another_librarys_work(tmp_path):
    assert len({made_by(""), made_by("tensorrt-rtx")}) == 2 or not families.is_installed(families.RTX)

"""The check on this machine, for real but small; the rest of it, the GPU's, by a marked test."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from engines.cuda_trace import Span
from tests import fakes
from tests.fakes import FakeBackend
from tests.gpu import check, children, summary
from tests.gpu.artefacts import Artefact
from tests.gpu.builders import Builder
from tests.gpu.children import Child
from tests.gpu.comparing import difference, keep
from tests.gpu.lines import Found, Line, Lines, NotRun, first_line
from tests.gpu.part_family import FamilyPart
from tests.gpu.report import Report
from tests.gpu.sizes import SIZES
from tests.gpu.timeline import COLUMNS, draw

PYTHON = sys.executable  # `child` puts another in its place


@pytest.fixture
def lines(tmp_path):
    return Lines(tmp_path / "lines.jsonl", time.time() + 60)


def told(lines):
    rows = map(json.loads, lines.path.read_text().splitlines())
    return [Line(**row) for row in rows if "status" in row]


def line(section, name, status="ok", text="", **facts):
    return Line(section=section, name=name, status=status, text=text, facts=facts)


def test_on_a_cpu_the_check_exports_runs_compares_and_reports(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads of many processes on few cores would wait for each other
    options = "--device cpu --sizes mini --minutes 12 --graphs vae_decoder step_embedding --commit abc"
    code = check.main(["--out", str(tmp_path), *options.split()])
    report = json.loads((tmp_path / "report.json").read_text())
    found = {(one["section"], one["name"]): one for one in report["lines"]}
    assert report["finished"] and report["commit"] == "abc"
    assert code == 0, [one for one in report["lines"] if one["status"] in ("failed", "missed")]
    assert found["onnxruntime, mini", "parity, vae_decoder"]["facts"]["psnr_db"] > 40
    assert found["onnxruntime, mini", "parity, step_embedding"]["facts"]["relative_l2"] < 1e-5
    assert found["torch, mini", "exact, step"]["facts"]["against_released"] < 1e-4
    ways = {way["name"]: way for way in report["summary"]["ways"]}
    assert ways["PyTorch eager, released"]["measured_ratio"] == 1
    assert ways["PyTorch eager, exact"]["estimated_fps"] > 0
    assert found["tensorrt-rtx, mini", "everything"]["text"] == "it needs a GPU, this is a check with --device cpu"
    text = (tmp_path / "report.md").read_text()
    assert "| mini | PyTorch eager, exact |" in text and "### onnxruntime, mini" in text


@pytest.mark.gpu
def test_on_a_gpu_the_check_reports_frames_a_second(tmp_path):
    code = check.main(["--out", str(tmp_path), "--sizes", "pocket", "--minutes", "5"])
    report = json.loads((tmp_path / "report.json").read_text())
    assert code in (0, 1) and report["finished"]
    ways = {way["name"]: way for way in report["summary"]["ways"]}
    assert ways["PyTorch eager, exact"]["measured_fps"] > 0


def test_without_a_gpu_the_report_says_why_nothing_ran(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert check.main(["--out", str(tmp_path)]) == 2
    assert "no cuda device to measure on" in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    by_section = {one["section"]: one for one in report["lines"]}
    for section in ("verdict", "torch", "onnxruntime", "tensorrt", "tensorrt-rtx"):
        assert by_section[section]["status"] == "not run"
        assert by_section[section]["text"].startswith("there is no device to measure on: ")
    assert not [one for one in report["lines"] if one["status"] == "failed"]


@pytest.mark.parametrize("minutes", ["0", "-3", "nan", "inf"])
def test_a_check_without_time_is_refused(tmp_path, capsys, minutes):
    with pytest.raises(SystemExit) as ended:
        check.main(["--out", str(tmp_path / "out"), "--minutes", minutes])
    assert ended.value.code == 2
    assert f"--minutes must be more than 0, got {minutes}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--work"])
def test_a_folder_that_is_a_file_is_refused_before_anything_runs(tmp_path, capsys, option):
    file = tmp_path / "file"
    file.write_text("mine")
    for folder in (file, file / "below"):
        with pytest.raises(SystemExit) as ended:
            check.main(["--out", str(tmp_path / "out"), option, str(folder)])
        assert ended.value.code == 2
        assert f"{option} {folder} cannot be written to: " in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_our_networks_arranged_as_the_released_ones_compute_the_same(monkeypatch):
    torch = pytest.importorskip("torch")
    from export.hunyuanportrait.graphs import black_pose_features
    from tests.gpu import released
    from tests.gpu.conditions import ClipInputs
    from tests.gpu.networks import Networks, architecture_of, graphs_of

    size = SIZES["mini"]
    networks, architecture = Networks(architecture_of(size), "cpu"), architecture_of(size)
    spec = graphs_of(size)["denoiser"].spec
    window = ClipInputs.of(spec, size.sampling, frames=size.clip_frames).window(size.sampling)
    seen = {name: torch.from_numpy(array).float() for name, array in window.items()}
    unet, vae = networks("unet"), networks("vae")
    with torch.no_grad():
        pose = black_pose_features(networks("pose_guider"), (size.px, size.px))
        released.keep_positions(unet, frames=size.frames)
        theirs = released.Released(architecture, unet, vae, pose)
        monkeypatch.setattr(released, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=lambda name: None)))
        ours = released.Released(architecture, unet, vae, pose)
        assert (theirs.with_diffusers, ours.with_diffusers) == (True, False)
        expected = theirs.velocity(seen, guidance=(2.0, 1.5)).numpy()
        # fp32 through a deep network in another order of summation.
        assert difference("denoiser", ours.velocity(seen, guidance=(2.0, 1.5)).numpy(), expected).relative_l2 < 1e-4
        batched = ours.velocity(seen, guidance=(2.0, 1.5), batched=True).numpy()
        assert difference("denoiser", batched, expected).relative_l2 < 1e-4
        latents = seen["latents"][:2] / 700
        frames = ours.decode(latents).numpy()
        assert difference("denoiser", frames, theirs.decode(latents).numpy()).relative_l2 < 1e-4


def test_the_command_loads_no_torch_and_nothing_that_a_gpu_machine_may_lack():
    code = "import sys, tests.gpu.check, tests.gpu.part_family, engines.onnx_backend; print(*sys.modules)"
    import subprocess

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "typer", "rich", "av", "cv2", "PIL", "diffusers", "tensorrt", "polygraphy"} & set(loaded)


def test_an_error_costs_its_line_alone(lines):
    def fail() -> Found:
        raise RuntimeError("first\nsecond")

    assert lines.run("s", "broken", fail) is None
    assert lines.run("s", "fine", lambda: Found(text="yes", facts={"a": float("inf")})) is not None
    broken, fine = told(lines)
    assert (broken.status, broken.text) == ("failed", "RuntimeError: first")
    assert (fine.status, fine.text, fine.facts) == ("ok", "yes", {"a": "inf"})


def test_a_limit_that_is_missed_and_a_thing_that_is_missing_are_no_failures(lines):
    def missing() -> Found:
        raise NotRun("nothing to run")

    lines.run("s", "a", lambda: Found(text="1.0", missed="needs less"))
    lines.run("s", "b", missing)
    assert [(one.status, one.text) for one in told(lines)] == [
        ("missed", "1.0; needs less"),
        ("not run", "nothing to run"),
    ]


def test_a_line_that_does_not_fit_into_the_time_is_not_begun(tmp_path):
    lines = Lines(tmp_path / "lines.jsonl", time.time() + 5)
    begun = []
    lines.run("s", "long", lambda: begun.append(1) or Found(text=""), needs_s=60)
    assert not begun and told(lines)[0].text == "no time left"


def test_a_line_that_takes_too_long_is_stopped_and_the_next_says_so(tmp_path):
    lines = Lines(tmp_path / "lines.jsonl", time.time() + 1.2)

    def slow() -> Found:
        try:
            time.sleep(30)
        except Exception:  # a library that catches everything
            pytest.fail("the alarm is not one of these")
        return Found(text="")

    lines.run("s", "slow", slow)
    lines.run("s", "next", lambda: Found(text=""))
    assert [one.text for one in told(lines)] == ["no time left: stopped before its end", "no time left"]


def child(tmp_path, monkeypatch, code, until_s):
    """A part that is this Python code; `tell(row)` appends to its lines."""
    script = tmp_path / "part.py"
    script.write_text(
        "import json, sys\npath = sys.argv[sys.argv.index('--lines') + 1]\n"
        f"def tell(row):\n    open(path, 'a').write(json.dumps(row) + chr(10))\n{code}\n"
    )
    python = tmp_path / "python"  # runs the script in place of the module
    python.write_text(f'#!/bin/sh\nshift 2\nexec "{PYTHON}" "{script}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(children.sys, "executable", str(python))
    return Child(tmp_path, 1, "torch", until_s)


def test_a_part_that_crashes_leaves_what_it_measured_and_names_what_it_was_at(tmp_path, monkeypatch):
    done = line("s", "done", text="1 ms").to_json()
    code = f"tell({done!r}); tell({{'began': ['s', 'deserialise']}}); import os; os.kill(os.getpid(), 11)"
    found = list(child(tmp_path, monkeypatch, code, time.time() + 30).wait())
    assert [(one.name, one.status) for one in found] == [("done", "ok"), ("deserialise", "failed")]
    assert found[1].text.startswith("the process died of SIGSEGV")


def test_a_part_that_cannot_start_says_its_last_words(tmp_path, monkeypatch):
    (found,) = child(tmp_path, monkeypatch, "sys.exit('no such library')", time.time() + 30).wait()
    assert (found.section, found.status) == ("torch", "failed")
    assert found.text == "the process ended with code 1; its last words: no such library"


def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "GRACE_S", 0.5)
    code = (
        "import subprocess, time\np = subprocess.Popen(['sleep', '60'])\n"
        "tell({'began': ['s', str(p.pid)]})\ntime.sleep(60)"
    )
    (found,) = child(tmp_path, monkeypatch, code, time.time() + 1.5).wait()
    assert (found.status, found.text) == ("not run", "no time left: its process was ended")
    deadline = time.time() + 5
    while _runs(int(found.name)) and time.time() < deadline:
        time.sleep(0.05)
    assert not _runs(int(found.name))


def _runs(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_stopped_check_leaves_its_report_and_no_process(tmp_path):
    import subprocess

    running = subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.check", "--out", tmp_path, "--device", "cpu", "--sizes", "mini"],
        cwd=children.ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.time() + 30
        while time.time() < deadline and "versions" not in _text(tmp_path / "report.md"):
            time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGTERM)
        code = running.wait(timeout=30)
    assert code == 143
    report = json.loads((tmp_path / "report.json").read_text())
    assert not report["finished"] and report["lines"][0]["name"] == "versions"
    assert "stopped before its end" in _text(tmp_path / "report.md")


def test_ctrl_c_is_one_line_that_says_where_the_report_is(tmp_path, capsys, monkeypatch):
    def interrupted(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check", interrupted)
    assert check.main(["--out", str(tmp_path)]) == 130
    said = capsys.readouterr().err
    assert said == f"error: interrupted; {tmp_path / 'report.md'} has what was measured until then\n"


def _text(path):
    return path.read_text() if path.exists() else ""


def test_what_runs_beside_measurements_steps_aside():
    code = (
        "import os; from tests.gpu.part import step_aside; ours = os.sched_getaffinity(0); step_aside(); import torch; "
        "print(os.nice(0), len(ours), len(os.sched_getaffinity(0)), torch.get_num_threads())"
    )
    import subprocess

    run = subprocess.run([sys.executable, "-c", code], cwd=children.ROOT, capture_output=True, text=True, check=True)
    nice, ours, cores, threads = map(int, run.stdout.split())
    assert nice == 19 and threads == cores == max(ours - 4, 1)


def test_the_report_says_what_was_timed_beside_exports_and_builds(tmp_path):
    times = [line("torch, full", name, median_s=1.0) for name in ("released, step", "exact, step")]
    text, _ = reported(tmp_path, [replace(times[0], beside=True), times[1]])
    assert "on other cores: torch, full: released, step.\n" in text


def test_a_way_is_held_against_the_faster_released_arrangement():
    measured = [
        line("torch, full", "released, step", median_s=0.5, flops=96e12),
        line("torch, full", "released, step, three rows at once", median_s=0.4, flops=96e12),
        line("torch, full", "released, decode", median_s=0.2),
        line("torch, full", "exact, step", median_s=0.2, flops=60e12),
        line("tensorrt, full", "step", median_s=0.1, peak_bytes=1 << 30),
        line("tensorrt, full", "decode", median_s=0.1),
        line("machine", "matrix product, fp16", flops_per_s=800e12),
    ]
    released, exact, tensorrt = summary.ways(measured)
    assert (released.step_s, released.estimated_ratio) == (0.4, 1)
    assert exact.estimated_fps is None  # its decode was not measured
    assert tensorrt.flops_per_s == pytest.approx(600e12) and tensorrt.of_ceiling == pytest.approx(0.75)
    # 130 padded frames: 6 windows of 25 steps; 17 chunks released, 104 of the frames' 8 decoded otherwise.
    assert released.estimated_fps == pytest.approx(100 / (150 * 0.4 + 130 / 8 * 0.2))
    assert tensorrt.estimated_ratio == pytest.approx(
        (150 * 0.4 + 130 / 8 * 0.2) / (150 * 0.1 + 112 / 8 * 0.1), rel=0.02
    )


@pytest.mark.parametrize(
    ("one_by_one_s", "at_once_s", "batched"), [(0.5, 0.4, True), (0.4, 0.5, False), (0.4, None, False)]
)
def test_the_released_clip_runs_in_the_faster_arrangement(
    tmp_path, lines, monkeypatch, one_by_one_s, at_once_s, batched
):
    torch = pytest.importorskip("torch")
    from tests.gpu import part_torch
    from tests.gpu.stopwatch import Times

    seen = []

    def velocity(window, *, guidance, batched):
        seen.append(batched)
        return torch.zeros(1)

    part = part_torch.TorchPart(lines, SIZES["mini"], "cpu", tmp_path, (), compiled=False)
    part.made = {"seen": {}, "released": SimpleNamespace(velocity=velocity, decode=None, kind="")}
    part.row_flops = lambda released: 1
    seconds = {False: one_by_one_s, True: at_once_s}
    monkeypatch.setattr(
        part_torch, "measure", lambda call, *_, **__: Times(seconds=(seconds[call.keywords["batched"]],))
    )
    part.released_step()
    if at_once_s is not None:  # else its line had no memory, or no time
        part.released_step(batched=True)
    step, _ = part.clip_calls("released")
    step(*4 * [torch.zeros(1)])
    assert seen[-1] is batched


def clips(size, fps, way="onnxruntime"):
    """A released clip of 1 frame/s, and this way's."""
    return [
        line(f"torch, {size}", "released, clip", frames_per_s=1.0),
        line(f"{way}, {size}", "clip", frames_per_s=fps, timeline=[["denoiser", "denoise", 0.0, 1.0]]),
    ]


def reported(folder, lines):
    report = Report(folder=folder, about={"date": "today"})
    for one in lines:
        report.add(one)
    return (folder / "report.md").read_text(), json.loads((folder / "report.json").read_text())["summary"]


def test_the_report_says_whether_the_ratio_is_kept_and_whose_it_is(tmp_path):
    text, found = reported(tmp_path, [*clips("pocket", 3.0), *clips("full", 2.0)])
    assert (
        "- Best ratio at full: 2.00, onnxruntime, by a measured clip; at least 2.5 is needed: NOT kept.\n"
        "- Best ratio at pocket: 3.00, onnxruntime, by a measured clip; it decides nothing."
    ) in text
    assert found["best_ratio"] == 2


def test_a_ratio_of_another_size_than_full_decides_nothing(tmp_path):
    text, found = reported(tmp_path, clips("pocket", 2.0))
    assert "- No ratio was measured at full, where 2.5 is needed." in text
    assert found["best_ratio"] is None and found["best"][0]["ratio"] == 2
    assert check.exit_code(clips("pocket", 2.0), "cuda") == 0


def test_a_ratio_of_estimates_is_called_one(tmp_path):
    times = {"released, step": 0.3, "released, decode": 0.3, "exact, step": 0.1, "exact, decode": 0.1}
    text, found = reported(tmp_path, [line("torch, full", name, median_s=s) for name, s in times.items()])
    assert found["best"][0]["source"] == "an estimate" and "PyTorch eager, exact, by an estimate; at least" in text


@pytest.mark.parametrize(
    ("fps", "status", "device", "code"),
    [
        (3.0, "ok", "cuda", 0),
        (2.0, "ok", "cuda", 1),
        (2.0, "ok", "cpu", 0),
        (3.0, "missed", "cuda", 1),
        (3.0, "failed", "cuda", 1),
        (3.0, "not run", "cuda", 0),
    ],
)
def test_the_exit_code_is_0_where_all_that_ran_kept_its_limit(fps, status, device, code):
    assert check.exit_code([*clips("full", fps), line("s", "n", status=status)], device) == code


class Traced(FakeBackend):
    """A backend with a timeline: every run of a graph took as many seconds as it is long."""

    def __init__(self):
        super().__init__()
        self.ran = []

    def session(self, spec, formula):
        def noted(**arrays):
            self.ran.append(spec.name)
            return formula(**arrays)

        return super().session(spec, noted)

    def spans(self):
        ran, self.ran = self.ran, []
        return [Span(name, "denoise", 5.0 + i, len(name)) for i, name in enumerate(ran)]


@pytest.fixture
def family_part(tmp_path, lines):
    """TensorRT's part with graphs that are functions."""
    size, cells, tokens = SIZES["mini"], (4, 8, 8), (2, 6)
    backend, zeros = Traced(), np.zeros
    window = {"latents": (3, *cells), "motion_tokens": ("rows", 3, *tokens)}
    rows = {"image_latents": ("rows", *cells), "image_tokens": ("rows", *tokens), "row_weights": ("rows",)}
    made = {
        "step_embedding": (
            fakes.spec("step_embedding", {"timesteps": ("s",), "added_time_ids": (3,)}, {"embeddings": ("s", 5)}),
            lambda timesteps, **_: {"embeddings": zeros((len(timesteps), 5), np.float32)},
        ),
        "denoiser": (
            fakes.spec(
                "denoiser", {**window, **rows, "c_in": (1,), "step_embedding": (1, 5)}, {"velocity": (3, *cells)}
            ),
            lambda latents, **_: {"velocity": latents},
        ),
        "stitch": (
            fakes.spec(
                "stitch",
                {
                    "latents": ("t", *cells),
                    "velocities": ("w", 3, *cells),
                    "matrix": ("t", "w", 3),
                    "a": (1,),
                    "b": (1,),
                },
                {"next_latents": ("t", *cells)},
            ),
            lambda latents, **_: {"next_latents": latents},
        ),
        "vae_decoder": (
            fakes.spec("vae_decoder", {"latents": ("f", *cells)}, {"frames": ("f", 3, 64, 64)}),
            lambda latents: {"frames": zeros((len(latents), 3, 64, 64), np.float32)},
        ),
    }
    sessions = {name: backend.session(spec, formula) for name, (spec, formula) in made.items()}
    return FamilyPart(lines, "tensorrt", size, "cpu", tmp_path, backend=backend, sessions=sessions)


def test_a_plan_is_timed_by_its_own_events_after_the_warm_up(family_part, tmp_path):
    latents = np.zeros((8, 4, 8, 8), np.float32)
    keep(tmp_path / "vae_decoder" / "reference.npz", {"latents": latents}, np.zeros((8, 3, 64, 64)))
    found = family_part.time("vae_decoder")
    assert found.facts["median_s"] == len("vae_decoder") and found.facts["clock"] == "events"
    assert found.facts["repeats"] == 9  # neither the three runs before, nor uploads
    assert family_part.sessions["vae_decoder"].runs[-1] == {"latents": (2, 4, 8, 8)}  # the clip's chunk


def test_a_clip_is_measured_the_second_time_and_its_timeline_begins_at_0(family_part):
    found = family_part.clip()
    assert found.facts["frames"] == SIZES["mini"].clip_frames and found.facts["steps"] == 2
    timeline = found.facts["timeline"]
    assert timeline[0][:3] == ["step_embedding", "denoise", 0.0]
    assert [name for name, *_ in timeline].count("step_embedding") == 1
    assert {name for name, *_ in timeline} == {"step_embedding", "denoiser", "stitch", "vae_decoder"}


def test_a_graph_without_a_reference_is_not_compared(family_part):
    with pytest.raises(NotRun, match="nothing to compare with"):
        family_part.parity("vae_decoder")


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


def test_lines_that_were_never_begun_are_told_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "GRACE_S", 0.5)
    plan = {"planned": [["build, full", f"tensorrt plan, {graph}"] for graph in ("denoiser", "stitch")]}
    began = {"began": ["build, full", "tensorrt plan, denoiser"]}
    for code, status, left_out in (
        ("time.sleep(60)", "not run", "no time left"),
        ("os.kill(os.getpid(), 9)", "failed", "left out: the process died of SIGKILL before"),
    ):
        script = f"import os, time; tell({plan!r}); tell({began!r}); {code}"
        one = child(tmp_path, monkeypatch, script, time.time() + 1)
        (ended,) = one.wait()
        assert (ended.name, ended.status) == ("tensorrt plan, denoiser", status)
        assert [(line.name, line.text) for line in one.left_out()] == [("tensorrt plan, stitch", left_out)]
        if status == "not run":
            assert 0.5 < ended.seconds < 10  # so long it was at it
        (tmp_path / "1-torch.jsonl").unlink()


def test_the_report_says_how_long_builds_took_and_what_was_left_out(tmp_path):
    made = Line(section="build, full", name="tensorrt plan, step_embedding", status="ok", text="2 MB", seconds=3.0)
    stopped = replace(made, name="tensorrt plan, denoiser", status="not run", text="no time left: ended", seconds=150.0)
    never = replace(made, name="tensorrt plan, stitch", status="not run", text="no time left", seconds=0.0)
    exported = replace(made, name="export, step_embedding", seconds=1.0)
    text, _ = reported(tmp_path, [exported, made, stopped, never])
    assert "| full | export | 1.0 | step_embedding 1.0 | nothing |" in text
    assert (
        "| full | tensorrt plan | 3.0 | step_embedding 3.0 | "
        "denoiser: no time left: ended (after 150.0 s); stitch: no time left |"
    ) in text
    builds = json.loads((tmp_path / "report.json").read_text())["builds"]
    assert builds[1]["total_s"] == 3 and set(builds[1]["left_out"]) == {"denoiser", "stitch"}


def test_what_an_ended_process_leaves_undone_is_told_to_whoever_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "GRACE_S", 0.2)
    artefacts = [Artefact(tmp_path, graph) for graph in ("step_embedding", "denoiser")]
    builder = Builder(artefacts, lambda: child(tmp_path, monkeypatch, "import time; time.sleep(60)", time.time() + 0.3))
    list(builder.child.wait())
    assert not builder.goes_on()
    with pytest.raises(NotRun, match="there is no exported graph of denoiser: no time was left"):
        artefacts[1].wait(time.time() + 5)


def test_a_graph_that_is_not_exported_costs_only_its_lines(family_part, tmp_path, monkeypatch):
    del family_part.sessions["denoiser"]
    Artefact(tmp_path, "denoiser").announce(error="see its line among those of the build")
    for call in (lambda: family_part.parity("denoiser"), family_part.clip):
        with pytest.raises(NotRun, match="there is no exported graph of denoiser: see its line"):
            call()
    assert family_part.session("stitch") is not None


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


def test_a_timeline_shows_every_stream_and_what_ran_in_it():
    text = draw(
        [("denoiser", "denoise", 0.0, 0.5), ("vae_decoder", "decode", 0.5, 0.5), ("download", "out", 0.99, 0.01)]
    )
    denoise, decode, out, legend = text.splitlines()
    assert denoise.split()[1] == "a" * (COLUMNS // 2 + 1) + "." * (COLUMNS // 2 - 1)
    assert decode.split()[1].endswith("b" * (COLUMNS // 2)) and "c" in out.split()[1]
    assert "1.000 s in all; a denoiser, b vae_decoder, c download" in legend


def test_a_wrong_frame_is_measured_in_decibels():
    frame = np.zeros((1, 3, 4, 4))
    assert difference("vae_decoder", frame, frame).psnr_db == np.inf
    off = difference("vae_decoder", frame + 0.02, frame)  # 0.01 of the shown range: 40 dB
    assert off.psnr_db == pytest.approx(40) and not difference("vae_decoder", frame + 0.019, frame).missed
    assert difference("vae_decoder", frame + 0.021, frame).missed == "needs more than 40 dB"
    assert difference("denoiser", frame * np.nan, frame + 1).missed == "needs less than 0.01"


def test_an_error_without_words_still_has_its_type():
    assert first_line(MemoryError()) == "MemoryError"

from __future__ import annotations

import errno
import json
import os
import re

import pytest

from engines.errors import InputError, OutputError
from hp_trt.measure.study import copies
from hp_trt.measure.study import plan as module
from hp_trt.measure.study.plan import make_study, read_plan
from tests.hp_trt.measure.study.clips import make_coloured


def test_a_study_is_blind_copies_and_a_plan_that_is_the_key_to_them(study):
    plan = read_plan(study)
    assert [item.name for item in plan.items] == ["anna", "ben"] and list(plan.contenders) == ["exact", "live"]
    assert sorted(os.listdir(study)) == ["clips", "plan.json", "raters"] and not os.listdir(study / "raters")
    copies = os.listdir(study / "clips")
    assert sorted(copies) == sorted(plan.files()) and len(copies) == 2 * (2 + 2)
    assert all(re.fullmatch(r"[0-9a-f]{16}\.(png|mp4|m4a)", name) for name in copies)
    assert {os.stat(study / "clips" / name).st_mtime for name in copies} == {0}, "when one was made says whose it is"
    for name in copies:
        assert not re.search(rb"exact|live|anna|ben|x264.+crf=23\.0.+made by", (study / "clips" / name).read_bytes())
    assert [len(list(plan.trials())), plan.items[0].speech, plan.items[1].speech] == [4, False, True]


def test_two_studies_of_the_same_clips_have_other_names_and_one_fingerprint(made_clips, made_study, tmp_path):
    told = []
    plan, notes = make_study(made_clips, tmp_path / "S", seed=5, progress=lambda *so_far: told.append(so_far))
    first = read_plan(made_study)
    assert not set(plan.files()) & set(first.files()) and plan.id != first.id
    assert plan.fingerprint == first.fingerprint and (plan.seed, first.seed) == (5, 0)
    assert told[-1] == (8, 8) and notes == [] and read_plan(tmp_path / "S") == plan


def test_a_study_that_is_there_stays_whatever_is_asked(made_clips, study, clips):
    before = (study / "plan.json").read_bytes()
    with pytest.raises(InputError, match="is a study of these clips already; go on with it: hp-trt study serve"):
        make_study(made_clips, study)
    make_coloured(clips / "live" / "anna.mp4", (1, 2, 3))
    with pytest.raises(InputError, match=r"is a study of other clips \(2, of exact, live\), which stays"):
        make_study(clips, study)
    assert (study / "plan.json").read_bytes() == before


def test_places_where_no_study_can_be_are_told_before_any_work(made_clips, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for out, kind, says in [
        (tmp_path / "full", InputError, "is a folder with files in it, and no study"),
        (tmp_path / "file", OutputError, "is a file; a folder is needed"),
        (made_clips / "S", InputError, "which is the folder of clips; write the folder somewhere else"),
        (made_clips, InputError, "is a folder with files in it, and no study"),
        (tmp_path / "no" / "S", OutputError, "is no folder; make it first"),
        (tmp_path / ("S" * 300), OutputError, "too long"),
    ]:
        with pytest.raises(kind) as error:
            make_study(made_clips, out)
        assert says in str(error.value)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(InputError, match="is the current folder; give the study a folder of its own"):
        make_study(made_clips, module.Path("."))
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "full"]


def test_an_empty_folder_becomes_the_study(made_clips, tmp_path):
    (tmp_path / "S").mkdir()
    make_study(made_clips, tmp_path / "S")
    assert read_plan(tmp_path / "S")


def test_what_a_killed_process_left_goes_when_the_study_is_made(made_clips, tmp_path):
    left = tmp_path / ".S.0123456789abcdef.part"
    (left / "clips").mkdir(parents=True)
    (left / "clips" / "half.mp4").write_bytes(b"half")
    make_study(made_clips, tmp_path / "S")
    assert os.listdir(tmp_path) == ["S"]


def test_a_clip_that_cannot_be_copied_leaves_nothing(clips, tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_NO_SETTINGS", "filter_units=remove_types=1|5|6")  # and the pictures with them
    with pytest.raises(InputError, match=r"exact/anna\.mp4"):
        make_study(clips, tmp_path / "S")
    assert os.listdir(tmp_path) == ["clips"]


def test_a_disk_that_is_full_is_told_and_leaves_nothing(made_clips, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "copy_result", full)
    with pytest.raises(OutputError, match=r"No space left on device; free some space.* Nothing was left behind"):
        make_study(made_clips, tmp_path / "S")
    assert not os.listdir(tmp_path)


def spoilt(**change):
    def spoil(plan):
        plan.update(change)

    return spoil


DAMAGED = {
    "a later schema": (spoilt(schema=2), "it has schema 2, this version reads 1"),
    "no schema": (lambda plan: plan.pop("schema"), "schema is missing"),
    "no items": (spoilt(items=[]), "items must be a list of 1 to 500"),
    "one contender": (
        lambda plan: (plan.update(contenders=["live"]), [item["results"].pop("exact") for item in plan["items"]]),
        "contenders must be at least two",
    ),
    "a name that leads out": (
        lambda plan: plan["items"][0].update(source="../../../../etc/x.png"),
        "items[0].source must be 16 digits of 0 to f and .png",
    ),
    "a picture for a result": (
        lambda plan: plan["items"][0]["results"].update(live=plan["items"][0]["source"]),
        "items[0].results.live must be 16 digits",
    ),
    "a result of nobody": (
        lambda plan: plan["items"][0]["results"].update(other="0" * 16 + ".mp4"),
        "items[0].results must be one of each of exact, live",
    ),
    "a copy twice": (
        lambda plan: plan["items"][0]["results"].update(live=plan["items"][0]["results"]["exact"]),
        "a name stands in it twice",
    ),
    "an id that is none": (spoilt(id="<script>"), "id must be 16 digits of 0 to f"),
    "a seed that is none": (spoilt(seed=-1), "seed must be a whole number"),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_plan_says_where(study, fault):
    spoil, says = DAMAGED[fault]
    plan = json.loads((study / "plan.json").read_text())
    spoil(plan)
    (study / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(InputError) as error:
        read_plan(study)
    assert "plan.json is damaged" in str(error.value) and says in str(error.value)


def test_what_is_no_study_and_what_lacks_a_copy_is_told(study, tmp_path):
    with pytest.raises(InputError, match=r"is no study, for it has no plan\.json; make one: hp-trt study --clips DIR"):
        read_plan(tmp_path)
    name = next(read_plan(study).files())
    (study / "clips" / name).unlink()
    with pytest.raises(InputError, match=f"{name} cannot be shown .No such file"):
        read_plan(study)
    (study / "clips" / name).symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=f"{name} is no regular file, and a study holds nothing else"):
        read_plan(study)

"""What stands in for ComfyUI has no name that ComfyUI has not: names and parameters are recorded from its sources.

`published_api.json` says from where and of when. What nodes use is what stands in for it, or they would not run here.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import hp_trt
from tests.integrations.comfyui import stand_in
from tests.integrations.recorded import public, strange

HERE = Path(__file__).parent
PACK = HERE.parents[2] / "integrations" / "comfyui"
RECORDED = json.loads((HERE / "published_api.json").read_text())
API = RECORDED["modules"]["comfy_api.v0_0_2"]


def test_the_list_says_where_it_is_from_and_of_when():
    assert RECORDED["source"].startswith("https://") and RECORDED["documentation"].startswith("https://")
    assert re.fullmatch(r"\d+\.\d+\.\d+", RECORDED["version"]) and re.fullmatch(r"\d{4}-\d\d-\d\d", RECORDED["date"])
    assert re.fullmatch("[0-9a-f]{40}", RECORDED["commit"])


@pytest.mark.parametrize("name", sorted(vars(stand_in.io)))
def test_names_of_io_are_published(name):
    found, wrong = getattr(stand_in.io, name), []
    if name in ("Hidden", "FolderType"):
        assert {one.name for one in found} <= set(API["io"][name])
    elif name == "ComfyNode":
        assert {f"ComfyNode.{one}" for one, _ in public(found)} <= set(API["io"])
    elif name == "Custom":
        own = found("HP_TRT_X")
        wrong = [strange(own.Input, API["io"]["Custom().Input"]), strange(own.Output, API["io"]["Custom().Output"])]
    elif hasattr(found, "Input"):
        wrong = [strange(getattr(found, kind), API["io"][f"{name}.{kind}"]) for kind in ("Input", "Output")]
    else:
        wrong = [strange(found, API["io"][name])]
    assert not [text for text in wrong if text]


def test_all_else_is_published():
    wrong = [strange(found, API["ui"][name]) for name, found in vars(stand_in.ui).items()]
    wrong += [strange(found, API["ComfyExtension"][name]) for name, found in public(stand_in.ComfyExtension)]
    for name, found in public(stand_in._Execution):
        wrong.append(strange(found, API["ComfyAPISync"][f"execution.{name}"]))
    wrong.append(strange(stand_in.VideoFromFile, API["InputImpl"]["VideoFromFile"]))
    wrong += [strange(found, API["Input.Video"][name]) for name, found in public(stand_in.VideoFromFile)]
    made = stand_in.modules()
    for module in ("comfy.model_management", "folder_paths"):
        for name, found in vars(made[module]).items():
            if not name.startswith("_"):
                published = RECORDED["modules"][module][name]
                wrong.append("" if isinstance(found, type) else strange(found, published))
    assert not [text for text in wrong if text]


def test_nodes_know_no_module_of_comfyui_but_those():
    lines = [line for path in PACK.glob("*.py") for line in path.read_text().splitlines()]
    taken = {
        line.split()[1]
        for line in lines
        if re.match(r"(from|import) (comfy|folder_paths|nodes|server|execution)", line)
    }
    assert taken == {"comfy_api.v0_0_2", "comfy.model_management", "folder_paths"}
    later = set(RECORDED["later"]["modules"]["comfy_api.v0_0_2"]["Input.Video"])
    assert set(re.findall(r'getattr\(video, "(\w+)"', "\n".join(lines))) == later, "what older ones lack is asked for"


def test_the_packs_own_project_says_what_the_registry_asks_for():
    project = tomllib.loads((PACK / "pyproject.toml").read_text())
    assert set(project["tool"]["comfy"]) >= {"PublisherId", "DisplayName"}
    assert (
        re.fullmatch(r"[a-z][a-z0-9-]{0,98}", project["project"]["name"])
        and "comfyui" not in project["project"]["name"]
    )
    assert project["project"]["version"] == hp_trt.__version__
    assert [text for text in project["project"]["dependencies"] if text.startswith("hp-trt>=")]
    assert project["project"]["license"] == {"text": "Apache-2.0"} and project["project"]["urls"]["Repository"]
    assert project["tool"]["comfy"]["requires-comfyui"] == f">={RECORDED['version']}"
    own = tomllib.loads((PACK.parents[1] / "pyproject.toml").read_text())["project"]
    assert project["project"]["requires-python"] == own["requires-python"]

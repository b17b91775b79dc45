"""A replica starts only where it has the folder and the bundle of all others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.apps.scale.same import Same
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.shipped import bundle_folder


def config(state: Path, bundle: str = "shipped:pocket") -> ServiceConfig:
    return ServiceConfig(bundle=bundle, state=state)


def test_one_folder_and_bundle_have_the_same_ids_each_time(tmp_path):
    same = Same.of(config(tmp_path / "state"))
    assert Same.of(config(tmp_path / "state")) == same and len(same.store) == 32
    same.check(config(tmp_path / "state"))


@pytest.mark.parametrize(("has", "says"), [("nothing", "it has no store.id"), ("another", "it is another one")])
def test_a_node_that_has_another_folder_at_the_place_is_told(tmp_path, has, says):
    same = Same.of(config(tmp_path / "shared"))
    (tmp_path / "own").mkdir()
    if has == "another":
        Same.of(config(tmp_path / "own"))
    with pytest.raises(InputError, match=f"is not the folder of the service.*{says}.*mount one shared folder"):
        same.check(config(tmp_path / "own"))


def test_a_node_that_has_another_bundle_is_told(tmp_path):
    same = Same.of(config(tmp_path / "state"))
    shutil.copytree(bundle_folder("shipped:pocket"), tmp_path / "copy")
    same.check(config(tmp_path / "state", str(tmp_path / "copy")))
    manifest = tmp_path / "copy/manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(InputError, match=r"the bundle .*copy on this node is another one .*copy one bundle to every"):
        same.check(config(tmp_path / "state", str(tmp_path / "copy")))

"""Which tabs there are, and what is said where there can be no page."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest
from fastapi import APIRouter
from typer.testing import CliRunner

from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import Limits, ServiceConfig
from hp_trt.apps.service.service import Service
from hp_trt.apps.web import mount
from tests.hp_trt.apps.service.fake_engine import Hand


@pytest.fixture
def service(tmp_path):
    made = Service(
        ServiceConfig(bundle="shipped:talk_pocket", state=tmp_path, live_lanes=0, limits=Limits(free_bytes=1)),
        Hand().open,
    )
    yield made
    made.close()


def config_of(app) -> dict:
    from starlette.testclient import TestClient

    return TestClient(app, base_url="http://127.0.0.1:7860").get("/page/config").json()


def tabs(config: dict) -> list[str]:
    return [one["props"]["label"] for one in config["components"] if one["type"] == "tabitem"]


def labels(config: dict) -> list[str]:
    return [one["props"].get("label") for one in config["components"] if one["props"].get("visible", True)]


def test_a_bundle_that_speaks_has_moods_and_nothing_that_it_cannot_do(service):
    app = create_app(service.config, service)
    mount.add_page(app, service)
    config = config_of(app)
    assert tabs(config) == ["Talk", "Verify"]
    assert "Mood" in labels(config)
    (moods,) = [one["props"]["choices"] for one in config["components"] if one["props"].get("label") == "Mood"]
    assert ["happy", "happy"] in moods


def test_a_bundle_that_follows_videos_has_no_moods(page):
    config = page.ask("GET", "/page/config").json()
    assert tabs(config) == ["Clip", "Verify"]
    assert "Mood" not in labels(config)
    (profiles,) = [one["props"]["choices"] for one in config["components"] if one["props"].get("label") == "Profile"]
    assert profiles == [["exact", "exact"]]


def test_a_form_gives_its_fields_in_the_order_in_which_they_are_taken(page):
    from hp_trt.apps.web.page import build_page

    made = build_page(page.service, page.making, live="", out=False)
    (asked,) = (one for one in made.fns.values() if one.name == "make")
    taken = [name for name in inspect.signature(asked.fn).parameters if name != "request"]
    assert [field.elem_id for field in asked.inputs] == [f"clip-{name}" for name in taken]
    assert taken[-1] == "label"


def test_live_is_framed_where_it_is_served_and_verify_is_always_there(service):
    live = APIRouter()
    live.add_api_route("/live", lambda: "the live page")
    app = create_app(service.config, service, more=[live])
    mount.add_page(app, service)
    config = config_of(app)
    assert tabs(config) == ["Talk", "Live", "Verify"]
    (frame,) = [one["props"]["value"] for one in config["components"] if "<iframe" in str(one["props"].get("value"))]
    assert 'src="/live"' in frame
    assert 'allow="camera; microphone"' in frame


def test_without_gradio_one_line_says_how_to_get_it(service, monkeypatch):
    monkeypatch.setattr(mount, "find_spec", lambda name: None)
    app = create_app(service.config, service)
    before = len(app.routes)
    told = mount.mount_page(app, service)
    assert told.count("\n") == 0
    assert "pip install '.[web]'" in told
    assert "--no-page" in told
    assert len(app.routes) == before


def test_a_command_can_leave_it_out():
    from hp_trt.__main__ import app

    text = CliRunner().invoke(app, ["serve", "--help"], terminal_width=200).output
    assert "--no-page" in text


PROGRAM = """
import socket, sys
from pathlib import Path

asked = []
whole = socket.getaddrinfo
socket.getaddrinfo = lambda *given, **named: asked.append(given) or whole(*given, **named)
connect = socket.socket.connect
socket.socket.connect = lambda self, where: asked.append(where) or connect(self, where)

import hp_trt.commands.serve, hp_trt.apps.service.serve
from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import ServiceConfig
from hp_trt.apps.service.service import Service
from hp_trt.apps.web.mount import mount_page
from tests.hp_trt.apps.service.fake_engine import Hand

print("gradio" in sys.modules)
service = Service(ServiceConfig(bundle="shipped:pocket", state=Path(sys.argv[1])), Hand().open)
print(repr(mount_page(create_app(service.config, service), service)))
service.close()
print("gradio" in sys.modules, asked)
"""


def test_gradio_is_imported_with_the_page_and_not_before_and_asks_no_host_for_anything(tmp_path):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "state")]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.splitlines() == ["False", "''", "True []"]
    assert not [place for place in (tmp_path / "gradio").rglob("*") if place.is_file()], "it keeps no file of its own"

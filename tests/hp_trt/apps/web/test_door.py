"""What is let through to Gradio, and what is not."""

from __future__ import annotations

import json
import re

import pytest

from tests.hp_trt.apps.web.conftest import HERE

JOIN, DATA = "/page/gradio_api/queue/join", "/page/gradio_api/queue/data"


def call(**more):
    return {"data": ["", "", "exact", "", False, "", True], "fn_index": 0, "session_hash": "abc123", **more}


def test_the_document_names_no_other_host_and_has_no_permission_for_any(page):
    answer = page.ask("GET", "/page/")
    assert answer.status_code == 200
    assert set(re.findall(r"https?://[^/\"'\s\\]+", answer.text)) <= {HERE}
    policy = answer.headers["content-security-policy"]
    assert not re.search(r"https?:|\*", policy)
    assert "frame-ancestors 'self'" in policy
    assert '<link rel="icon" href="data:,">' in answer.text, "no browser asks for one"
    assert "access-control-allow-origin" not in answer.headers


def test_the_configuration_shares_nothing_and_counts_nobody(page):
    answer = page.ask("GET", "/page/config")
    said = answer.json()
    assert said["analytics_enabled"] is False
    assert not said.get("is_space")
    assert said["footer_links"] == []
    assert set(re.findall(r"https?://[^/\"'\s\\]+", answer.text)) <= {HERE}
    style = page.ask("GET", "/page/theme.css").text
    assert set(re.findall(r"https?://[^/\"'\s\\)]+", style)) <= {"http://www.w3.org"}, (
        "a namespace, which is no request"
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/page/gradio_api/upload"),
        ("GET", "/page/gradio_api/file=/etc/passwd"),
        ("GET", "/page/gradio_api/file/etc/passwd"),
        ("GET", "/page/gradio_api/proxy=https://x.hf.space/"),
        ("GET", "/page/gradio_api/info"),
        ("GET", "/page/gradio_api/openapi.json"),
        ("POST", "/page/gradio_api/call/make"),
        ("POST", "/page/gradio_api/run/make"),
        ("POST", "/page/gradio_api/component_server"),
        ("POST", "/page/gradio_api/process_recording"),
        ("POST", "/page/gradio_api/vibe-edit"),
        ("POST", "/page/gradio_api/cancel"),
        ("GET", "/page/gradio_api/deep_link"),
        ("GET", "/page/monitoring"),
        ("GET", "/page/manifest.json"),
        ("GET", "/page/nothing"),
        ("DELETE", "/page/"),
        ("GET", "/page/own/../routes.py"),
        ("GET", "/page/own/login.py"),
        ("GET", "/page/assets/%2e%2e/%2e%2e/index.html"),
    ],
)
def test_what_the_page_does_not_use_has_no_address(page, method, path):
    answer = page.ask(method, path)
    assert answer.status_code in (403, 404), answer.text
    assert "/etc" not in answer.text


@pytest.mark.parametrize(
    "path", ["/page/", JOIN, "/page/uploads/portrait", "/page/login", "/page/gradio_api/queue/data"]
)
def test_another_host_is_refused_before_anything_else(page, path):
    method = "GET" if path in ("/page/", DATA) else "POST"
    answer = page.ask(method, path, headers={"host": "evil.example"})
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:hp-trt:foreign-host"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/page/config"), ("POST", JOIN), ("POST", "/page/uploads/motion")]
)
def test_a_page_elsewhere_may_neither_read_nor_call(page, method, path):
    answer = page.ask(method, path, headers={"origin": "http://127.0.0.1:9999"})
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:hp-trt:foreign-origin"
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 5000,
        json.dumps(call(data=None)).encode(),
        json.dumps(call(data=[{"path": "http://10.0.0.1/", "meta": {"_type": "gradio.FileData"}}])).encode(),
        json.dumps(call(data=[["a"]])).encode(),
        json.dumps(call(fn_index=None)).encode(),
        json.dumps(call(fn_index=True)).encode(),
        json.dumps(call(session_hash="../../x")).encode(),
        json.dumps(call(session_hash=None)).encode(),
        json.dumps(call(session_hash="a" * 41)).encode(),
        json.dumps(call(trigger_id={"path": "http://10.0.0.1/"})).encode(),
    ],
)
def test_a_call_with_anything_but_plain_values_is_refused(page, body):
    answer = page.ask("POST", JOIN, content=body)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:hp-trt:bad-request"


def test_a_call_larger_than_any_of_the_page_is_refused(page):
    answer = page.ask("POST", JOIN, content=json.dumps(call(data=["a" * 70_000])).encode())
    assert answer.status_code == 413


def test_a_session_without_a_name_hears_nothing(page):
    assert page.ask("GET", "/page/gradio_api/queue/data").status_code == 400
    assert page.ask("GET", "/page/gradio_api/queue/data?session_hash=a/b").status_code == 400


def test_sockets_have_no_address_either(page):
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    client = TestClient(page.app, base_url=HERE)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/page/queue/join"):
        pass


def test_the_first_address_leads_to_the_page_and_the_api_is_where_it_was(page):
    for path in ("/", "/page"):
        assert page.ask("GET", path).headers["location"] == "/page/"
    assert page.ask("GET", "/v1/info").status_code == 200
    assert page.ask("POST", "/v1/info").status_code == 405
    assert page.ask("GET", "/nowhere").json()["type"] == "urn:hp-trt:not-found"
    assert not [path for path in page.app.openapi()["paths"] if path.startswith("/page")], "it is no interface"

"""The interface as it is written down, and as a fuzzer finds it.

`python -m tests.hp_trt.apps.service.test_openapi` writes docs/openapi.json again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from hp_trt.apps.service.app import create_app
from hp_trt.apps.service.config import Limits, ServiceConfig
from hp_trt.apps.service.problems import KINDS, MEDIA_TYPE
from hp_trt.apps.service.service import Service
from tests.hp_trt.apps.service.fake_engine import Hand

FILE = Path(__file__).parents[4] / "docs" / "openapi.json"


@cache
def document() -> str:
    with TemporaryDirectory() as state:
        config = ServiceConfig(bundle="shipped:pocket", state=Path(state), limits=Limits(free_bytes=1))
        service = Service(config, Hand().open)
        made = create_app(config, service).openapi()
        service.close()
    return json.dumps(made, indent=1, sort_keys=True) + "\n"


def test_the_committed_document_is_the_applications():
    assert FILE.read_text(encoding="utf-8") == document(), f"run python -m {__spec__.name}"


def operations():
    for path, methods in json.loads(document())["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


@pytest.mark.parametrize(("name", "operation"), list(operations()), ids=[name for name, _ in operations()])
def test_every_answer_that_is_an_error_is_a_problem(name, operation):
    errors = {status: said for status, said in operation["responses"].items() if int(status) >= 400}
    assert {"400", "403", "500"} <= set(errors), name
    assert ("401" in errors) == ("security" in operation), name
    known = {kind.status for kind in KINDS.values()}
    for status, said in errors.items():
        assert set(said["content"]) == {MEDIA_TYPE} and int(status) in known
        again = status in ("429", "503") or (status == "409" and name.endswith("/jobs"))
        assert ("Retry-After" in said.get("headers", {})) == again


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")

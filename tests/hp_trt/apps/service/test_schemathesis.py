"""schemathesis over the whole interface: each answer is one that is declared, each nonsense is refused, nothing breaks.

Its program runs against a process with a fake engine, which has a portrait, a motion and a job for half of all ids.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hp_trt.apps.service.tokens import add_token
from tests.hp_trt.apps.service.conftest import picture
from tests.hp_trt.apps.service.process import ROOT, Process

FOLDER = Path(__file__).parent
PLENTY = {"waiting_per_token": 100_000, "waiting": 100_000, "kept_items_per_token": 100_000}


def fuzzed(tmp_path, video, *options: str) -> str:
    """What schemathesis says at its end. It must have found nothing."""
    token = add_token(tmp_path / "tokens", "alice")
    with Process(tmp_path / "state", token=token, tokens=str(tmp_path / "tokens"), limits=PLENTY) as service:
        portrait, motion = service.upload(picture(), video.read_bytes())
        job = service.job(portrait, motion)["id"]
        service.until(job, "done")
        env = os.environ | {
            "HP_TRT_FUZZ_IDS": f"{portrait},{motion},{job}",
            "SCHEMATHESIS_HOOKS": "tests.hp_trt.apps.service.schemathesis_hooks",
        }
        words = ["-m", "schemathesis.cli", "--config-file", FOLDER / "schemathesis.toml", "run"]
        words += [f"{service.address}/v1/openapi.json", "-H", f"Authorization: Bearer {token}", *options]
        ran = subprocess.run([sys.executable, *words], cwd=ROOT, env=env, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr
        assert "Traceback" not in service.errors() and '"level": "error"' not in service.errors()
        assert service.client.get("/readyz").status_code == 200
    return ran.stdout


@pytest.mark.slow
def test_a_fuzzer_finds_nothing_in_a_few_hundred_cases(tmp_path, video):
    said = fuzzed(tmp_path, video, "--phases", "coverage", "--seed", "1")
    paths = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    assert f"Tested: {sum(map(len, paths.values()))}" in said, "every operation"


@pytest.mark.heavy
def test_a_fuzzer_finds_nothing_in_thousands_of_cases(tmp_path, video):
    examples = str(200 * int(os.environ.get("HP_TRT_FUZZ", "1")))
    print(fuzzed(tmp_path, video, "--max-examples", examples)[-1500:])

"""The images as far as they can be tried without Docker: what a build runs, and what a container is started with.

No image has been built: there is no engine here to build one with. What a build runs is one script, and that runs here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from hp_trt.apps.service.config import read_config

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
KINDS = ("cpu", "cuda")
USER = "10001:10001"


def instructions(kind):
    """Of a Dockerfile, in order: word and rest."""
    text = re.sub(r"\\\n\s*", " ", (DOCKER / f"Dockerfile.{kind}").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def environment(kind):
    (said,) = (rest for word, rest in instructions(kind) if word == "ENV")
    return dict(pair.split("=", 1) for pair in said.split())


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_build_runs_is_the_script_that_is_tried_here(kind):
    runs = [rest for word, rest in instructions(kind) if word == "RUN"]
    assert [json.loads(run) for run in runs] == [["sh", "-c", f"sh /install/install.sh {kind} /install/hp_trt-*.whl"]]
    bases = [rest.split()[0] for word, rest in instructions(kind) if word == "FROM"]
    assert len(set(bases)) == 1 and re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0]), "a version, never latest"


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_is_nobody_in_particular_and_says_how_it_is(kind):
    said = dict(instructions(kind))
    assert said["USER"] == USER and said["VOLUME"] == "/state" and said["STOPSIGNAL"] == "SIGTERM"
    assert said["HEALTHCHECK"].endswith('CMD ["python", "/opt/hp-trt/health.py"]')
    assert f"--from=build --chown={USER} /opt/hp-trt.state /state" in [r for w, r in instructions(kind) if w == "COPY"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_image_says_to_the_service_are_settings_of_it(kind, tmp_path):
    own = {name: value for name, value in environment(kind).items() if name.startswith("HP_TRT_")}
    config = read_config(None, own, {"bundle": "shipped:pocket"}, state=tmp_path)
    assert (config.host, config.port, str(config.state)) == ("0.0.0.0", 7860, "/state/service")
    assert str(config.tokens) == "/run/secrets/hp_trt_tokens"
    assert environment(kind)["HOME"] == "/state", "the local key and what is fetched outlive the container"


def test_composed_services_write_to_their_state_alone():
    said = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert set(said["services"]) == set(KINDS)
    for kind, service in said["services"].items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and service["profiles"] == [kind]
        assert service["volumes"] == ["state:/state"] and service["security_opt"] == ["no-new-privileges:true"]
        assert service["build"]["dockerfile"] == f"docker/Dockerfile.{kind}"
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), "there is no TLS"
    assert said["services"]["cuda"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"


def test_what_is_copied_into_an_image_is_let_through():
    let = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [rest.split()[:-1] for word, rest in instructions("cpu") if word == "COPY" and "--from" not in rest]
    for path in (path for paths in copied for path in paths):
        assert path in let or (path.startswith("dist/") and "dist/*.whl" in let), path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "error: got 0 words"),
        (["rocm", "x.whl"], "error: there is no image rocm, there are cpu and cuda"),
        (["cpu", "missing.whl"], "error: missing.whl is no file; build the wheel first: pip wheel"),
        (["cpu", "there.whl", "."], "error: . is there already"),
    ],
)
def test_the_script_refuses_what_it_cannot_install_in_one_line(words, says, tmp_path):
    (tmp_path / "there.whl").write_bytes(b"")
    ran = subprocess.run(["sh", DOCKER / "install.sh", *words], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "") and ran.stderr.startswith(says) and ran.stderr.count("\n") == 1


def test_a_service_that_is_not_there_is_not_well():
    ran = check(HP_TRT_SERVE_PORT="1")
    assert ran.returncode == 1 and ran.stdout.startswith("the service at port 1 is not well: ")


def check(**env):
    return subprocess.run([sys.executable, DOCKER / "health.py"], env=env, capture_output=True, text=True)


@pytest.mark.heavy  # half a gigabyte from the package registry
def test_what_an_image_is_made_of_serves_from_a_root_that_cannot_be_written_to(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    prefix, state = tmp_path / "opt/hp-trt", tmp_path / "opt/hp-trt.state"
    prefix.parent.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(shutil.which("python3.11") or sys.executable)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    words = ["sh", DOCKER / "install.sh", "cpu", wheel, prefix]
    subprocess.run(words, env={"PATH": path, "HOME": str(tmp_path)}, check=True)
    own = environment("cpu") | {"PATH": f"{prefix / 'bin'}:/usr/bin:/bin", "HOME": str(state)}
    own |= {"HP_TRT_SERVE_STATE": str(state / "service"), "HP_TRT_SERVE_TOKENS": str(tmp_path / "tokens")}
    own["HP_TRT_SERVE_PORT"] = "7861"
    token = ["hp-trt", "serve", "--tokens", own["HP_TRT_SERVE_TOKENS"], "--new-token", "me"]
    subprocess.run([prefix / "bin" / token[0], *token[1:]], env=own, check=True, stdout=subprocess.DEVNULL)
    files = {file: file.stat().st_mtime_ns for file in prefix.rglob("*")}
    serve = [prefix / "bin/hp-trt", "serve", "--bundle", "shipped:pocket"]
    with subprocess.Popen(serve, cwd="/", env=own, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(" at http" in line for line in iter(process.stdout.readline, ""))
        assert check(HP_TRT_SERVE_PORT="7861").returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert {file: file.stat().st_mtime_ns for file in prefix.rglob("*")} == files, "the root is read-only"

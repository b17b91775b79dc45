from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.apps.study.serve import StudyServer, host_name
from tests.hp_trt.command_line import refused

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"host": "0.0.0.0"}, "at 0.0.0.0 others reach the study, by a name that is not known here"),
        ({"host": "study.example"}, "say which: --allow-host study.example"),
        ({"names": ("http://study.example/",)}, "is no name of a machine; give one as browsers have it"),
        ({"names": ("study.example:80",)}, "without a port"),
        ({"names": ("*",)}, "'*' is no name of a machine"),
        ({"names": ("",)}, "'' is no name of a machine"),
        ({"port": 70000}, "a port is a number of 0 to 65535, got 70000"),
    ],
)
def test_a_place_that_cannot_be_served_at_is_told(given, says):
    with pytest.raises(InputError) as error:
        StudyServer(study=Path("S"), **given)
    assert says in str(error.value)


def test_names_and_addresses_may_be_named():
    StudyServer(study=Path("S"), host="0.0.0.0", names=("study.example", "192.168.1.7", "fe80::1", "pc"))


@pytest.mark.parametrize(
    ("header", "name"),
    [("a.example:80", "a.example"), ("[::1]", "::1"), ("[::1]:80", "::1"), ("A.", "a"), ("a:b", ""), ("[::1]x", "")],
)
def test_a_host_is_its_name_without_the_port(header, name):
    assert host_name(header) == name


def test_a_study_is_served_until_it_is_asked_to_end_and_not_twice(study, hp_trt):
    command = [sys.executable, "-m", "hp_trt", "study", "serve", str(study), "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as serving:
        try:
            told = json.loads(serving.stdout.readline())
            assert told["event"] == "result" and told["url"].startswith("http://127.0.0.1:")
            with urllib.request.urlopen(told["url"]) as page:
                assert "server" not in {name.lower() for name in page.headers}
                assert b"Moving portraits" in page.read()
            refused(hp_trt("study", "serve", study, "--port", "0"), "is served by another process already")
            refused(hp_trt("study", "results", study), "has no answers so far")
        finally:
            serving.send_signal(signal.SIGTERM)
            _, err = serving.communicate(timeout=30)
    assert (serving.returncode, err) == (0, ""), "no error, and no word of who came"


def test_a_port_that_is_taken_and_an_address_of_nobody_are_told(study, hp_trt):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(hp_trt("study", "serve", study, "--port", port), f"port {port} (Address already in use)", "--port")
    refused(hp_trt("study", "serve", study, "--host", "no.such.host.invalid", "--allow-host", "x"), "is no address of")
    refused(hp_trt("study", "serve", study / "clips", "--port", "0"), "is no study, for it has no plan.json")

"""A file, the environment and flags, each over the one before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.apps.service.config import Limits, ServiceConfig, read_config

STATE = Path("/state")


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        'bundle = "a"\nport = 1\nhost = "localhost"\nprofiles = ["exact", "balanced"]\n'
        "[limits]\nvideo_s = 5\nuploads = 3\n[runtime]\nthreads = 2\n"
    )
    environ = {"HP_TRT_SERVE_PORT": "2", "HP_TRT_SERVE_LIMITS_UPLOADS": "4", "HP_TRT_SERVE_HOSTS": "a.lan, b.lan"}
    config = read_config(file, {**environ, "PORT": "9"}, {"port": 3, "drain_s": None, "origins": ()}, state=STATE)
    assert (config.bundle, config.port, config.host) == ("a", 3, "localhost")
    assert config.limits.video_s == 5 and config.limits.uploads == 4 and config.runtime.threads == 2
    assert config.profiles == ("exact", "balanced") and config.hosts == ("a.lan", "b.lan")
    assert config.state == STATE and config.runtime.max_frames == config.limits.max_frames
    assert read_config(file, environ, {}, state=STATE).port == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "prot: there is no such setting"),
        ("[limits]\nvideos = 1", "limits.videos: there is no such setting"),
        ("[runtime]\nprofile = 'x'", "runtime.profile: there is no such setting"),
        ("[runtime]\ndecoder = 'nvdec'", "runtime.decoder: there is no such setting"),  # not for strangers' files
        ("port = 'x'", "port must be a whole number"),
        ("port = 65536", "port can be at most 65535"),
        ("clip_lanes = 0", "clip_lanes must be a whole number of at least 1"),
        ("profiles = []", "at least one name"),
        ("profiles = ['a', 'a']", "each once"),
        ("profiles = 3", "a value that cannot be used"),
        ("nvtx = 'yes'", "nvtx must be True or False"),
        ("drain_s = 0", "drain_s must be a number above 0"),
        ("drain_s = nan", "drain_s must be a number above 0"),
        ("[limits]\nuploads = 0", "limits.uploads"),
        ("[limits]\nvideo_s = -1", "limits.video_s must be a number above 0"),
        ("[limits]\nvideo_bytes = 1.5", "limits.video_bytes must be a whole number"),
        ("[runtime]\nfamily = 'x'", "there is no family"),
        ("sign_key = 'k'", "sign_key needs sign_chain too"),
        ("sign_chain = 'c'", "sign_chain needs sign_key too"),
        ("sign_chain = 3", "sign_chain"),
        ("limits = 3", "there is no such setting"),
        ("= 3", "is no configuration"),
    ],
)
def test_a_file_with_a_mistake_says_where(tmp_path, text, says):
    file = tmp_path / "c.toml"
    file.write_text(text if text.startswith("bundle") else f"{text}\n")
    with pytest.raises(InputError, match=says):
        read_config(file, {}, {"bundle": "b"}, state=STATE)


@pytest.mark.parametrize(("name", "value"), [("PORT", "x"), ("NVTX", "perhaps"), ("LIMITS_X", "1"), ("DRAIN_S", "1e")])
def test_a_variable_with_a_mistake_is_named(name, value):
    with pytest.raises(InputError, match=f"HP_TRT_SERVE_{name}"):
        read_config(None, {f"HP_TRT_SERVE_{name}": value}, {"bundle": "b"}, state=STATE)


def test_a_bundle_is_needed():
    with pytest.raises(InputError, match="no bundle was named; give --bundle shipped:pocket"):
        read_config(None, {}, {}, state=STATE)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "box.lan", ""])
def test_without_tokens_nobody_else_is_listened_to(host):
    with pytest.raises(InputError, match="listens on loopback alone"):
        ServiceConfig(bundle="b", state=STATE, host=host)
    assert not ServiceConfig(bundle="b", state=STATE, host=host, tokens=Path("t")).on_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_no_tokens(host):
    assert ServiceConfig(bundle="b", state=STATE, host=host).on_loopback


def test_any_host_and_any_origin_are_not_to_be_had():
    with pytest.raises(InputError, match="named one by one"):
        ServiceConfig(bundle="b", state=STATE, origins=("*",))


def test_limits_have_the_defaults_that_are_documented():
    page = (Path(__file__).parents[4] / "docs" / "service.md").read_text()
    for name, value in vars(Limits()).items():
        assert f"| `{name}` | {value:,.0f} |".replace(",", " ") in page.replace(",", " "), name


TURN = {"urls": ["turn:turn.example:3478", "turns:turn.example?transport=tcp"], "username": "u", "credential": "s3cret"}


def test_servers_for_webrtc_have_credentials_in_the_file_alone(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(
        'ice_servers = ["stun:stun.example", {urls = ["turn:turn.example:3478", "turns:turn.example?transport=tcp"], '
        'username = "u", credential = "s3cret"}]\n'
    )
    config = read_config(file, {}, {"bundle": "b"}, state=STATE)
    assert [server.to_json() for server in config.ice_servers] == [{"urls": ["stun:stun.example"]}, TURN]
    assert "s3cret" not in repr(config)
    environ = {"HP_TRT_SERVE_ICE_SERVERS": "stun:a.example:1, stun:10.0.0.1"}
    config = read_config(file, environ, {"bundle": "b"}, state=STATE)
    assert [server.urls for server in config.ice_servers] == [("stun:a.example:1",), ("stun:10.0.0.1",)]
    assert ServiceConfig(bundle="b", state=STATE).ice_servers == ()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["http://stun.example"], "is no address of a server; needed is stun:NAME"),
        (["stun://stun.example"], "is no address of a server"),
        (["stun:"], "is no address of a server"),
        (["stun:a b"], "is no address of a server"),
        (["stuns:a"], "is no address of a server"),
        (["stun:a:0"], "no port of 1 to 65535"),
        (["stun:a:65536"], "no port of 1 to 65535"),
        (["stun:a?transport=udp"], "a transport that stun does not know"),
        ([{"urls": "turns:a?transport=udp", "username": "u", "credential": "c"}], "a transport that turns does not"),
        (["turn:a"], "a TURN server, which needs username and credential"),
        ([{"urls": ["turn:a"], "username": "u"}], "needs username and credential"),
        ([{"urls": ["stun:a"], "credential": "u"}], "leave both out"),
        ([{"urls": ["turn:a"], "username": "u", "credential": 3}], "a credential is a text"),
        ([{"urls": ["turn:a"], "username": "", "credential": "c"}], "a username is a text"),
        ([{"urls": []}], "a server has 1 to 10 urls, got 0"),
        ([{"urls": 3}], "urls is an address or a list of them, got 3"),
        ([{"url": "stun:a"}], "a table of urls, username, credential"),
        ([{"urls": "stun:a", "more": 1}], "a table of urls, username, credential"),
        ([3], "got 'int'"),
        (3, "a list of at most 10 servers, got 3"),
        (["stun:a"] * 11, "a list of at most 10 servers"),
    ],
)
def test_a_server_for_webrtc_that_is_none_is_refused_at_the_start(given, says):
    with pytest.raises(InputError, match=re.escape(says)):
        ServiceConfig(bundle="b", state=STATE, ice_servers=given)


def test_a_file_with_a_wrong_server_names_the_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[[ice_servers]]\nurls = "turn:a"\n')
    with pytest.raises(InputError, match=r"c.toml: ice_servers: .*needs username and credential"):
        read_config(file, {}, {"bundle": "b"}, state=STATE)

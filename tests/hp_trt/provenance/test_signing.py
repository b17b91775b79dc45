from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from engines.errors import InputError
from hp_trt.provenance.signing import anchors, callback_signer, local_signer, state_folder, user_signer
from tests.hp_trt.provenance.certificates import KEYS, make_pair

ROOT = Path(__file__).parents[3]


def test_a_local_key_is_made_on_first_use_and_nobody_else_can_read_it(tmp_path):
    first = local_signer()
    folder = tmp_path / "state" / "hp-trt"
    key = folder / "local-signer.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["local-anchor.pem", "local-signer.pem"]
    assert first.name == "hp-trt local, unverified" and first.algorithm == "es256"
    content = key.read_bytes()
    assert local_signer().chain == first.chain and key.read_bytes() == content
    own, root = x509.load_pem_x509_certificates(first.chain.encode())
    own.verify_directly_issued_by(root)
    assert load_pem_private_key(first.key.encode(), None).public_key() == own.public_key()
    assert first.key not in repr(first)
    assert b"PRIVATE" not in (folder / "local-anchor.pem").read_bytes()
    assert anchors(folder / "local-anchor.pem").encode() in first.chain.encode()


def test_two_processes_that_make_it_at_once_sign_with_one_key(tmp_path):
    program = "from hp_trt.provenance.signing import local_signer; print(local_signer().chain)"
    started = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = {process.communicate(timeout=60)[0] for process in started}
    assert len(said) == 1 and "BEGIN CERTIFICATE" in said.pop()
    assert len(list((tmp_path / "state" / "hp-trt").iterdir())) == 2


def test_whoever_comes_second_takes_the_key_of_the_first(monkeypatch):
    made, plain = [], os.link

    def late(source, target):
        if not made:
            made.append(True)
            made.append(local_signer().chain)
        return plain(source, target)

    monkeypatch.setattr("hp_trt.provenance.signing.os.link", late)
    assert local_signer().chain == made[1]


def test_a_local_key_that_others_can_read_is_refused():
    local_signer()
    key = state_folder() / "local-signer.pem"
    key.chmod(0o640)
    with pytest.raises(InputError, match=r"can be read by others \(mode 640\); if nobody has, chmod 600 "):
        local_signer()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no certificates that can be read"),
        (b"\x00" * 100, "has no certificates that can be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "has no certificates that can be read"),
    ],
)
def test_a_damaged_local_key_says_how_a_new_one_is_made(content, says):
    local_signer()
    key = state_folder() / "local-signer.pem"
    key.write_bytes(content)
    with pytest.raises(InputError, match=says) as told:
        local_signer()
    assert f"It is the local key: remove {key}, and a new one is made" in str(told.value)


def test_a_local_key_cut_off_at_any_line_is_told():
    local_signer()
    key = state_folder() / "local-signer.pem"
    lines = key.read_bytes().splitlines(keepends=True)
    issued = lines.index(b"-----END CERTIFICATE-----\n") + 1  # the signer's own: whoever issued it may be missing
    for until in range(issued):
        key.write_bytes(b"".join(lines[:until]))
        with pytest.raises(InputError, match="It is the local key"):
            local_signer()


def test_a_local_key_of_another_certificate_is_told(tmp_path):
    local_signer()
    key = state_folder() / "local-signer.pem"
    strange = make_pair(tmp_path / "strange").key.read_bytes()
    content = key.read_bytes()
    key.write_bytes(strange + content[content.index(b"-----BEGIN CERT") :])
    with pytest.raises(InputError, match="the local key and its certificate do not belong together; remove it"):
        local_signer()


def test_what_is_no_file_in_the_keys_place_is_told(tmp_path):
    key = state_folder() / "local-signer.pem"
    key.mkdir(parents=True)
    with pytest.raises(InputError, match="is no regular file; move it away"):
        local_signer()
    key.rmdir()
    key.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no regular file"):
        local_signer()
    os.unlink(key)
    os.mkfifo(key)
    with pytest.raises(InputError, match="is no regular file"):
        local_signer()


def test_a_state_folder_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"a local key cannot be made there .* or leave signing out with --no-cred"):
        local_signer()


@pytest.mark.parametrize("given", ["", "relative/folder"])
def test_without_a_state_folder_of_the_users_it_is_in_the_home(monkeypatch, tmp_path, given):
    monkeypatch.setenv("XDG_STATE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local" / "state" / "hp-trt"


@pytest.mark.parametrize("algorithm", KEYS)
def test_every_kind_of_key_that_readers_take_signs(tmp_path, algorithm):
    pair = make_pair(tmp_path / "pair", algorithm)
    signer = user_signer(pair.chain, pair.key)
    assert (signer.algorithm, signer.name) == (algorithm, "A signer") and "BEGIN PRIVATE KEY" in signer.key


def test_a_key_that_does_not_fit_its_certificate_is_refused(tmp_path, pair):
    other = make_pair(tmp_path / "other")
    with pytest.raises(InputError, match=r"is not the key of the first certificate in .* \(A signer\); give the key"):
        user_signer(pair.chain, other.key)
    root_first = tmp_path / "turned.pem"
    one, two = pair.chain.read_text().split("-----END CERTIFICATE-----\n")[:2]
    root_first.write_text(f"{two}-----END CERTIFICATE-----\n{one}-----END CERTIFICATE-----\n")
    with pytest.raises(InputError, match=r"is not the key of the first certificate"):
        user_signer(root_first, pair.key)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"begins_days": -10, "days": 5}, "the certificate of A signer expired on 20"),
        ({"begins_days": 5}, "the certificate of A signer is valid from 20"),
        ({"self_signed": True}, "the certificate of A signer signed itself, which readers"),
        ({"password": b"secret"}, "has no private key that can be read .*; give a PEM file, without a password"),
    ],
)
def test_a_pair_that_readers_would_refuse_is_told_before_the_work(tmp_path, made, says):
    bad = make_pair(tmp_path / "bad", **made)
    with pytest.raises(InputError, match=says):
        user_signer(bad.chain, bad.key)
    if "password" not in made:
        with pytest.raises(InputError, match=says):
            callback_signer(bad.chain, bytes)


def test_files_that_are_no_keys_and_no_certificates_are_told(tmp_path, pair):
    text, folder = tmp_path / "text.pem", tmp_path / "folder"
    text.write_text("no key")
    folder.mkdir()
    large = tmp_path / "large.pem"
    large.write_bytes(b"a" * ((1 << 20) + 1))
    for path in (text, folder, large, tmp_path / "missing.pem"):
        for chain, key in ((path, pair.key), (pair.chain, path)):
            with pytest.raises(InputError, match=r"can(not)? be read"):
                user_signer(chain, key)
    with pytest.raises(InputError, match="has no private key that can be read"):
        user_signer(pair.chain, pair.chain)
    with pytest.raises(InputError, match="has no certificates that can be read"):
        user_signer(pair.key, pair.key)

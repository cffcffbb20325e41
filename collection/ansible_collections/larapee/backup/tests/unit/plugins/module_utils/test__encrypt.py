# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _encrypt, _pipeline
from ansible_collections.larapee.backup.plugins.module_utils._digest import Digest
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.programs import descriptors

AGE_RECIPIENT = "age1" + "q" * 58
SSH_RECIPIENT = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB restorer@example"
PLAIN = b"-- Dump completed\n" * 100_000


def new_identity(path: Path) -> tuple[str, str]:
    """An age identity's text and its recipient."""
    subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
    shown = subprocess.run(["age-keygen", "-y", str(path)], check=True, capture_output=True, text=True)
    return path.read_text(), shown.stdout.strip()


def encrypt(tmp_path: Path, *recipients: str) -> Path:
    (tmp_path / "plain").write_bytes(PLAIN)
    target = tmp_path / "stored.age"
    results = _pipeline.run_pipeline(
        [_encrypt.encryptor(recipients)],
        source=os.open(tmp_path / "plain", os.O_RDONLY),
        target=os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    )
    _pipeline.require_success(results, what="encrypt")
    return target


def decrypt(stored: Path, identity: str) -> Digest:
    digest = Digest()
    with _encrypt.decryptor(identity) as command:
        results = _pipeline.run_pipeline([command, digest], source=os.open(stored, os.O_RDONLY))
    _pipeline.require_success(results, what="decrypt")
    return digest


def test_either_of_two_recipients_can_open_it_and_nobody_else(tmp_path: Path) -> None:
    first, second, other = (new_identity(tmp_path / f"identity-{number}") for number in range(3))
    stored = encrypt(tmp_path, first[1], second[1])
    assert b"Dump completed" not in stored.read_bytes()
    plain = Digest()
    plain.feed(memoryview(PLAIN))
    for identity, _recipient in (first, second):
        assert decrypt(stored, identity).sha256 == plain.sha256
    with pytest.raises(BackupError, match="no identity matched any of the recipients"):
        decrypt(stored, other[0])


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_ciphertext_does_not_open(tmp_path: Path, damage: str) -> None:
    identity, recipient = new_identity(tmp_path / "identity")
    stored = encrypt(tmp_path, recipient)
    content = bytearray(stored.read_bytes())
    if damage == "cut":
        del content[-100_000:]
    else:
        content[-100_000] ^= 1
    stored.write_bytes(bytes(content))
    with pytest.raises(BackupError, match="Failed to decrypt: age ended with status 1"):
        decrypt(stored, identity)


def test_the_identity_is_in_no_argument_and_its_descriptor_is_closed(tmp_path: Path) -> None:
    identity, _recipient = new_identity(tmp_path / "identity")
    before = descriptors()
    with _encrypt.decryptor(identity) as command:
        assert not [each for each in command.argv if "AGE-SECRET-KEY" in each]
        (descriptor,) = command.pass_fds
        assert command.argv[-1] == f"/dev/fd/{descriptor}"
    assert descriptors() == before


@pytest.mark.parametrize(
    "recipient", [AGE_RECIPIENT, SSH_RECIPIENT, "ssh-rsa AAAAB3NzaC1yc2E=", "ssh-ed25519 AAAA a comment with spaces"]
)
def test_public_keys_of_age_and_ssh_are_recipients(recipient: str) -> None:
    assert _encrypt.encryptor([recipient]).argv[1:] == ("--encrypt", "-r", recipient)


@pytest.mark.parametrize(
    ("recipients", "reason"),
    [
        ([], "no_recipient"),
        (["AGE-SECRET-KEY-1QQQ"], "private_key"),
        ([AGE_RECIPIENT, "-----BEGIN OPENSSH PRIVATE KEY-----"], "private_key"),
        (["age1 " + "q" * 58], "bad_recipient"),
        (["/etc/recipients"], "bad_recipient"),
        (["-o/etc/passwd"], "bad_recipient"),
        (["ssh-ed25519 AAAA comment\nssh-ed25519 AAAB"], "bad_recipient"),
        ([f"{AGE_RECIPIENT}\n"], "bad_recipient"),
        ([""], "bad_recipient"),
    ],
)
def test_what_is_no_public_key_is_refused(recipients: list[str], reason: str) -> None:
    with pytest.raises(BackupError) as caught:
        _encrypt.check_recipients(recipients)
    assert caught.value.reason == reason


def test_a_private_key_is_never_repeated_in_the_message() -> None:
    with pytest.raises(BackupError) as caught:
        _encrypt.check_recipients(["AGE-SECRET-KEY-1SECRETSECRET"])
    assert "SECRETSECRET" not in str(caught.value)

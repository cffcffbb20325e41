# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _signature
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import utc

MESSAGE = b'{"artifact": "db-20261122-1432.sql.gz"}\n'
NOW = "2026-11-22 14:32:00"


def verify(
    keys: Path,
    signature: bytes,
    *,
    message: bytes = MESSAGE,
    principal: str = "branch-001",
    at: str = NOW,
    allowed_signers: str | None = None,
) -> None:
    _signature.verify(
        message,
        signature,
        principal=principal,
        allowed_signers=allowed_signers or str(keys / "allowed_signers"),
        at=utc(at),
    )


def sign(keys: Path, key: str = "branch-001", *, message: bytes = MESSAGE) -> bytes:
    return _signature.sign(message, key=str(keys / key))


def test_what_the_branch_signed_is_good(keys: Path) -> None:
    signature = sign(keys)
    assert signature.startswith(b"-----BEGIN SSH SIGNATURE-----")
    verify(keys, signature)


@pytest.mark.parametrize("message", [b"", MESSAGE[:-1], MESSAGE + b" ", MESSAGE.replace(b"1432", b"1433")])
def test_any_other_message_is_not_what_was_signed(keys: Path, message: bytes) -> None:
    with pytest.raises(_signature.SignatureError, match="not signed by branch-001"):
        verify(keys, sign(keys), message=message)


@pytest.mark.parametrize(
    ("key", "principal"), [("branch-002", "branch-001"), ("branch-001", "branch-002"), ("branch-001", "branch-*")]
)
def test_a_signature_is_good_for_its_own_branch_only(keys: Path, key: str, principal: str) -> None:
    with pytest.raises(_signature.SignatureError, match="not signed by"):
        verify(keys, sign(keys, key), principal=principal)


@pytest.mark.parametrize(
    ("key", "at", "good"),
    [
        ("branch-001", "2026-12-31 23:59:59", True),
        ("branch-001", "2027-01-01 00:00:01", False),
        ("branch-001-next", "2026-12-31 23:59:59", False),
        ("branch-001-next", "2027-01-01 00:00:01", True),
    ],
)
def test_a_key_is_judged_at_the_time_of_the_manifest(keys: Path, key: str, at: str, good: bool) -> None:
    signature = sign(keys, key)
    if good:
        verify(keys, signature, at=at)
    else:
        with pytest.raises(_signature.SignatureError):
            verify(keys, signature, at=at)


def test_a_signature_for_another_purpose_is_not_good(keys: Path) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(keys / "branch-001"), "-n", "file"]
    signature = subprocess.run(command, input=MESSAGE, capture_output=True, check=True).stdout
    with pytest.raises(_signature.SignatureError):
        verify(keys, signature)


@pytest.mark.parametrize("signature", [b"", b"no signature", b"-----BEGIN SSH SIGNATURE-----\nAAAA\n"])
def test_other_bytes_are_no_signature(keys: Path, signature: bytes) -> None:
    with pytest.raises(_signature.SignatureError):
        verify(keys, signature)


def test_an_unreadable_list_of_signers_is_a_check_that_could_not_run(keys: Path) -> None:
    with pytest.raises(BackupError, match="Failed to read allowed signers") as caught:
        verify(keys, sign(keys), allowed_signers=str(keys / "gone"))
    assert caught.value.reason == "no_allowed_signers"


def test_an_empty_list_of_signers_trusts_nobody(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(_signature.SignatureError):
        verify(keys, sign(keys), allowed_signers=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("make", "why", "reason"),
    [
        (lambda key: None, "No such file", "missing_file"),
        (lambda key: (key.write_bytes(b"not a key"), key.chmod(0o600)), "without passphrase", "signing_failed"),
        (lambda key: (key.write_bytes(b"not a key"), key.chmod(0o640)), "Run chmod 600", "insecure_file"),
    ],
)
def test_a_key_that_cannot_sign_is_said(tmp_path: Path, make: object, why: str, reason: str) -> None:
    key = tmp_path / "key"
    make(key)  # type: ignore[operator]
    with pytest.raises(BackupError, match=why) as caught:
        _signature.sign(MESSAGE, key=str(key))
    assert caught.value.reason == reason


def test_a_key_with_a_passphrase_fails_at_once_and_asks_nobody(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(key)], check=True)
    with pytest.raises(BackupError, match="without passphrase"):
        _signature.sign(MESSAGE, key=str(key))

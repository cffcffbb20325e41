# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _signature, _signers
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._signers import Signer
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import utc

BORN, SWITCHED = utc("2026-11-01 00:00:00"), utc("2026-11-20 12:00:00")
MESSAGE = b"{}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "allowed_signers"


def public(keys: Path, name: str = "branch-001") -> str:
    return (keys / f"{name}.pub").read_text()


def is_good(keys: Path, path: Path, *, at: str, key: str = "branch-001", branch: str = "branch-001") -> bool:
    signature = _signature.sign(MESSAGE, key=str(keys / key))
    try:
        _signature.verify(MESSAGE, signature, principal=branch, allowed_signers=str(path), at=utc(at))
    except _signature.SignatureError:
        return False
    return True


def test_a_key_counts_from_its_time_on_and_for_its_branch_alone(keys: Path, path: Path) -> None:
    _signers.update(str(path), [Signer("branch-001", public(keys), BORN)], check_mode=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert is_good(keys, path, at="2026-11-02 00:00:00")
    assert not is_good(keys, path, at="2026-10-31 00:00:00")
    assert not is_good(keys, path, at="2026-11-02 00:00:00", branch="branch-002")


def test_what_the_old_key_signed_before_the_rotation_stays_good(keys: Path, path: Path) -> None:
    old, new = public(keys), public(keys, "branch-001-next")
    _signers.update(str(path), [Signer("branch-001", old, BORN)], check_mode=False)
    added = utc("2026-11-19 00:00:00")
    rotated = [Signer("branch-001", old, BORN, SWITCHED), Signer("branch-001", new, added)]
    _signers.update(str(path), rotated, check_mode=False)
    assert is_good(keys, path, at="2026-11-10 00:00:00")
    assert not is_good(keys, path, at="2026-11-21 00:00:00"), "a stolen old key must not sign what is new"
    assert is_good(keys, path, at="2026-11-21 00:00:00", key="branch-001-next")
    assert not is_good(keys, path, at="2026-11-10 00:00:00", key="branch-001-next")


def test_enrolling_again_moves_no_time(keys: Path, path: Path) -> None:
    key = public(keys)
    first = _signers.merge("", [Signer("branch-001", key, BORN, SWITCHED)])
    for again in (Signer("branch-001", key, SWITCHED), Signer("branch-001", key, None, utc("2027-01-01 00:00:00"))):
        assert _signers.merge(first, [again]) == first
    earlier = _signers.merge(first, [Signer("branch-001", key, None, BORN)])
    assert 'valid-before="20261101000000Z"' in earlier


def test_lines_of_others_stay_as_they_are(keys: Path, path: Path) -> None:
    foreign = (
        "# the owner's own\n\n"
        f'branch-001 valid-after="20260101",namespaces="larapee-backup" {public(keys)}'
        f'owner@example.org,branch-001 namespaces="git" {public(keys)}'
        "branch-003 cert-authority ssh-ed25519 AAAA\n"
    )
    path.write_text(foreign)
    path.chmod(0o644)
    before, after = _signers.update(str(path), [Signer("branch-001", public(keys), BORN)], check_mode=True)
    assert (path.read_text(), before) == (foreign, foreign)
    assert _signers.update(str(path), [Signer("branch-001", public(keys), BORN)], check_mode=False)[1] == after
    assert path.read_text() == after
    assert after.startswith(foreign)
    assert after.count("\n") == foreign.count("\n") + 1
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("branch", ["", "branch *", "*", "!branch-001", "a,b", "branch-001 cert-authority", "../x"])
def test_a_code_that_would_let_others_sign_is_refused(keys: Path, branch: str) -> None:
    with pytest.raises(BackupError, match="it is no branch code"):
        _signers.merge("", [Signer(branch, public(keys))])


@pytest.mark.parametrize(
    "key",
    [
        *("", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa {blob}", "ssh-ed25519 {blob}\nbranch-002 ssh-ed25519 {blob}"),
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_public_key_is_refused(keys: Path, key: str) -> None:
    with pytest.raises(BackupError, match="not one line of an SSH public key file"):
        _signers.merge("", [Signer("branch-001", key.format(blob=public(keys).split()[1]))])


def test_times_are_in_utc_and_whole() -> None:
    assert _signers.parse_time("2026-11-01T00:00:00Z") == BORN
    with pytest.raises(BackupError, match="not written as"):
        _signers.parse_time("2026-11-01 00:00")

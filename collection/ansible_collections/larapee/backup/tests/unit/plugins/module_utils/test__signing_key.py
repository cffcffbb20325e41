# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _rotation, _signature, _signers, _signing_key
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._rotation import Slot
from ansible_collections.larapee.backup.plugins.module_utils._signers import Proof, Signer

BRANCH = "branch-001"
MESSAGE = b"{}\n"


@pytest.fixture
def key(tmp_path: Path) -> Slot:
    key = _signing_key.slot(str(tmp_path / "signing_key"), BRANCH)
    assert _signing_key.ensure(key, owner=None, check_mode=False)
    return key


@pytest.fixture
def believed(key: Slot, tmp_path: Path) -> str:
    path = str(tmp_path / "allowed_signers")
    _signers.update(path, [Signer(BRANCH, _signing_key.facts(key)["public"])], check_mode=False)
    return path


def begin(key: Slot) -> dict[str, Any]:
    assert _rotation.begin(key, owner=None, min_age_seconds=0, overlap_seconds=0, check_mode=False)
    following: dict[str, Any] = _signing_key.facts(key)["next"]
    return following


def announce(path: str, following: dict[str, Any], **changed: str) -> None:
    told = following | changed
    at = _signers.parse_time(told["valid_after"])
    signer = Signer(BRANCH, told["public"], at)
    _signers.update(path, [signer], [Proof(told["canary"], told["signature"], at)], check_mode=False)


def limit(path: str, key: Slot) -> dt.datetime:
    old = _signing_key.facts(key)["old"]
    end = _signers.parse_time(old["valid_before"])
    _signers.update(path, [Signer(BRANCH, old["public"], valid_before=end)], check_mode=False)
    return end


def is_good(signature: bytes, path: str, at: dt.datetime) -> bool:
    try:
        _signature.verify(MESSAGE, signature, principal=BRANCH, allowed_signers=path, at=at)
    except _signature.SignatureError:
        return False
    return True


def sign(key: Slot) -> bytes:
    return _signature.sign(MESSAGE, key=key.current)


def test_the_public_half_lies_beside_the_key_and_is_mended(key: Slot) -> None:
    public = Path(f"{key.current}.pub")
    assert public.read_text().split() == [*_signing_key.facts(key)["public"].split(), BRANCH]
    assert (public.stat().st_mode & 0o777, os.stat(key.current).st_mode & 0o777) == (0o644, 0o600)
    assert not _signing_key.ensure(key, owner=None, check_mode=False)
    right = public.read_text()
    public.unlink()
    assert _signing_key.ensure(key, owner=None, check_mode=True)
    assert not public.exists()
    assert _signing_key.ensure(key, owner=None, check_mode=False)
    assert public.read_text() == right
    public.write_text("ssh-ed25519 AAAA of-another\n")
    assert _signing_key.ensure(key, owner=None, check_mode=False)
    assert public.read_text() == right


def test_after_a_rotation_the_old_key_counts_for_its_time_and_the_new_one_from_then_on(
    key: Slot, believed: str
) -> None:
    now = dt.datetime.now(dt.timezone.utc)
    before = sign(key)
    announce(believed, begin(key))
    assert sign(key) == before, "the new one is not in use before it is believed"
    stolen = Path(key.current).read_bytes()
    _signing_key.switch(key)
    end = limit(believed, key)
    assert now - dt.timedelta(seconds=2) <= end <= now + dt.timedelta(seconds=60)
    _signing_key.finish(key)
    assert key.stage(overlap_seconds=0) == "at rest"
    after = sign(key)
    assert after != before
    assert is_good(before, believed, now)
    assert is_good(after, believed, end + dt.timedelta(days=1))
    assert is_good(after, believed, now - dt.timedelta(hours=20)), "of a run that began under the old key"
    assert not is_good(after, believed, now - dt.timedelta(hours=30))
    thief = Path(f"{key.current}-stolen")
    thief.write_bytes(stolen)
    thief.chmod(0o600)
    forged = _signature.sign(MESSAGE, key=str(thief))
    assert not is_good(forged, believed, end + dt.timedelta(seconds=2))


@pytest.mark.parametrize("changed", [{"canary": "another"}, {"public": "old"}, {"signature": "none"}])
def test_a_key_that_did_not_sign_is_not_believed(key: Slot, believed: str, changed: dict[str, str]) -> None:
    text = Path(believed).read_text()
    if "public" in changed:
        # The signature is good, of another key than the one that is to be believed.
        other = _signing_key.slot(f"{key.current}-other", BRANCH)
        _signing_key.ensure(other, owner=None, check_mode=False)
        changed = {"public": _signing_key.facts(other)["public"]}
    with pytest.raises(BackupError, match="Failed to prove the signing key of branch-001") as caught:
        announce(believed, begin(key), **changed)
    assert caught.value.reason == "key_not_proved"
    assert Path(believed).read_text() == text


class Died(BaseException):
    """The process, at a call."""


@pytest.mark.parametrize("call", ["unlink", "link", "rename", "fsync"])
@pytest.mark.parametrize("position", range(4))
def test_a_switch_that_dies_anywhere_leaves_a_key_that_signs_and_is_believed(
    key: Slot, believed: str, call: str, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(believed, begin(key))
    real, left = getattr(os, call), iter(range(position))

    def dying(*arguments: object, **options: object) -> object:
        if next(left, None) is None:
            raise Died
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, dying)
        with contextlib.suppress(Died):
            _signing_key.switch(key)
    assert is_good(sign(key), believed, dt.datetime.now(dt.timezone.utc))
    if key.stage(overlap_seconds=0) == "added":
        _signing_key.switch(key)
    limit(believed, key)
    _signing_key.finish(key)
    assert is_good(sign(key), believed, dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1))
    told = subprocess.run(["ssh-keygen", "-y", "-f", key.current], capture_output=True, text=True, check=True).stdout
    assert Path(f"{key.current}.pub").read_text().split()[:2] == told.split()[:2]
    assert not Path(key.old).exists()

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _canary
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError


def key() -> tuple[str, str]:
    identity = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    return identity, re.findall(r"public key: (age1\S+)", identity)[0]


def test_a_recipient_counts_when_its_canary_came_back(tmp_path: Path) -> None:
    state = str(tmp_path)
    (identity, recipient), (spare_identity, spare) = key(), key()
    canaries = _canary.make(state, [recipient, spare], check_mode=False)
    tokens = _canary.open_all(canaries, identity + spare_identity)
    assert not any(token in (tmp_path / "canaries.json").read_text() for token in tokens.values())
    assert _canary.accept(state, [recipient, spare], tokens) == [recipient, spare]
    assert _canary.make(state, [recipient, spare], check_mode=False) == {}
    assert _canary.accept(state, [recipient, spare], {}) == []
    assert (tmp_path / "canaries.json").stat().st_mode & 0o777 == 0o600


def test_a_key_that_nobody_has_is_not_accepted(tmp_path: Path) -> None:
    (identity, recipient), (_lost, spare) = key(), key()
    canaries = _canary.make(str(tmp_path), [recipient, spare], check_mode=False)
    tokens = _canary.open_all(canaries, identity)
    assert set(tokens) == {recipient}
    for wrong in ({}, {spare: ""}, {spare: tokens[recipient]}):
        with pytest.raises(BackupError, match="did not return the canary") as raised:
            _canary.accept(str(tmp_path), [recipient, spare], tokens | wrong)
        assert raised.value.reason == "canary_not_returned"
    state = json.loads((tmp_path / "canaries.json").read_text())
    assert "proved_at" in state[recipient]
    assert "proved_at" not in state[spare]


def test_an_old_answer_does_not_prove_a_new_canary(tmp_path: Path) -> None:
    identity, recipient = key()
    tokens = _canary.open_all(_canary.make(str(tmp_path), [recipient], check_mode=False), identity)
    _canary.make(str(tmp_path), [recipient], check_mode=False)
    with pytest.raises(BackupError, match="did not return the canary"):
        _canary.accept(str(tmp_path), [recipient], tokens)


def test_check_mode_remembers_nothing(tmp_path: Path) -> None:
    _identity, recipient = key()
    assert set(_canary.make(str(tmp_path), [recipient], check_mode=True)) == {recipient}
    assert list(tmp_path.iterdir()) == []


def test_a_private_key_is_no_recipient(tmp_path: Path) -> None:
    identity, _recipient = key()
    with pytest.raises(BackupError, match="it is a private key"):
        _canary.make(str(tmp_path), [identity.splitlines()[-1]], check_mode=False)

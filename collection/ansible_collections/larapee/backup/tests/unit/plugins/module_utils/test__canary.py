# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
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
    assert _canary.proved_seconds(state, [recipient, spare]) < 60
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


@pytest.mark.parametrize(
    "plain",
    [b"-- MariaDB dump\nINSERT INTO orders VALUES (1)", b"", b"0" * 63, b"0" * 64 + b"\n", b"G" * 64, b"0" * 65],
)
def test_what_is_no_canary_is_not_opened_for_who_sent_it(plain: bytes) -> None:
    """A branch that somebody broke into sends a stolen backup, to be read by the restorer's identity."""
    identity, recipient = key()
    assert _canary.open_all({recipient: base64.b64encode(sealed(recipient, plain)).decode()}, identity) == {}


@pytest.mark.parametrize("sent", ["not base64!", "A" * 100_000, "\ud800"])
def test_what_is_no_canary_at_all_is_left_alone(sent: str) -> None:
    identity, recipient = key()
    good, other = key()
    canaries = {recipient: sent, other: base64.b64encode(sealed(other, b"a" * 64)).decode()}
    assert _canary.open_all(canaries, identity + good) == {other: "a" * 64}


def sealed(recipient: str, plain: bytes) -> bytes:
    return subprocess.run(["age", "-r", recipient], input=plain, capture_output=True, check=True).stdout


def test_check_mode_remembers_nothing(tmp_path: Path) -> None:
    _identity, recipient = key()
    assert set(_canary.make(str(tmp_path), [recipient], check_mode=True)) == {recipient}
    assert list(tmp_path.iterdir()) == []


def test_a_private_key_is_no_recipient(tmp_path: Path) -> None:
    identity, _recipient = key()
    with pytest.raises(BackupError, match="it is a private key"):
        _canary.make(str(tmp_path), [identity.splitlines()[-1]], check_mode=False)

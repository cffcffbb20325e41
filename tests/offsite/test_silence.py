# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage that accepts connections and never answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.central.central import CODES, Central
from tests.central.playing import play, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def silent() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("playbook", ["offsite", "verify_offsite", "retention_offsite"])
def test_a_storage_that_never_answers_fails_each_branch_after_its_deadline(
    central: Central, tmp_path: Path, silent: str, playbook: str
) -> None:
    for code in CODES[:2]:
        central.branch(code)
    key = tmp_path / "key.ini"
    key.write_text("[s3]\naccess_key = a\nsecret_key = b\n")
    key.chmod(0o600)
    names = ("", "auditor_", "pruner_")
    code, output = play(
        central,
        list(CODES[:2]),
        playbook=f"larapee.backup.{playbook}",
        larapee_backup_offsite_hot_url="s3://hot",
        larapee_backup_s3_endpoint=silent,
        larapee_backup_s3_allow_plain=True,
        larapee_backup_central_branch_deadline=2,
        **{f"larapee_backup_s3_{name}credentials_file": str(key) for name in names},
    )
    assert code == 2, output
    found = rows(central)
    assert {each: (found[each].status, found[each].details["reason"]) for each in CODES[:2]} == dict.fromkeys(
        CODES[:2], ("failed", "branch_deadline")
    )
    assert "within 2 seconds: it was ended" in str(found[CODES[0]].error)
    assert {found[each].details["place"] for each in CODES[:2]} == {"hot"}

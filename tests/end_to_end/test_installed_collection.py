# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection alone, built and installed into an empty path, backs up, verifies and restores a real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .branch import BRANCH, FULL, RESTORE, ROOT, VERIFY

if TYPE_CHECKING:
    from pathlib import Path

    from .branch import Branch

SOURCE = ROOT / "collection" / "ansible_collections" / "larapee" / "backup"
CALLBACK = "larapee.backup.backup_runs"


@pytest.fixture
def elsewhere(branch: Branch) -> Path:
    """An empty directory from which nothing but the installed collection can be seen."""
    for name in ("ANSIBLE_CONFIG", "PYTHONPATH"):
        del branch.environ[name]
    archives, installed = branch.directory / "archives", branch.directory / "collections"
    galaxy = ("ansible-galaxy", "collection")
    directory = branch.directory / "elsewhere"
    directory.mkdir()
    built = branch.start(*galaxy, "build", "--output-path", str(archives), str(SOURCE), cwd=directory)
    assert built.wait() == 0, built.output
    (archive,) = archives.iterdir()
    put = branch.start(*galaxy, "install", "--offline", "-p", str(installed), str(archive), cwd=directory)
    assert put.wait() == 0, put.output
    branch.environ["ANSIBLE_COLLECTIONS_PATH"] = str(installed)
    return directory


def test_backup_verification_and_restore_by_name(branch: Branch, elsewhere: Path) -> None:
    enabled = {"ANSIBLE_CALLBACKS_ENABLED": CALLBACK}
    for playbook in (FULL, VERIFY, RESTORE):
        code, started = branch.playbook(playbook, environ=enabled, cwd=elsewhere)
        assert code == 0, started.output
    rows = branch.rows()
    assert [(row.kind, row.branch, row.status) for row in rows] == [
        (kind, BRANCH, "success") for kind in ("restore", "verify", "full")
    ]
    dumps = [each["sha256"] for row in rows for each in row.artifacts if each["name"].startswith("db-")]
    assert len(dumps) == 3
    assert len(set(dumps)) == 1
    assert branch.receipts(branch.restored) == branch.receipts(branch.database)
    assert list(elsewhere.iterdir()) == []


def test_guard_refuses_without_the_callback(branch: Branch, elsewhere: Path) -> None:
    for playbook in (FULL, VERIFY, RESTORE):
        code, started = branch.playbook(playbook, cwd=elsewhere)
        assert code == 2, started.output
        assert "the callback larapee.backup.backup_runs is not enabled, so the run would leave no row" in started.words
        assert f"ANSIBLE_CALLBACKS_ENABLED={CALLBACK}" in started.words
        assert not branch.local.exists()
        assert not branch.state.exists()
        assert not branch.table.exists()

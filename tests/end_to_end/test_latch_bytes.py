# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A latched host whose shop has sold something: nothing at its place is made, removed or written anew."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _latch

from .branch import BRANCH, FULL
from .test_backup_set import sell
from .test_latch import RETENTION, log_files

if TYPE_CHECKING:
    from .branch import Branch


def contents(branch: Branch) -> dict[str, str]:
    files = (path for path in branch.local.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("kind", ["full", "increment", "log", "retention"])
def test_a_shop_that_sold_is_left_alone_byte_for_byte(branch: Branch, kind: str) -> None:
    code, started = branch.playbook(FULL)
    assert code == 0, started.output
    sell(branch)
    _latch.set_latch(str(branch.state), branch=BRANCH, because="restore to latest", run_id="r")
    before, logs = contents(branch), log_files(branch)
    arguments = [] if kind == "retention" else ["-e", f"larapee_backup_kind={kind}"]
    code, _started = branch.playbook(RETENTION if kind == "retention" else FULL, *arguments)
    assert code != 0
    assert branch.rows()[0].details["reason"] == "latched"
    assert contents(branch) == before
    assert log_files(branch) == logs

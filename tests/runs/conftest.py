# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that all tests of this directory share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.runs.central import Central
from tests.runs.machines import Machine, machine, make_keys

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_keys(tmp_path_factory.mktemp("signers") / "keys", ["branch-001", "branch-002"])


@pytest.fixture
def branch(tmp_path: Path) -> Machine:
    return machine(tmp_path / "branch")


@pytest.fixture
def central(tmp_path: Path, keys: Path) -> Central:
    return Central(machine(tmp_path / "central-host"), keys)

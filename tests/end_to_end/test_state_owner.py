# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root restores a shop and opens it; the account that backs it up, by its unit's one capability, goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _latch, _lock

if TYPE_CHECKING:
    from collections.abc import Iterator

BRANCH, ACCOUNT = "branch-001", 65534
AS_UNIT = ("--ambient-caps", "+dac_read_search", "--inh-caps", "+dac_read_search")
LOG_RUN = """
import sys
from ansible_collections.larapee.backup.plugins.module_utils import _epoch, _latch, _lock
state, branch = sys.argv[1:]
with _lock.hold(state, f"restore-{branch}", run_id="r", shared=True):
    _latch.require_open(state, branch=branch, what="seal the binary log")
demand = _epoch.read_demand(state, branch=branch)
_epoch.note_forced(state, branch=branch, demand=demand)
_epoch.clear_demand(state, branch=branch)
sys.exit(_epoch.demanded(state, branch=branch))
"""


@pytest.fixture
def state() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="larapee-state-"))
    base.chmod(0o711)
    state = base / "state"
    state.mkdir(mode=0o700)
    os.chown(state, ACCOUNT, ACCOUNT)
    try:
        yield state
    finally:
        shutil.rmtree(base)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("there", [(), ("locks",), ("locks", "epochs")])
def test_what_root_restored_and_opened_is_backed_up_again(state: Path, there: tuple[str, ...]) -> None:
    for name in there:
        (state / name).mkdir(mode=0o700)
        os.chown(state / name, ACCOUNT, ACCOUNT)
    _latch.set_latch(str(state), branch=BRANCH, because="restore to latest", run_id="r")
    with _lock.hold(str(state), f"restore-{BRANCH}", run_id="r"):
        pass
    _latch.release(str(state), branch=BRANCH)
    account = ["setpriv", "--reuid", str(ACCOUNT), "--regid", str(ACCOUNT), "--clear-groups", *AS_UNIT]
    argv = [*account, sys.executable, "-c", LOG_RUN, str(state), BRANCH]
    # The account may not write coverage's data.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environ = {**kept, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

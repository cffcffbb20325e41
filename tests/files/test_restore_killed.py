# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore of files that is killed at any point leaves the target as it was; the next one clears what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.files.restoring import BRANCH, child_environment, member, picture, restorers_keys, restoring, tar

if TYPE_CHECKING:
    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

# What the restore in the other process does at a point: the function that is called there, and how many times before.
POINTS = {
    "staged": ("_unpack", "unpack_chain", 0),
    "first member": ("_extract.Extractor", "begin", 0),
    "half of the members": ("_extract.Extractor", "begin", 20),
    "second artifact": ("_open", "open_artifact", 1),
    "before the names are swapped": ("_dirfd", "exchange", 0),
}
CHILD = """
import importlib, json, os, signal, sys, time
from ansible_collections.larapee.backup.plugins.module_utils import _file_restore
request, module, name, before, after = json.loads(sys.argv[1])
holder = importlib.import_module("ansible_collections.larapee.backup.plugins.module_utils." + module.split(".")[0])
holder = getattr(holder, module.split(".")[1]) if "." in module else holder
real, calls = getattr(holder, name), []
def stop():
    if os.environ.get("HOLD"):
        print("holding", flush=True)
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)
def wrapped(*arguments, **options):
    calls.append(1)
    if not after and len(calls) > before:
        stop()
    result = real(*arguments, **options)
    if after:
        stop()
    return result
setattr(holder, name, wrapped)
_file_restore.restore_files(_file_restore.FileRestoreRequest(**request))
"""


@pytest.fixture
def shop(restoring: Restoring) -> Restoring:
    files = [member(f"receipts/{number:03d}", b"%d" % number) for number in range(40)]
    restoring.full(tar(member("./"), member("receipts/"), *files))
    restoring.increment(tar(member("receipts/007", b"changed")), tree={"entries": 42, "bytes": 100})
    restoring.target.mkdir()
    (restoring.target / "live").write_bytes(b"live")
    return restoring


def argv(shop: Restoring, module: str, name: str, before: int, *, after: bool = False) -> list[str]:
    request = vars(shop.request(confirm=BRANCH))
    return [sys.executable, "-c", CHILD, json.dumps([request, module, name, before, after])]


def killed(shop: Restoring, module: str, name: str, before: int = 0, *, after: bool = False) -> None:
    command = argv(shop, module, name, before, after=after)
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def leftovers(shop: Restoring) -> list[str]:
    return sorted(name for name in shop.beside() if name.startswith(".target.larapee-restore-"))


@pytest.mark.parametrize("point", POINTS)
def test_killed(shop: Restoring, point: str) -> None:
    before = picture(shop.target)
    killed(shop, *POINTS[point])
    assert picture(shop.target) == before
    assert len(leftovers(shop)) == 1
    assert (shop.root / leftovers(shop)[0]).stat().st_mode & 0o7777 == 0o700
    assert shop.beside() - set(leftovers(shop)) == {"place", "state", "target"}
    shop.restore(confirm=BRANCH)
    assert leftovers(shop) == []
    assert (shop.target / "receipts" / "007").read_bytes() == b"changed"
    assert not (shop.target / "live").exists()


def test_killed_between_the_swap_and_putting_the_old_aside(shop: Restoring) -> None:
    """The one moment in which what stood there lies in the staging directory: it must not be cleared away with it."""
    before = picture(shop.target)
    killed(shop, "_dirfd", "exchange", after=True)
    assert (shop.target / "receipts" / "007").read_bytes() == b"changed"
    outcome = shop.restore(confirm=BRANCH)
    assert leftovers(shop) == []
    [first] = [path for path in shop.root.glob("target.before-restore-*") if str(path) not in outcome.plan["kept"]]
    assert picture(first) == before
    assert any(str(first) in warning for warning in outcome.warnings)


def test_an_exchange_without_end_that_is_only_interrupted(shop: Restoring, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM right after the swap: the exception must not take what stood there along."""
    from ansible_collections.larapee.backup.plugins.module_utils import _placing

    before = picture(shop.target)
    swap = _placing._swap

    def interrupted(staged: str, name: str, kept: bytes, *, staged_in: int, parent: int) -> None:
        from ansible_collections.larapee.backup.plugins.module_utils import _dirfd

        _dirfd.exchange(staged, name, old_parent=staged_in, new_parent=parent)
        raise BackupError("Failed to finish: interrupted (signal 15).", reason="interrupted")

    assert swap is not None
    monkeypatch.setattr(_placing, "_swap", interrupted)
    with pytest.raises(BackupError, match="interrupted"):
        shop.restore(confirm=BRANCH)
    [kept] = shop.root.glob("target.before-restore-*")
    assert picture(kept) == before
    assert leftovers(shop) == []


def test_a_living_restore_is_not_cleared_away(shop: Restoring, tmp_path: Path) -> None:
    process = subprocess.Popen(
        argv(shop, "_dirfd", "sync_filesystem", 0),
        env=child_environment(HOLD="1"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        staging = leftovers(shop)
        with pytest.raises(BackupError, match="another restore fills it now") as caught:
            shop.restore(confirm=BRANCH, state_path=str(tmp_path / "other-state"))
        assert caught.value.reason == "lock_held"
        assert leftovers(shop) == staging
    finally:
        process.kill()
        process.communicate()
    shop.restore(confirm=BRANCH)
    assert leftovers(shop) == []


@pytest.mark.parametrize(
    "name",
    [
        ".target.larapee-restore-mine",
        ".other.larapee-restore-0b8f3f4e-6f2b-4f43-9d5c-0d5f5a1f2a11",
        "target.larapee-restore-0b8f3f4e-6f2b-4f43-9d5c-0d5f5a1f2a11",
    ],
)
def test_what_only_looks_like_a_leftover_stays(shop: Restoring, name: str) -> None:
    (shop.root / name).mkdir()
    (shop.root / name / "precious").write_bytes(b"7")
    shop.restore(confirm=BRANCH)
    assert (shop.root / name / "precious").read_bytes() == b"7"


def test_somebody_elses_directory_of_that_name_stays(shop: Restoring) -> None:
    path = shop.root / ".target.larapee-restore-0b8f3f4e-6f2b-4f43-9d5c-0d5f5a1f2a11"
    path.mkdir()
    (path / "precious").write_bytes(b"7")
    os.chown(path, 1234, 1234)
    shop.restore(confirm=BRANCH)
    assert (path / "precious").read_bytes() == b"7"

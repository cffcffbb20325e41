# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore by an account that is not root, with the system's own Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _file_restore
from tests.files.restoring import member, restorers_keys, restoring, tar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

NOBODY = 65534
RESTORE = """
import json, sys
from ansible_collections.larapee.backup.plugins.module_utils._file_restore import FileRestoreRequest, restore_files
print(json.dumps(restore_files(FileRestoreRequest(**json.loads(sys.argv[1]))).warnings))
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that another account reaches, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        (Path(name) / "own").mkdir()
        os.chown(Path(name) / "own", NOBODY, NOBODY)
        yield Path(name)


def restore(restoring: Restoring, home: Path) -> list[str]:
    source = Path(_file_restore.__file__).parent
    library = home / "lib" / "ansible_collections" / "larapee" / "backup" / "plugins" / "module_utils"
    shutil.copytree(source, library, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(restoring.place, home / "place")
    shutil.copy(restoring.keys.allowed_signers, home / "allowed_signers")
    subprocess.run(["chmod", "-R", "a+rX", str(home / "place"), str(home / "lib")], check=True)
    (home / "allowed_signers").chmod(0o644)
    request = restoring.request(
        source=str(home / "place"),
        allowed_signers=str(home / "allowed_signers"),
        state_path=str(home / "own" / "state"),
        target=str(home / "own" / "target"),
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-c", RESTORE, json.dumps(vars(request))],
        env={"PYTHONPATH": str(home / "lib"), "PATH": "/usr/bin:/bin"},
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    warnings: list[str] = json.loads(done.stdout)
    return warnings


def test_all_but_the_owners_is_restored(restoring: Restoring, home: Path) -> None:
    restoring.full(
        tar(
            member("./", uid=0, gid=0, mode=0o755),
            member("closed/", mode=0o000, uid=1000),
            member("closed/file", b"1", mode=0o000, uid=1000, mtime=7),
            member("readonly/", mode=0o555, uid=1000, mtime=9),
            member("readonly/file", b"1", mode=0o6755, uid=1000),
            member("readonly/mine", b"1", mode=0o6755, uid=NOBODY, gid=NOBODY),
        )
    )
    restoring.increment(
        tar(member("closed/file", b"2", mode=0o400, uid=NOBODY, gid=NOBODY), member("readonly/new", b"new")),
        tree={"entries": 7, "bytes": 7},
    )
    [warning] = restore(restoring, home)
    assert "only root can give files away" in warning
    target = home / "own" / "target"
    found = {path.name: (path.stat().st_mode & 0o7777, path.stat().st_mtime) for path in sorted(target.rglob("*"))}
    assert found["closed"][0] == 0
    assert found["readonly"] == (0o555, 9)
    assert (target / "closed" / "file").read_bytes() == b"2"
    assert found["mine"][0] == 0o6755
    assert {(path.stat().st_uid, path.stat().st_gid) for path in [target, *target.rglob("*")]} == {(NOBODY, NOBODY)}
    # The rights of an owner that could not be restored are not lent to another.
    assert (target / "readonly" / "file").stat().st_mode & 0o7777 == 0o755

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore of many files needs no more memory than one of few."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING, Any

from tests.files.restoring import child_environment, member, restorers_keys, restoring, tar

if TYPE_CHECKING:
    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

MANY = 200_000
LIMIT_MIB = 64
NOTHING = hashlib.sha256(b"").hexdigest()
CHILD = """
import json, sys
from ansible_collections.larapee.backup.plugins.module_utils._file_restore import FileRestoreRequest, restore_files
restore_files(FileRestoreRequest(**json.loads(sys.argv[1])))
# Not ru_maxrss, which begins with what the process that forked this one had.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""


def peak_mib(restoring: Restoring, **changes: Any) -> int:
    argv = [sys.executable, "-c", CHILD, json.dumps(vars(restoring.request(**changes)))]
    done = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, check=True)
    return int(done.stdout) // 1024


def names() -> list[str]:
    return [f"B01-20261122-{number:06d}.pdf" for number in range(MANY)]


def test_many_small_files_of_one_directory(restoring: Restoring) -> None:
    """The increment names all but one of them in one record."""
    top = tar(member("./"))[:512]
    lines: list[dict[str, Any]] = [
        {"path": ".", "type": "directory", "mode": 0o755, "uid": 0, "gid": 0, "mtime_ns": 1_700_000_000 * 10**9}
    ]
    archive = bytearray(top)
    for name in names():
        archive += member(name, b"")[0].tobuf(tarfile.USTAR_FORMAT)
        lines.append({**lines[0], "path": name, "type": "file", "mode": 0o644, "size": 0, "sha256": NOTHING})
    restoring.full(bytes(archive) + bytes(1024), index=lines)
    kept = names()[1:]
    listed = tar(member("./", names=[f"N{name}" for name in kept]))
    restoring.increment(listed, deleted=names()[:1], tree={"entries": len(kept) + 1, "bytes": 0})
    assert peak_mib(restoring, paths=(kept[5],)) <= LIMIT_MIB
    assert os.listdir(restoring.target) == [kept[5]]


def test_one_large_file(restoring: Restoring) -> None:
    content = os.urandom(1024) * 100_000
    restoring.full(tar(member("./"), member("video", content)))
    assert peak_mib(restoring) <= LIMIT_MIB
    assert (restoring.target / "video").stat().st_size == len(content)

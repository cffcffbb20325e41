# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pair of keys of one fetch, made for it and removed after it, in memory where its directory is below ``/run``.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import os

from . import _io, _key_pair, _names
from ._errors import BackupError
from ._fetch_ssh import Address
from ._rsync import Way

_PURPOSE = "fetch_key"


def way(address: Address, *, branch: str, key_directory: str) -> Way:
    """How central is reached with the key."""
    found = Way(
        branch=branch,
        host=address.host,
        port=address.port,
        user=address.user,
        ssh_directory=_directory(key_directory, branch),
        account="",
    )
    found.check()
    return found


def make(key_directory: str, *, branch: str) -> str:
    """A new pair, also where one was left; return its public half."""
    remove(key_directory, branch=branch)
    path = _path(key_directory, branch)
    for directory in (key_directory, _directory(key_directory, branch), os.path.dirname(path)):
        _io.ensure_directory(directory)
    _key_pair.make_pair(path, comment="")
    return _key_pair.public_half(path)


def pin(way_: Way, host_keys: list[str]) -> None:
    """Let central be who has one of *host_keys*, and nobody else."""
    name = way_.host if way_.port == 22 else f"[{way_.host}]:{way_.port}"
    lines = "".join(f"{name} {_key_pair.normal(each)}\n" for each in host_keys)
    _io.write_file(os.path.join(way_.ssh_directory, "known_hosts"), lines.encode("ascii"), durable=False)


def remove(key_directory: str, *, branch: str) -> bool:
    """Whether there was something of it."""
    path = _path(key_directory, branch)
    directory = _directory(key_directory, branch)
    found = is_left(key_directory, branch=branch)
    try:
        for each in (path, os.path.join(directory, "known_hosts")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(each)
    except OSError as exc:
        raise BackupError(
            f"Failed to remove the key {path}: {exc.strerror}. Remove it; central takes it for some hours only.",
            reason="not_removed",
        ) from exc
    for each in (os.path.dirname(path), directory, key_directory):
        with contextlib.suppress(OSError):
            os.rmdir(each)
    return found


def is_left(key_directory: str, *, branch: str) -> bool:
    return os.path.lexists(_directory(key_directory, branch))


def _directory(key_directory: str, branch: str) -> str:
    if not _names.is_branch_code(branch):
        raise BackupError(f"Failed to use the branch {branch!r}: not a branch's code.", reason="bad_branch")
    return os.path.join(key_directory, branch)


def _path(key_directory: str, branch: str) -> str:
    return os.path.join(_directory(key_directory, branch), _PURPOSE, branch)


__all__ = ("is_left", "make", "pin", "remove", "way")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Durable small files, hashes, secrets in memory, free space.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import typing as t

from ._errors import BackupError

BLOCK_SIZE = 1024 * 1024


def fsync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: str, content: bytes, *, durable: bool = True) -> None:
    """Replace *path* by *content*, mode 0600, so that a crash leaves either the old file or the new one.

    Not *durable*: so that the death of this process does; the caller sees to a crash of the machine.
    """
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, f".{os.path.basename(path)}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            if durable:
                os.fsync(handle.fileno())
        os.replace(temporary, path)
        if durable:
            fsync_directory(directory)
    except OSError as exc:
        raise BackupError(f"Failed to write {path}: {exc.strerror}. Check the free space and the permissions.") from exc
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def sweep_unwritten(directory: str, *, ending: str) -> None:
    """Remove what killed writers left of files whose names end with *ending*; no other process writes such now."""
    of_ours = re.compile(rf"\..*{re.escape(ending)}\.\d+\.new")
    for name in os.listdir(directory):
        if of_ours.fullmatch(name):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))


def write_json(path: str, document: t.Mapping[str, t.Any], *, durable: bool = True) -> None:
    write_file(path, json_bytes(document), durable=durable)


def json_bytes(document: t.Mapping[str, t.Any]) -> bytes:
    """The one form in which this collection writes JSON: sorted, indented, a newline at the end."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_small(path: str, *, limit: int = 4 * BLOCK_SIZE) -> bytes:
    """Return the content of the regular file *path*; raise ValueError for what is none or is larger than *limit*.

    Others may put files into a place: a link is not followed, and a pipe that nobody writes to is not waited for.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            raise ValueError("not a regular file") from exc
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        with open(descriptor, "rb", closefd=False) as handle:
            raw = handle.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(raw) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return raw


def read_json(path: str, *, limit: int = 4 * BLOCK_SIZE) -> dict[str, t.Any]:
    """Return the JSON object in *path*; raise ValueError for anything else, OSError when it cannot be read."""
    raw = read_small(path, limit=limit)
    try:
        document = json.loads(raw.decode("utf-8"))
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document


def sha256_file(path: str) -> tuple[str, int]:
    """Return the SHA-256 (hex) and the number of bytes read from *path*, in bounded memory."""
    digest = hashlib.sha256()
    size = 0
    buffer = bytearray(BLOCK_SIZE)
    view = memoryview(buffer)
    with open(path, "rb", buffering=0) as handle:
        while True:
            count = handle.readinto(buffer)
            if not count:
                return digest.hexdigest(), size
            digest.update(view[:count])
            size += count


def sha256_stream(handle: t.IO[bytes]) -> str:
    """Return the SHA-256 (hex) of what is left of *handle*, in bounded memory."""
    digest = hashlib.sha256()
    for block in iter(lambda: handle.read(BLOCK_SIZE), b""):
        digest.update(block)
    return digest.hexdigest()


def free_bytes(path: str) -> int:
    """Bytes that an ordinary process may still write to the filesystem of *path*."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def secret_descriptor(secret: bytes) -> int:
    """A readable file descriptor that holds *secret* in memory only, for ``/dev/fd/N``.

    Mode 0600: MariaDB's clients ignore an option file that others could write, and a memfd is made 0777.
    """
    descriptor = os.memfd_create("larapee-backup", os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    os.write(descriptor, secret)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def require_private_file(path: str, *, what: str) -> None:
    """Raise BackupError unless *path* is a regular file that only its owner can use."""
    try:
        status = os.stat(path)
    except OSError as exc:
        raise BackupError(f"Failed to read {what} {path}: {exc.strerror}.", reason="missing_file") from exc
    if status.st_mode & 0o077:
        raise BackupError(
            f"Failed to use {what} {path}: mode {status.st_mode & 0o7777:04o} lets others use it. Run chmod 600 on it.",
            reason="insecure_file",
        )


def ensure_directory(path: str) -> None:
    """Make *path* (0700) when it is missing."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as exc:
        raise BackupError(f"Failed to create directory {path}: {exc.strerror}.") from exc


def ensure_state_directory(state_path: str, name: str) -> str:
    """The directory *name* below *state_path*, durable, of the owner of *state_path*: root restores, others back up."""
    ensure_directory(state_path)
    path = os.path.join(state_path, name)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
            fsync_directory(state_path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.geteuid() == 0:
                owner = os.stat(state_path)
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise BackupError(f"Failed to create directory {path}: {exc.strerror}.") from exc
    return path


__all__ = (
    "BLOCK_SIZE",
    "ensure_directory",
    "ensure_state_directory",
    "free_bytes",
    "fsync_directory",
    "json_bytes",
    "read_json",
    "read_small",
    "require_private_file",
    "secret_descriptor",
    "sha256_file",
    "sha256_stream",
    "sweep_unwritten",
    "write_file",
    "write_json",
)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of files with everything in them that is easy to lose, and a picture of a tree to compare by."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

ODD_NAMES = (
    b"line\nbreak.jpg",
    b"quote'\"`$(x).jpg",
    "caf\u00e9 \U0001f600.jpg".encode(),
    b"-rf",
    b"--checkpoint-action=exec=sh",
    b"x" * 255,
    b"not \xff\xfe utf-8",
    b" blank ",
    b"back\\slash",
    b"*",
    b"...",
    b"%s%n=1",
)
OLD = 1_600_000_000_123_456_789


class Picture(NamedTuple):
    """What is compared of an entry. ``content`` is a file's SHA-256 or a link's target; ``twins`` its hard links."""

    kind: int
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    content: str
    twins: tuple[bytes, ...]
    xattrs: tuple[tuple[str, bytes], ...]


def build_nasty_tree(root: Path) -> None:
    """All that an archive holds: odd names, modes, owners, times, links, holes, attributes, empty directories."""
    root.mkdir(exist_ok=True)
    for number, name in enumerate(ODD_NAMES):
        write(root, b"odd/" + name, b"content %d" % number)
    for each in ("empty", "deep/" + "/".join("abcdefgh" * 4), "odd directory\n\xe9"):
        (root / each).mkdir(parents=True)
    write(root, b"deep/" + b"/".join([b"d" * 200] * 4) + b"/far below", b"far")
    write(root, b"nothing", b"")
    write(root, b"block", b"b" * 512)
    write(root, b"large", os.urandom(3 * 1024 * 1024 + 17))
    write(root, b"first of three", b"one inode")
    (root / "links").mkdir()
    os.link(root / "first of three", root / "links" / "second of three")
    os.link(root / "first of three", root / "third of three")
    (root / "links" / "file").symlink_to("../block")
    (root / "links" / "nowhere").symlink_to("/nonexistent/\u00e9/" + "long" * 60)
    (root / "links" / "out").symlink_to("/etc")
    build_sparse(root / "holes", 5 * 1024 * 1024)
    with open(root / "only hole", "wb") as handle:
        handle.truncate(3 * 1024 * 1024 + 5)
    write(root, b"with attributes", b"x")
    os.setxattr(root / "with attributes", "user.caption", b"zero \0 and = and \xff")
    os.setxattr(root / "empty", "user.a=b%c", b"1")
    write(root, b"set-user-id", b"x")
    os.chown(root / "set-user-id", 1234, 54321)
    (root / "set-user-id").chmod(0o6755)
    os.chown(root / "links" / "file", 33, 33, follow_symlinks=False)
    (root / "empty").chmod(0o1777)
    (root / "block").chmod(0o000)
    write(root, b"huge owner", b"x")
    os.chown(root / "huge owner", 2**31 + 5, 2**31 + 7)
    for name, when in ((b"before 1970", -1_500_000_000), (b"far future", 9_000_000_000 * 10**9 + 1)):
        write(root, name, b"x")
        os.utime(os.fsencode(root) + b"/" + name, ns=(when, when))
    os.utime(root / "empty", ns=(OLD, OLD))
    os.utime(root / "links" / "file", ns=(OLD, OLD), follow_symlinks=False)


def build_sparse(path: Path, size: int) -> None:
    """Data, hole, data in the middle, hole, data at the end."""
    with open(path, "wb") as handle:
        handle.write(b"start")
        handle.seek(size // 2)
        handle.write(b"middle" * 1000)
        handle.seek(size - 3)
        handle.write(b"end")


def add_unarchivable(root: Path) -> set[str]:
    """Put a FIFO, a socket and a device into *root*; return their names."""
    os.mkfifo(root / "a fifo")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)
        try:
            server.bind("a socket")
        finally:
            os.chdir(here)
    os.mknod(root / "a device", stat.S_IFCHR | 0o600, os.makedev(1, 7))
    return {"a fifo", "a socket", "a device"}


def write(root: Path, name: bytes, content: bytes) -> bytes:
    """Write *content* below *root*, making directories; return the whole path."""
    path = os.fsencode(root) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as handle:
        handle.write(content)
    return path


def picture(root: Path) -> dict[bytes, Picture]:
    """All of a tree by path (``.`` is the root), without what cannot be archived."""
    top = os.fsencode(root)
    found: dict[bytes, tuple[bytes, os.stat_result]] = {b".": (top, os.lstat(top))}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, top)] = (path, os.lstat(path))
    twins: dict[int, list[bytes]] = {}
    for relative, (_path, status) in found.items():
        twins.setdefault(status.st_ino, []).append(relative)
    return {
        relative: _picture(path, status, tuple(sorted(twins[status.st_ino])))
        for relative, (path, status) in sorted(found.items())
        if stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
    }


def _picture(path: bytes, status: os.stat_result, twins: tuple[bytes, ...]) -> Picture:
    content = ""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as handle:
            content = hashlib.sha256(handle.read()).hexdigest()
    elif stat.S_ISLNK(status.st_mode):
        content = os.fsdecode(os.readlink(path))
    names = () if stat.S_ISLNK(status.st_mode) else sorted(os.listxattr(path))
    return Picture(
        kind=stat.S_IFMT(status.st_mode),
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
        mtime_ns=status.st_mtime_ns,
        content=content,
        twins=twins,
        xattrs=tuple((name, os.getxattr(path, name)) for name in names),
    )


def differences(left: dict[bytes, Any], right: dict[bytes, Any]) -> dict[bytes, tuple[Any, Any]]:
    """Where two pictures differ, both sides."""
    names = sorted(left.keys() | right.keys())
    return {name: (left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)}

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which names a member may bear, and what they mean: nothing that leads out of the directory that is filled.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t

from ._errors import BackupError

# Each open level is a descriptor; a path that programs can use has at most 2048 (PATH_MAX).
DEEPEST: t.Final = 2048
_SHOWN: t.Final = 300


class MemberError(BackupError):
    """An archive holds what must not be extracted; the message names the member."""

    def __init__(self, message: str) -> None:
        super().__init__(
            f"{message} Nothing was changed on the target. Use another set, and keep this archive: find out who made "
            "it.",
            reason="bad_member",
        )
        self.cause = message


def printable(path: bytes) -> str:
    """A path of any bytes, fit for a message."""
    shown = path if len(path) <= _SHOWN else path[:_SHOWN] + b"..."
    text = shown.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def split_path(name: bytes, *, directory: bool = False) -> tuple[bytes, ...]:
    """The parts of a member's *name* below the top; raise MemberError for a name that is not below it."""

    def refuse(why: str) -> t.NoReturn:
        raise MemberError(f"Failed to accept the member '{printable(name)}': its name {why}.")

    if not name:
        refuse("is empty")
    if name.startswith(b"/"):
        refuse("is an absolute path")
    if b"\0" in name:
        refuse("holds a zero byte")
    path = name.rstrip(b"/") if directory else name
    if path == b".":
        return ()
    # GNU tar's "-C directory ." gives every name this beginning.
    parts = tuple((path[2:] if path.startswith(b"./") else path).split(b"/"))
    if b".." in parts:
        refuse("holds '..'")
    if b"" in parts or b"." in parts:
        refuse("is not in its plain form")
    if len(parts) > DEEPEST:
        refuse(f"lies deeper than {DEEPEST} directories")
    return parts


def split_target(name: bytes, target: bytes, kind: str) -> bytes:
    """What the link *name* leads to: a plain path below the top for a hard link, any text for a symbolic one."""
    if kind == "hardlink":
        parts: tuple[bytes, ...] | None
        try:
            parts = split_path(target)
        except MemberError:
            parts = None
        if parts is None:
            raise MemberError(
                f"Failed to accept the member '{printable(name)}': it is a hard link to '{printable(target)}', which "
                "does not lie below the top."
            )
        if not parts:
            raise MemberError(f"Failed to accept the member '{printable(name)}': it is a hard link to the top.")
        return b"/".join(parts)
    if kind != "symlink":
        return b""
    if not target or b"\0" in target:
        raise MemberError(f"Failed to accept the member '{printable(name)}': a symbolic link without a usable target.")
    return target


def split_dumpdir(name: bytes, raw: bytes) -> frozenset[bytes]:
    """The names in a directory's record GNU.dumpdir, each after its code (Y, N: a file; D: a directory)."""
    if raw == b"\0" or not raw:
        return frozenset()
    names = raw.split(b"\0")
    if names[-2:] != [b"", b""]:
        raise MemberError(f"Failed to accept the member '{printable(name)}': its list of names has no end.")
    del names[-2:]
    for each in names:
        if each[:1] not in (b"Y", b"N", b"D") or len(each) < 2:
            raise MemberError(
                f"Failed to accept the member '{printable(name)}': '{printable(each)}' in its list of names."
            )
        if b"/" in each or each[1:] in (b".", b".."):
            raise MemberError(
                f"Failed to accept the member '{printable(name)}': its list of names holds '{printable(each[1:])}'."
            )
    return frozenset(names)


def leads_out(parts: tuple[bytes, ...], target: bytes, *, top: bytes) -> bool:
    """True when the symbolic link *parts* may lead to what is not below *top*, the absolute path of the tree.

    ``..`` counts only where it leads the target: after a name it may act on another link, and leave by two steps what
    neither leaves alone.
    """
    steps = [step for step in target.split(b"/") if step not in (b"", b".")]
    if target.startswith(b"/"):
        inside = [step for step in top.split(b"/") if step]
        return not inside or steps[: len(inside)] != inside or b".." in steps
    climbs = 0
    while climbs < len(steps) and steps[climbs] == b"..":
        climbs += 1
    return climbs >= len(parts) or b".." in steps[climbs:]


__all__ = (
    "DEEPEST",
    "MemberError",
    "leads_out",
    "printable",
    "split_dumpdir",
    "split_path",
    "split_target",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Owner, mode, times and extended attributes of what was extracted.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import typing as t

from ._members import Member

_ACL_PREFIX: t.Final = "system.posix_acl_"
ACCESS_ACL: t.Final = "system.posix_acl_access"
DEFAULT_ACL: t.Final = "system.posix_acl_default"
_UNSUPPORTED: t.Final = (errno.ENOTSUP, errno.EOPNOTSUPP)
_NONE_THERE: t.Final = (errno.ENODATA, *_UNSUPPORTED)


class Attributes:
    """Gives files what their member says, and remembers what could not be given."""

    def __init__(self) -> None:
        self.as_root = os.geteuid() == 0
        self._users: dict[tuple[int, str], int] = {}
        self._groups: dict[tuple[int, str], int] = {}
        self.owners_not_restored = 0
        self.attributes_not_restored = 0

    def apply(self, descriptor: int, member: Member, *, inherited: bool) -> None:
        """Make the open file or directory as *member* says; *inherited* when it may have attributes that it lacks."""
        mode = member.mode
        if not self._own(descriptor, member):
            # Not to lend the rights of somebody else to what was another's.
            mode &= ~(stat.S_ISUID | stat.S_ISGID)
        wanted = {name: value for name, value in member.xattrs.items() if _is_kept(name)}
        if inherited:
            for name in _names(descriptor):
                if _is_kept(name) and name not in wanted:
                    self._remove(descriptor, name)
        for name, value in wanted.items():
            if not name.startswith(_ACL_PREFIX):
                self._set(descriptor, name, value)
        os.fchmod(descriptor, mode)
        # After the mode, of which it is the longer form.
        for name, value in wanted.items():
            if name.startswith(_ACL_PREFIX):
                self._set(descriptor, name, value)
        os.utime(descriptor, ns=(member.mtime_ns, member.mtime_ns))

    def apply_to_link(self, name: bytes, member: Member, *, parent: int) -> None:
        uid, gid = self._ids(member)
        if self.as_root:
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
        elif (uid, gid) != (os.geteuid(), os.getegid()):
            self.owners_not_restored += 1
        os.utime(name, ns=(member.mtime_ns, member.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def warnings(self) -> list[str]:
        found = []
        if self.owners_not_restored:
            found.append(
                f"The owners of {self.owners_not_restored} files were not restored: only root can give files away. "
                "They belong to the account that ran the restore, without setuid and setgid."
            )
        if self.attributes_not_restored:
            found.append(
                f"{self.attributes_not_restored} extended attributes (ACLs among them) were not restored: the target's "
                "filesystem does not take them."
            )
        return found

    def _own(self, descriptor: int, member: Member) -> bool:
        uid, gid = self._ids(member)
        status = os.fstat(descriptor)
        if (uid, gid) == (status.st_uid, status.st_gid):
            return True
        if self.as_root:
            os.fchown(descriptor, uid, gid)
            return True
        self.owners_not_restored += 1
        return False

    def _ids(self, member: Member) -> tuple[int, int]:
        """By name where this host knows the name: numbers of another host may be somebody else's here."""
        user, group = (member.uid, member.uname), (member.gid, member.gname)
        if user not in self._users:
            self._users[user] = _number_of(lambda: pwd.getpwnam(member.uname).pw_uid, member.uname, member.uid)
        if group not in self._groups:
            self._groups[group] = _number_of(lambda: grp.getgrnam(member.gname).gr_gid, member.gname, member.gid)
        return self._users[user], self._groups[group]

    def _set(self, descriptor: int, name: str, value: bytes) -> None:
        try:
            os.setxattr(descriptor, name, value)
        except OSError as exc:
            if exc.errno not in _UNSUPPORTED:
                raise
            self.attributes_not_restored += 1

    @staticmethod
    def _remove(descriptor: int, name: str) -> None:
        try:
            os.removexattr(descriptor, name)
        except OSError as exc:
            if exc.errno not in _NONE_THERE:
                raise


def has_default_acl(descriptor: int) -> bool:
    """True when what is made in this directory gets an ACL from it."""
    return DEFAULT_ACL in _names(descriptor)


def _names(descriptor: int) -> list[str]:
    try:
        return os.listxattr(descriptor)
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise
        return []


def _is_kept(name: str) -> bool:
    """What is written into archives; anything else (capabilities, labels) must not come out of one."""
    return name.startswith("user.") or name in (ACCESS_ACL, DEFAULT_ACL)


def _number_of(look_up: t.Callable[[], int], name: str, number: int) -> int:
    try:
        return look_up() if name else number
    except (KeyError, ValueError):
        return number


__all__ = ("ACCESS_ACL", "DEFAULT_ACL", "Attributes", "has_default_acl")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""At central: the door by which one host fetches one branch's artifacts, for some hours.

It is a line of a file that sshd reads, and sshd itself is asked which: no setting of its own is changed, and none is
guessed. The key opens a command that reads one directory, without root's rights but that to read. Its hour is in the
line, so that a door that nobody came to close is closed.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import pwd
import re

from . import _clock, _io, _key_file, _key_pair, _names, _process, _rsync
from ._errors import BackupError

_MARK = " larapee-backup fetch "
_EXPIRY = re.compile(r'expiry-time="(\d{14})Z"')
_EXPIRY_FORM = "%Y%m%d%H%M%S"
# Who reads needs no more than to read; as this account it owns nothing.
_NOBODY = "nobody"
_READ_ONLY = "-all,+dac_read_search"
_TOKENS = re.compile(r"%([%hu])")


class Door:
    """Of *account*, for the host *target*: reads the directory *path*, by the sshd of *sshd_config*."""

    def __init__(self, *, branch: str, target: str, path: str, account: str, sshd_config: str) -> None:
        if not _names.is_branch_code(branch):
            raise BackupError(f"Failed to use the branch {branch!r}: not a branch's code.", reason="bad_branch")
        self._path = path
        self._account = _account(account)
        self._sshd_config = sshd_config
        # One line a branch and target: that of a run that was killed is the one that the next replaces.
        self._comment = f"larapee-backup fetch {branch} {re.sub(r'[^A-Za-z0-9_.-]', '_', target)}"
        self._settings: dict[str, list[str]] = {}

    def check(self) -> None:
        """Raise BackupError unless there is something behind it, and what it opens to."""
        self._require_directory()
        self._command()

    def is_open(self) -> bool:
        return self._write(None, dry=True)

    def open(self, public: str, *, valid_seconds: int) -> None:
        self.check()
        until = _clock.now() + dt.timedelta(seconds=valid_seconds)
        words = f'restrict,expiry-time="{until.strftime(_EXPIRY_FORM)}Z",command="{self._command()}"'
        self._write(f"{words} {_key_pair.normal(public)} {self._comment}")

    def close(self) -> bool:
        """Whether there was one."""
        return self._write(None)

    def host_keys(self) -> list[str]:
        """Kind and key of each that this sshd shows."""
        found = []
        for path in self._setting("hostkey"):
            with contextlib.suppress(OSError, ValueError, UnicodeDecodeError):
                found.append(_key_pair.normal(_io.read_small(path + ".pub").decode("ascii")))
        if not found:
            raise self._failed("it tells none of its host keys", "Look at HostKey in its settings")
        return found

    def _command(self) -> str:
        rrsync = [_process.find_tool("rrsync"), "-ro", self._path]
        if self._account.pw_uid != 0:
            return " ".join(rrsync)
        nobody = _account(_NOBODY)
        setpriv = [_process.find_tool("setpriv"), f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}"]
        setpriv += [f"--{each}={_READ_ONLY}" for each in ("inh-caps", "ambient-caps", "bounding-set")]
        return " ".join([*setpriv, "--clear-groups", "--no-new-privs", "--", *rrsync])

    def _require_directory(self) -> None:
        if not _rsync.PLAIN_PATH.fullmatch(self._path) or os.path.normpath("/" + self._path.lstrip("/")) != self._path:
            raise self._failed("such a path cannot be part of a command", "Name it without spaces, quotes and dots")
        if not os.path.isdir(self._path) or os.path.islink(self._path):
            raise self._failed("there is no such directory", "Correct larapee_backup_restore_source")

    def _setting(self, name: str) -> list[str]:
        if not self._settings:
            user = f"user={self._account.pw_name},host=localhost,addr=127.0.0.1"
            done = _process.run([_process.find_tool("sshd"), "-T", "-f", self._sshd_config, "-C", user])
            if done.returncode != 0:
                raise self._failed(_rsync.line(done.stderr) or "sshd does not tell its settings", "Mend its settings")
            for each in done.stdout.decode("utf-8", "replace").splitlines():
                key, _space, value = each.partition(" ")
                self._settings.setdefault(key, []).append(value)
        return self._settings.get(name, [])

    def _paths(self) -> list[str]:
        """Where sshd looks for the account's keys."""
        values = {"%": "%", "h": self._account.pw_dir, "u": self._account.pw_name}
        words = [word for each in self._setting("authorizedkeysfile") for word in each.split() if word != "none"]
        named = [_TOKENS.sub(lambda match: values[match[1]], word) for word in words]
        if not named:
            raise self._failed(f"it reads no file of keys for {self._account.pw_name}", "Look at AuthorizedKeysFile")
        return [os.path.join(self._account.pw_dir, each) for each in named]

    def _write(self, line: str | None, *, dry: bool = False) -> bool:
        """Take ours and what is over out of all files, and put *line* into one; whether something was taken out."""
        paths = self._paths()
        removed = False
        try:
            with _key_file.opened(paths, account=self._account, make=line is not None) as files:
                for each in files:
                    kept = [one for one in each.lines if not self._goes(one)]
                    removed = removed or kept != each.lines
                    each.lines = kept
                if line is not None:
                    # A file that others write to, too, could lose what they write at this moment.
                    ours = [each for each in files if each.is_usable and all(_MARK in one for one in each.lines)]
                    (ours or files)[-1 if ours else 0].lines.append(line)
                for each in [] if dry else files:
                    each.save(keep=each.path == paths[0])
        except OSError as exc:
            raise self._failed(f"{exc.filename or paths[0]}: {exc.strerror}", "Look at that file") from exc
        return removed

    def _goes(self, line: str) -> bool:
        if _MARK not in line:
            return False
        match = _EXPIRY.search(line)
        return line.endswith(f" {self._comment}") or match is None or match[1] < _clock.now().strftime(_EXPIRY_FORM)

    def _failed(self, why: str, remedy: str) -> BackupError:
        return BackupError(
            f"Failed to let the target read {self._path} by central's sshd: {why}. {remedy}, at central; or copy the "
            "directory to the target, and name it there.",
            reason="no_door",
        )


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise BackupError(
            f"Failed to find the account {name} at central. Correct larapee_backup_restore_source.", reason="no_account"
        ) from None


__all__ = ("Door",)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Central's ways to a branch: rsync over SSH into ``incoming``, and the door for acknowledgements.

Both run as an account that owns ``incoming`` and nothing else: what a branch could make of a fault in them is that.
Each way ends with this process, at its deadline, and when central's disk fills.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import re
import selectors
import subprocess
import time
import typing as t

from . import _io, _process
from ._errors import BackupError

# What has been said on standard error beyond this is a branch's way to fill memory.
_SAID_LIMIT = 16 * 1024
_LOOK_SECONDS = 1.0
# rsync's own codes, from its manual page: a file that vanished, and files that could not be transferred.
_VANISHED = 24
_PARTIAL = 23
TIMEOUTS = (30, 35)
# Processors with AES instructions do the first ones at the speed of memory; the last one is for those without.
_CIPHERS = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com"
HOST = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:-]*", re.ASCII)
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)
# rsync splits the command for its transport at spaces.
PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./@+-]*", re.ASCII)
# Artifacts, manifests and signatures, tip and run records, and nothing else; what is excluded is safe from --delete
# too, such as the temporary file of a transfer beside this one.
_FILTERS = (
    *("--exclude=*.verified.json", "--include=/tip.json", "--include=/tip.json.sig"),
    *("--include=/db-*", "--include=/public-uploads-*", "--include=/config-*"),
    *("--include=/runs/", "--include=/runs/*.json", "--include=/runs/*.json.sig", "--exclude=*"),
)


@dataclasses.dataclass(frozen=True)
class Way:
    """How to reach one branch. ``account`` is empty where this process's own is meant; times in seconds."""

    branch: str
    host: str
    port: int
    user: str
    ssh_directory: str
    account: str
    connect_timeout: int = 15
    silence_timeout: int = 60

    def check(self) -> None:
        """Raise BackupError unless everything here can be an argument."""
        if not HOST.fullmatch(self.host) or not USER.fullmatch(self.user) or not 0 < self.port < 65536:
            raise BackupError(
                f"Failed to use the address of {self.branch}: {self.user}@{self.host} port {self.port} is none. "
                "Correct larapee_backup_ssh_host, larapee_backup_ssh_user and larapee_backup_ssh_port of this branch.",
                reason="bad_address",
            )
        if not PLAIN_PATH.fullmatch(self.ssh_directory):
            raise BackupError(
                f"Failed to use {self.ssh_directory}: rsync cannot be told a path with spaces or quotes. Rename it.",
                reason="bad_address",
            )

    def ssh(self, key: str) -> list[str]:
        """The client's arguments before the host; *key* is ``pull_key`` or ``acknowledge_key``."""
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": f"{self.ssh_directory}/known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
            "ConnectTimeout": str(self.connect_timeout),
            "ServerAliveInterval": str(max(1, self.silence_timeout // 3)),
            "ServerAliveCountMax": "3",
            "ClearAllForwardings": "yes",
            "ForwardAgent": "no",
            "Compression": "no",
            "LogLevel": "ERROR",
            "Ciphers": _CIPHERS,
        }
        argv = [_process.find_tool("ssh"), "-F", "none", "-T", "-p", str(self.port), "-l", self.user]
        argv += ["-i", f"{self.ssh_directory}/{key}/{self.branch}"]
        return argv + [each for name, value in options.items() for each in ("-o", f"{name}={value}")]

    def as_account(self) -> list[str]:
        """What goes before a command so that it runs as the account, and dies with this process."""
        setpriv = [_process.find_tool("setpriv"), "--pdeathsig", "KILL", "--no-new-privs"]
        if self.account and os.geteuid() == 0:
            found = _account(self.account)
            setpriv += ["--reuid", str(found.pw_uid), "--regid", str(found.pw_gid), "--clear-groups"]
        return [*setpriv, "--"]


def fetch(
    way: Way, target: str, *, deadline: float, reserve: int, max_size: int, bandwidth: int, dry_run: bool = False
) -> None:
    """Make *target* what the branch has, up to *max_size* bytes a file; raise BackupError that says why not.

    ``deadline`` in seconds, ``reserve`` in bytes that stay free, ``bandwidth`` in KiB a second (0: no limit).
    """
    way.check()
    room = _io.free_bytes(target) - reserve
    if room <= 0:
        raise _disk_full(way, target)
    setpriv = _process.find_tool("setpriv")
    # The transport is a process of its own that must not outlive us either.
    transport = " ".join([setpriv, "--pdeathsig", "KILL", "--", *way.ssh("pull_key")])
    argv = [*way.as_account(), _process.find_tool("rsync"), "--recursive", "--times", "--delete", "--partial"]
    argv += ["--no-links", "--no-devices", "--no-specials", "--no-owner", "--no-group", "--omit-dir-times"]
    argv += ["--partial-dir=.rsync-partial", "--chmod=D0700,F0600", f"--timeout={way.silence_timeout}"]
    argv += [f"--max-size={min(max_size, room) if max_size else room}", f"--rsh={transport}", *_FILTERS]
    argv += [f"--bwlimit={bandwidth}"] if bandwidth else []
    argv += ["--dry-run"] if dry_run else []
    host = f"[{way.host}]" if ":" in way.host else way.host
    until = time.monotonic() + deadline

    def look() -> None:
        if time.monotonic() > until:
            raise BackupError(
                f"Failed to pull from {way.branch} in {deadline:.0f} seconds: it is too slow. What came is kept, and "
                "the next pull goes on. Look at the way to it.",
                reason="too_slow",
            )
        if _io.free_bytes(target) < reserve:
            raise _disk_full(way, target)

    code, said = run([*argv, "--", f"{host}:/", target + "/"], look)
    if code in (0, _VANISHED):
        return
    if code == _PARTIAL:
        raise BackupError(
            f"Failed to bring all of {way.branch}: {said}. The rest came. Look at those files and their owner on the "
            "branch, and at the disks of both.",
            reason="not_all_read",
        )
    why = f"it was silent for {way.silence_timeout} seconds" if code in TIMEOUTS else said or f"rsync ended with {code}"
    raise BackupError(
        f"Failed to pull from {way.branch} ({way.host} port {way.port}): {why}. Check the branch, the way to it, and "
        "its keys (enrol).",
        reason="not_reached",
    )


def acknowledge(way: Way, document: bytes, *, deadline: float) -> None:
    """Hand *document* to the branch's other door; raise BackupError when it did not take it."""
    way.check()
    argv = [*way.as_account(), *way.ssh("acknowledge_key"), "--", way.host]
    done = _process.run(argv, stdin=document, timeout=deadline)
    if done.returncode != 0:
        said = line(done.stderr[:_SAID_LIMIT])
        raise BackupError(
            f"Failed to acknowledge to {way.branch}: {said or f'ssh ended with {done.returncode}'}. Its local "
            "retention keeps what it does not know to be here. Prepare the branch again, or enrol it.",
            reason="not_acknowledged",
        )


def run(argv: t.Sequence[str], look: t.Callable[[], None], *, answer: t.IO[bytes] | None = None) -> tuple[int, str]:
    """The status of *argv* and the first it said; *look* is called each second, and ends it by what it raises."""
    said = bytearray()
    stdout = subprocess.DEVNULL if answer is None else answer
    process = _process.start(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
    stream = t.cast("t.IO[bytes]", process.stderr)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while True:
                if selector.select(_LOOK_SECONDS):
                    block = os.read(stream.fileno(), 65536)
                    if not block:
                        break
                    said += block[: _SAID_LIMIT - len(said)]
                look()
        return process.wait(), line(bytes(said))
    finally:
        stream.close()
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    # By then it has closed what it says its errors to, or is to be stopped.
    try:
        process.wait(1)
        return
    except subprocess.TimeoutExpired:
        process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _disk_full(way: Way, target: str) -> BackupError:
    return BackupError(
        f"Failed to pull from {way.branch}: the filesystem of {target} has no more than its reserve left. Make room at "
        "central (retention_central), or lower larapee_backup_central_reserve.",
        reason="disk_full",
    )


def _account(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise BackupError(
            f"Failed to find the account {name}, as which branches are pulled. Prepare central (central_prepare).",
            reason="no_account",
        ) from None


def line(said: bytes) -> str:
    """What says most, fit for a row: a branch may have written it. ssh ends with its cause, rsync begins with it."""
    text = said.decode("utf-8", "replace")
    lines = ["".join(each if each.isprintable() else "?" for each in line).strip() for line in text.splitlines()]
    of_ssh = [line for line in lines if line and not line.startswith(("rsync", "@"))]
    return "; ".join(of_ssh[-2:] or [line for line in lines if line][:2])[:300].rstrip(".")


__all__ = ("HOST", "PLAIN_PATH", "TIMEOUTS", "USER", "Way", "acknowledge", "fetch", "line", "run")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How external commands are found and started: argv lists, a small environment, and never outliving this process.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import typing as t

from ._errors import BackupError

# Services and cron start with a PATH that often lacks these.
_STANDARD_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")

_PACKAGES = {
    "age": "age",
    "gzip": "gzip",
    "igzip": "isal",
    "mariadb": "mariadb-client",
    "mariadb-binlog": "mariadb-client",
    "mariadb-dump": "mariadb-client",
    "mysql": "mysql-client",
    "mysqlbinlog": "mysql-client",
    "mysqldump": "mysql-client",
    "pigz": "pigz",
    "rrsync": "rsync",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "zstd": "zstd",
}

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def search_path() -> str:
    """Where commands are looked for."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_STANDARD_DIRECTORIES])


def find_tool(*names: str) -> str:
    """Return the path of the first of *names* that is installed; raise BackupError that names the package."""
    for name in names:
        path = shutil.which(name, path=search_path())
        if path:
            return path
    package = _PACKAGES.get(names[0], names[0])
    raise BackupError(
        f"Failed to find the command {' or '.join(names)}: it is not installed. Install the package {package}.",
        reason="tool_missing",
    )


def has_tool(name: str) -> bool:
    return shutil.which(name, path=search_path()) is not None


def reduced_environment() -> dict[str, str]:
    """Only what the commands need.

    No HOME that holds a ``.my.cnf`` or ``.mylogin.cnf`` (the login path file is read even with ``--defaults-file``),
    no ``MYSQL_*`` variables, plain messages, UTC.
    """
    return {"PATH": search_path(), "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"}


def die_with_parent() -> None:
    """Run in the child between fork and exec: a killed module must not leave a dump client behind."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def start(
    argv: t.Sequence[str],
    *,
    stdin: int | t.IO[bytes],
    stdout: int | t.IO[bytes],
    stderr: int | t.IO[bytes],
    pass_fds: t.Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start one command of a pipeline; raise BackupError when it cannot be started."""
    try:
        # Ansible's run_command makes no pipelines, and these utilities know nothing of Ansible.
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=reduced_environment(),
            pass_fds=tuple(pass_fds),
            preexec_fn=die_with_parent,  # one system call; the pumps of a pipeline start after its last stage
        )
    except OSError as exc:
        raise BackupError(f"Failed to start {os.path.basename(argv[0])}: {exc}.", reason="tool_missing") from exc


def run(
    argv: t.Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0, pass_fds: t.Sequence[int] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run a short command to its end and return its status and output; raise BackupError on a timeout (seconds)."""
    try:
        return subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv),
            input=stdin,
            capture_output=True,
            env=reduced_environment(),
            pass_fds=tuple(pass_fds),
            timeout=timeout,
            check=False,
            start_new_session=True,  # without a terminal, a command that would ask for a passphrase fails at once
            preexec_fn=die_with_parent,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise BackupError(f"Failed to run {os.path.basename(argv[0])}: {exc}.") from exc


__all__ = ("die_with_parent", "find_tool", "has_tool", "reduced_environment", "run", "search_path", "start")

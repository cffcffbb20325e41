# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network of its own, which has nothing but a loopback: what runs in it can call nobody, and that is tried.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import os
import select
import shlex
import socket
import subprocess
import sys
import typing as t

from . import _io, _process
from ._drill_home import ENVIRONMENT_VARIABLE
from ._errors import BackupError

_START_SECONDS: t.Final = 30.0
# SIOCSIFFLAGS, IFF_UP | IFF_RUNNING.
_HOLD: t.Final = """
import fcntl, os, socket, struct, time
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))
os.write(1, b"%d\\n" % os.getpid())
os.close(1)
time.sleep(10**8)
"""
# 192.0.2.0/24 is for documentation: nobody answers there, but a host with a network would try.
_TRY = """
import socket, sys
reached = [name for _number, name in socket.if_nameindex() if name != "lo"]
for kind, place in ((socket.SOCK_STREAM, ("127.0.0.1", int(sys.argv[1]))), (socket.SOCK_DGRAM, ("192.0.2.1", 53))):
    with socket.socket(socket.AF_INET, kind) as tried:
        tried.settimeout(5)
        try:
            tried.connect(place)
            reached.append("%s port %d" % place)
        except OSError:
            pass
print(", ".join(reached) or "nothing")
"""


@dataclasses.dataclass(frozen=True)
class Cut:
    """``prefix``: the words before a command that is to run in it, with a small environment."""

    prefix: t.Sequence[str]

    def prove(self) -> None:
        """Raise BackupError (``not_cut``) unless nothing is reached from inside, this very host included."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            done = _process.run([*self.prefix, sys.executable, "-I", "-c", _TRY, str(port)])
        said = done.stdout.decode("utf-8", "replace").strip()
        if done.returncode != 0 or said != "nothing":
            why = f"it reaches {said}" if said else done.stderr.decode("utf-8", "replace").strip()[-300:]
            raise BackupError(
                f"Failed to cut the application off: {why}. None of it was started. A drill needs network namespaces "
                "(unshare, nsenter, and user.max_net_namespaces above 0).",
                reason="not_cut",
            )

    def start(self, argv: t.Sequence[str], *, directory: str, log: str) -> None:
        """Start what outlives this process; the end of the drill finds it by its environment."""
        with open(log, "ab") as output:
            try:
                # The drill's own server, named in its configuration.
                subprocess.Popen(  # noqa: S603 # pylint: disable=ansible-bad-function,consider-using-with
                    [*self.prefix, *argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=directory,
                    start_new_session=True,
                )
            except OSError as exc:
                raise _failure(str(exc)) from exc

    def write_interpreter(self, path: str) -> str:
        """A program by which Ansible runs its modules inside."""
        words = " ".join(shlex.quote(word) for word in (*self.prefix, sys.executable))
        _io.write_file(path, f'#!/bin/sh\nexec {words} "$@"\n'.encode())
        os.chmod(path, 0o700)
        return path


def make(path: str, *, home: str, lifetime: int) -> Cut:
    """Make one that lasts as long as the drill in *path*; raises BackupError (``not_cut``)."""
    # Root needs no user namespace, and in one it could not reach what belongs to another account.
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = [
        *(_process.find_tool("timeout"), "--signal=KILL", str(lifetime)),
        *(_process.find_tool("unshare"), *users, "--net"),
        *(sys.executable, "-I", "-c", _HOLD),
    ]
    errors = os.path.join(path, "network.log")
    with open(errors, "wb") as log:
        try:
            # A fixed command; it outlives this module, and ends with the drill.
            process = subprocess.Popen(  # noqa: S603 # pylint: disable=ansible-bad-function,consider-using-with
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**_process.reduced_environment(), ENVIRONMENT_VARIABLE: path},
                start_new_session=True,
            )
        except OSError as exc:
            raise _failure(str(exc)) from exc
    output = t.cast("t.IO[bytes]", process.stdout)
    ready, _writing, _faults = select.select([output], [], [], _START_SECONDS)
    pid = output.readline().decode().strip() if ready else ""
    if not pid.isdigit():
        process.kill()
        raise _failure(_io.read_small(errors).decode("utf-8", "replace").strip()[-300:] or "no answer")
    environment = {"PATH": _process.search_path(), "HOME": home, "LANG": "C.UTF-8", ENVIRONMENT_VARIABLE: path}
    words = [f"{name}={value}" for name, value in environment.items()]
    enter = [_process.find_tool("nsenter"), f"--target={pid}", "--net"]
    enter += ["--user", "--preserve-credentials"] if users else []
    return Cut((_process.find_tool("env"), "-i", *words, *enter, "--"))


def _failure(why: str) -> BackupError:
    return BackupError(
        f"Failed to make a network for the application: {why}. Install util-linux, and allow this account network "
        "namespaces (user.max_net_namespaces, user.max_user_namespaces).",
        reason="not_cut",
    )


__all__ = ("Cut", "make")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real sshd on loopback, that lets nobody in but through forced commands."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_S = 20.0


class Sshd:
    """``etc`` holds its configuration, its host key and its log; ``port`` is another one each time it is opened."""

    def __init__(self, etc: Path) -> None:
        self.etc = etc
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, doors: Mapping[Path, str]) -> None:
        """Start it. Root's door takes nothing but *doors*: by public key, the command that it is forced to."""
        etc = self.etc
        etc.mkdir(exist_ok=True)
        host_key = etc / "host_key"
        if not host_key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host_key)], check=True)
        lines = [f'restrict,command="{command}" {public.read_text()}' for public, command in doors.items()]
        (etc / "authorized_keys").write_text("".join(lines))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (etc / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {etc}/authorized_keys\nPermitRootLogin forced-commands-only\nStrictModes no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nAllowUsers root\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
        assert sshd, "sshd is not installed: apt-get install openssh-server"
        with (etc / "log").open("ab") as log:
            self._process = subprocess.Popen([sshd, "-D", "-e", "-f", str(etc / "config")], stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < deadline, (etc / "log").read_text()
            time.sleep(0.05)

    def known_host(self) -> str:
        """Its line of a ``known_hosts``."""
        public = (self.etc / "host_key.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {' '.join(public)}\n"

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


__all__ = ("Sshd",)

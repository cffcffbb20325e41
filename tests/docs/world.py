# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch's machine below one directory: the paths that pages name lead there; the commands are the real ones."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from larapee_runner.demo.server import create_restorer
from tests.database.estate import BRANCH, DATABASE, SCHEMA, Keys, sql
from tests.docs.pages import TOP

if TYPE_CHECKING:
    from larapee_runner.demo.server import ThrowawayServer

# Directories of the whole machine that a page may name; what is named elsewhere is left as it stands.
_ABSOLUTE = re.compile(r"(?<![\w.~-])/(?=(?:etc|home|media|mnt|opt|root|run|srv|tmp|var)/)")
CHECKOUT = "/opt/larapee-backup"
ACCOUNTS = "'larapee-backup'@'localhost', 'larapee-binlog'@'localhost', 'larapee-restore'@'localhost'"
SETTINGS = """\
---
larapee_backup_state_path: /var/lib/larapee-backup
"""
RECORDER = """\
---
runs_url: sqlite:////var/lib/larapee-backup/runs.sqlite
state_path: /var/lib/larapee-backup
"""


class World:
    """The machine of branch-001, with its database server, and the files that the restorer brings along."""

    def __init__(self, root: Path, *, source: ThrowawayServer, target: ThrowawayServer, keys: Keys) -> None:
        self.root = root
        self.source = source
        self.target = target
        self.keys = keys
        self.checkout = self.path(CHECKOUT)
        for server in (source, target):
            sql(server, f"DROP DATABASE IF EXISTS {DATABASE}")
            sql(server, f"DROP USER IF EXISTS {ACCOUNTS}")
        sql(source, SCHEMA)
        self._lay_out()
        self._bring_keys()

    def path(self, name: str) -> Path:
        """Where the absolute path *name* of a page is."""
        return self.root / name.lstrip("/")

    def mapped(self, text: str) -> str:
        return _ABSOLUTE.sub(f"{self.root}/", text)

    def _lay_out(self) -> None:
        """What README's installation leaves, but for its packages and its virtual environment."""
        self.checkout.mkdir(parents=True)
        for name in ("ansible.cfg", "playbooks", "inventories"):
            source = TOP / name
            files = [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]
            for file in files:
                self.write(self.checkout / file.relative_to(TOP), file.read_text(encoding="utf-8"))
        self.write(self.checkout / "inventories/example/group_vars/all/state.yml", SETTINGS)
        (self.checkout / "collection").symlink_to(TOP / "collection")
        programs = self.checkout / ".venv/bin"
        programs.mkdir(parents=True)
        launcher = programs / "larapee-backup"
        launcher.write_text(f'#!/bin/sh\nexec {sys.executable} -m larapee_runner "$@"\n')
        launcher.chmod(0o755)
        beside = Path(sys.executable).parent
        for name in ("ansible-playbook", "ansible-inventory", "ansible-doc"):
            (programs / name).symlink_to(beside / name)
        self.write(self.path("/etc/larapee-backup/config.yml"), RECORDER)
        self._bring_the_application()
        socket = self.path("/run/mysqld/mysqld.sock")
        socket.parent.mkdir(parents=True)
        socket.symlink_to(self.source.socket)

    def _bring_the_application(self) -> None:
        """What the example inventory names beside the database."""
        self.write(self.path("/var/www/.env"), "APP_KEY=base64:c2hvcA==\n")
        self.write(self.path("/etc/nginx/sites-enabled/pos.conf"), "server { listen 443 ssl; }\n")
        photo = self.path("/var/www/storage/app/public/receipts/1.jpg")
        photo.parent.mkdir(parents=True)
        photo.write_bytes(bytes(range(256)) * 64)

    def _bring_keys(self) -> None:
        """What the pages say in words: the public keys to the branch, the restorer's files on his own medium."""
        self.write(self.path("/etc/larapee-backup/recipients.txt"), "".join(f"{key}\n" for key in self.keys.recipients))
        self.write(self.path("/media/key/identity.txt"), self.keys.identity)
        create_restorer(self.target, database=DATABASE, password="restorer's")
        self.target.write_option_file(self.path("/root/restore.cnf"), user="larapee-restore", password="restorer's")

    def copy_for_the_restorer(self) -> None:
        """The branch's artifacts and allowed_signers on another machine, as they are now."""
        copy = self.path("/srv/copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.path("/var/backups/larapee/local"), copy / BRANCH)
        shutil.copy(self.path("/etc/larapee-backup/allowed_signers"), copy / "allowed_signers")

    def write(self, path: Path, text: str) -> None:
        """A file of a page, for its owner only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.mapped(text), encoding="utf-8")
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)

    @property
    def environment(self) -> dict[str, str]:
        measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
        return {
            **measured,
            "PATH": f"{self.checkout / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.path("/root")),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "ANSIBLE_HOME": str(self.path("/root/.ansible")),
            "PYTHONPATH": str(TOP / "runner/src"),
            "LARAPEE_BACKUP_CONFIG": str(self.path("/etc/larapee-backup/config.yml")),
        }

    def run(self, commands: str) -> subprocess.CompletedProcess[str]:
        """Commands of a page, in the checkout, until one fails."""
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", self.mapped(textwrap.dedent(commands))],
            env=self.environment,
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who follows docs/restore-with-stock-tools.md."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.database.estate import BRANCH, sql
from tests.docs.pages import DOCS, blocks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.database.estate import Estate

PAGE = DOCS / "restore-with-stock-tools.md"
BASE = ("bash", "cat", "mkdir", "sed", "sort", "tail", "tr", "wc", "ssh-keygen", "sha256sum", "mariadb")
MARK = "larapee_backup_unfinished_restore"


class Person:
    """Somebody who follows the page, on a machine that has the stock tools only."""

    def __init__(self, estate: Estate, *, directory: Path) -> None:
        self.estate = estate
        self.tools = directory / "tools"
        self.tools.mkdir()
        self.place = directory / "copy"
        self.allowed_signers = estate.keys.allowed_signers
        self.identity = estate.keys.directory / "identity-2"
        self.state = directory / "state-here"
        self.client = estate.restorer_file
        self.logs = directory / "logs"
        self.until = "latest"
        self.artifact = ""

    def has(self, *names: str) -> None:
        for name in names:
            found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
            assert found, f"{name} is not installed"
            (self.tools / name).symlink_to(found)

    def script(self, name: str, body: str) -> None:
        (self.tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (self.tools / name).chmod(0o755)

    def takes(self, artifact: str, *opened_by: str) -> None:
        """Copy the branch's directory, have the tools at hand that this artifact needs, and choose it."""
        self.artifact = artifact
        self.has(*BASE, *(opened_by or ("age", "gzip")))
        shutil.copytree(self.estate.local, self.place)

    @property
    def path(self) -> Path:
        return self.place / self.artifact

    def follows(self) -> subprocess.CompletedProcess[str]:
        """The page from top to bottom in one shell; only what is assigned in its first block is replaced."""
        first, *rest = [block.text for block in blocks(PAGE, "bash")]
        mine = {
            "ARTIFACT": self.path,
            "UNTIL": self.until,
            "BRANCH": BRANCH,
            "ALLOWED_SIGNERS": self.allowed_signers,
            "IDENTITY": self.identity,
            "CLIENT": self.client,
            "LOGS": self.logs,
            "STATE": self.state,
        }
        assert re.findall(r"^(\w+)=\S+$", first, re.M) == list(mine), "the first block is not these assignments"
        head = "".join(f"{name}={value}\n" for name, value in mine.items())
        return subprocess.run(
            [self.tools / "bash", "--norc", "-s"],
            input=head + "".join(rest),
            # Of a person in the branch's own zone; the page means UTC.
            env={"PATH": str(self.tools), "HOME": "/nonexistent", "LANG": "C.UTF-8", "TZ": "<-04>4"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        )

    def is_stopped(self, *words: str) -> None:
        done = self.follows()
        stops = [line for line in done.stderr.splitlines() if line.startswith("STOP: ")]
        assert done.returncode == 1, done.stdout + done.stderr
        assert len(stops) == 1, done.stderr
        for word in words:
            assert word in done.stderr


def schemas(estate: Estate) -> list[str]:
    return sql(estate.target, "SHOW DATABASES LIKE 'larapos'").split()


__all__ = ("BASE", "MARK", "PAGE", "Person", "schemas")

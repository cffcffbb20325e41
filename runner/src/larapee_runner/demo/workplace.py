# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's own directory: recognised by a marker, replaced by the next demo, never taken from anybody else."""

from __future__ import annotations

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .errors import DemoError

MARKER = ".larapee-backup-demo"
# Only these are removed by the next demo; what a person put beside them stays.
CONTENTS = (
    *("shop-server", "new-server", "shop", "new-shop", "aside"),
    *("branch", "restorer", "backups", "state", "inventory", "logs", "config.yml"),
)


@dataclass(frozen=True)
class Workplace:
    root: Path

    @property
    def shop_server(self) -> Path:
        return self.root / "shop-server"

    @property
    def new_server(self) -> Path:
        return self.root / "new-server"

    @property
    def application(self) -> Path:
        return self.root / "shop"

    @property
    def restored_uploads(self) -> Path:
        return self.root / "new-shop" / "uploads"

    @property
    def restored_config(self) -> Path:
        """What was /etc/nginx lies in etc/nginx below it."""
        return self.root / "new-shop" / "config"

    @property
    def aside(self) -> Path:
        """What the story compares with: pictures of the lost files."""
        return self.root / "aside"

    @property
    def branch(self) -> Path:
        return self.root / "branch"

    @property
    def restorer(self) -> Path:
        return self.root / "restorer"

    @property
    def backups(self) -> Path:
        return self.root / "backups"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def inventory(self) -> Path:
        return self.root / "inventory" / "hosts.yml"

    @property
    def restorer_inventory(self) -> Path:
        return self.root / "restorer" / "hosts.yml"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "config.yml"


def _is_foreign(root: Path) -> bool:
    return root.exists() and not (root / MARKER).is_file() and (not root.is_dir() or any(root.iterdir()))


def _lock(marker: Path) -> IO[str]:
    file = marker.open("a", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exception:
        file.close()
        msg = f"Failed to start the demo: another one runs in {marker.parent}. Wait for it, or name another --dir."
        raise DemoError(msg) from exception
    return file


def prepare_workplace(directory: Path) -> tuple[Workplace, IO[str]]:
    """Make or clear the directory; the second value holds it for this demo until it is closed."""
    root = directory.resolve()
    if _is_foreign(root):
        msg = (
            f"Failed to use {root}: it is not empty and no demo made it (no {MARKER} in it)."
            " Name an empty or new directory with --dir."
        )
        raise DemoError(msg)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(root / MARKER)
        for name in CONTENTS:
            path = root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for name in CONTENTS:
            if "." not in name:
                (root / name).mkdir(mode=0o700)
        os.truncate(lock.fileno(), 0)
        lock.write("Made by `larapee-backup demo`, which replaces what it made here the next time.\n")
        lock.flush()
    except OSError as exception:
        msg = f"Failed to prepare {root}: {exception}. Name a directory that you may write with --dir."
        raise DemoError(msg) from exception
    return Workplace(root), lock


__all__ = ("MARKER", "Workplace", "prepare_workplace")

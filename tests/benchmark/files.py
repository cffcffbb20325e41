# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The uploads: the plan's own line, this project's full and increment, and restic where it is installed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

from .estate import process
from .measure import Contestant, Stage, shell, size_of
from .settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .estate import Estate
    from .tree import Tree

PLAN = "plan: tar | zstd -T0 -19"
FAST = "tar | zstd -T0 -3"
OURS_FULL = "ours, full"
OURS_INCREMENT = "ours, increment, 1 % changed"
RESTIC_FIRST = "restic, first"
RESTIC_SECOND = "restic, second, 1 % changed"


class _Restic:
    """A repository that is new in each round, so that its first run has all to do."""

    def __init__(self, estate: Estate) -> None:
        self._directory = estate.root / "restic"
        self._password = estate.root / "restic-password"
        self._password.write_text("of-a-repository-that-lives-for-one-round\n")
        self._environ = child_environment(estate.root)
        self._known = 0

    def _argv(self, *command: str) -> list[str]:
        repository, password = str(self._directory), str(self._password)
        return ["restic", "--quiet", "--repo", repository, "--password-file", password, *command]

    def begin(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        subprocess.run(self._argv("init"), env=self._environ, check=True, capture_output=True)
        self._known = size_of(self._directory)

    def backup(self, tree: Path) -> Sequence[str]:
        return self._argv("backup", str(tree))

    def grown(self, _scratch: Path) -> int:
        before, self._known = self._known, size_of(self._directory)
        return self._known - before


def stages(estate: Estate, tree: Tree) -> list[Stage]:
    def ours(*, increment: bool) -> Callable[[Path], Sequence[str]]:
        request = {"content": "uploads", "paths": [str(tree.path)], "increment": increment}
        return process("archive", lambda: {**estate.making, **request})

    tar = f"tar -C {shlex.quote(str(tree.path))} -c ."
    full = [
        Contestant(PLAN, shell(f"{tar} | zstd -q -T0 -19 -o {{scratch}}/uploads.tar.zst")),
        Contestant(OURS_FULL, ours(increment=False)),
        Contestant(FAST, shell(f"{tar} | zstd -q -T0 -3 -o {{scratch}}/uploads.tar.zst")),
    ]
    increment = [Contestant(OURS_INCREMENT, ours(increment=True))]
    restic = _Restic(estate) if shutil.which("restic") else None
    if restic is not None:
        for name, contestants in ((RESTIC_FIRST, full), (RESTIC_SECOND, increment)):
            contestants.append(Contestant(name, lambda _scratch: restic.backup(tree.path), size=restic.grown))

    def begin(_number: int) -> None:
        tree.settle()
        if restic is not None:
            restic.begin()

    return [Stage(tuple(full), prepare=begin), Stage(tuple(increment), prepare=tree.change)]


__all__ = ("FAST", "OURS_FULL", "OURS_INCREMENT", "PLAN", "RESTIC_FIRST", "RESTIC_SECOND", "stages")

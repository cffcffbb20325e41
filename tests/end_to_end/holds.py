# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Points at which a full can be made to stand still: programs in front of the real ones, and Python's own os.link.

Nothing of the project is replaced: what stands still is what it starts, or the system call that it makes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING

from .branch import BRANCH
from .processes import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from .branch import Branch, Started

# In the order in which a full comes by.
STARTING = "starting"  # ansible reads its inventory: its callback has not begun
RECORDED = "recorded"  # the callback has written its pending row, no module runs
DUMPING = "dumping"  # half of the dump has passed
SIGNING = "signing"  # all is dumped, the manifest is at ssh-keygen
PLACED = "placed"  # artifact and signature are there, the manifest is not
COMMITTED = "committed"  # the manifest is there, and nothing after it was done
ARCHIVING = "archiving"  # the database is backed up, half of the uploads have passed
LOADING = "loading"  # of a restore: half of the dump is in the target
POINTS = (STARTING, RECORDED, DUMPING, SIGNING, PLACED, COMMITTED, ARCHIVING)

_HOLD = """\
#!{python}
import os, pathlib, subprocess, sys, time
def hold(module):
    part = pathlib.Path({reached!r} + ".part")
    part.write_text(str(module))
    part.rename({reached!r})
    while not pathlib.Path({go!r}).exists():
        time.sleep(0.02)
"""
_INVENTORY = """\
hold(None)
print('{"_meta": {"hostvars": {}}}')
"""
_BRANCH = f"""\
hold(None)
print("{BRANCH}")
"""
_DUMP_CLIENT = """\
if "--version" in sys.argv:
    os.execv(REAL, ["mariadb-dump", *sys.argv[1:]])
child = subprocess.Popen([REAL, *sys.argv[1:]], stdout=subprocess.PIPE)
passed = 0
while block := child.stdout.read(1 << 16):
    sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
    if passed < 1 << 20 <= passed + len(block):
        hold(os.getppid())
    passed += len(block)
sys.exit(child.wait())
"""
_CLIENT = """\
child = subprocess.Popen([REAL, *sys.argv[1:]], stdin=subprocess.PIPE)
passed = 0
while block := sys.stdin.buffer.read1(1 << 16):
    child.stdin.write(block)
    child.stdin.flush()
    if passed < 1 << 20 <= passed + len(block):
        hold(os.getppid())
    passed += len(block)
child.stdin.close()
sys.exit(child.wait())
"""
_COMPRESSOR = f"""\
if "--version" in sys.argv:
    os.execv(REAL, ["zstd", *sys.argv[1:]])
{_CLIENT}"""
_SSH_KEYGEN = """\
message = sys.stdin.buffer.read()
if "sign" in sys.argv and message.startswith(b"{"):
    hold(os.getppid())
sys.exit(subprocess.run([REAL, *sys.argv[1:]], input=message).returncode)
"""
_LINK = """\
real_link = os.link
def link(source, target, **more):
    manifest = os.fspath(target).endswith(".manifest.json")
    if manifest and BEFORE:
        hold(os.getpid())
    real_link(source, target, **more)
    if manifest and not BEFORE:
        hold(os.getpid())
os.link = link
"""
_PROGRAMS = {
    DUMPING: ("mariadb-dump", _DUMP_CLIENT),
    SIGNING: ("ssh-keygen", _SSH_KEYGEN),
    ARCHIVING: ("zstd", _COMPRESSOR),
    LOADING: ("mariadb", _CLIENT),
}


class Hold:
    """Makes the runs that are given its environment and arguments stand still at one point until released."""

    def __init__(self, branch: Branch, point: str) -> None:
        self._directory = branch.directory / "bin"
        self._reached = branch.directory / "reached"
        self._go = branch.directory / "go"
        self._programs: list[Path] = []
        self.environ: dict[str, str] = {}
        self.arguments: tuple[str, ...] = ()
        if point == STARTING:
            self.arguments = ("-i", str(self._program("inventory", _INVENTORY)))
        elif point == RECORDED:
            command = self._program("branch", _BRANCH)
            lookup = "{{ lookup('ansible.builtin.pipe', '" + str(command) + "') }}"
            self.arguments = ("-e", json.dumps({"larapee_backup_branch": lookup}))
        elif point in _PROGRAMS:
            name, text = _PROGRAMS[point]
            self._program(name, f"REAL = {shutil.which(name)!r}\n{text}")
        else:
            self._program("sitecustomize.py", f"BEFORE = {point == PLACED}\n{_LINK}")
            self.environ["PYTHONPATH"] = os.pathsep.join([str(self._directory), branch.environ["PYTHONPATH"]])

    def wait(self, started: Started) -> None:
        """Until the run stands still; one that ended before says why."""
        what = "the point at which the run stands still"
        wait_for(lambda: self._reached.exists() or started.process.poll() is not None, what=what)
        assert self._reached.exists(), started.output

    @property
    def module(self) -> int:
        """The process of the module that stands still."""
        return int(self._reached.read_text(encoding="ascii"))

    def release(self) -> None:
        self._go.touch()

    def remove(self) -> None:
        """Later runs find the real programs again."""
        for program in self._programs:
            program.unlink()

    def _program(self, name: str, text: str) -> Path:
        path = self._directory / name
        head = _HOLD.format(python=sys.executable, reached=str(self._reached), go=str(self._go))
        path.write_text(head + text, encoding="utf-8")
        path.chmod(0o700)
        self._programs.append(path)
        return path


__all__ = (
    "ARCHIVING",
    "COMMITTED",
    "DUMPING",
    "LOADING",
    "PLACED",
    "POINTS",
    "RECORDED",
    "SIGNING",
    "STARTING",
    "Hold",
)

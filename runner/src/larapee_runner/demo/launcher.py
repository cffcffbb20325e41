# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts `larapee-backup` the way a person would, with its output in a log."""

from __future__ import annotations

import json
import os
import subprocess  # noqa: S404  # our own command; every argv is a list
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import DemoError
from .programs import find_program

if TYPE_CHECKING:
    from collections.abc import Callable

    from .workplace import Workplace

STOP_TIMEOUT_S = 30.0
POLL_S = 0.01


def find_checkout(start: Path) -> Path | None:
    """The directory of the checkout in which `start` or this file lies; an installed wheel has none."""
    here = Path(__file__).resolve()
    for directory in (start.resolve(), *start.resolve().parents, *here.parents):
        if (directory / "collection" / "ansible_collections" / "larapee" / "backup" / "galaxy.yml").is_file():
            return directory
    return None


class Running:
    """One `larapee-backup` at work."""

    def __init__(self, process: subprocess.Popen[bytes], *, what: str, log: Path) -> None:
        self._process = process
        self._what = what
        self.log = log
        self._started = time.monotonic()

    @property
    def done(self) -> bool:
        return self._process.poll() is not None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def wait(self, tick: Callable[[], None]) -> None:
        """Wait for success; `tick` is called meanwhile."""
        while not self.done:
            tick()
            time.sleep(POLL_S)
        if self._process.returncode != 0:
            tail = " ".join(self.log.read_text(encoding="utf-8", errors="replace").split())[-600:]
            msg = (
                f"Failed to {self._what}: larapee-backup ended with exit code {self._process.returncode}."
                f" Read {self.log}; it ends with: {tail}"
            )
            raise DemoError(msg)

    def stop(self) -> None:
        if self.done:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class Launcher:
    workplace: Workplace
    cwd: Path

    @classmethod
    def for_workplace(cls, workplace: Workplace) -> Launcher:
        # ansible.cfg of a checkout counts only there.
        return cls(workplace, find_checkout(Path.cwd()) or Path.cwd())

    @property
    def environment(self) -> dict[str, str]:
        """Ours, without what would lead the runs to another configuration."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LARAPEE_BACKUP_")}
        environment["LARAPEE_BACKUP_CONFIG"] = str(self.workplace.config)
        programs = str(Path(sys.executable).parent)
        environment["PATH"] = os.pathsep.join([programs, environment.get("PATH", os.defpath)])
        return environment

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "larapee_runner"]

    def start(self, what: str, *arguments: str) -> Running:
        """`what` completes "Failed to ..."."""
        log = self.workplace.logs / f"{len(list(self.workplace.logs.iterdir())) + 1:02}-{what.replace(' ', '-')}.log"
        # In a session of its own, so that ^C reaches it once and from us; without us it is asked to end.
        guard = [find_program("setpriv", package="util-linux"), "--pdeathsig", "TERM"]
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603
                [*guard, *self._command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=self.environment,
                start_new_session=True,
            )
        return Running(process, what=what, log=log)

    def ask(self, *arguments: str) -> dict[str, Any]:
        """What a read command answers with --json."""
        done = subprocess.run(  # noqa: S603
            [*self._command, *arguments, "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.cwd,
            env=self.environment,
            check=False,
        )
        if done.returncode != 0:
            cause = " ".join(done.stderr.decode("utf-8", errors="replace").split()) or f"exit code {done.returncode}"
            msg = f"Failed to read {arguments[0]}: {cause}. The configuration is {self.workplace.config}."
            raise DemoError(msg)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def show(self, *arguments: str) -> bool:
        """Let the command write to where we write."""
        done = subprocess.run(  # noqa: S603
            [*self._command, *arguments], stdin=subprocess.DEVNULL, cwd=self.cwd, env=self.environment, check=False
        )
        return done.returncode == 0


__all__ = ("Launcher", "Running", "find_checkout")

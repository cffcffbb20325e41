# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this machine fit to take backups? Each check says OK, WARN, FAIL or NOT RUN, and what to do."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess  # noqa: S404 - for the exception of a process that did not end
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from . import __version__, doctor_preflight, doctor_probes
from .collection import collection_version, find_collection
from .history import WITNESSES
from .recorder import Journal, RecorderError, load_settings, open_store, owner_is_dead, redacted_url

if TYPE_CHECKING:
    from .recorder import Settings

State = Literal["OK", "WARN", "FAIL", "NOT RUN"]

# The first of each group that is there is used; a group without any is a failure.
TOOLS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("age",), "age"),
    (("gzip",), "gzip"),
    (("zstd",), "zstd"),
    (("ssh-keygen",), "openssh-client"),
    (("mariadb-dump", "mysqldump"), "mariadb-client"),
    (("mariadb", "mysql"), "mariadb-client"),
)
PACKAGES = (("ansible-core", (2, 19)), ("ansible-runner", (2, 4)))
MINIMUM_PYTHON = (3, 11)
NOTHING_YET = "Do nothing: the first run makes it."
DEFAULTS_DO = "the defaults do where runs are kept on this machine."
CLOCK_ADVICE = (
    "Recovery points are times. Switch it on: timedatectl set-ntp true (Debian: package systemd-timesyncd or chrony)."
)


@dataclass(frozen=True)
class Check:
    name: str
    state: State
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What the checks look at."""

    environ: Mapping[str, str]
    cwd: Path


def examine(around: Surroundings) -> list[Check]:
    """Run every check; one that fails unexpectedly is a failure of its own, never a gap."""
    checks = [check_python(sys.version_info[:3]), *check_packages(), *check_tools(around.environ.get("PATH"))]
    try:
        settings = load_settings(around.environ)
    except RecorderError as error:
        checks.append(Check("configuration", "FAIL", str(error), "Correct the file."))
        unknown = "the configuration cannot be read"
        names = ("state directory", "latch", "journal", "runs table", "preflight")
        checks += [Check(name, "NOT RUN", unknown) for name in names]
    else:
        checks += [
            check_config(settings.config_path),
            check_state(settings.state_path),
            check_latch(settings.state_path),
        ]
        checks += [check_journal(settings), check_table(settings), *check_preflight(around, settings)]
    checks += [check_collection(around), check_callback(around), check_clock()]
    return checks


def check_python(version: tuple[int, ...]) -> Check:
    text = ".".join(map(str, version))
    if version[:2] < MINIMUM_PYTHON:
        return Check("python", "FAIL", text, "Use Python 3.11 or newer.")
    return Check("python", "OK", text)


def check_packages(version_of: Callable[[str], str] = metadata.version) -> list[Check]:
    checks = []
    for name, minimum in PACKAGES:
        least = ".".join(map(str, minimum))
        try:
            version = version_of(name)
        except metadata.PackageNotFoundError:
            checks.append(Check(name, "FAIL", "not installed beside this command", f"Install {name} {least} or newer."))
            continue
        new_enough = tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= minimum
        advice = "" if new_enough else f"Install {least} or newer."
        checks.append(Check(name, "OK" if new_enough else "FAIL", version, advice))
    return checks


def check_tools(path: str | None) -> list[Check]:
    checks = []
    for names, package in TOOLS:
        found = next((place for name in names if (place := shutil.which(name, path=path))), None)
        title = " or ".join(names)
        if found is None:
            checks.append(Check(title, "FAIL", "not found in PATH", f"Install {package}."))
        else:
            checks.append(Check(title, "OK", found))
    return checks


def check_config(path: Path) -> Check:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        advice = f"Write state_path and runs_url into it, or let branch_prepare do so; {DEFAULTS_DO}"
        return Check("configuration", "WARN", f"{path} does not exist: defaults are used", advice)
    except OSError as error:
        return Check("configuration", "FAIL", f"{path}: {error.strerror}", "Let this account read it.")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return Check("configuration", "FAIL", f"{path} can be written by others", f"chmod go-w {path}")
    return Check("configuration", "OK", str(path))


def check_state(path: Path) -> Check:
    if not path.is_dir():
        nearest = next((place for place in (path, *path.parents) if place.exists()), Path("/"))
        if nearest.is_dir() and doctor_probes.writable(nearest):
            return Check("state directory", "WARN", f"{path} does not exist yet", NOTHING_YET)
        return Check(
            "state directory", "FAIL", f"{path} cannot be made", f"Make it for this account: mkdir -m 700 {path}"
        )
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        return Check("state directory", "FAIL", f"{path}: {error.strerror}", "Let this account write there.")
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check("state directory", "WARN", f"{path} is open to other accounts", f"Close it: chmod 700 {path}")
    return Check("state directory", "OK", str(path))


def check_latch(path: Path) -> Check:
    """Of a host that is being restored nothing is backed up: a latch that somebody forgot is the end of its backups."""
    try:
        names = sorted(name for name in os.listdir(path / "latch") if name.endswith(".json"))
    except FileNotFoundError:
        names = []
    except OSError as error:
        return Check("latch", "NOT RUN", f"{error.filename}: {error.strerror}", "Let this account read it.")
    if not names:
        return Check("latch", "OK", "none is set")
    told = "; ".join(f"{name.removesuffix('.json')}: {_why_latched(path / 'latch' / name)}" for name in names)
    advice = "Go on with that restore or roll it back; when the shop sells without one, run larapee.backup.open."
    return Check("latch", "WARN", f"no backups are taken of {told}", advice)


def _why_latched(path: Path) -> str:
    try:
        document = json.loads(path.read_bytes())
        return f"{document['because']}, since {document['at']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "nobody knows why, the latch is unreadable"


def check_journal(settings: Settings) -> Check:
    unflushed = dead = damaged = 0
    try:
        for witness in WITNESSES:
            journal = Journal(settings.state_path, witness=witness)
            damaged += sum(1 for _ in journal.directory.glob("*.damaged*"))
            for path in journal.pending_files():
                with contextlib.suppress(FileNotFoundError):
                    entry = journal.read(path)
                    unflushed += entry.is_finished
                    dead += not entry.is_finished and owner_is_dead(entry)
    except RecorderError as error:
        return Check("journal", "FAIL", str(error), "Look at it: larapee-backup journal show")
    if damaged:
        return Check("journal", "FAIL", f"{damaged} damaged file(s) in it", "Look at it: larapee-backup journal show")
    if dead:
        return Check(
            "journal", "WARN", f"{dead} run(s) died unseen", "End their rows: larapee-backup journal reconcile"
        )
    if unflushed:
        advice = "Write them there: larapee-backup journal flush"
        return Check("journal", "WARN", f"{unflushed} run(s) not in the table yet", advice)
    return Check("journal", "OK", "nothing waits in it")


def check_table(settings: Settings) -> Check:
    local = settings.runs_url.removeprefix("sqlite:///")
    if local != settings.runs_url and not Path(local).exists():
        return Check("runs table", "WARN", f"{local} does not exist yet", NOTHING_YET)
    try:
        with contextlib.closing(open_store(settings.runs_url)) as store:
            store.query(limit=1)
    except RecorderError as error:
        return Check("runs table", "FAIL", str(error), "Until then runs are kept in the journal.")
    return Check("runs table", "OK", redacted_url(settings.runs_url) if local == settings.runs_url else local)


def check_collection(around: Surroundings) -> Check:
    found = find_collection(around.environ, around.cwd)
    if found is None:
        advice = "Install it with ansible-galaxy collection install, or set ANSIBLE_COLLECTIONS_PATH."
        return Check("collection", "FAIL", "larapee.backup is not found", advice)
    version = collection_version(found)
    if version != __version__:
        detail = f"{version} in {found}, but this command is {__version__}"
        return Check(
            "collection", "WARN", detail, f"Install {__version__} of the collection, or {version} of the command."
        )
    return Check("collection", "OK", f"{version} in {found}")


def check_preflight(around: Surroundings, settings: Settings) -> list[Check]:
    """What needs no inventory: private files beside the configuration, identities, keys that are shared, TLS."""
    found = find_collection(around.environ, around.cwd)
    if found is None:
        return [Check("preflight", "NOT RUN", "the collection is not found", "See collection.")]
    try:
        findings = doctor_preflight.findings(found, settings)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return [Check("preflight", "NOT RUN", f"it could not be tried: {error}", "Install the same version of both.")]
    states: dict[str, State] = {"REFUSED": "FAIL", "WARNING": "WARN"}
    return [
        Check(f"preflight {name}", states.get(state, "NOT RUN"), *message.split(". ", 1))
        for name, state, message in findings
    ] or [Check("preflight", "OK", ", ".join(doctor_preflight.LOOKED_AT))]


def check_callback(around: Surroundings) -> Check:
    problem = doctor_probes.callback_problem(around.environ, around.cwd)
    if problem is None:
        return Check("callback", "OK", "larapee.backup.backup_runs loads")
    return Check("callback", "FAIL", problem, "Without it no run is recorded: install the collection and PyMySQL.")


def check_clock(synchronised: Callable[[], bool | None] = doctor_probes.clock_synchronised) -> Check:
    state = synchronised()
    if state is None:
        return Check("clock", "NOT RUN", "neither timedatectl nor the kernel tells", "Check the time by hand.")
    if not state:
        return Check("clock", "WARN", "not synchronised", CLOCK_ADVICE)
    return Check("clock", "OK", "synchronised")


__all__ = ("Check", "Surroundings", "examine")

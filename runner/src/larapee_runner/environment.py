# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ansible-playbook gets to see of the caller's environment: a whitelist, and what recording needs."""

from __future__ import annotations

import configparser
import fnmatch
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CALLBACK = "larapee.backup.backup_runs"

PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "TZ",
    "TMPDIR",
    "TERM",
    "NO_COLOR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "XDG_*",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "INVOCATION_ID",
    "CREDENTIALS_DIRECTORY",
    "ANSIBLE_*",
    "LARAPEE_BACKUP_*",
)

# The callback of this very run sets the first ones; another run's would mislead. Debug output holds every module's
# arguments, and with them secrets.
NEVER_PASSED_ON = (
    "LARAPEE_BACKUP_RECORDER",
    "LARAPEE_BACKUP_RECORDER_PID",
    "LARAPEE_BACKUP_OWNER_LOCK",
    "ANSIBLE_DEBUG",
)


def launcher_name(environ: Mapping[str, str], *, interactive: bool) -> str:
    """Tell who started the run: what the environment says, else systemd without a terminal is a timer."""
    declared = environ.get("LARAPEE_BACKUP_LAUNCHER", "")
    if declared in ("cli", "timer"):
        return declared
    return "timer" if environ.get("INVOCATION_ID") and not interactive else "cli"


def ansible_config_file(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Find the ansible.cfg that governs a run in `cwd`, by ansible's own order."""
    candidates: list[Path] = []
    named = environ.get("ANSIBLE_CONFIG")
    if named:
        path = cwd / Path(named).expanduser()
        candidates.append(path / "ansible.cfg" if path.is_dir() else path)
    if not _world_writable(cwd):
        candidates.append(cwd / "ansible.cfg")
    home = environ.get("HOME")
    if home:
        candidates.append(Path(home) / ".ansible.cfg")
    candidates.append(Path("/etc/ansible/ansible.cfg"))
    return next((path for path in candidates if path.is_file() and os.access(path, os.R_OK)), None)


def callbacks_enabled(environ: Mapping[str, str], cwd: Path) -> str:
    """Unite what the caller enabled with the recorder's callback; the variable would otherwise displace ansible.cfg."""
    named = environ.get("ANSIBLE_CALLBACKS_ENABLED")
    if named is None:
        config = ansible_config_file(environ, cwd)
        named = configured(config, "callbacks_enabled") if config else ""
    names = [name.strip() for name in named.replace("\n", ",").split(",") if name.strip()]
    return ",".join(dict.fromkeys([*names, CALLBACK]))


def child_environment(
    environ: Mapping[str, str], *, cwd: Path, run_id: str, launcher: str, launcher_pid: int, also: Iterable[str] = ()
) -> dict[str, str]:
    """Compose the environment of ansible-playbook for one run."""
    patterns = (*PASSED_ON, *also)
    env = {
        name: value
        for name, value in environ.items()
        if name not in NEVER_PASSED_ON and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }
    if not _is_utf8(env):
        # ansible refuses to start in any other.
        env["LC_ALL"] = "C.UTF-8"
    env["ANSIBLE_CALLBACKS_ENABLED"] = callbacks_enabled(environ, cwd)
    env["LARAPEE_BACKUP_RUN_ID"] = run_id
    env["LARAPEE_BACKUP_LAUNCHER"] = launcher
    env["LARAPEE_BACKUP_LAUNCHER_PID"] = str(launcher_pid)
    return env


def configured(config: Path, option: str) -> str:
    """Read one option of [defaults], as ansible reads its file."""
    parser = configparser.ConfigParser(inline_comment_prefixes=(";",), interpolation=None, strict=False)
    try:
        parser.read(config, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # ansible-playbook will refuse this file itself, with its own words.
        return ""
    return parser.get("defaults", option, fallback="")


def _is_utf8(environ: Mapping[str, str]) -> bool:
    locale = next((environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environ.get(name)), "C")
    return locale.partition(".")[2].partition("@")[0].lower().replace("-", "") == "utf8"


def _world_writable(directory: Path) -> bool:
    try:
        return bool(directory.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return True


__all__ = (
    "CALLBACK",
    "ansible_config_file",
    "callbacks_enabled",
    "child_environment",
    "configured",
    "launcher_name",
)

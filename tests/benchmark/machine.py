# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# Tool -> what follows its name to make it tell its version.
_TOOLS = {
    "mysqldump": "--version",
    "mariadbd": "--version",
    "gzip": "--version",
    "igzip": "--version",
    "zstd": "--version",
    "tar": "--version",
    "sha256sum": "--version",
    "age": "--version",
    "ansible-playbook": "--version",
    "mydumper": "--version",
    "mariadb-backup": "--version",
    "restic": "version",
}


def describe() -> dict[str, Any]:
    processor = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.+)$", processor, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "sha_instructions": has_sha_instructions(processor),
        "memory_gib": round(int(memory[1]) / 1024**2, 1) if memory else None,
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        "tools": {tool: version for tool, flag in _TOOLS.items() if (version := _version(tool, flag))},
    }


def has_sha_instructions(processor: str) -> bool:
    """x86 calls them sha_ni, ARM sha2."""
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", processor, re.MULTILINE)
    return flags is not None and not {"sha_ni", "sha2"}.isdisjoint(flags[1].split())


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _version(tool: str, flag: str) -> str | None:
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    path = shutil.which(tool, path=search)
    if path is None:
        return None
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    # The clients of MariaDB begin with a version of their own, mydumper ends with that of a library.
    found = re.search(r"\d+(?:\.\d+)+[\w.+~-]*", re.sub(r".*Distrib ", "", done.stdout + done.stderr))
    return found[0] if found else "unknown"


__all__ = ("describe", "has_sha_instructions")

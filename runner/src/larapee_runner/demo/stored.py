# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifests of the place say of its artifacts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DemoError

SUFFIX = ".manifest.json"
PREFIXES = {"database": "db-", "uploads": "public-uploads-", "config": "config-"}


@dataclass(frozen=True)
class Position:
    file: str
    offset: int

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"


@dataclass(frozen=True)
class Stored:
    """One artifact."""

    artifact: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        return self.artifact.name

    @property
    def size(self) -> int:
        return int(self.manifest["size"])

    @property
    def plain_size(self) -> int:
        return int(self.manifest["plain_size"])

    @property
    def set_number(self) -> int:
        return int(self.manifest["set"])

    @property
    def entries(self) -> int:
        """What the artifact itself holds."""
        return int(self.manifest["entries"])

    @property
    def tree_entries(self) -> int:
        """What there was, after it."""
        return int(self.manifest["tree"]["entries"])

    @property
    def start(self) -> Position:
        start = self.manifest["start"]
        return Position(str(start["file"]), int(start["position"]))


def manifests(backups: Path, family: str) -> list[Path]:
    """Oldest first."""
    found = backups.glob(f"{PREFIXES[family]}*{SUFFIX}")
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def read(manifest: Path) -> Stored:
    document: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return Stored(manifest.with_name(document["artifact"]), document)


def newest(backups: Path, family: str) -> Stored:
    found = manifests(backups, family)
    if not found:
        msg = f"Failed to find a backup of the {family} in {backups}: the run said success. Report this."
        raise DemoError(msg)
    return read(found[-1])


def newest_set(backups: Path) -> dict[str, Stored]:
    """The newest artifact of each family."""
    return {family: newest(backups, family) for family in PREFIXES}


def set_numbers(backups: Path) -> list[int]:
    return sorted({read(manifest).set_number for family in PREFIXES for manifest in manifests(backups, family)})


def require_intact(stored: Stored) -> None:
    """Trust what the verification wrote beside the artifact, not that it ended well."""
    path = stored.artifact.with_name(f"{stored.name}.verified.json")
    result = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    status = result.get("levels", {}).get("intact", {}).get("status", "missing")
    if status != "OK":
        msg = f"Failed to verify {stored.name}: the run said success, {path.name} says {status}. Report this."
        raise DemoError(msg)


__all__ = ("Position", "Stored", "manifests", "newest", "newest_set", "require_intact", "set_numbers")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the manifests of the place say of its artifacts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larapee_runner.render import size as render_size

from .errors import DemoError

SUFFIX = ".manifest.json"
PREFIXES = {"database": "db-", "uploads": "public-uploads-", "config": "config-"}


@dataclass(frozen=True)
class Position:
    file: str
    offset: int
    gtid: str

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}, GTID {self.gtid}"


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
    def set_number(self) -> int:
        return int(self.manifest["set"])

    @property
    def contents(self) -> str:
        """In words."""
        manifest = self.manifest
        if manifest["kind"] == "db_full":
            return f"from {render_size(int(manifest['plain_size']))} of SQL"
        if manifest["kind"] == "db_increment":
            files = len(manifest["files"])
            return f"{manifest['transactions']:,} transactions in {files} binary log file{'s' if files > 1 else ''}"
        if manifest["kind"] == "files_increment":
            return f"what changed: {manifest['entries']:,} of {manifest['tree']['entries']:,} entries"
        return f"{manifest['entries']:,} entries"

    @property
    def end(self) -> Position:
        end = self.manifest["end"]
        return Position(str(end["file"]), int(end["position"]), str(end["gtid"]))


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

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private directories in which ansible-runner works: one per run, fresh, 0700, the old ones rotated out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import uuid
from pathlib import Path

KEPT = 50
TAIL_BYTES = 64 * 1024


def private_directory(state_path: Path, run_id: str) -> Path:
    """Make the run's directory; where the state cannot be written, a temporary one, for a backup goes on then."""
    directory = state_path / "runner" / run_id
    try:
        state_path.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.parent.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="larapee-backup-"))
    return directory


def rotate(state_path: Path, *, keep: int = KEPT) -> None:
    """Remove the oldest directories of ended runs; a run whose lock is there may still write to its own."""
    busy = {path.name.removeprefix("run-").partition(".")[0] for path in (state_path / "locks").glob("run-*.lock")}
    try:
        found = [entry for entry in os.scandir(state_path / "runner") if _is_run(entry.name) and not entry.is_symlink()]
        found.sort(key=lambda entry: entry.stat(follow_symlinks=False).st_mtime_ns, reverse=True)
    except OSError:
        return
    for entry in found[keep:]:
        if entry.name.partition(".")[0] not in busy:
            shutil.rmtree(entry.path, ignore_errors=True)


def redact_command(artifact_dir: Path) -> None:
    """Take values out of the record of the command line that ansible-runner keeps: no environment, no inline -e."""
    path = artifact_dir / "command"
    with contextlib.suppress(OSError, ValueError):
        record = json.loads(path.read_text(encoding="utf-8"))
        record["env"] = sorted(record.get("env") or ())
        record["command"] = _without_inline_values(record.get("command") or [])
        path.write_text(json.dumps(record), encoding="utf-8")


def tail(path: Path, *, lines: int) -> str:
    """Return the last lines of a file that may be large, or missing."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    kept = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(kept[-lines:])


def _is_run(name: str) -> bool:
    try:
        uuid.UUID(name.partition(".")[0])
    except ValueError:
        return False
    return True


def _without_inline_values(command: list[str]) -> list[str]:
    shown: list[str] = []
    for previous, word in zip(["", *command], command, strict=False):
        if previous in ("-e", "--extra-vars") and not word.startswith("@"):
            name, mark, _ = word.partition("=")
            shown.append(f"{name}=(not kept)" if mark and " " not in name and "{" not in name else "(not kept)")
        else:
            shown.append(word)
    return shown


__all__ = ("private_directory", "redact_command", "rotate", "tail")

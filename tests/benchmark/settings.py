# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark is asked for, by variables of the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS = ("dump", "files", "verify", "wrapper", "replay", "seal", "central", "central-bytes")
PARTS += ("sweep", "transfer", "upload", "restore")


class SettingsError(Exception):
    """A variable that cannot be used; the text says which and why."""


@dataclass(frozen=True)
class Settings:
    sql_mb: int = 220
    files_mb: int = 1024
    sales: int = 20_000
    artifacts: int = 2600
    branches: int = 100
    transfer_mib: int = 512
    rounds: int = 3
    seed: int = 1
    parts: tuple[str, ...] = PARTS
    directory: Path = Path(".cache/bench")
    out: Path = Path(".cache/bench/results.json")

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        parts = tuple(environ.get("BENCH_PARTS", "").replace(",", " ").split()) or PARTS
        unknown = [part for part in parts if part not in PARTS]
        if unknown:
            msg = f"Failed to read BENCH_PARTS: there is no {', '.join(unknown)}. Choose from: {', '.join(PARTS)}."
            raise SettingsError(msg)
        if "verify" in parts and {"dump", "files"}.isdisjoint(parts):
            msg = "Failed to read BENCH_PARTS: verify needs something to verify. Name dump or files before it."
            raise SettingsError(msg)
        directory = Path(environ.get("BENCH_DIR") or cls.directory).absolute()
        return cls(
            sql_mb=_number(environ, "BENCH_SQL_MB", cls.sql_mb),
            files_mb=_number(environ, "BENCH_FILES_MB", cls.files_mb),
            sales=_number(environ, "BENCH_SALES", cls.sales),
            artifacts=_number(environ, "BENCH_ARTIFACTS", cls.artifacts),
            branches=_number(environ, "BENCH_BRANCHES", cls.branches),
            transfer_mib=_number(environ, "BENCH_TRANSFER_MIB", cls.transfer_mib),
            rounds=_number(environ, "ROUNDS", cls.rounds),
            seed=_number(environ, "SEED", cls.seed),
            # In the order in which they build on each other.
            parts=tuple(part for part in PARTS if part in parts),
            directory=directory,
            out=Path(environ.get("BENCH_OUT") or directory / "results.json").absolute(),
        )


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        msg = f"Failed to read {name}: {text!r} is not a whole number above zero."
        raise SettingsError(msg)
    return int(text)


def child_environment(directory: Path) -> dict[str, str]:
    """The environment of everything that is measured: no coverage, no configuration of whoever calls."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "HOME": str(directory), "LANG": "C.UTF-8", "TMPDIR": str(directory)}


__all__ = ("PARTS", "Settings", "SettingsError", "child_environment")

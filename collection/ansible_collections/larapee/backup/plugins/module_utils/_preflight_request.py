# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the preflight is told, and what a check may answer.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

REFUSED: t.Final = "REFUSED"
WARNING: t.Final = "WARNING"
NOT_RUN: t.Final = "NOT RUN"
NOT_YET: t.Final = "NOT YET"


class CannotTell(Exception):
    """A check that was within reach could not run; the text says why and what to do."""


class Missing(CannotTell):
    """It could not run because something is not there, which is no fault while the host is still to be prepared."""


@dataclasses.dataclass(frozen=True)
class PreflightRequest:
    """Intervals in seconds. What is empty or None is not configured, and its check has nothing to look at."""

    side: str
    branch: str = ""
    branches: tuple[t.Mapping[str, t.Any], ...] = ()
    log_interval: int | None = None
    pull_interval: int | None = None
    rpo: int = 900
    retention_days: int | None = None
    verify_interval: int = 86400
    drill_interval: int = 7 * 86400
    encryption: bool = True
    recipients: tuple[str, ...] = ()
    search_paths: tuple[str, ...] = ()
    search_seconds: int = 60
    env_file: str = ""
    operator_option_file: str = ""
    binlog_option_file: str = ""
    restore_option_file: str = ""
    private_files: tuple[str, ...] = ()
    owners: tuple[str, ...] = ("root", "larapee-backup")
    s3_endpoints: tuple[str, ...] = ()
    cold_lock_days: int | None = None
    runs_url: str = ""
    live_restore_target: bool = False
    restore_confirm: str = ""
    central_path: str = ""
    reserve_bytes: int = 0
    allowed_signers: str = ""
    known_hosts: str = ""
    key_directories: tuple[str, ...] = ()
    allow: frozenset[str] = frozenset()
    # Before a host is prepared what the preparation makes is missing, which fails nothing and is not green.
    unprepared: bool = False


Found = t.Iterator[tuple[str, str]]
Check = t.Callable[[PreflightRequest], Found]

__all__ = ("NOT_RUN", "NOT_YET", "REFUSED", "WARNING", "CannotTell", "Check", "Found", "Missing", "PreflightRequest")

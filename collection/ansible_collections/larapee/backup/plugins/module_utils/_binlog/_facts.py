# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a binary log file holds, as the walker found it.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ._gtid import State


@dataclasses.dataclass(frozen=True)
class Group:
    """One transaction: offsets in its file, ``at`` in seconds since 1970, ``definition`` when it changes a definition.

    ``gtid`` is None on MySQL without GTIDs.
    """

    gtid: str | None
    start: int
    end: int
    at: int
    definition: bool
    server_id: int


@dataclasses.dataclass(frozen=True)
class LogFacts:
    """All facts of one file.

    ``identity`` is the SHA-256 of the Format_description event, ``after_start`` says that the server had just started,
    ``before`` and ``after`` are states of GTIDs, ``complete_to`` is where the last whole transaction ends (or what
    stands between transactions), ``event_statements`` are (default database, text) of all that touches events.
    """

    size: int
    version: str
    server_id: int
    created_at: int
    after_start: bool
    identity: str
    before: State
    after: State
    end: t.Literal["rotate", "stop", "open"]
    next_file: str | None
    complete_to: int
    first_at: int | None
    last_at: int | None
    groups: int
    definitions: int
    largest_event: int
    went_back: bool
    has_statements: bool
    event_statements: tuple[tuple[str, str], ...]


__all__ = ("Group", "LogFacts")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import socket
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

KINDS = (
    "full",
    "increment",
    "log",
    "sync",
    "offsite",
    "snapshot",
    "verify",
    "drill",
    "restore",
    "retention",
    "rotate",
)
ARTIFACT_KINDS = ("full", "increment", "log")
# These go on when nothing can be recorded: a backup without a row is worth more than no backup.
BACKUP_KINDS = (*ARTIFACT_KINDS, "sync", "offsite", "snapshot")
STATUSES = ("pending", "success", "failed")
LINE_LIMIT = 500


class Evidence(IntEnum):
    """How sure a row is; it only rises."""

    PENDING = 0
    INFERRED = 1
    OBSERVED = 2


def utc_now() -> datetime:
    return datetime.now(UTC)


def one_line(text: object, *, limit: int = LINE_LIMIT) -> str:
    """The first line that says something, without control characters, cut to the limit."""
    for line in str(text).splitlines():
        words = " ".join("".join(_printable(character) for character in line).split())
        if words:
            return words if len(words) <= limit else f"{words[: limit - 3]}..."
    return ""


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        return "?"
    return " " if category == "Cc" else character


def dump_json(value: object) -> str:
    """JSON that every engine stores: lone surrogates replaced; an unknown type leaves its name, never its content."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=lambda item: f"<{type(item).__name__}>")
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass(kw_only=True)
class RunRecord:
    """One row of ``backup_runs``; every datetime is aware and UTC."""

    run_id: str
    branch: str | None = None
    kind: str | None = None
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    duration_s: float | None = None
    host: str
    launcher: str
    launcher_ref: str | None = None
    playbook: str
    check_mode: bool = False
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    bytes: int | None = None
    recovery_point: str | None = None
    error: str | None = None
    evidence: Evidence
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(uuid.uuid5(uuid.UUID(self.run_id), self.branch or ""))

    @classmethod
    def pending(
        cls,
        *,
        run_id: str,
        playbook: str,
        launcher: str,
        launcher_ref: str | None = None,
        check_mode: bool = False,
        started_at: datetime | None = None,
        host: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> RunRecord:
        """The row of a run that begins now, of which no branch is known yet."""
        return cls(
            run_id=run_id,
            status="pending",
            started_at=started_at or utc_now(),
            host=host or socket.gethostname(),
            launcher=launcher,
            launcher_ref=launcher_ref,
            playbook=playbook,
            check_mode=check_mode,
            evidence=Evidence.PENDING,
            details=dict(details or {}),
        )

    @property
    def is_finished(self) -> bool:
        return self.evidence > Evidence.PENDING

    def ended(
        self,
        status: str,
        *,
        error: str | None = None,
        evidence: Evidence = Evidence.OBSERVED,
        at: datetime | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """This row with its end; only an observed end has a duration, since nobody saw when an inferred one came."""
        finished_at = at or utc_now()
        seconds = max(0.0, (finished_at - self.started_at).total_seconds())
        # Who runs a run matters only until it ends.
        own = {key: value for key, value in self.details.items() if key != "owner"}
        return dataclasses.replace(
            self,
            status=status,
            finished_at=finished_at,
            duration_s=round(seconds, 6) if evidence is Evidence.OBSERVED else None,
            error=None if error is None else one_line(error),
            evidence=evidence,
            details={**own, **(details or {})},
        )

    def to_json(self) -> dict[str, Any]:
        document = {"id": self.id, **{item.name: getattr(self, item.name) for item in dataclasses.fields(self)}}
        document["started_at"] = format_time(self.started_at)
        document["finished_at"] = None if self.finished_at is None else format_time(self.finished_at)
        document["evidence"] = int(self.evidence)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunRecord:
        """Raises ValueError when the document is not a run record."""
        if not isinstance(document, Mapping):
            raise ValueError("a run record is an object")
        known = {item.name for item in dataclasses.fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        try:
            values["run_id"] = str(uuid.UUID(values["run_id"]))
            values["started_at"] = parse_time(values["started_at"])
            finished_at = values.get("finished_at")
            values["finished_at"] = None if finished_at is None else parse_time(finished_at)
            values["evidence"] = Evidence(values["evidence"])
            record = cls(**values)
        except (AttributeError, KeyError, OverflowError, TypeError) as error:
            raise ValueError(f"a run record lacks a field or has a wrong one: {error}") from error
        record._check_shape()
        return record

    def _check_shape(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is none of {', '.join(STATUSES)}")
        shapes: dict[str, type | tuple[type, ...]] = {
            "host": str,
            "launcher": str,
            "playbook": str,
            "check_mode": bool,
            "artifacts": list,
            "details": dict,
            "branch": (str, type(None)),
            "kind": (str, type(None)),
            "launcher_ref": (str, type(None)),
            "recovery_point": (str, type(None)),
            "error": (str, type(None)),
            "bytes": (int, type(None)),
            "duration_s": (int, float, type(None)),
        }
        for name, shape in shapes.items():
            if not isinstance(getattr(self, name), shape):
                raise ValueError(f"field {name} has a wrong type")


def format_time(moment: datetime) -> str:
    """Fixed width, so that the text sorts as the time does."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.astimezone(UTC)


__all__ = (
    "ARTIFACT_KINDS",
    "BACKUP_KINDS",
    "KINDS",
    "STATUSES",
    "Evidence",
    "RunRecord",
    "dump_json",
    "format_time",
    "one_line",
    "parse_time",
    "utc_now",
)

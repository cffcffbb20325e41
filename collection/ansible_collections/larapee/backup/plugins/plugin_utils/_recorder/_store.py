# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

from ._errors import StoreError
from ._record import RunRecord
from ._store_sql import Glance

_FORMS = "sqlite:////path/runs.sqlite or mysql+pymysql://host/database?read_default_file=/path"


class RunStore(Protocol):
    """The table ``backup_runs``, the same in every engine."""

    def upsert(self, records: Sequence[RunRecord]) -> None:
        """Write all or nothing. Evidence only rises; a row with a branch replaces its run's row without one."""

    def query(
        self,
        *,
        branch: str | None = None,
        kind: str | None = None,
        status: str | None = None,
        run_id: str | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """The rows that match, newest first."""

    def glance(self, *, since: datetime, branch: str | None = None) -> list[Glance]:
        """What the rows that began since then are, oldest first."""

    def branches(self) -> list[str]:
        """Every branch that ever left a row."""

    def close(self) -> None: ...


def open_store(url: str, *, connect_timeout: int = 3, read_timeout: int = 5, write_timeout: int = 5) -> RunStore:
    """Open the table that the URL names, percent-decoded, and make it where it is missing."""
    # urlsplit would drop these without a word, and another file would be the table.
    if "#" in url or any(ord(character) < 0x20 or ord(character) == 0x7F for character in url):
        raise StoreError(
            "Failed to read the runs URL: it holds # or a control character. Write them percent-encoded (%23, %0A)."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise StoreError(f"Failed to read the runs URL: it is no URL. Write {_FORMS}.") from error
    if parts.password is not None:
        raise StoreError(
            "Failed to use the runs URL: it holds a password. Move it into a 0600 option file and name that file: "
            "mysql+pymysql://host/database?read_default_file=/path"
        )
    options = {key: values[-1] for key, values in parse_qs(parts.query, keep_blank_values=True).items()}
    if parts.scheme == "sqlite":
        from ._store_sqlite import SqliteStore

        if "?" in url:
            raise StoreError("Failed to use the runs URL: sqlite takes no options. Write a ? of the path as %3F.")
        path = os.fsdecode(unquote_to_bytes(parts.path))
        # The drivers' habit: three slashes begin a relative path, four an absolute one.
        if parts.netloc or not path.startswith("//"):
            raise StoreError(f"Failed to use the runs URL: the path is not absolute. Write {_FORMS}.")
        return SqliteStore(path[1:], timeout=read_timeout)
    if parts.scheme in ("mysql+pymysql", "mariadb+pymysql"):
        from ._store_mysql import MysqlStore, MysqlTarget

        unknown = set(options) - {"read_default_file", "allow_plaintext"}
        database = unquote(parts.path.lstrip("/"))
        if unknown or not database or "/" in database or "read_default_file" not in options:
            raise StoreError(
                "Failed to use the runs URL: it needs a database and read_default_file, and knows besides only "
                f"allow_plaintext=1. Write {_FORMS}."
            )
        return MysqlStore(
            MysqlTarget(
                host=parts.hostname,
                port=port,
                user=unquote(parts.username) if parts.username else None,
                database=database,
                option_file=options["read_default_file"],
                allow_plaintext=options.get("allow_plaintext") == "1",
            ),
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            write_timeout=write_timeout,
        )
    raise StoreError(f"Failed to use the runs URL: {parts.scheme or 'no scheme'} is not known. Write {_FORMS}.")


def redacted_url(url: str) -> str:
    """The URL for people: without what stands before the host."""
    try:
        place = urlsplit(url).netloc
        return url.replace(place, place.rpartition("@")[2], 1) if "@" in place else url
    except ValueError:
        return "an unreadable URL"


__all__ = ("RunStore", "open_store", "redacted_url")

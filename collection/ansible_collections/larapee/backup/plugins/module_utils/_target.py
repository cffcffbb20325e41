# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The database that a restore is to fill: how it was found, and why it must not be filled.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ._errors import BackupError
from ._manifest import Manifest
from ._mysql import _grants, _inspect, _marker
from ._mysql._connection import Server, parse_release, rows

# What a client adds around the longest row when it sends it.
_PACKET_MARGIN = 1024 * 1024
_SETTINGS = (
    "max_allowed_packet",
    "lower_case_table_names",
    "log_bin_trust_function_creators",
    "read_only",
    "event_scheduler",
)


class Target:
    """What *connection* says of *database* and its server before anything changes. ``where`` is for messages."""

    def __init__(self, connection: t.Any, database: str, *, server: Server, where: str) -> None:
        self.database = database
        self.server = server
        self.where = where
        self.schema = _inspect.read_schema(connection, database)
        self.marked = self.schema is not None and _marker.is_present(connection, database)
        (settings,) = rows(connection, "SELECT " + ", ".join(f"@@global.{name}" for name in _SETTINGS))
        self._settings = dict(zip(_SETTINGS, settings))
        self.grants = _grants.parse_grants(str(row[0]) for row in rows(connection, "SHOW GRANTS"))

    @property
    def empty(self) -> bool:
        return self.schema is None or not any(self.schema.objects.values())

    def check(self, connection: t.Any, manifest: Manifest, *, confirmed: bool) -> None:
        """Raise BackupError that says what to do unless *manifest*'s full can be restored here now."""
        self._check_server(connection, manifest)
        if not self.empty and not confirmed:
            state = "left unfinished by an earlier restore" if self.marked else "not empty"
            raise self._refusal(
                f"it is {state}, and its content would be lost. Name an empty database, or set "
                f"larapee_backup_restore_confirm to {manifest.branch} to replace it",
                reason="not_empty",
            )
        self._check_names(connection, manifest)
        self._check_rights()
        document = manifest.document
        self.check_content(document["objects"], longest_line=int(document["longest_line"]))

    def check_content(self, objects: t.Mapping[str, int], *, longest_line: int) -> None:
        """The part of :meth:`check` that depends on what is to be loaded."""
        self._check_trust(objects)
        self._check_settings(objects, longest_line=longest_line)

    @property
    def lower_case_table_names(self) -> int:
        return int(self._settings["lower_case_table_names"])

    def _refusal(self, why: str, *, reason: str) -> BackupError:
        return BackupError(f"Failed to restore into {self.database} on {self.where}: {why}.", reason=reason)

    def _check_server(self, connection: t.Any, manifest: Manifest) -> None:
        document, server = manifest.document, self.server
        made_by = f"{document['engine']} {document['version']}"
        if document["engine"] != server.engine:
            raise self._refusal(
                f"the full is of {made_by}, the server is {server.engine} {server.version}. "
                "Restore to a server of the same engine",
                reason="wrong_engine",
            )
        if parse_release(document["version"])[:2] > server.release[:2]:
            raise self._refusal(
                f"the full is of {made_by}, the server is older: {server.version}. Restore to that version or newer",
                reason="older_server",
            )
        names = (document["schema_character_set"], document["schema_collation"])
        if not all(re.fullmatch(r"\w+", name) for name in names) or not _can_collate(connection, *names):
            raise self._refusal(
                f"the server does not know the collation {names[1]} of the full. Restore to the version that made it",
                reason="older_server",
            )

    def _check_names(self, connection: t.Any, manifest: Manifest) -> None:
        original = str(manifest.document["database"])
        known = rows(connection, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", [original])
        if original != self.database and known:
            raise self._refusal(
                f"the full is of {original}, which is on this server too. Triggers, views and defaults may name it, "
                "and the copy would change it. Restore under another name on another server",
                reason="other_schema",
            )

    def _check_rights(self) -> None:
        missing = _grants.missing_for_restore(self.grants, database=self.database, server=self.server)
        if missing:
            raise self._refusal(
                f"the account lacks {', '.join(missing)}. Grant it to the restorer", reason="missing_privilege"
            )

    def _check_trust(self, objects: t.Mapping[str, int]) -> None:
        trusted = self._settings["log_bin_trust_function_creators"] or _grants.may_create_logged_routines(self.grants)
        if self.server.log_bin and not trusted and _has(objects, "triggers", "routines"):
            raise self._refusal(
                "with the binary log on, the account may not create triggers and functions. Set "
                "log_bin_trust_function_creators=1 on the server (harmless with binlog_format=ROW) or grant SUPER for "
                "the restore",
                reason="missing_privilege",
            )

    def _check_settings(self, objects: t.Mapping[str, int], *, longest_line: int) -> None:
        needed = longest_line + _PACKET_MARGIN
        if int(self._settings["max_allowed_packet"]) < needed:
            raise self._refusal(
                f"its max_allowed_packet is {self._settings['max_allowed_packet']} bytes, the restore needs {needed}. "
                "Set max_allowed_packet=1G on the server for the restore",
                reason="packet_too_small",
            )
        if _is_on(self._settings["read_only"]):
            raise self._refusal(
                "the server is read_only. Restore to the primary, or SET GLOBAL read_only=0", reason="read_only"
            )
        if _is_on(self._settings["event_scheduler"]) and _has(objects, "events"):
            raise self._refusal(
                "its event scheduler is on, so the events of the backup would run on a half-filled database. "
                "SET GLOBAL event_scheduler=OFF for the restore, and ON when the shop opens",
                reason="event_scheduler",
            )


def _has(objects: t.Mapping[str, int], *kinds: str) -> bool:
    return any(objects.get(kind) for kind in kinds)


def _is_on(value: object) -> bool:
    return str(value).upper() in ("1", "ON")


def _can_collate(connection: t.Any, character_set: str, collation: str) -> bool:
    """Ask the server itself: the tables of collations differ between versions."""
    try:
        rows(connection, f"SELECT CONVERT('' USING {character_set}) COLLATE {collation}")  # noqa: S608 - checked names
    except Exception:  # noqa: BLE001 - whatever the driver calls it, the server cannot
        return False
    return True


__all__ = ("Target",)

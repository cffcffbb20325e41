# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fingerprint as a file: the encrypted companion of an artifact of the database, and what its manifest tells.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import typing as t

from . import _compress, _encrypt, _io, _making, _manifest, _open, _pipeline
from ._digest import Both, Digest
from ._errors import BackupError

if t.TYPE_CHECKING:
    from ._catalog import Entry
    from ._publish import Reservation

SCHEMA_VERSION: t.Final = 1
# Of tables and answers, far more than any real fingerprint has; a restore holds it in memory.
_MOST_BYTES: t.Final = 64 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """``tables``: facts by name; ``queries``: the answers to ``statements`` as rows of texts, by name.

    ``problems`` are queries without an answer, in words. Nothing that lay outside the snapshot is ever compared.
    """

    file: str
    position: int
    gtid: str
    taken_at: dt.datetime
    tables: t.Mapping[str, t.Mapping[str, t.Any]]
    queries: t.Mapping[str, list[list[str | None]]]
    receipt: str | None
    checksums: bool
    statements: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    receipt_query: str = ""
    problems: tuple[str, ...] = ()

    @property
    def inexact(self) -> list[str]:
        """What no comparison covers: tables without transactions, and sequences that moved just then."""
        return sorted(name for name, facts in self.tables.items() if not facts.get("exact", True))


def manifest_fields(fingerprint: Fingerprint) -> dict[str, t.Any]:
    """What the manifest tells of *fingerprint*: no amounts, and of the shop's answers the receipt only."""
    return {
        "file": fingerprint.file,
        "position": fingerprint.position,
        "gtid": fingerprint.gtid,
        "taken_at": _manifest.format_time(fingerprint.taken_at),
        "receipt": fingerprint.receipt,
        "checksums": fingerprint.checksums,
    }


def to_bytes(fingerprint: Fingerprint) -> bytes:
    document = {
        "schema": SCHEMA_VERSION,
        **manifest_fields(fingerprint),
        "tables": {name: dict(facts) for name, facts in fingerprint.tables.items()},
        "queries": {
            name: {"sql": fingerprint.statements.get(name, ""), "rows": answer}
            for name, answer in fingerprint.queries.items()
        },
        "receipt_query": fingerprint.receipt_query,
        "problems": list(fingerprint.problems),
    }
    return _io.json_bytes(document)


def from_bytes(raw: bytes) -> Fingerprint:
    """The reverse of :func:`to_bytes`; raises BackupError for what is no fingerprint that this version reads."""
    try:
        document = json.loads(raw.decode("utf-8"))
        if document["schema"] != SCHEMA_VERSION:
            raise ValueError(f"its schema is {document['schema']}, this version reads {SCHEMA_VERSION}")
        return _from_document(document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise BackupError(
            f"Failed to read the fingerprint: it is not one ({exc}). Use the version that wrote it, or an artifact "
            "with another one.",
            reason="bad_fingerprint",
        ) from exc


def _from_document(document: t.Mapping[str, t.Any]) -> Fingerprint:
    tables = {str(name): dict(facts) for name, facts in document["tables"].items()}
    for name, facts in tables.items():
        if not isinstance(facts["rows"], int):
            raise TypeError(f"the rows of {name}")
    queries = document["queries"]
    return Fingerprint(
        file=str(document["file"]),
        position=int(document["position"]),
        gtid=str(document["gtid"]),
        taken_at=_manifest.parse_time(document["taken_at"]),
        tables=tables,
        queries={str(name): [list(row) for row in query["rows"]] for name, query in queries.items()},
        receipt=None if document["receipt"] is None else str(document["receipt"]),
        checksums=bool(document["checksums"]),
        statements={str(name): str(query["sql"]) for name, query in queries.items()},
        receipt_query=str(document["receipt_query"]),
        problems=tuple(str(each) for each in document["problems"]),
    )


class _Plain:
    """First in the companion's pipeline."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.digest = Digest()
        self.digest.feed(memoryview(content))

    def write_to(self, descriptor: int) -> None:
        view = memoryview(self._content)
        while view:
            view = view[os.write(descriptor, view) :]


def write_companion(making: _making.Making, reservation: Reservation, fingerprint: Fingerprint) -> dict[str, t.Any]:
    """Write the companion of what *reservation* is for; return the manifest's field ``companion``.

    Raises BackupError, and then the artifact has no companion and may still be published.
    """
    plain, stored = _Plain(to_bytes(fingerprint)), Digest()
    elements: list[_pipeline.Command | _pipeline.Producer | _pipeline.Tap] = [plain, _compress.compressor("zstd")]
    if making.encrypt:
        elements.append(_encrypt.encryptor(making.recipients))
    elements.append(Both(stored, _making.allowance(making)))
    with contextlib.ExitStack() as stack:
        stack.callback(reservation.drop_companion)
        try:
            results = _pipeline.run_pipeline(elements, target=reservation.open_companion())
        except OSError as exc:
            raise BackupError(
                f"Failed to write the fingerprint of {reservation.name}: {exc.strerror}. "
                f"{_io.free_bytes(making.local_path)} bytes are free.",
                reason="disk_full" if _pipeline.disk_full(exc) else "write_failed",
            ) from exc
        _pipeline.require_success(results, what=f"write the fingerprint of {reservation.name}")
        stack.pop_all()
    return {
        "size": stored.size,
        "sha256": stored.sha256,
        "plain_size": plain.digest.size,
        "plain_sha256": plain.digest.sha256,
    }


class _Collected:
    """Last of what opens a companion."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.content = bytearray()

    def feed(self, block: memoryview) -> None:
        if len(self.content) + len(block) > _MOST_BYTES:
            raise BackupError(
                f"Failed to read the fingerprint of {self._name}: it is larger than {_MOST_BYTES} bytes.",
                reason="bad_fingerprint",
            )
        self.content += block


def read_companion(entry: Entry, *, identity: str | None) -> Fingerprint:
    """The fingerprint of *entry*; raises BackupError when it has none, or when it is not that of the manifest."""
    collected = _Collected(entry.name)
    _open.open_companion(entry, identity=identity, following=(collected,))
    found = from_bytes(bytes(collected.content))
    told = entry.manifest.document.get("fingerprint")
    if told != manifest_fields(found):
        raise BackupError(
            f"Failed to use the fingerprint of {entry.name}: its manifest tells another position, time or receipt.",
            reason="bad_fingerprint",
        )
    return found


__all__ = ("Fingerprint", "from_bytes", "manifest_fields", "read_companion", "to_bytes", "write_companion")

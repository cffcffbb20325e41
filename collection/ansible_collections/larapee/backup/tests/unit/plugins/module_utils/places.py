# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places with artifacts for the tests: real files, manifests and signatures, without a database."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

from ansible_collections.larapee.backup.plugins.module_utils import _names, _signature

BRANCH = "branch-001"
RUN_ID = "0b8f3f4e-6f2b-4f43-9d5c-0d5f5a1f2a11"
EPOCH = "6a0b6e0c-1a44-4f0e-8b1e-0a3a52c0f6de"
PLAIN = b"CREATE TABLE `orders` (`id` int);\n-- Dump completed on 2026-11-22 14:32:10\n"
STORED = gzip.compress(PLAIN, mtime=0)


def manifest_document(name: str = "db-20261122-1432.sql.gz", *, sequence: int = 1, **changes: Any) -> dict[str, Any]:
    """A manifest as an artifact of ``STORED`` under *name* has it."""
    parsed = _names.parse_name(name)
    assert parsed is not None
    if not name.startswith("db-"):
        changes = {**_of_files(parsed.kind), **changes}
    elif parsed.kind == "db_increment":
        changes = {**_of_logs(), **changes}
    position = {
        "file": "mysql-bin.000007",
        "position": 1000 + sequence,
        "gtid": f"1-1-{sequence}",
        "time": parsed.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {
        "schema": 1,
        "artifact": name,
        "branch": BRANCH,
        "kind": parsed.kind,
        "format": "sql",
        "sequence": sequence,
        "epoch": EPOCH,
        "epoch_reason": None,
        "created_at": position["time"],
        "run_id": RUN_ID,
        "size": len(STORED),
        "sha256": hashlib.sha256(STORED).hexdigest(),
        "plain_size": len(PLAIN),
        "plain_sha256": hashlib.sha256(PLAIN).hexdigest(),
        "compression": parsed.compression,
        "encryption": {"recipients": ["age1" + "q" * 58]} if parsed.encrypted else None,
        "base": None,
        "previous": None,
        "tool_versions": {"dump": "mariadb-dump", "compressor": "igzip"},
        "engine": "mariadb",
        "version": "10.11.19-MariaDB-0+deb12u1-log",
        "server_id": 1,
        "database": "larapos",
        "schema_character_set": "utf8mb4",
        "schema_collation": "utf8mb4_unicode_ci",
        "objects": {"tables": 1, "views": 0, "sequences": 0, "triggers": 0, "routines": 0, "events": 0},
        "longest_line": 60,
        "ddl_guard": "block_ddl",
        "start": position,
        "end": position,
        **changes,
    }


def _of_files(kind: str) -> dict[str, Any]:
    full = "public-uploads-20261122-0000.tar.zst"
    return {
        "format": "tar",
        "set": 1,
        "base": full if kind == "files_increment" else None,
        "previous": full if kind == "files_increment" else None,
        "entries": 3,
        "deletions": 0,
        "tree": {"entries": 3, "bytes": 1000},
        "problems": {"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 0},
        "companion": {"size": 1, "sha256": "0" * 64, "plain_size": 1, "plain_sha256": "1" * 64},
    }


def _of_logs() -> dict[str, Any]:
    return {
        "format": "binlog",
        "base": "db-20261122-0000.sql.gz",
        "previous": "db-20261122-0000.sql.gz",
        "transactions": 1,
        "definitions": 0,
        "largest_event": 100,
        "time_went_back": False,
        **log_files(7, 7),
    }


def log_files(first: int, last: int, *, before: int = 0, after: int = 1, at: str = "2026-11-22T14:32:00Z") -> Any:
    """What a manifest says of an increment of the binary log files *first* to *last*, from one count of transactions to
    another.
    """
    names = [f"mysql-bin.{number:06d}" for number in range(first, last + 1)]

    def edge(name: str, position: int, gtid: int) -> dict[str, Any]:
        return {"file": name, "position": position, "gtid": f"1-1-{gtid}" if gtid else "", "time": at}

    files = [
        {"name": name, "size": 5000, "sha256": f"{int(name[-6:]):064x}", "identity": "2" * 64, "end": "rotate"}
        for name in names
    ]
    return {"files": files, "start": edge(names[0], 4, before), "end": edge(names[-1], 5000, after)}


class Place:
    """A directory that holds artifacts, signed by the branch's key."""

    def __init__(self, directory: Path, keys: Path) -> None:
        self.directory = directory
        self.keys = keys
        directory.mkdir(exist_ok=True)

    @property
    def allowed_signers(self) -> str:
        return str(self.keys / "allowed_signers")

    def put(
        self, name: str, *, sequence: int = 1, stored: bytes = STORED, signer: str = BRANCH, **changes: Any
    ) -> Path:
        """Place one artifact with manifest and signature; return its path."""
        facts = {"size": len(stored), "sha256": hashlib.sha256(stored).hexdigest(), **changes}
        raw = json.dumps(manifest_document(name, sequence=sequence, **facts)).encode()
        path = self.directory / name
        path.write_bytes(stored)
        (self.directory / (name + _names.MANIFEST_SUFFIX)).write_bytes(raw)
        (self.directory / (name + _names.SIGNATURE_SUFFIX)).write_bytes(self.sign(raw, signer=signer))
        return path

    def sign(self, raw: bytes, *, signer: str = BRANCH) -> bytes:
        return _signature.sign(raw, key=str(self.keys / signer))

    def put_days(self, *days: int) -> list[Path]:
        """A full a day of November 2026, with the day as its sequence number."""
        return [self.put(f"db-202611{day:02d}-0300.sql.gz", sequence=day) for day in days]


def utc(text: str) -> dt.datetime:
    return dt.datetime.strptime(text + "+0000", "%Y-%m-%d %H:%M:%S%z")

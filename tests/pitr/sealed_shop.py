# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch whose binary logs are sealed by hand, so that a test can put anything into an increment."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import (
    _catalog,
    _clock,
    _compress,
    _encrypt,
    _making,
    _manifest,
    _pipeline,
    _publish,
)
from ansible_collections.larapee.backup.plugins.module_utils._binlog import _names
from ansible_collections.larapee.backup.plugins.module_utils._binlog._container import ContainerWriter
from ansible_collections.larapee.backup.plugins.module_utils._binlog._walker import Walker
from ansible_collections.larapee.backup.plugins.module_utils._digest import Both, Digest
from ansible_collections.larapee.backup.plugins.module_utils._request import DumpRequest
from tests.database.estate import BRANCH, DATABASE, Estate, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._binlog._facts import Group, LogFacts
    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from larapee_runner.demo.server import ThrowawayServer


class SealedShop(Estate):
    """An estate that seals: ``seal`` closes the log and makes an increment of all files since the last one."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.scratch = self.state / "scratch"
        sql(self.source, "FLUSH BINARY LOGS")
        self._next = current_log(self.source)

    def full(self, **changes: Any) -> Manifest:
        manifest = self.dump(fingerprint=False, **changes).manifest
        assert manifest is not None
        return manifest

    def seal(
        self,
        *,
        change: Callable[[list[Path]], None] | None = None,
        edit: Callable[[dict[str, Any]], None] | None = None,
        now: dt.datetime | None = None,
    ) -> Manifest:
        """*change* is given the files before they are looked at, *edit* the manifest before it is signed."""
        created_at = now or _clock.now()
        last = self._next
        sql(self.source, "FLUSH BINARY LOGS")
        self._next = current_log(self.source)
        names = []
        while _names.log_number(last) < _names.log_number(self._next):
            names.append(last)
            last = _names.next_name(last)
        files = fetch(self.source, self.root / f"spool-{uuid.uuid4().hex[:8]}", names)
        if change is not None:
            change(files)
        return self._publish(files, created_at, edit)

    def _publish(
        self, files: list[Path], created_at: dt.datetime, edit: Callable[[dict[str, Any]], None] | None
    ) -> Manifest:
        request = DumpRequest(
            branch=BRANCH,
            database=DATABASE,
            option_file=str(self.operator_file),
            local_path=str(self.local),
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
            signing_key=str(self.keys.signing_key),
            recipients=self.keys.recipients,
            compression="zstd",
        )
        around = _making.Surroundings(request, kind="db_increment", check_mode=False)
        base = around.newest("db_full")
        assert base is not None
        facts = [facts_of(path) for path in files]
        with _publish.reserve(
            request.local_path,
            kind="db_increment",
            compression="zstd",
            encrypted=True,
            now=created_at,
            run_id=request.run_id,
        ) as reservation:
            plain, stored = Digest(), Digest()
            elements: list[_pipeline.Command | _pipeline.Producer | _pipeline.Tap] = [
                ContainerWriter([(path.name, str(path)) for path in files]),
                plain,
                _compress.compressor("zstd"),
                _encrypt.encryptor(self.keys.recipients),
                Both(stored, Digest()),
            ]
            _pipeline.require_success(
                _pipeline.run_pipeline(elements, target=reservation.open_part()), what="seal by hand"
            )
            document = _making.common_fields(
                request, around, name=reservation.name, created_at=created_at, epoch=base.manifest.epoch
            )
            document.update(
                format="binlog",
                companion=None,
                fingerprint=None,
                size=stored.size,
                sha256=stored.sha256,
                plain_size=plain.size,
                plain_sha256=plain.sha256,
                tool_versions={},
                engine="mariadb",
                version=facts[0].version,
                server_id=facts[0].server_id,
                database=DATABASE,
                base=base.name,
                previous=document["previous"] or base.name,
                start=edge(files[0], facts[0], position=4, gtid=str(facts[0].before), at=facts[0].first_at),
                end=edge(
                    files[-1], facts[-1], position=facts[-1].size, gtid=str(facts[-1].after), at=facts[-1].last_at
                ),
                files=[file_facts(path, each) for path, each in zip(files, facts, strict=True)],
                transactions=sum(each.groups for each in facts),
                definitions=sum(each.definitions for each in facts),
                largest_event=max(each.largest_event for each in facts),
                time_went_back=any(each.went_back for each in facts),
            )
            if edit is not None:
                edit(document)
            manifest = _manifest.check_manifest(document)
            raw = _manifest.manifest_bytes(manifest)
            reservation.publish(manifest=raw, signature=_making.sign(request, raw, at=manifest.created_at))
        return manifest

    def rewrite(self, manifest: Manifest, **fields: Any) -> Manifest:
        """Sign the manifest of an artifact again, with other *fields*."""
        changed = _manifest.check_manifest({**manifest.document, **fields})
        raw = _manifest.manifest_bytes(changed)
        path = self.local / f"{manifest.artifact}.manifest.json"
        path.write_bytes(raw)
        request = _SigningOnly(BRANCH, str(self.keys.signing_key), None)
        path.with_name(f"{path.name}.sig").write_bytes(_making.sign(request, raw, at=changed.created_at))
        return changed

    def names(self) -> list[str]:
        return [entry.name for entry in _catalog.read_catalogue(str(self.local)).entries]

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.scratch.iterdir()) if self.scratch.exists() else []


@dataclasses.dataclass(frozen=True)
class _SigningOnly:
    branch: str
    signing_key: str
    allowed_signers: str | None


def current_log(server: ThrowawayServer) -> str:
    return sql(server, "SHOW MASTER STATUS").split("\t")[0]


def position(server: ThrowawayServer) -> tuple[str, int]:
    file, offset = sql(server, "SHOW MASTER STATUS").split("\t")[:2]
    return file, int(offset)


def last_gtid(server: ThrowawayServer) -> str:
    return sql(server, "SELECT @@gtid_binlog_pos").strip()


def at(server: ThrowawayServer, text: str, statement: str) -> str:
    """Commit *statement* at the time *text* (UTC), as the server's clock said; returns its GTID."""
    seconds = int(dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp())
    out = sql(server, f"SET timestamp = {seconds}; {statement}; SELECT @@last_gtid")
    return out.strip().splitlines()[-1]


def fetch(server: ThrowawayServer, directory: Path, names: list[str]) -> list[Path]:
    """Raw copies by the stock client."""
    directory.mkdir(parents=True)
    argv = ["/usr/bin/mariadb-binlog", "--no-defaults", f"--socket={server.socket}", "--user=root"]
    argv += ["--read-from-remote-server", "--raw", f"--result-file={directory}/", *names]
    subprocess.run(argv, check=True, capture_output=True)
    return [directory / name for name in names]


def facts_of(path: Path) -> LogFacts:
    walker = Walker("mariadb")
    walker.feed(path.read_bytes())
    return walker.facts()


def groups_of(path: Path) -> Iterator[Group]:
    found: list[Group] = []
    walker = Walker("mariadb", on_group=found.append)
    walker.feed(path.read_bytes())
    return iter(found)


def edge(path: Path, facts: LogFacts, *, position: int, gtid: str, at: int | None) -> dict[str, Any]:
    time = dt.datetime.fromtimestamp(facts.created_at if at is None else at, dt.UTC)
    return {"file": path.name, "position": position, "gtid": gtid, "time": _manifest.format_time(time)}


def file_facts(path: Path, facts: LogFacts) -> dict[str, Any]:
    return {
        "name": path.name,
        "size": facts.size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "identity": facts.identity,
        "end": "crash" if facts.end == "open" else facts.end,
    }


__all__ = ("SealedShop", "at", "current_log", "facts_of", "fetch", "groups_of", "last_gtid", "position")

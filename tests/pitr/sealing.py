# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch that seals its binary logs, and stock tools that look at what became of them."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _db_chain
from ansible_collections.larapee.backup.plugins.module_utils._catalog import read_catalogue
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._seal import SealOutcome, SealRequest, seal_binlogs
from larapee_runner.demo.accounts import create_log_reader
from tests.database.estate import BRANCH, DATABASE, Estate, sql, stock_picture

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from larapee_runner.demo.server import ThrowawayServer

PASSWORD = "reads logs, not tables"
NEVER_EXPIRES = "Binary logs never expire, so the disk fills. Set binlog_expire_logs_seconds=604800."


class SealingBranch(Estate):
    """Its server is its own where a test breaks it; the log reader is another account than the operator."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        create_log_reader(self.source, password=PASSWORD)
        self.binlog_file = self.write_binlog_file()

    def write_binlog_file(self) -> Path:
        """Anew after each start of another server: its socket is another one."""
        return self.source.write_option_file(self.root / "binlog.cnf", user="larapee-binlog", password=PASSWORD)

    def restart(self, *, kill: bool = False) -> None:
        if kill:
            self.source.kill()
        else:
            self.source.stop()
        self.source.start()

    def request(self, **changes: Any) -> SealRequest:
        request = SealRequest(
            branch=BRANCH,
            database=DATABASE,
            option_file=str(self.binlog_file),
            local_path=str(self.local),
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
            signing_key=str(self.keys.signing_key),
            recipients=self.keys.recipients,
            dump_option_file=str(self.operator_file),
        )
        return dataclasses.replace(request, **changes)

    def seal(self, *, check_mode: bool = False, **changes: Any) -> SealOutcome:
        return seal_binlogs(self.request(**changes), check_mode=check_mode)

    def increment(self, **changes: Any) -> Manifest:
        outcome = self.seal(**changes)
        assert outcome.manifest is not None, outcome
        return outcome.manifest

    def full(self, **changes: Any) -> Manifest:
        manifest = self.dump(fingerprint=False, **changes).manifest
        assert manifest is not None
        return manifest

    def gap(self) -> str:
        """What is wrong, as the failed run says it."""
        with pytest.raises(BackupError) as caught:
            self.seal()
        assert caught.value.reason == "gap", caught.value
        return str(caught.value)

    def sell(self, count: int = 1, *, note: str = "tea") -> None:
        sale = f"INSERT INTO orders (total, note, slip) VALUES (2.5, '{note} 🍵', x'00FF'); "
        sql(self.source, sale * count, database=DATABASE)

    def logs(self) -> dict[str, int]:
        """The server's own list, the last one open."""
        return {line.split("\t")[0]: int(line.split("\t")[1]) for line in lines(self.source, "SHOW BINARY LOGS")}

    def purge(self) -> str:
        """Remove all binary logs but the newest, really; returns the name of what is left.

        The server keeps what its own recovery would need, for a moment.
        """
        deadline = time.monotonic() + 20
        while True:
            left = list(self.logs())
            sql(self.source, f"PURGE BINARY LOGS TO '{left[-1]}'")
            if len(self.logs()) == 1:
                return left[-1]
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.1)

    def log_path(self, name: str) -> Path:
        return self.source.datadir / name

    def unpack(self, manifest: Manifest) -> dict[str, bytes]:
        """The binary logs in an increment, by the stock tools."""
        directory = self.root / f"unpacked-{uuid.uuid4().hex[:8]}"
        directory.mkdir()
        identity = str(self.keys.directory / "identity-2")
        with subprocess.Popen(
            ["age", "--decrypt", "--identity", identity, str(self.local / manifest.artifact)], stdout=subprocess.PIPE
        ) as opened:
            plain = subprocess.run(["zstd", "-dc"], stdin=opened.stdout, check=True, capture_output=True).stdout
        assert opened.returncode == 0
        assert hashlib.sha256(plain).hexdigest() == manifest.plain_sha256
        subprocess.run(["tar", "--extract", "--directory", str(directory)], input=plain, check=True)
        listed = subprocess.run(["tar", "--list"], input=plain, check=True, capture_output=True).stdout
        return {name: (directory / name).read_bytes() for name in listed.decode().split()}

    def replay(self, target: ThrowawayServer, full: Manifest, increments: list[Manifest]) -> None:
        """Load the full into *target* and replay what was sealed after it, by the stock tools alone."""
        directory = self.root / f"replay-{uuid.uuid4().hex[:8]}"
        directory.mkdir()
        files: dict[str, bytes] = {}
        for each in increments:
            files |= self.unpack(each)
        first = str(full.position["file"])
        paths = [directory / name for name in files if (len(name), name) >= (len(first), first)]
        for path in paths:
            path.write_bytes(files[path.name])
        identity = str(self.keys.directory / "identity-2")
        charset, collation = full.document["schema_character_set"], full.document["schema_collation"]
        sql(
            target,
            f"DROP DATABASE IF EXISTS larapos; CREATE DATABASE larapos CHARACTER SET {charset} COLLATE {collation}",
        )
        pipe(
            ["age", "--decrypt", "--identity", identity, str(self.local / full.artifact)],
            ["gzip", "-dc"],
            client(target, DATABASE),
        )
        replayed = ["mariadb-binlog", "--no-defaults", "--verify-binlog-checksum", "--disable-log-bin"]
        replayed += [f"--start-position={full.position['position']}", *map(str, paths)]
        pipe(replayed, client(target))

    def files_but_notes(self) -> set[str]:
        return {name for name in self.files() if name not in ("SHA256SUMS", "tip.json", "tip.json.sig")}

    def left_over(self) -> list[str]:
        """What lies where files are spooled in clear."""
        spool = self.state / "spool"
        return sorted(str(path.relative_to(spool)) for path in spool.rglob("*")) if spool.exists() else []


def lines(server: ThrowawayServer, query: str) -> list[str]:
    return sql(server, query).splitlines()


def client(server: ThrowawayServer, *database: str) -> list[str]:
    argv = ["mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root", "--binary-mode"]
    return [*argv, "--default-character-set=utf8mb4", "--max-allowed-packet=1G", *database]


def pipe(*commands: list[str]) -> None:
    """As ``set -o pipefail`` does."""
    running: list[subprocess.Popen[bytes]] = []
    for number, argv in enumerate(commands):
        last = number == len(commands) - 1
        source = running[-1].stdout if running else subprocess.DEVNULL
        process = subprocess.Popen(argv, stdin=source, stdout=None if last else subprocess.PIPE, stderr=subprocess.PIPE)
        if running and running[-1].stdout is not None:
            running[-1].stdout.close()
        running.append(process)
    said = []
    for process in running:
        assert process.stderr is not None
        with process.stderr as messages:
            said.append(messages.read().decode())
    assert [process.wait() for process in running] == [0] * len(commands), said


def require_recovered(branch: SealingBranch, full: Manifest) -> list[Manifest]:
    """One chain from *full* to the end, which the stock replay turns into what the server has; returns its parts."""
    manifests = [entry.manifest for entry in read_catalogue(str(branch.local)).entries]
    chains, astray = _db_chain.db_chains(manifests)
    assert astray == {}
    (chain,) = (each for each in chains if each.full.artifact == full.artifact)
    assert chain.broken is None
    branch.replay(branch.target, full, list(chain.increments))
    assert picture(branch.target) == picture(branch.source)
    assert branch.verify(identity=branch.keys.identity).failures == []
    return list(chain.increments)


def require_healed(branch: SealingBranch, *, because: str) -> None:
    """The run after a gap asks for a full; that one begins a new epoch, and then all goes on."""
    outcome = branch.seal()
    assert (outcome.manifest, outcome.unchanged) == (None, False)
    assert because in str(outcome.needs_full)
    fulls = read_catalogue(str(branch.local)).of_kind("db_full")
    full = branch.full()
    assert full.epoch not in {entry.manifest.epoch for entry in fulls}
    assert because in full.document["epoch_reason"]
    branch.sell()
    made = branch.increment()
    assert (made.document["base"], made.epoch) == (full.artifact, full.epoch)
    branch.replay(branch.target, full, [made])
    assert picture(branch.target) == picture(branch.source)
    assert branch.left_over() == []


def picture(server: ThrowawayServer) -> str:
    """All of the database; counters count what was rolled back too."""
    return re.sub(r" AUTO_INCREMENT=\d+", "", stock_picture(server))


__all__ = ("NEVER_EXPIRES", "PASSWORD", "SealingBranch", "client", "lines", "picture", "pipe", "require_healed")

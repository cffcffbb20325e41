# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database tests share: a branch with a shop's database, and ways to break it."""

from __future__ import annotations

import dataclasses
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._dump import DumpOutcome, dump_database
from ansible_collections.larapee.backup.plugins.module_utils._request import DumpRequest
from ansible_collections.larapee.backup.plugins.module_utils._restore import (
    RestoreOutcome,
    RestoreRequest,
    restore_database,
)
from ansible_collections.larapee.backup.plugins.module_utils._verify import VerifyOutcome, VerifyRequest, verify_place
from larapee_runner.demo.server import create_operator, create_restorer

if TYPE_CHECKING:
    import pytest

    from larapee_runner.demo.server import ThrowawayServer

BRANCH = "branch-001"
DATABASE = "larapos"
OPERATOR_PASSWORD = 'back"up \\ #1'
RESTORER_PASSWORD = "restore'it"

SCHEMA = """
CREATE DATABASE larapos CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE larapos;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(10,2),
  doubled DECIMAL(11,2) AS (total * 2) STORED, note TEXT, slip LONGBLOB, extra JSON);
CREATE TABLE order_items (id INT AUTO_INCREMENT PRIMARY KEY, order_id INT NOT NULL, name VARCHAR(80),
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE);
CREATE TABLE `odd``name; --` (`a``b` INT PRIMARY KEY, e VARCHAR(20));
CREATE TABLE emptied (id INT PRIMARY KEY);
INSERT INTO orders (total, note, slip, extra) VALUES
  (12.50, 'caf\\é 😀 O''Hara', x'00FF0A0D1A27225C', '{"till": 1}'), (-3.10, 'line\\nCREATE TABLE x', NULL, NULL);
INSERT INTO order_items (order_id, name) VALUES (1, 'tea'), (1, '日本'), (2, '');
INSERT INTO `odd``name; --` VALUES (1, '😀');
CREATE VIEW daily AS SELECT COUNT(*) AS orders, SUM(total) AS gross FROM orders;
CREATE SEQUENCE receipts START WITH 412;
DELIMITER ;;
CREATE TRIGGER note_default BEFORE INSERT ON orders FOR EACH ROW BEGIN
  IF NEW.note IS NULL THEN SET NEW.note = 'none'; END IF;
END;;
CREATE PROCEDURE close_day() BEGIN
CREATE TEMPORARY TABLE zz (i INT);
DROP TEMPORARY TABLE zz;
END;;
CREATE FUNCTION vat(amount DECIMAL(10,2)) RETURNS DECIMAL(10,2) DETERMINISTIC RETURN amount * 0.19;;
CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM emptied;;
DELIMITER ;
"""


@dataclasses.dataclass(frozen=True)
class Keys:
    """Two age identities with their recipients, the branch's signing key and another branch's, allowed signers."""

    directory: Path
    recipients: tuple[str, str]

    @property
    def identity(self) -> str:
        return (self.directory / "identity-2").read_text()

    @property
    def signing_key(self) -> Path:
        return self.directory / "branch-001"

    @property
    def allowed_signers(self) -> Path:
        return self.directory / "allowed_signers"


def make_keys(directory: Path) -> Keys:
    recipients = []
    for number in (1, 2):
        path = directory / f"identity-{number}"
        subprocess.run(["age-keygen", "-o", str(path)], check=True, capture_output=True)
        shown = subprocess.run(["age-keygen", "-y", str(path)], check=True, capture_output=True, text=True)
        recipients.append(shown.stdout.strip())
    lines = []
    for branch in ("branch-001", "branch-002"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / branch)], check=True)
        public = (directory / f"{branch}.pub").read_text().strip()
        lines.append(f'{branch} namespaces="larapee-backup" {public}\n')
    (directory / "allowed_signers").write_text("".join(lines))
    return Keys(directory=directory, recipients=(recipients[0], recipients[1]))


class Estate:
    """A branch whose database is filled anew, an empty target, and the library's own entry points."""

    def __init__(self, *, source: ThrowawayServer, target: ThrowawayServer, keys: Keys, root: Path) -> None:
        self.source = source
        self.target = target
        self.keys = keys
        self.root = root
        self.local = root / "local"
        self.state = root / "state"
        for server in (source, target):
            sql(server, "DROP DATABASE IF EXISTS larapos")
        sql(source, SCHEMA)
        for account in ("'larapee-backup'@'localhost'", "'larapee-restore'@'localhost'"):
            for server in (source, target):
                sql(server, f"DROP USER IF EXISTS {account}")
        create_operator(source, database=DATABASE, password=OPERATOR_PASSWORD)
        create_restorer(target, database=DATABASE, password=RESTORER_PASSWORD)
        self.operator_file = source.write_option_file(
            root / "operator.cnf", user="larapee-backup", password=OPERATOR_PASSWORD
        )
        self.restorer_file = target.write_option_file(
            root / "restorer.cnf", user="larapee-restore", password=RESTORER_PASSWORD
        )

    def dump(self, *, check_mode: bool = False, **changes: Any) -> DumpOutcome:
        request = DumpRequest(
            branch=BRANCH,
            database=DATABASE,
            option_file=str(self.operator_file),
            local_path=str(self.local),
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
            signing_key=str(self.keys.signing_key),
            recipients=self.keys.recipients,
        )
        return dump_database(dataclasses.replace(request, **changes), check_mode=check_mode)

    def verify(self, *, check_mode: bool = False, **changes: Any) -> VerifyOutcome:
        request = VerifyRequest(
            branch=BRANCH,
            directory=str(self.local),
            allowed_signers=str(self.keys.allowed_signers),
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
        )
        return verify_place(dataclasses.replace(request, **changes), check_mode=check_mode)

    def restore(self, *, check_mode: bool = False, **changes: Any) -> RestoreOutcome:
        request = RestoreRequest(
            branch=BRANCH,
            source=str(self.local),
            allowed_signers=str(self.keys.allowed_signers),
            option_file=str(self.restorer_file),
            database=DATABASE,
            state_path=str(self.state),
            run_id=str(uuid.uuid4()),
            identity=self.keys.identity,
        )
        return restore_database(dataclasses.replace(request, **changes), check_mode=check_mode)

    def files(self) -> set[str]:
        return {path.name for path in self.local.iterdir()} if self.local.exists() else set()


def sql(server: ThrowawayServer, text: str, *, database: str | None = None) -> str:
    """Run *text* with the stock client as root and return what it prints."""
    argv = ["/usr/bin/mariadb", "--no-defaults", f"--socket={server.socket}", "--user=root"]
    argv += [
        "--default-character-set=utf8mb4",
        "--batch",
        "--skip-column-names",
        "--max-allowed-packet=1G",
        *([database] if database else []),
    ]
    return subprocess.run(argv, input=text, check=True, capture_output=True, text=True).stdout


def stock_picture(server: ThrowawayServer, database: str = DATABASE) -> str:
    """All of a database as the stock dump client writes it, without what differs by time or server."""
    argv = ["/usr/bin/mariadb-dump", "--no-defaults", f"--socket={server.socket}", "--user=root", "--routines"]
    argv += [
        "--events",
        "--triggers",
        "--hex-blob",
        "--skip-dump-date",
        "--skip-comments",
        "--order-by-primary",
        database,
    ]
    text = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    charset = sql(
        server,
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA "
        f"WHERE SCHEMA_NAME = '{database}'",
    )
    return charset + text


class FakeTools:
    """Executables in front of the real ones; they stand for tools that misbehave."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        directory.mkdir()
        self.directory = directory
        monkeypatch.setenv("PATH", f"{directory}:/usr/sbin:/usr/bin:/sbin:/bin")

    def script(self, name: str, body: str) -> Path:
        path = self.directory / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return path

    def dump_client(self, body: str) -> None:
        """A mariadb-dump that tells its version and options truly and else runs *body*, where $real is the real one."""
        self.script(
            "mariadb-dump",
            f'real=/usr/bin/mariadb-dump\ncase "$*" in *--version*|*--help*) exec $real "$@";; esac\n{body}',
        )

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch on MySQL: the shop's database and the library's own entry points."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._dump import DumpOutcome, dump_database
from ansible_collections.larapee.backup.plugins.module_utils._request import DumpRequest
from ansible_collections.larapee.backup.plugins.module_utils._restore import (
    RestoreOutcome,
    RestoreRequest,
    restore_database,
)
from ansible_collections.larapee.backup.plugins.module_utils._verify import VerifyOutcome, VerifyRequest, verify_place
from tests.engines.branch import BRANCH, Branch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.branch import Keys
    from tests.engines.servers import MysqlServer

DATABASE = "larapos"
OPERATOR = "'larapee-operator'@'localhost'"
RESTORER = "'larapee-restorer'@'localhost'"

SCHEMA = """
CREATE DATABASE larapos CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE larapos;
CREATE TABLE orders (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, total DECIMAL(10,2), doubled DECIMAL(11,2) AS (total * 2) STORED,
  halved DECIMAL(10,2) AS (total / 2) VIRTUAL, note TEXT, plain VARCHAR(40) CHARACTER SET latin1, code CHAR(8)
  COLLATE utf8mb4_0900_as_cs DEFAULT (CONCAT('B', '01')), slip LONGBLOB, extra JSON, flags BIT(9), made DATETIME(6),
  hidden INT INVISIBLE DEFAULT 7, status ENUM('open','paid') DEFAULT 'open', spot POINT SRID 4326,
  CHECK (total > -1000), KEY newest (made DESC), KEY lowered ((LOWER(code))), KEY unseen (status) INVISIBLE);
CREATE TABLE baskets (id INT PRIMARY KEY, extra JSON, KEY by_line ((CAST(extra->'$.lines' AS UNSIGNED ARRAY))));
CREATE TABLE order_items (id INT AUTO_INCREMENT PRIMARY KEY, order_id BIGINT UNSIGNED NOT NULL, name VARCHAR(80),
  FULLTEXT KEY words (name), FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE);
CREATE TABLE closings (day DATE PRIMARY KEY, gross DECIMAL(10,2)) PARTITION BY RANGE (YEAR(day))
  (PARTITION older VALUES LESS THAN (2026), PARTITION newer VALUES LESS THAN MAXVALUE);
CREATE TABLE `odd``name; --` (`a``b` INT PRIMARY KEY, e VARCHAR(20));
CREATE TABLE emptied (id INT PRIMARY KEY);
INSERT INTO orders (total, note, plain, slip, extra, flags, made, spot) VALUES
  (12.50, 'café 😀 O''Hara', 'déjà', x'00FF0A0D1A27225C', '{"lines": [1, 2], "gross": 1.10}', b'101010101',
   '2026-03-29 02:30:00.123456', ST_SRID(POINT(13, 52), 4326)),
  (-3.10, 'line\\nCREATE TABLE x', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO orders (slip) VALUES (REPEAT(RANDOM_BYTES(1024), 4096));
INSERT INTO order_items (order_id, name) VALUES (1, 'tea'), (1, '日本'), (2, '');
INSERT INTO baskets VALUES (1, '{"lines": [1, 2]}');
INSERT INTO closings VALUES ('2025-12-31', 1), ('2026-01-01', 2);
INSERT INTO `odd``name; --` VALUES (1, '😀');
CREATE VIEW daily AS SELECT COUNT(*) AS orders, SUM(total) AS gross FROM orders;
CREATE SQL SECURITY INVOKER VIEW later_daily AS SELECT * FROM daily;
DELIMITER ;;
CREATE TRIGGER note_default BEFORE INSERT ON orders FOR EACH ROW BEGIN
  IF NEW.note IS NULL THEN SET NEW.note = 'none'; END IF;
END;;
CREATE TRIGGER second_default BEFORE INSERT ON orders FOR EACH ROW FOLLOWS note_default
  SET NEW.plain = COALESCE(NEW.plain, 'x');;
CREATE PROCEDURE close_day(IN day DATE, OUT gross DECIMAL(10,2)) READS SQL DATA BEGIN
CREATE TEMPORARY TABLE zz (i INT);
DROP TEMPORARY TABLE zz;
END;;
CREATE DEFINER = 'nobody'@'nowhere' PROCEDURE left_by_somebody() SELECT 1;;
CREATE FUNCTION vat(amount DECIMAL(10,2)) RETURNS DECIMAL(10,2) DETERMINISTIC RETURN amount * 0.19;;
CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM emptied;;
DELIMITER ;
"""

OBJECTS = {"tables": 6, "views": 2, "sequences": 0, "triggers": 2, "routines": 3, "events": 1}

_FACTS = (
    "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM SCHEMATA WHERE SCHEMA_NAME = '{}'",
    "SELECT TABLE_NAME, TABLE_TYPE, ENGINE, ROW_FORMAT, TABLE_COLLATION, CREATE_OPTIONS, TABLE_COMMENT FROM TABLES"
    " WHERE TABLE_SCHEMA = '{}'",
    "SELECT * FROM COLUMNS WHERE TABLE_SCHEMA = '{}'",
    "SELECT TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, COLLATION, SUB_PART, NON_UNIQUE, INDEX_TYPE, IS_VISIBLE,"
    " EXPRESSION FROM STATISTICS WHERE TABLE_SCHEMA = '{}'",
    "SELECT * FROM TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = '{}'",
    "SELECT * FROM CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = '{}'",
    "SELECT * FROM REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = '{}'",
    "SELECT * FROM KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = '{}'",
    "SELECT TABLE_NAME, PARTITION_NAME, PARTITION_METHOD, PARTITION_EXPRESSION, PARTITION_DESCRIPTION FROM PARTITIONS"
    " WHERE TABLE_SCHEMA = '{}'",
    "SELECT * FROM VIEWS WHERE TABLE_SCHEMA = '{}'",
    "SELECT TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_STATEMENT, ACTION_TIMING,"
    " SQL_MODE, DEFINER, DATABASE_COLLATION FROM TRIGGERS WHERE TRIGGER_SCHEMA = '{}'",
    "SELECT ROUTINE_NAME, ROUTINE_TYPE, DTD_IDENTIFIER, ROUTINE_DEFINITION, IS_DETERMINISTIC, SQL_DATA_ACCESS,"
    " SECURITY_TYPE, SQL_MODE, DEFINER FROM ROUTINES WHERE ROUTINE_SCHEMA = '{}'",
    "SELECT * FROM PARAMETERS WHERE SPECIFIC_SCHEMA = '{}'",
    "SELECT EVENT_NAME, DEFINER, TIME_ZONE, EVENT_DEFINITION, INTERVAL_VALUE, INTERVAL_FIELD, STARTS, STATUS, SQL_MODE"
    " FROM EVENTS WHERE EVENT_SCHEMA = '{}'",
)


def picture(server: MysqlServer, database: str = DATABASE) -> dict[str, Any]:
    """All of a schema by three independent witnesses: checksums, the information schema, the stock dump client."""
    names = server.sql(
        "SELECT CONCAT('`', REPLACE(TABLE_NAME, '`', '``'), '`') FROM information_schema.TABLES"
        # With an index over an array in JSON the checksum is another one each time; the other witnesses see that table.
        f" WHERE TABLE_SCHEMA = '{database}' AND TABLE_TYPE = 'BASE TABLE' AND TABLE_NAME <> 'baskets' ORDER BY 1"
    ).splitlines()
    assert names, f"{database} holds no table: an empty comparison proves nothing"
    facts = {
        query.split(" FROM ")[1].split()[0]: sorted(
            server.sql(query.format(database), database="information_schema").splitlines()
        )
        for query in _FACTS
    }
    assert [name for name, lines in facts.items() if not lines] == []
    return {
        "checksums": server.sql(f"CHECKSUM TABLE {', '.join(names)}", database=database),
        "facts": facts,
        "stock": server.stock_dump(database),
    }


class Shop:
    """A branch whose database is filled anew, a server to restore to, and a place for artifacts."""

    def __init__(self, *, source: MysqlServer, target: MysqlServer, keys: Keys, root: Path) -> None:
        self.source = source
        self.target = target
        self.keys = keys
        self.root = root
        self.local = root / "local"
        for server in {source, target}:
            server.sql(f"DROP DATABASE IF EXISTS {DATABASE}; DROP USER IF EXISTS {OPERATOR}, {RESTORER}")
        source.sql(SCHEMA)
        # Exactly what the project gives them; each test of a missing privilege takes one away.
        branch = Branch(source=source, target=target, keys=keys, root=root, database=DATABASE)
        branch.account("operator")
        branch.account("restorer")
        self.operator_file = branch.option_file("operator")
        self.restorer_file = branch.option_file("restorer")

    def dump(self, **changes: Any) -> DumpOutcome:
        request = DumpRequest(
            branch=BRANCH,
            database=DATABASE,
            option_file=self.operator_file,
            local_path=str(self.local),
            state_path=str(self.root / "state"),
            run_id=str(uuid.uuid4()),
            signing_key=str(self.keys.directory / BRANCH),
            recipients=(self.keys.recipient,),
        )
        return dump_database(dataclasses.replace(request, **changes))

    def document(self, **changes: Any) -> dict[str, Any]:
        """Take a full and return its manifest as it lies on the disk."""
        manifest = self.dump(**changes).manifest
        assert manifest is not None
        document: dict[str, Any] = json.loads((self.local / f"{manifest.artifact}.manifest.json").read_text())
        return document

    def verify(self) -> VerifyOutcome:
        return verify_place(
            VerifyRequest(
                branch=BRANCH,
                directory=str(self.local),
                allowed_signers=str(self.keys.directory / "allowed_signers"),
                state_path=str(self.root / "state"),
                run_id=str(uuid.uuid4()),
                identity=self.keys.identity,
            )
        )

    def restore(self, **changes: Any) -> RestoreOutcome:
        request = RestoreRequest(
            branch=BRANCH,
            source=str(self.local),
            allowed_signers=str(self.keys.directory / "allowed_signers"),
            option_file=self.restorer_file,
            database=DATABASE,
            state_path=str(self.root / "state"),
            run_id=str(uuid.uuid4()),
            identity=self.keys.identity,
        )
        return restore_database(dataclasses.replace(request, **changes))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.local.iterdir()) if self.local.exists() else []

    def plain_text(self, artifact: str) -> str:
        """Open an artifact with stock tools only."""
        argv = ["age", "-d", "-i", str(self.keys.directory / "identity"), str(self.local / artifact)]
        opened = subprocess.run(argv, check=True, capture_output=True).stdout
        unpack = ["gzip", "-dc"] if ".gz" in artifact else ["zstd", "-dc"]
        return subprocess.run(unpack, input=opened, check=True, capture_output=True).stdout.decode()


__all__ = ("BRANCH", "DATABASE", "OBJECTS", "OPERATOR", "RESTORER", "SCHEMA", "Shop", "picture")

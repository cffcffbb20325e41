# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A live database with all that can be put aside, and a picture of it."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _db_aside
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _marker
from tests.database.estate import stock_picture

if TYPE_CHECKING:
    from larapee_runner.demo.server import ThrowawayServer

BRANCH = "branch-001"
PROGRAM = Path(__file__).parent / "aside_crashes.py"
_numbers = itertools.count(1)

ODD = '`it\'s a "table" %s ñ 日本 ``x```'
# Names, definers and objects that a rename alone does not carry, or carries wrongly.
GOODS = (
    "CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, number VARCHAR(40), total DECIMAL(12,2),"
    " doubled DECIMAL(13,2) AS (total * 2) VIRTUAL, note TEXT, FULLTEXT KEY (note), CHECK (total < 1000000)) "
    "AUTO_INCREMENT=100 COMMENT 'what was sold'",
    f"CREATE TABLE {ODD} (id INT PRIMARY KEY, order_id INT, twice INT AS (id * 2) STORED,"
    " CONSTRAINT items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE)",
    "CREATE TABLE parts (id INT, day INT) PARTITION BY RANGE (day) (PARTITION p0 VALUES LESS THAN (10),"
    " PARTITION p1 VALUES LESS THAN MAXVALUE)",
    "CREATE SEQUENCE tickets START WITH 7",
    "CREATE TABLE numbered (id INT PRIMARY KEY DEFAULT NEXT VALUE FOR tickets, n INT)",
    "CREATE TABLE history (id INT PRIMARY KEY, price INT) WITH SYSTEM VERSIONING",
    "CREATE TABLE old_engine (id INT PRIMARY KEY) ENGINE=MyISAM",
    "SET foreign_key_checks = 0",
    "CREATE TABLE orphan (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES never_made (id))",
    "SET foreign_key_checks = 1",
    "INSERT INTO orders (number, total) VALUES ('B01-20261122-0001', 9.50), ('B01-20261122-0002', 3)",
    f"INSERT INTO {ODD} (id, order_id) VALUES (1, 100), (2, 101)",
    "INSERT INTO parts VALUES (1, 5), (2, 50)",
    "INSERT INTO numbered (n) VALUES (1), (2)",
    "INSERT INTO history VALUES (1, 5)",
    "UPDATE history SET price = 6",
    "INSERT INTO old_engine VALUES (1)",
    "CREATE TABLE counters (n INT, who INT)",
    "CREATE TRIGGER count_orders AFTER INSERT ON orders FOR EACH ROW INSERT INTO counters VALUES (NEW.id, 1)",
    "CREATE TRIGGER count_again AFTER INSERT ON orders FOR EACH ROW FOLLOWS count_orders"
    " INSERT INTO counters VALUES (NEW.id, 2)",
    f"CREATE TRIGGER `odd ``trigger```BEFORE UPDATE ON {ODD} FOR EACH ROW SET NEW.order_id = 100",
    "CREATE DEFINER='gone'@'nowhere' PROCEDURE total() SELECT SUM(total) FROM orders",
    "CREATE FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1",
    "CREATE VIEW newest AS SELECT MAX(number) AS number, one() AS one FROM orders",
    "CREATE VIEW `a view of a ``view```AS SELECT number FROM newest",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM counters",
)


@dataclass
class Live:
    server: ThrowawayServer
    database: str
    root: Path

    @property
    def aside(self) -> str:
        return f"{self.database}_before_restore"

    @property
    def option_file(self) -> Path:
        return self.root / "restore.cnf"

    @property
    def files(self) -> set[str]:
        directory = self.root / "state/restores"
        return {path.name for path in directory.iterdir()} if directory.exists() else set()

    def request(self, **changes: Any) -> _db_aside.AsideRequest:
        known = {
            "branch": BRANCH,
            "option_file": str(self.option_file),
            "database": self.database,
            "aside": self.aside,
            "state_path": str(self.root / "state"),
            "run_id": str(uuid.uuid4()),
            "confirm": BRANCH,
        }
        return _db_aside.AsideRequest(**{**known, **changes})

    def sql(self, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
        with self.server.connect(database=database or self.database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def picture(self) -> str:
        """All that it is, as the stock client writes it, and the server's own sum of each table's rows."""
        names = [row[0] for row in self.sql("SHOW FULL TABLES WHERE Table_type <> 'VIEW'")]
        quoted = ["`" + name.replace("`", "``") + "`" for name in names]
        sums = self.sql(f"CHECKSUM TABLE {', '.join(quoted)} EXTENDED") if quoted else []
        return stock_picture(self.server, self.database) + repr(sums)

    @property
    def is_marked(self) -> bool:
        return bool(self.sql(f"SHOW TABLES LIKE '{_marker.TABLE}'"))

    def there(self) -> set[str]:
        found = self.sql("SHOW DATABASES", database="mysql")
        return {row[0] for row in found if str(row[0]).startswith(self.database)}

    def replace(self) -> None:
        """What a restore of another content does."""
        self.sql(f"DROP DATABASE IF EXISTS {self.database}", f"CREATE DATABASE {self.database}", database="mysql")
        self.sql("CREATE TABLE orders (id INT PRIMARY KEY)", "INSERT INTO orders VALUES (1)")

    def die(self, what: str, number: int) -> bool:
        """Whether it was killed before its change of that number."""
        argv = [sys.executable, str(PROGRAM), what, str(self.root / "state"), str(self.option_file), self.database]
        done = subprocess.run(
            [*argv, str(number)], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False
        )
        assert done.returncode in {0, -signal.SIGKILL}
        return done.returncode != 0


def make_live(server: ThrowawayServer, root: Path) -> Live:
    found = Live(server, f"shop{next(_numbers)}x", root)
    server.write_option_file(found.option_file, user="root", password="")
    create = f"CREATE DATABASE {found.database} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci COMMENT 'the shop''s'"
    found.sql(create, database="mysql")
    found.sql(*GOODS)
    return found


def refused(live: Live, words: str, *, reason: str, state: str = "keep", **changes: object) -> None:
    """It says so in check mode as well, and changes nothing."""
    before, there = live.picture(), live.there()
    action = {"keep": _db_aside.keep, "back": _db_aside.bring_back, "forget": _db_aside.forget}[state]
    for check_mode in (True, False):
        with pytest.raises(BackupError, match=words) as caught:
            action(live.request(**changes), check_mode=check_mode)
        assert caught.value.reason == reason
        assert live.picture() == before
        assert live.there() == there


def clear(live: Live) -> None:
    for name in sorted(live.there()):
        live.sql("SET foreign_key_checks = 0", f"DROP DATABASE IF EXISTS {name}", database="mysql")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes definitions while the shop sells: each is a list of statements with the schema they are issued from.

A server's filters look at that schema, at the names in the statement, or at both: so all of them occur.
"""

from __future__ import annotations

import random

from tests.engines.shop import DATABASE, GUEST, OTHER

NONE = ""
Step = tuple[str, str]


def migrations(engine: str, number: int, seed: str) -> dict[str, list[Step]]:
    """A round of migrations, each by name; *number* keeps the names of what they make apart."""
    chosen = random.Random(seed)  # noqa: S311 - repeated by its seed
    n = number
    status = chosen.choice(["ENABLE", "DISABLE"])
    here = chosen.choice([DATABASE, OTHER, NONE])
    found: dict[str, list[Step]] = {
        "add a column": [(DATABASE, f"ALTER TABLE orders ADD COLUMN added_{n} VARCHAR(9) DEFAULT 'é{n}'")],
        "add a column in the middle": [
            (here, f"ALTER TABLE larapos.orders ADD COLUMN mid_{n} INT DEFAULT {n} AFTER total")
        ],
        "drop a column": [
            (OTHER, f"ALTER TABLE larapos.orders ADD COLUMN brief_{n} INT"),
            (NONE, f"ALTER TABLE larapos.orders DROP COLUMN brief_{n}"),
        ],
        "change a type": [(DATABASE, f"ALTER TABLE scratchpad MODIFY what VARCHAR({40 + n % 200})")],
        "rebuild": [(here, "ALTER TABLE larapos.order_items ENGINE = InnoDB")],
        "index": [
            (DATABASE, f"CREATE INDEX by_{n} ON payments (amount, method)"),
            (OTHER, f"DROP INDEX by_{n} ON larapos.payments"),
            (here, f"CREATE UNIQUE INDEX once_{n} ON larapos.stock (name, sku)"),
        ],
        "constraint": [
            (DATABASE, f"ALTER TABLE stock ADD CONSTRAINT c_{n} CHECK (quantity > -1000000 + {n % 1000})"),
            (DATABASE, f"CREATE TABLE child_{n} (sku INT, FOREIGN KEY f_{n} (sku) REFERENCES stock (sku))"),
            (OTHER, f"DROP TABLE larapos.child_{n}"),
        ],
        "table": [
            (here, f"CREATE TABLE larapos.side_{n} (i INT PRIMARY KEY, j JSON)"),
            (OTHER, f"INSERT INTO larapos.side_{n} VALUES ({n}, '[1]')"),
            (NONE, f"CREATE TABLE larapos.like_{n} LIKE larapos.side_{n}"),
            (OTHER, f"RENAME TABLE larapos.like_{n} TO larapos.gone_{n}"),
            (OTHER, f"DROP TABLE IF EXISTS larapos.gone_{n}, larapos.never_there"),
        ],
        "table from a query": [
            (here, f"CREATE TABLE larapos.copy_{n} AS SELECT sku, name FROM larapos.stock WHERE sku < 3")
        ],
        "truncate": [(here, "TRUNCATE TABLE larapos.scratchpad"), (OTHER, "TRUNCATE larapos.movements")],
        "view": [
            (
                here,
                f"CREATE OR REPLACE VIEW larapos.weekly AS SELECT {n} AS number, COUNT(*) AS o FROM larapos.orders",
            ),
            (OTHER, f"CREATE VIEW larapos.v_{n} AS SELECT 1 AS one"),
            (NONE, f"DROP VIEW larapos.v_{n}"),
        ],
        "trigger": [
            (DATABASE, f"CREATE TRIGGER t_{n} BEFORE INSERT ON payments FOR EACH ROW SET NEW.method = 't{n}'"),
            (OTHER, f"DROP TRIGGER larapos.t_{n}"),
            (here, "DROP TRIGGER IF EXISTS larapos.stamped"),
            (
                here,
                "CREATE TRIGGER larapos.stamped BEFORE UPDATE ON larapos.payments"
                f" FOR EACH ROW SET NEW.method = 's{n}'",
            ),
        ],
        "routine": [
            (here, f"CREATE PROCEDURE larapos.p_{n}() UPDATE larapos.stock SET quantity = {n} WHERE sku = 1"),
            (NONE, f"CREATE FUNCTION larapos.f_{n}(i INT) RETURNS INT DETERMINISTIC RETURN i + {n}"),
            (OTHER, f"DROP PROCEDURE larapos.p_{n}"),
            (NONE, f"CALL larapos.close_day({n})"),
        ],
        "event": [
            (
                here,
                f"CREATE EVENT larapos.e_{n} ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01' {status}"
                " DO DELETE FROM larapos.days",
            ),
            (DATABASE, f"ALTER EVENT tidy {status}"),
            (OTHER, f"ALTER EVENT larapos.e_{n} RENAME TO larapos.f_{n}"),
            (NONE, f"ALTER EVENT larapos.sleeping COMMENT 'é{n}'"),
        ],
        "drop an event": [
            (DATABASE, f"CREATE EVENT brief_{n} ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01' DO DELETE FROM days"),
            (OTHER, f"DROP EVENT larapos.brief_{n}"),
        ],
        "partition": [
            (here, "ALTER TABLE larapos.days TRUNCATE PARTITION p2024"),
            (DATABASE, f"INSERT INTO days VALUES ('2024-02-0{n % 9 + 1}', {n}) ON DUPLICATE KEY UPDATE gross = {n}"),
        ],
        "upkeep": [
            (DATABASE, "ANALYZE TABLE orders"),
            (NONE, "OPTIMIZE TABLE larapos.no_key"),
            (DATABASE, "FLUSH TABLES stock"),
        ],
        "other schema": [
            (OTHER, f"CREATE TABLE side_{n} (i INT)"),
            (DATABASE, f"CREATE TABLE archive.stock_{n} AS SELECT * FROM larapos.stock"),
            (DATABASE, f"ALTER TABLE archive.side_{n} ADD COLUMN j INT"),
            (DATABASE, f"DROP TABLE archive.side_{n}"),
            (
                DATABASE,
                f"CREATE OR REPLACE VIEW archive.sold AS SELECT COUNT(*) AS orders, {n} AS number FROM larapos.orders",
            ),
            (DATABASE, "TRUNCATE TABLE archive.log"),
        ],
        "schema of its own": [
            (DATABASE, f"CREATE DATABASE brief_{n}"),
            (DATABASE, f"CREATE TABLE brief_{n}.orders (i INT)"),
            (DATABASE, f"DROP DATABASE brief_{n}"),
        ],
        "account": [
            (DATABASE, f"GRANT SELECT ON larapos.* TO {GUEST}"),
            (DATABASE, f"CREATE USER 'brief_{n}'@'localhost'"),
            (NONE, f"GRANT SELECT ON larapos.orders TO 'brief_{n}'@'localhost'"),
            (DATABASE, f"DROP USER 'brief_{n}'@'localhost'"),
            (NONE, f"REVOKE SELECT ON larapos.* FROM {GUEST}"),
        ],
    }
    if engine == "mariadb":
        # Not on MySQL: there an event takes on the schema's collation again when its status is put back.
        found["collation"] = [
            (here, f"ALTER DATABASE larapos COLLATE {chosen.choice(['utf8mb4_unicode_ci', 'utf8mb4_bin'])}"),
            # A session goes on with the collation that it found, and no replica knows.
            (DATABASE, "USE archive"),
            (DATABASE, "USE larapos"),
        ]
        found["mariadb's own"] = [
            (here, "CREATE OR REPLACE TABLE larapos.swapped (i INT) AS SELECT 1 AS i"),
            (OTHER, f"CREATE SEQUENCE larapos.s_{n} START WITH {n}"),
            (NONE, f"SELECT NEXT VALUE FOR larapos.s_{n}"),
            (DATABASE, "CREATE OR REPLACE PROCEDURE renewed() SELECT 2"),
        ]
    return found


__all__ = ("Step", "migrations")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop's schema that the workload works on, with every kind of column and object, and what its tills do."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pymysql

DATABASE = "larapos"
OTHER = "archive"
# Not there on the server that is restored to.
GUEST = "'accountant'@'localhost'"

_SCHEMA = f"""
CREATE DATABASE larapos CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE DATABASE archive CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE USER {GUEST};
CREATE TABLE archive.orders (id BIGINT, note TEXT, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE archive.log (what VARCHAR(40));
USE larapos;
CREATE TABLE orders (
  id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, total DECIMAL(12,3), doubled DECIMAL(13,3) AS (total * 2) STORED,
  halved DECIMAL(13,4) AS (total / 2) VIRTUAL, note TEXT, slip LONGBLOB, extra JSON,
  till VARCHAR(20) AS (JSON_VALUE(extra, '$.till')) VIRTUAL, made DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6),
  touched TIMESTAMP(3) NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP(3), hidden INT INVISIBLE DEFAULT 7,
  status ENUM('open','paid','void') DEFAULT 'open', CHECK (total > -100000), KEY newest (made DESC),
  KEY by_half (halved));
CREATE TABLE order_items (
  id INT AUTO_INCREMENT PRIMARY KEY, order_id BIGINT UNSIGNED NOT NULL, sku INT, quantity INT NOT NULL,
  price DECIMAL(10,2), line DECIMAL(14,2) AS (quantity * price) STORED, KEY (sku),
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE payments (
  id INT AUTO_INCREMENT PRIMARY KEY, order_id BIGINT UNSIGNED, amount DECIMAL(12,2), method CHAR(8),
  FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE stock (sku INT PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE, quantity INT NOT NULL);
CREATE TABLE movements (id INT AUTO_INCREMENT PRIMARY KEY, sku INT, was INT, becomes INT);
CREATE TABLE document_sequences (branch VARCHAR(20) PRIMARY KEY, number INT NOT NULL);
CREATE TABLE kinds (
  id INT AUTO_INCREMENT PRIMARY KEY, flags BIT(9), spot POINT, ratio DOUBLE, share FLOAT, day DATE, at TIME(2),
  year YEAR, tags SET('a','b','c'), raw BINARY(8), plain VARCHAR(40) CHARACTER SET latin1, large DECIMAL(30,10),
  big BIGINT UNSIGNED, small TINYINT, stamp TIMESTAMP(6) NULL, words MEDIUMTEXT);
CREATE TABLE no_key (a INT, b VARCHAR(20));
CREATE TABLE `odd``name; --` (`a``b` INT AUTO_INCREMENT PRIMARY KEY, e VARCHAR(20));
CREATE TABLE scratchpad (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(40));
CREATE TABLE days (day DATE NOT NULL, gross DECIMAL(12,2), PRIMARY KEY (day)) PARTITION BY RANGE (YEAR(day))
  (PARTITION p2024 VALUES LESS THAN (2025), PARTITION p2025 VALUES LESS THAN (2026),
  PARTITION rest VALUES LESS THAN MAXVALUE);
INSERT INTO days VALUES ('2024-06-01', 1), ('2025-06-01', 2), ('2026-06-01', 3);
INSERT INTO document_sequences VALUES ('branch-001', 0);
CREATE VIEW daily AS SELECT DATE(made) AS day, COUNT(*) AS orders, SUM(total) AS gross FROM orders GROUP BY DATE(made);
DELIMITER ;;
CREATE TRIGGER note_default BEFORE INSERT ON orders FOR EACH ROW BEGIN
  IF NEW.note IS NULL THEN SET NEW.note = 'none'; END IF;
END;;
CREATE TRIGGER moved AFTER UPDATE ON stock FOR EACH ROW BEGIN
  INSERT INTO movements (sku, was, becomes) VALUES (NEW.sku, OLD.quantity, NEW.quantity);
  IF NEW.quantity % 7 = 0 THEN INSERT INTO archive.log VALUES ('seven'); END IF;
END;;
CREATE PROCEDURE close_day(IN cut DECIMAL(12,3)) BEGIN
  UPDATE orders SET status = 'paid' WHERE total > cut AND status = 'open' LIMIT 3;
  INSERT INTO scratchpad (what) VALUES (CONCAT('closed at ', cut));
END;;
CREATE DEFINER = 'nobody'@'nowhere' PROCEDURE left_by_somebody() SELECT 1;;
CREATE FUNCTION vat(amount DECIMAL(10,2)) RETURNS DECIMAL(10,2) DETERMINISTIC RETURN amount * 0.19;;
CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM scratchpad;;
CREATE EVENT sleeping ON SCHEDULE EVERY 1 HOUR STARTS '2030-01-01 00:00:00' DISABLE DO DELETE FROM orders;;
DELIMITER ;
"""
WORDS = ("tea", "日本", "O'Hara", "😀🧾", "", "a\\b", "line\nCREATE TABLE x", "naïve", "'; DROP TABLE orders; --")
PRODUCTS = 12


def schema(engine: str) -> str:
    stock = ", ".join(f"({sku}, 'product {sku}', 1000)" for sku in range(PRODUCTS))
    text = f"{_SCHEMA}INSERT INTO stock VALUES {stock};"
    if engine == "mariadb":
        text += "CREATE SEQUENCE receipts START WITH 412 CACHE 20; ALTER TABLE kinds ADD COLUMN (u UUID, ip INET6);"
    return text


class Till:
    """One writer's connection; each action is one transaction or one statement by itself."""

    def __init__(
        self, connection: pymysql.connections.Connection[pymysql.cursors.Cursor], *, engine: str, seed: str
    ) -> None:
        self.connection = connection
        self.random = random.Random(seed)  # noqa: S311 - repeated by its seed
        self.mariadb = engine == "mariadb"
        zone = self.random.choice(["+05:30", "-03:00", "+00:00"])
        for statement in (f"SET time_zone = '{zone}'", "SET innodb_lock_wait_timeout = 1"):
            self.run(statement)

    def run(self, statement: str, *arguments: Any) -> int:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, arguments or None)
            return int(cursor.lastrowid or 0)

    def value(self, statement: str) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        return row[0] if row else None

    def word(self) -> str | None:
        return self.random.choice([*WORDS, None])

    def amount(self) -> str:
        return f"{self.random.uniform(-900, 9000):.3f}"

    def any_order(self) -> int:
        return int(self.value("SELECT COALESCE(MAX(id), 1) FROM orders")) - self.random.randrange(20)

    def sale(self) -> None:
        self.connection.begin()
        extra = json.dumps({"till": str(self.random.randrange(5)), "lines": [self.word(), None, 1.10]})
        slip = self.random.randbytes(self.random.choice([0, 10, 3000]))
        order = self.run(
            "INSERT INTO orders (total, note, slip, extra) VALUES (%s, %s, %s, %s)",
            self.amount(),
            self.word(),
            slip,
            extra,
        )
        for _line in range(self.random.randrange(1, 5)):
            sku = self.random.randrange(PRODUCTS)
            self.run(
                "INSERT INTO order_items (order_id, sku, quantity, price) VALUES (%s, %s, %s, 1.25), (%s, %s, -1, 0)",
                *(order, sku, self.random.randrange(1, 9), order, sku),
            )
            self.run("UPDATE stock SET quantity = quantity - 1 WHERE sku = %s", sku)
        self.run("INSERT INTO payments (order_id, amount, method) VALUES (%s, %s, 'cash')", order, "-0.05")
        self.run("UPDATE document_sequences SET number = number + 1")
        self.connection.commit()

    def change(self) -> None:
        self.run(
            "UPDATE orders SET total = -total, note = %s, extra = JSON_SET(extra, '$.till', '9') WHERE id > %s LIMIT 4",
            *(self.word(), self.any_order()),
        )

    def cascade(self) -> None:
        """InnoDB removes and empties by itself what refers to the order; the log does not hold it."""
        self.connection.begin()
        order = self.any_order()
        self.run("DELETE FROM orders WHERE id = %s", order)
        self.run("UPDATE orders SET id = id + 1000000 WHERE id = %s", order - 1)
        self.connection.commit()

    def savepoint(self) -> None:
        self.connection.begin()
        self.run("INSERT INTO scratchpad (what) VALUES ('kept')")
        self.run("SAVEPOINT here")
        self.run("INSERT INTO scratchpad (what) VALUES ('never')")
        self.run("ROLLBACK TO SAVEPOINT here")
        self.run("INSERT INTO scratchpad (what) VALUES ('kept too')")
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.begin()
        self.run("INSERT INTO orders (total) VALUES (1), (2), (3)")
        self.connection.rollback()

    def contend(self) -> None:
        """Two rows in either order: sometimes the server ends one of two transactions."""
        self.connection.begin()
        for sku in self.random.sample(range(3), 2):
            self.run("UPDATE stock SET quantity = quantity + 1 WHERE sku = %s", sku)
        self.connection.commit()

    def procedure(self) -> None:
        self.run("CALL close_day(%s)", self.amount())

    def temporary(self) -> None:
        self.run("CREATE TEMPORARY TABLE basket (id INT PRIMARY KEY, what VARCHAR(40))")
        self.run("INSERT INTO basket VALUES (1, 'x'), (2, 'y')")
        self.run("INSERT INTO scratchpad (what) SELECT what FROM basket")
        self.run("DROP TEMPORARY TABLE basket")

    def all_kinds(self) -> None:
        values = (
            *(self.random.randrange(512), f"POINT({self.random.randrange(180)} {self.random.uniform(-90, 90):.6f})"),
            *(self.random.choice([0.1, -1e300, 1 / 3, None]), self.random.uniform(-9, 9), "2026-03-29", "-12:30:00.25"),
            *(
                2026,
                self.random.choice(["a", "b,c", ""]),
                self.random.randbytes(8),
                "déjà",
                "-12345678901234567890.0000000001",
            ),
            *(2**64 - 1 - self.random.randrange(9), -128, "2026-11-22 02:30:00.123456", self.word()),
        )
        self.run(
            "INSERT INTO kinds (flags, spot, ratio, share, day, at, year, tags, raw, plain, large, big, small, stamp,"
            f" words) VALUES (%s, ST_GeomFromText(%s), {', '.join(['%s'] * 13)})",
            *values,
        )
        self.run(
            "UPDATE kinds SET stamp = NOW(6), flags = flags ^ 3, spot = NULL WHERE id %% 5 = %s",
            self.random.randrange(5),
        )

    def without_key(self) -> None:
        self.run("INSERT INTO no_key VALUES (%s, 'x'), (1, NULL), (1, NULL)", self.random.randrange(5))
        self.run("DELETE FROM no_key WHERE a = %s LIMIT 1", self.random.randrange(5))
        self.run("UPDATE no_key SET b = 'y' WHERE a = 1 LIMIT 1")

    def large_blob(self) -> None:
        self.run(
            "INSERT INTO orders (total, slip) VALUES (0, %s)", self.random.randbytes(self.random.randrange(60_000))
        )

    def replace(self) -> None:
        sku = self.random.randrange(PRODUCTS)
        self.run("REPLACE INTO stock VALUES (%s, %s, 500)", sku, f"product {sku}")
        self.run("INSERT INTO stock VALUES (%s, 'none', 1) ON DUPLICATE KEY UPDATE quantity = quantity + 5", sku)
        self.run("INSERT INTO `odd``name; --` (e) VALUES ('😀')")

    def several_tables(self) -> None:
        self.run(
            "UPDATE orders JOIN order_items ON order_id = orders.id SET note = 'joined', price = price + 1"
            " WHERE orders.id = %s",
            self.any_order(),
        )

    def both_schemas(self) -> None:
        self.connection.begin()
        order = self.any_order()
        self.run("INSERT INTO archive.orders (id, note) SELECT id, note FROM orders WHERE id > %s", order)
        self.run("UPDATE orders SET note = 'archived' WHERE id = %s", order)
        self.run("INSERT INTO archive.log VALUES ('archived')")
        self.connection.commit()

    def orphan(self) -> None:
        self.run("SET foreign_key_checks = 0")
        try:
            self.run("INSERT INTO payments (order_id, amount) VALUES (999999999, 1)")
        finally:
            self.run("SET foreign_key_checks = 1")

    def sequence(self) -> None:
        if self.mariadb:
            number = self.value("SELECT NEXT VALUE FOR receipts")
            self.run("INSERT INTO scratchpad (what) VALUES (%s)", f"receipt {number}")
            self.run("UPDATE kinds SET u = UUID(), ip = '2001:db8::1' WHERE u IS NULL LIMIT 1")

    def actions(self) -> dict[str, Callable[[], None]]:
        return {
            action.__name__: action
            for action in (
                *(self.sale, self.change, self.cascade, self.savepoint, self.rollback, self.contend, self.procedure),
                *(self.temporary, self.all_kinds, self.without_key, self.large_blob, self.replace, self.several_tables),
                *(self.both_schemas, self.orphan, self.sequence),
            )
        }


__all__ = ("DATABASE", "GUEST", "OTHER", "Till", "schema")

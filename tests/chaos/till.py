# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load: tills that sell until the server is gone, each with the roll of receipts that it has printed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pymysql

if TYPE_CHECKING:
    from larapee_runner.demo.server import ThrowawayServer

SCHEMA = """
CREATE DATABASE larapos CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE larapos;
CREATE TABLE products (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, stock INT NOT NULL);
CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, receipt VARCHAR(40) NOT NULL UNIQUE, till INT NOT NULL,
  total DECIMAL(12,2) NOT NULL, vat DECIMAL(12,2) AS (ROUND(total * 0.16, 2)) STORED, extra JSON, slip LONGBLOB,
  sold_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6));
CREATE TABLE order_items (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_id BIGINT NOT NULL, product_id INT NOT NULL,
  quantity INT NOT NULL, price DECIMAL(10,2) NOT NULL, FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
  FOREIGN KEY (product_id) REFERENCES products (id));
CREATE TABLE payments (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_id BIGINT NOT NULL, paid DECIMAL(12,2) NOT NULL,
  note VARCHAR(80), FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE);
CREATE TABLE stock_movements (id BIGINT AUTO_INCREMENT PRIMARY KEY, product_id INT NOT NULL, moved INT NOT NULL);
DELIMITER ;;
CREATE TRIGGER moved AFTER INSERT ON order_items FOR EACH ROW BEGIN
  UPDATE products SET stock = stock - NEW.quantity WHERE id = NEW.product_id;
  INSERT INTO stock_movements (product_id, moved) VALUES (NEW.product_id, -NEW.quantity);
END;;
DELIMITER ;
INSERT INTO products SELECT seq, CONCAT('tea ', seq, ' 🍵'), 1000000 FROM seq_1_to_50;
CREATE DATABASE other;
CREATE TABLE other.diary (id INT AUTO_INCREMENT PRIMARY KEY, line TEXT);
"""
# Of a hundred transactions: given up, of an older order taken back, in another database.
ROLLED_BACK, TAKEN_BACK, ELSEWHERE = 6, 4, 3


@dataclass
class Roll:
    """What a till has printed: each receipt, with the moment (monotonic seconds) at which the server said it is safe.

    ``asked`` were sent and never answered for: they may or may not be there.
    """

    printed: dict[str, float] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)


class Tills:
    """Sells in as many threads as there are tills; ``stop`` waits for them, the server's death ends them too."""

    def __init__(self, server: ThrowawayServer, *, seed: int, tills: int, per_second: float) -> None:
        self.rolls = [Roll() for _number in range(tills)]
        self._server = server
        self._pause = tills / per_second
        self._over = threading.Event()
        chances = [random.Random(f"{seed}-{number}") for number in range(tills)]  # noqa: S311  # seeds have to repeat it
        self._threads = [
            threading.Thread(target=self._sell, args=(number, roll, chances[number]), daemon=True)
            for number, roll in enumerate(self.rolls)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _sell(self, till: int, roll: Roll, chance: random.Random) -> None:
        count = 0
        while not self._over.is_set():
            with contextlib.suppress(pymysql.MySQLError, OSError):
                connection = self._server.connect(database="larapos")
                with contextlib.closing(connection), connection.cursor() as cursor:
                    while not self._over.is_set():
                        count += 1
                        self._transaction(cursor, roll, chance, f"B01-{till}-{count:05d}", till)
                        self._over.wait(self._pause * chance.uniform(0.2, 1.8))
            # Down for a restart, or for ever.
            self._over.wait(0.05)

    def _transaction(
        self, cursor: pymysql.cursors.Cursor, roll: Roll, chance: random.Random, receipt: str, till: int
    ) -> None:
        what = chance.randrange(100)
        if what < ELSEWHERE:
            cursor.execute("INSERT INTO other.diary (line) VALUES (%s)", [receipt])
            return
        if what < ELSEWHERE + TAKEN_BACK and roll.printed:
            old = chance.choice(sorted(roll.printed.keys() - roll.returned) or [""])
            roll.returned.add(old)
            cursor.execute("DELETE FROM orders WHERE receipt = %s", [old])
            return
        cursor.execute("START TRANSACTION")
        slip = chance.randbytes(chance.choice([0, 20, 2000]))
        cursor.execute(
            "INSERT INTO orders (receipt, till, total, extra, slip) VALUES (%s, %s, %s, %s, %s)",
            [receipt, till, f"{chance.randrange(-500, 90000) / 100:.2f}", '{"gift": "🎁"}', slip],
        )
        order = cursor.lastrowid
        # In order, so that two tills never wait for each other in a circle.
        for product in sorted(chance.sample(range(1, 51), chance.randrange(1, 5))):
            cursor.execute(
                "INSERT INTO order_items (order_id, product_id, quantity, price) VALUES (%s, %s, %s, %s)",
                [order, product, chance.randrange(1, 4), f"{chance.randrange(1, 9999) / 100:.2f}"],
            )
        cursor.execute("INSERT INTO payments (order_id, paid, note) VALUES (%s, 1, NULL)", [order])
        if what >= 100 - ROLLED_BACK:
            cursor.execute("ROLLBACK")
            return
        roll.asked.add(receipt)
        cursor.execute("COMMIT")
        roll.printed[receipt] = time.monotonic()
        roll.asked.remove(receipt)

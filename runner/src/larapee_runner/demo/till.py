# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sells in a thread of its own, as the shop's application account, and remembers every receipt it gave out."""

from __future__ import annotations

import random
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pymysql

from .errors import DemoError
from .goods import CASHIERS, CUSTOMERS, NOTES, draw_sale, invoice_number, money
from .sale_rows import BRANCH_CODE, SALE_STATEMENTS, SaleRows, order_row
from .shop import CUSTOMER_COUNT, TILLS
from .uploads import SLIP_METHODS, SLIP_SHARE, draw_slip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .goods import Sale
    from .server import ThrowawayServer
    from .shop import Shop
    from .uploads import Upload, UploadDirectory

HOLD_TIMEOUT_S = 30.0


class TillError(DemoError):
    """The till could not sell or could not be held."""


@dataclass(frozen=True)
class Receipt:
    number: str
    till: int
    total: str
    committed_at: datetime
    slip: str | None = None


class Till(threading.Thread):
    """One seller at all tills; use it as a context manager, which stops it at the end."""

    def __init__(
        self,
        server: ThrowawayServer,
        shop: Shop,
        *,
        user: str,
        password: str,
        uploads: UploadDirectory | None = None,
        pause_s: float = 0.03,
    ) -> None:
        super().__init__(name="till", daemon=True)
        self._rng = random.Random(shop.seed + 1)  # noqa: S311  # sales, not secrets
        self._shop = shop
        self._uploads = uploads
        self._pause_s = pause_s
        self._gate = threading.Lock()
        self._closing = threading.Event()
        self._slips_held = False
        self._receipts: list[Receipt] = []
        self._connection = server.connect(user=user, password=password, database=shop.database)
        self.in_doubt: Receipt | None = None
        self.failure: Exception | None = None

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """What was sold and committed so far, oldest first."""
        return tuple(self._receipts)

    @property
    def sold(self) -> int:
        return len(self._receipts)

    def run(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                while not self._closing.wait(self._pause_s):
                    with self._gate:
                        self._serve(cursor)
        except (pymysql.err.MySQLError, OSError) as exception:
            # The server went away in the middle of business; that is the story's point, so the story judges it.
            self.failure = exception

    @contextmanager
    def held(self) -> Iterator[None]:
        """No sale is open and none begins while this is held."""
        if not self._gate.acquire(timeout=HOLD_TIMEOUT_S):
            msg = f"Failed to hold the till: a sale did not end within {HOLD_TIMEOUT_S:.0f} s. Read the server's log."
            raise TillError(msg)
        try:
            yield
        finally:
            self._gate.release()

    @contextmanager
    def slips_held(self) -> Iterator[None]:
        """The tills sell on, but upload nothing while this is held; enter it before `held`, not within."""
        with self.held():
            self._slips_held = True
        try:
            yield
        finally:
            self._slips_held = False

    @property
    def slips(self) -> int:
        """How many of the receipts have a slip."""
        return sum(receipt.slip is not None for receipt in self.receipts)

    def wait_until_sold(self, count: int, *, slips: int = 0, timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while self.sold < count or self.slips < slips:
            if self.failure is not None or time.monotonic() > deadline:
                cause = self.failure or (
                    f"only {self.sold} of {count} receipts and {self.slips} of {slips} slips after {timeout_s:.0f} s"
                )
                msg = f"Failed to sell: {cause}. Read the server's log."
                raise TillError(msg)
            time.sleep(0.02)

    def close(self) -> None:
        self._closing.set()
        if self.is_alive():
            self.join()
        if self._connection.open:
            self._connection.close()

    def __enter__(self) -> Till:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _serve(self, cursor: Any) -> None:
        luck = self._rng.random()
        if luck < 0.03:
            self._register_customer(cursor)
        elif luck < 0.05 and self._receipts:
            self._refund(cursor, self._rng.choice(self._receipts[-20:]))
        else:
            self._sell(cursor, abandoned=luck > 0.97)

    def _sell(self, cursor: Any, *, abandoned: bool) -> None:
        sale = draw_sale(self._rng, self._shop.variants, customers=CUSTOMER_COUNT, tills=TILLS)
        self._connection.begin()
        moment = datetime.now(UTC)
        cursor.execute(
            "INSERT INTO document_sequences (branch_code, document, day, last_number) VALUES (%s, 'invoice', %s, 1)"
            " ON DUPLICATE KEY UPDATE last_number = last_number + 1",
            (BRANCH_CODE, moment.date()),
        )
        cursor.execute(
            "SELECT last_number FROM document_sequences WHERE branch_code = %s AND document = 'invoice' AND day = %s",
            (BRANCH_CODE, moment.date()),
        )
        number = invoice_number(BRANCH_CODE, moment, cursor.fetchone()[0])
        row = order_row(sale, order_id=None, number=number, moment=moment)
        cursor.execute(SALE_STATEMENTS["orders"], row)
        rows = SaleRows()
        rows.add_details(sale, order_id=cursor.lastrowid, number=number, moment=moment, rng=self._rng)
        slip = self._upload_slip(sale, number=number, moment=moment)
        if slip is not None:
            rows.rows["payment_slips"].append(slip.slip_row(order_id=cursor.lastrowid, moment=moment))
        rows.insert(cursor)
        if sale.customer_id is not None:
            cursor.execute(
                "UPDATE customers SET loyalty_points = loyalty_points + loyalty_points(%s) WHERE id = %s",
                (money(sale.total_cents), sale.customer_id),
            )
        if abandoned:
            self._connection.rollback()
            if slip is not None and self._uploads is not None:
                self._uploads.remove(slip)
            return
        receipt = Receipt(number, sale.till, money(sale.total_cents), moment, slip.path if slip else None)
        self.in_doubt = receipt
        self._connection.commit()
        self._receipts.append(replace(receipt, committed_at=datetime.now(UTC)))
        self.in_doubt = None

    def _upload_slip(self, sale: Sale, *, number: str, moment: datetime) -> Upload | None:
        """Put the file before its row is committed: no row ever names a file that is not there."""
        if self._uploads is None or self._slips_held or sale.method not in SLIP_METHODS:
            return None
        if self._rng.random() > SLIP_SHARE:
            return None
        slip = draw_slip(self._rng, number=number, moment=moment)
        self._uploads.put(slip)
        return slip

    def _refund(self, cursor: Any, receipt: Receipt) -> None:
        moment = datetime.now(UTC)
        self._connection.begin()
        cursor.execute("UPDATE orders SET status = 'refunded' WHERE invoice_number = %s", (receipt.number,))
        cursor.execute(
            "INSERT INTO stock_movements (variant_id, order_id, kind, quantity, occurred_at)"
            " SELECT i.variant_id, o.id, 'return', i.quantity, %s FROM orders o JOIN order_items i ON i.order_id = o.id"
            " WHERE o.invoice_number = %s",
            (moment, receipt.number),
        )
        cursor.execute(
            "INSERT INTO financial_adjustments (order_id, reason, amount, approved_by, created_at)"
            " SELECT id, %s, -total, %s, %s FROM orders WHERE invoice_number = %s",
            (self._rng.choice(NOTES), self._rng.choice(CASHIERS), moment, receipt.number),
        )
        self._connection.commit()

    def _register_customer(self, cursor: Any) -> None:
        self._connection.begin()
        cursor.execute(
            "INSERT INTO customers (name, notes) VALUES (%s, %s)",
            (self._rng.choice(CUSTOMERS), self._rng.choice((*NOTES, None))),
        )
        self._connection.commit()


__all__ = ("Receipt", "Till", "TillError")

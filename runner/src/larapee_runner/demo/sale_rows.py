# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that one sale leaves in the shop's tables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .goods import CASHIERS, NOTES, Sale, audit_payload, money, quantity, receipt_image
from .uploads import SLIP_STATEMENT

if TYPE_CHECKING:
    import random
    from datetime import datetime

BRANCH_CODE = "B01"

SALE_STATEMENTS = {
    "orders": (
        "INSERT INTO orders (id, branch_code, till, invoice_number, idempotency_key, customer_id, subtotal, discount,"
        " tax, notes, ordered_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    ),
    "order_items": "INSERT INTO order_items (order_id, variant_id, quantity, unit_price) VALUES (%s, %s, %s, %s)",
    "payments": (
        "INSERT INTO payments (order_id, method, amount, currency, exchange_rate, reference, paid_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)"
    ),
    "stock_movements": (
        "INSERT INTO stock_movements (variant_id, order_id, kind, quantity, occurred_at) VALUES (%s, %s, %s, %s, %s)"
    ),
    "audit_logs": (
        "INSERT INTO audit_logs (actor, action, payload, risk_score, created_at) VALUES (%s, %s, %s, %s, %s)"
    ),
    "financial_adjustments": (
        "INSERT INTO financial_adjustments (order_id, reason, amount, approved_by, created_at)"
        " VALUES (%s, %s, %s, %s, %s)"
    ),
    "receipt_images": ("INSERT INTO receipt_images (order_id, media_type, image, sha256) VALUES (%s, %s, %s, %s)"),
    "payment_slips": SLIP_STATEMENT,
}


def order_row(sale: Sale, *, order_id: int | None, number: str, moment: datetime) -> tuple[Any, ...]:
    """Without an id the server gives the next one."""
    return (
        order_id,
        BRANCH_CODE,
        sale.till,
        number,
        sale.key,
        sale.customer_id,
        money(sale.subtotal_cents),
        money(sale.discount_cents),
        money(sale.tax_cents),
        sale.notes,
        moment,
    )


@dataclass
class SaleRows:
    """The rows of one or many sales, per table, in an order that the foreign keys allow."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {table: [] for table in SALE_STATEMENTS})

    def add(self, sale: Sale, *, order_id: int, number: str, moment: datetime, rng: random.Random) -> None:
        self.rows["orders"].append(order_row(sale, order_id=order_id, number=number, moment=moment))
        self.add_details(sale, order_id=order_id, number=number, moment=moment, rng=rng)

    def add_details(self, sale: Sale, *, order_id: int, number: str, moment: datetime, rng: random.Random) -> None:
        for line in sale.lines:
            amount = quantity(line.milli_quantity)
            self.rows["order_items"].append((order_id, line.variant_id, amount, money(line.price_cents)))
            self.rows["stock_movements"].append((line.variant_id, order_id, "sale", f"-{amount}", moment))
        self.rows["payments"].append(
            (order_id, sale.method, money(sale.total_cents), sale.currency, sale.exchange_rate, sale.reference, moment)
        )
        luck = rng.random()
        if luck < 0.10:
            actor = rng.choice((*CASHIERS, None))
            self.rows["audit_logs"].append(
                (actor, "order.paid", audit_payload(sale, number), rng.gauss(0.1, 0.03), moment)
            )
        if luck < 0.02:
            image = receipt_image(rng)
            self.rows["receipt_images"].append((order_id, "image/png", image, hashlib.sha256(image).digest()))
        if luck > 0.995:
            self.rows["financial_adjustments"].append(
                (order_id, rng.choice(NOTES), money(-sale.total_cents // 2), rng.choice((*CASHIERS, None)), moment)
            )

    def insert(self, cursor: Any) -> None:
        for table, rows in self.rows.items():
            if rows:
                cursor.executemany(SALE_STATEMENTS[table], rows)
                rows.clear()


__all__ = ("BRANCH_CODE", "SALE_STATEMENTS", "SaleRows", "order_row")

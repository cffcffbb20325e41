# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A believable point-of-sale database, the same one for the same seed and day."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from .goods import (
    CASHIERS,
    CUSTOMERS,
    NOTES,
    PRODUCTS,
    VARIANTS,
    Variant,
    draw_sale,
    invoice_number,
    money,
)
from .names import quote_identifier
from .sale_rows import BRANCH_CODE, SaleRows
from .shop_schema import PROGRAMS, SCHEMA_CHARACTER_SET, SCHEMA_COLLATION, TABLES
from .uploads import fill_slips, product_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from .server import ThrowawayServer
    from .uploads import UploadDirectory

TILLS = 3
CUSTOMER_COUNT = 2_000
ORDERS_PER_DAY = 420
BATCH = 2_000
# DATETIME columns hold UTC, as Laravel writes them: a branch in Caracas opens at 08:00 local time.
OPENING_TIME = time(12)


@dataclass(frozen=True)
class Shop:
    database: str
    orders: int
    variants: list[Variant]
    seed: int


def _fill_catalogue(
    cursor: Any, rng: random.Random, *, opened: date, seed: int, uploads: UploadDirectory | None
) -> list[Variant]:
    cursor.execute(
        "INSERT INTO branches (code, name, opened_on) VALUES (%s, %s, %s), ('B02', 'Depósito', NULL)",
        (BRANCH_CODE, "LaraPee 'El Centro' 🏪", opened),
    )
    customers = [
        (
            f"{rng.choice(CUSTOMERS)} {number}",
            f"+58 412 {number:07d}" if rng.random() < 0.8 else None,
            f"c{number}@example.org" if rng.random() < 0.5 else None,
            rng.randint(0, 900),
            rng.choice(NOTES) if rng.random() < 0.1 else None,
            datetime.combine(opened, OPENING_TIME) - timedelta(minutes=rng.randrange(500_000)),
        )
        for number in range(1, CUSTOMER_COUNT + 1)
    ]
    cursor.executemany(
        "INSERT INTO customers (name, phone, email, loyalty_points, notes, created_at) VALUES (%s, %s, %s, %s, %s, %s)",
        customers,
    )
    products: list[tuple[Any, ...]] = []
    variants: list[Variant] = []
    stock: list[tuple[Any, ...]] = []
    for product_id, (product, category) in enumerate(PRODUCTS * 12, start=1):
        attributes = json.dumps(
            {"origin": rng.choice(("VE", "CO", None)), "tags": [category, "🛒"]}, ensure_ascii=False
        )
        tax_rate = rng.choice(("0.1600", "0.0800", "0"))
        sku, name = f"SKU-{product_id:05d}", f"{product} {product_id}"
        picture = product_picture(seed, sku=sku, name=name)
        if uploads is not None:
            uploads.put(picture, moment=datetime.combine(opened, OPENING_TIME))
        products.append((product_id, sku, name, category, tax_rate, attributes, picture.path, picture.sha256))
        for size in VARIANTS:
            variant = Variant(len(variants) + 1, rng.randint(45, 9_950))
            variants.append(variant)
            barcode = f"759{variant.id:010d}"
            cost = money(variant.price_cents * rng.randint(55, 90) // 100)
            stock.append((variant.id, product_id, size, barcode, money(variant.price_cents), cost, rng.random() < 0.2))
    cursor.executemany(
        "INSERT INTO products (id, sku, name, category, tax_rate, attributes, picture_path, picture_sha256)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        products,
    )
    cursor.executemany(
        "INSERT INTO product_variants (id, product_id, name, barcode, price, cost, weighed)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        stock,
    )
    return variants


def _fill_orders(
    connection: Any,
    rng: random.Random,
    *,
    variants: list[Variant],
    orders: int,
    last_day: date,
    on_progress: Callable[[int], None],
) -> None:
    days = -(-orders // ORDERS_PER_DAY)
    cursor = connection.cursor()
    rows = SaleRows()
    sold = 0
    for day_index in range(days):
        day = last_day - timedelta(days=days - 1 - day_index)
        opening = datetime.combine(day, OPENING_TIME)
        today = min(ORDERS_PER_DAY, orders - sold)
        for number in range(1, today + 1):
            moment = opening + timedelta(seconds=number * 100, microseconds=rng.randrange(1_000_000))
            sale = draw_sale(rng, variants, customers=CUSTOMER_COUNT, tills=TILLS)
            sold += 1
            rows.add(sale, order_id=sold, number=invoice_number(BRANCH_CODE, moment, number), moment=moment, rng=rng)
            if sold % BATCH == 0:
                rows.insert(cursor)
                connection.commit()
                on_progress(sold)
        cursor.execute(
            "INSERT INTO document_sequences (branch_code, document, day, last_number) VALUES (%s, 'invoice', %s, %s)",
            (BRANCH_CODE, day, today),
        )
    rows.insert(cursor)
    connection.commit()
    on_progress(sold)


def _close_the_books(cursor: Any, rng: random.Random) -> None:
    """Deliveries, stock, shifts and days that follow from the orders."""
    cursor.execute(
        "INSERT INTO stock_movements (variant_id, kind, quantity, occurred_at)"
        " SELECT variant_id, 'delivery', CEIL(-SUM(quantity)) + 500, MIN(occurred_at) FROM stock_movements"
        " GROUP BY variant_id"
    )
    cursor.execute(
        "UPDATE product_variants v JOIN (SELECT variant_id, SUM(quantity) AS moved FROM stock_movements"
        " GROUP BY variant_id) m ON m.variant_id = v.id SET v.stock = m.moved"
    )
    cursor.execute(
        "INSERT INTO shift_closings (branch_code, till, cashier, closed_at, expected, counted)"
        " SELECT branch_code, till, ELT(till, %s, %s, %s), MAX(ordered_at), SUM(total), SUM(total) - MOD(COUNT(*), 3)"
        " FROM orders GROUP BY branch_code, business_day, till",
        rng.sample(CASHIERS, 3),
    )
    cursor.execute(
        "INSERT INTO daily_branch_closings"
        " SELECT branch_code, business_day, COUNT(*), SUM(total), SUM(tax), MAX(invoice_number), MAX(ordered_at)"
        " FROM orders GROUP BY branch_code, business_day"
    )


def open_shop(
    server: ThrowawayServer,
    *,
    database: str,
    orders: int,
    seed: int,
    last_day: date,
    uploads: UploadDirectory | None = None,
    on_progress: Callable[[int], None] = lambda _sold: None,
) -> Shop:
    """Create the database and fill it with `orders` sales of the days up to `last_day`.

    Rows name pictures and slips; with `uploads` the files are there, too.
    """
    rng = random.Random(seed)  # noqa: S311  # sales, not secrets; the seed must give the same shop again
    connection = server.connect()
    try:
        cursor = connection.cursor()
        cursor.execute(
            f"CREATE DATABASE {quote_identifier(database)}"
            f" CHARACTER SET {SCHEMA_CHARACTER_SET} COLLATE {SCHEMA_COLLATION}"
        )
        connection.select_db(database)
        cursor.execute("SET time_zone = '+00:00'")
        for statement in TABLES:
            cursor.execute(statement)
        connection.begin()
        variants = _fill_catalogue(cursor, rng, opened=last_day, seed=seed, uploads=uploads)
        _fill_orders(connection, rng, variants=variants, orders=orders, last_day=last_day, on_progress=on_progress)
        _close_the_books(cursor, rng)
        fill_slips(cursor, seed=seed, uploads=uploads)
        connection.commit()
        for statement in PROGRAMS:
            cursor.execute(statement)
    finally:
        connection.close()
    return Shop(database=database, orders=orders, variants=variants, seed=seed)


__all__ = ("CUSTOMER_COUNT", "TILLS", "Shop", "open_shop")

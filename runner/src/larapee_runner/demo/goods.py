# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo's shop sells, to whom, and what one sale consists of."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from datetime import datetime

CASHIERS = ("María José", "Siân O'Neill", "Łukasz", "José Núñez")
CUSTOMERS = (
    "María Fernández",
    "D'Angelo Núñez",
    "Siobhán O'Brien",
    "Zoë 🦊 van 't Hoff",
    "山田 太郎",
    "Łucja Żółć",
    'Ana "La Jefa" Pérez',
    "Back\\slash & Sons",
    "Ωmega Ltd; -- wholesale",
    "👩‍👩‍👧‍👦 Familia Rojas",
)
NOTES = (
    "sin cebolla, por favor 🙏",
    "it's a gift; don't print the price",
    'called twice: "back door"\n2nd floor\tright',
    "100 % rebate \\ coupon #7",
    "ñandú, çedilla, ß and €",
)
PRODUCTS = (
    ("Pan de jamón", "bakery"),
    ("Arepa 🫓", "bakery"),
    ("Queso de mano", "dairy"),
    ("Crème fraîche", "dairy"),
    ("Café molido ☕", "drinks"),
    ("Papelón con limón", "drinks"),
    ("Plátano", "produce"),
    ("Aguacate 🥑", "produce"),
    ("Jabón azul", "household"),
    ("Bolsa 20'", "household"),
)
VARIANTS = ("small", "medium", "large", "family's size")
METHODS = ("cash", "card", "transfer", "mobile")


@dataclass(frozen=True)
class Variant:
    id: int
    price_cents: int


@dataclass(frozen=True)
class Line:
    variant_id: int
    milli_quantity: int
    price_cents: int


@dataclass(frozen=True)
class Sale:
    """One sale before it has a number; money in cents, quantities in thousandths."""

    till: int
    key: bytes
    customer_id: int | None
    lines: tuple[Line, ...]
    subtotal_cents: int
    discount_cents: int
    tax_cents: int
    notes: str | None
    method: str
    currency: str
    exchange_rate: str
    reference: str | None

    @property
    def total_cents(self) -> int:
        return self.subtotal_cents - self.discount_cents + self.tax_cents


def money(cents: int) -> str:
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def quantity(milli: int) -> str:
    return f"{'-' if milli < 0 else ''}{abs(milli) // 1000}.{abs(milli) % 1000:03d}"


def invoice_number(branch_code: str, moment: datetime, number: int) -> str:
    return f"{branch_code}-{moment:%Y%m%d}-{number:04d}"


def draw_sale(rng: random.Random, variants: list[Variant], *, customers: int, tills: int) -> Sale:
    lines = []
    for variant in rng.choices(variants, k=rng.choice((1, 1, 2, 2, 3, 5))):
        milli = rng.choice((1000, 1000, 2000, 3000, 250, 1375))
        lines.append(Line(variant.id, milli, variant.price_cents))
    # A line's total is kept to a hundredth of a cent; the sum is what the till shows: whole cents.
    subtotal = sum(line.milli_quantity * line.price_cents for line in lines) // 1000
    discount = subtotal // 10 if rng.random() < 0.08 else 0
    method = rng.choice(METHODS)
    foreign = method == "cash" and rng.random() < 0.3
    return Sale(
        till=rng.randint(1, tills),
        key=rng.randbytes(16),
        customer_id=rng.randint(1, customers) if rng.random() < 0.6 else None,
        lines=tuple(lines),
        subtotal_cents=subtotal,
        discount_cents=discount,
        tax_cents=(subtotal - discount) * 16 // 100,
        notes=rng.choice(NOTES) if rng.random() < 0.05 else None,
        method=method,
        currency="USD" if foreign else "VES",
        exchange_rate=f"{rng.uniform(200, 240):.8f}" if foreign else "1",
        reference=None if method == "cash" else f"{rng.getrandbits(40):010x}",
    )


def audit_payload(sale: Sale, number: str) -> str:
    """JSON as Laravel writes it: escaped slashes apart, with real emoji and nulls."""
    return json.dumps(
        {
            "invoice": number,
            "till": sale.till,
            "customer": sale.customer_id,
            "lines": [[line.variant_id, quantity(line.milli_quantity)] for line in sale.lines],
            "note": sale.notes,
            "mood": "🙂",
        },
        ensure_ascii=False,
    )


def receipt_image(rng: random.Random, *, width: int = 96, height: int = 64) -> bytes:
    """A small valid PNG of grey noise: binary data in which every byte value occurs."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + rng.randbytes(width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


__all__ = (
    "CASHIERS",
    "CUSTOMERS",
    "NOTES",
    "PRODUCTS",
    "VARIANTS",
    "Line",
    "Sale",
    "Variant",
    "audit_payload",
    "draw_sale",
    "invoice_number",
    "money",
    "quantity",
    "receipt_image",
)

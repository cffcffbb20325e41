# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop's database of a given size: the server makes the rows from their numbers, the same for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .shop_schema import DATABASE, TABLES

if TYPE_CHECKING:
    from larapee_runner.demo.server import ThrowawayServer

# Measured: so many orders, with what belongs to them, are a megabyte of the plan's dump.
ORDERS_PER_MB = 585
LINES_PER_ORDER = 3
ORDERS_PER_CUSTOMER = 12
ORDERS_PER_PRODUCT = 40

_GOODS = (
    "Café",
    "Harina de maíz",
    "Arroz",
    "Jabón",
    "Leche",
    "Queso",
    "Tomate",
    "Pan",
    "Atún",
    "Aceite",
    "Azúcar",
    "Té",
)
_MAKERS = ("Andino", "El Valle", "La Costa", "Río Claro", "Monte Alto", "San José", "Tres Soles")
_SIZES = ("250 g", "500 g", "1 kg", "2 kg", "330 ml", "1 l", "6 u")
_PRAISE = ("Hecho en casa", "Sin azúcar", "De la montaña", "Calidad de exportación", "Oferta de la semana", "Integral")
_KEEP = ("Conservar en lugar fresco y seco.", "Refrigerar después de abrir.", "Agitar antes de usar.", "No congelar.")
_FIRST = ("Ana", "Luis", "María", "José", "Carmen", "Pedro", "Lucía", "Iván", "Sofía", "Raúl", "Elena", "Óscar")
_LAST = ("Pérez", "García", "Rojas", "Mora", "Salas", "Núñez", "Díaz", "León", "Vargas", "Rivas", "Blanco", "Peña")
_CASHIERS = ("Yolanda M.", "Andrés P.", "Keila R.", "Jesús T.", "Norma V.", "Wilmer C.")
_BRANCHES = tuple(f"branch-{number:03}" for number in range(1, 9))
_AGENTS = (
    "LaraPee-POS/3.2 (Android 13; till)",
    "LaraPee-POS/3.1 (Android 12; till)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
)


def _number(start: int, below: int) -> str:
    """SQL for a number below *below*, from the seven digits of the row's hash that begin at *start*."""
    return f"(CONV(SUBSTR(h, {start}, 7), 16, 10) % {below})"


def _choice(start: int, *words: str) -> str:
    quoted = ", ".join(f"'{word}'" for word in words)
    return f"ELT(1 + {_number(start, len(words))}, {quoted})"


_UUID = "CONCAT_WS('-', SUBSTR(h, 1, 8), SUBSTR(h, 9, 4), SUBSTR(h, 13, 4), SUBSTR(h, 17, 4), SUBSTR(h, 21, 12))"


def _rows(count: int, salt: str) -> str:
    """SQL for *count* rows, each with its number and a hash of 32 digits."""
    return f"(SELECT seq, MD5(CONCAT('{salt}', seq)) AS h FROM seq_1_to_{count}) AS made"


def _moment(order: str) -> str:
    """SQL for when an order was made: 420 a day, one in some 100 s."""
    return (
        f"('2025-01-01 12:00:00' + INTERVAL (({order}) DIV 420) * 86400 + (({order}) % 420) * 100"
        f" + CRC32({order}) % 97 SECOND)"
    )


def _money(start: int, most_cents: int) -> str:
    return f"((45 + {_number(start, most_cents)}) / 100)"


def _goods(seed: int, products: int) -> str:
    name = f"CONCAT({_choice(1, *_GOODS)}, ' ', {_choice(8, *_MAKERS)}, ' ', {_choice(15, *_SIZES)}, ' Nº ', seq)"
    return f"""INSERT INTO products SELECT seq, CONCAT('SKU-', LPAD(seq, 6, '0')),
  CONCAT('759', LPAD(seq * 7919, 10, '0')), {name},
  CONCAT({_choice(1, *_PRAISE)}, '. ', {_choice(8, *_KEEP)}), {_choice(1, "food", "home", "drinks")},
  {_money(22, 4955)}, ROUND({_money(22, 4955)} * 0.7, 2), {_choice(8, "0.1600", "0.0800", "0")}, {_number(15, 900)},
  JSON_OBJECT('origin', {_choice(15, "VE", "CO", "BR")}, 'weighed', seq % 5 = 0),
  '2024-11-03 09:00:00', '2024-12-29 18:30:00' FROM {_rows(products, f"{seed}p")}"""


def _people(seed: int, customers: int) -> str:
    return f"""INSERT INTO customers SELECT seq,
  CONCAT({_choice(1, *_FIRST)}, ' ', {_choice(8, *_LAST)}, ' ', {_choice(15, *_LAST)}),
  CONCAT('+58 4', {_choice(22, "12", "14", "24", "26")}, ' ', LPAD({_number(15, 10_000_000)}, 7, '0')),
  IF({_number(8, 10)} < 5, CONCAT(LOWER(SUBSTR(h, 3, 7)), '@example.org'), NULL), {_number(1, 900)},
  IF({_number(22, 10)} = 0, {_choice(8, "Llama antes de pasar", "Pide factura", "Descuento de empleado")}, NULL),
  {_moment(f"seq * {ORDERS_PER_CUSTOMER}")}, NULL FROM {_rows(customers, f"{seed}c")}"""


def _orders(seed: int, orders: int, customers: int) -> str:
    number = f"CONCAT('B', DATE_FORMAT({_moment('seq')}, '%Y%m%d'), '-', LPAD(1 + seq % 420, 5, '0'))"
    return f"""INSERT INTO orders SELECT seq, {_UUID}, {number}, UPPER(SHA1(h)), {_choice(1, *_BRANCHES)},
  IF({_number(8, 10)} < 4, 1 + {_number(15, customers)}, NULL), {_choice(22, *_CASHIERS)}, 1 + {_number(1, 3)},
  {_money(8, 19955)}, ROUND({_money(8, 19955)} * 0.16, 2), ROUND({_money(8, 19955)} * 1.16, 2),
  IF({_number(15, 50)} = 0, 'refunded', 'paid'), IF({_number(22, 25)} = 0, 'Entregar después de las 5', NULL),
  {_moment("seq")}, {_moment("seq")} FROM {_rows(orders, f"{seed}o")}"""


def _lines(seed: int, orders: int, products: int) -> list[str]:
    order = f"(1 + (seq - 1) DIV {LINES_PER_ORDER})"
    made = _rows(orders * LINES_PER_ORDER, f"{seed}i")
    product = f"1 + {_number(1, products)}"
    return [
        f"""INSERT INTO order_items SELECT made.seq, {_UUID}, {order}, products.id, products.name, products.barcode,
  1 + {_number(8, 4)}, products.price, IF({_number(15, 12)} = 0, 0.50, 0),
  ROUND(products.price * (1 + {_number(8, 4)}), 2), {_moment(order)}, {_moment(order)}
  FROM {made} STRAIGHT_JOIN products ON products.id = {product}""",
        f"""INSERT INTO stock_movements SELECT seq, {product}, {_choice(8, *_BRANCHES)}, 'sale', -(1 + {_number(8, 4)}),
  {_number(15, 900)}, 'App\\\\Models\\\\Order', {order}, {_moment(order)}, {_moment(order)} FROM {made}""",
    ]


def _payments(seed: int, orders: int) -> str:
    return f"""INSERT INTO payments SELECT seq, seq, {_choice(1, "cash", "cash", "card", "transfer", "mobile")},
  {_money(8, 23000)}, IF({_number(1, 5)} < 2, NULL, CONCAT('TX', UPPER(SUBSTR(h, 15, 10)))),
  CONCAT('POS-', 1 + {_number(22, 24)}), {_moment("seq")}, {_moment("seq")} FROM {_rows(orders, f"{seed}y")}"""


def _audits(seed: int, orders: int, products: int) -> list[str]:
    """What an auditing package of Laravel writes: the record before and after, with where the change came from."""
    made = _rows(orders, f"{seed}a")

    def where(path: str) -> str:
        url = f"CONCAT('https://pos.example.org/api/v1/branches/', {_choice(1, *_BRANCHES)}, '/{path}')"
        address = f"CONCAT('10.0.', {_number(1, 8)}, '.', {_number(8, 250)})"
        moment = _moment("made.seq")
        return f"{url}, {address}, {_choice(22, *_AGENTS)}, CONCAT('request:', SUBSTR(h, 5, 20)), {moment}, {moment}"

    def product(stock: str) -> str:
        pairs = ", ".join(f"'{column}', {column}" for column in ("sku", "barcode", "name", "description", "price"))
        return f"JSON_OBJECT({pairs}, 'tax_rate', tax_rate, 'stock', {stock})"

    return [
        f"""INSERT INTO audits SELECT seq * 2, 'App\\\\Models\\\\User', 1 + {_number(1, 40)}, 'created',
  'App\\\\Models\\\\Order', seq, '[]', JSON_OBJECT('total', {_money(15, 19955)}, 'lines', {LINES_PER_ORDER},
  'status', 'paid', 'till', 1 + {_number(8, 3)}), {where("orders")} FROM {made}""",
        f"""INSERT INTO audits SELECT made.seq * 2 + 1, 'App\\\\Models\\\\User', 1 + {_number(1, 40)}, 'updated',
  'App\\\\Models\\\\Product', products.id, {product(_number(15, 900))}, {product(_number(22, 900))}, {where("products")}
  FROM {made} STRAIGHT_JOIN products ON products.id = 1 + {_number(1, products)} WHERE made.seq % 5 = 0""",
    ]


def statements(orders: int, seed: int) -> list[str]:
    """The statements that fill the tables."""
    customers, products = max(orders // ORDERS_PER_CUSTOMER, 10), max(orders // ORDERS_PER_PRODUCT, 50)
    return [
        _goods(seed, products),
        _people(seed, customers),
        _orders(seed, orders, customers),
        *_lines(seed, orders, products),
        _payments(seed, orders),
        *_audits(seed, orders, products),
    ]


def fill(server: ThrowawayServer, *, megabytes: int, seed: int, database: str = DATABASE) -> int:
    """Create and fill *database* so that a dump of it has about *megabytes* MB; return the number of orders."""
    orders = megabytes * ORDERS_PER_MB
    connection = server.connect()
    try:
        cursor = connection.cursor()
        # Not logged: the rows would lie on the disk a second time.
        cursor.execute("SET sql_log_bin = 0, time_zone = '+00:00', foreign_key_checks = 0")
        cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        connection.select_db(database)
        for statement in (*TABLES, *statements(orders, seed)):
            cursor.execute(statement)
        cursor.execute(f"ANALYZE TABLE {', '.join(statement.split()[2] for statement in TABLES)}")
    finally:
        connection.close()
    return orders


__all__ = ("DATABASE", "fill", "statements")

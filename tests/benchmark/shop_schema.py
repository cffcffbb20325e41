# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the benchmark's shop, as Laravel's migrations make them."""

from __future__ import annotations

DATABASE = "larapos"

_ID = "id BIGINT UNSIGNED PRIMARY KEY AUTO_INCREMENT"
_STAMPS = "created_at TIMESTAMP NULL, updated_at TIMESTAMP NULL"
TABLES = (
    f"""CREATE TABLE products ({_ID}, sku VARCHAR(32) NOT NULL UNIQUE, barcode VARCHAR(20) NOT NULL,
  name VARCHAR(160) NOT NULL, description TEXT, category VARCHAR(60), price DECIMAL(12,2) NOT NULL,
  cost DECIMAL(12,2) NOT NULL, tax_rate DECIMAL(6,4) NOT NULL, stock INT NOT NULL, attributes JSON, {_STAMPS},
  KEY (category), KEY (barcode))""",
    f"""CREATE TABLE customers ({_ID}, name VARCHAR(120) NOT NULL, phone VARCHAR(40), email VARCHAR(120),
  points INT NOT NULL, notes TEXT, {_STAMPS}, KEY (phone), KEY (email))""",
    f"""CREATE TABLE orders ({_ID}, uuid CHAR(36) NOT NULL UNIQUE, number VARCHAR(32) NOT NULL,
  fiscal_code CHAR(40), branch VARCHAR(16) NOT NULL, customer_id BIGINT UNSIGNED,
  cashier VARCHAR(60) NOT NULL, till TINYINT NOT NULL,
  subtotal DECIMAL(12,2) NOT NULL, tax DECIMAL(12,2) NOT NULL, total DECIMAL(12,2) NOT NULL,
  status VARCHAR(16) NOT NULL, note TEXT, {_STAMPS}, KEY (branch, created_at), KEY (number),
  FOREIGN KEY (customer_id) REFERENCES customers (id))""",
    f"""CREATE TABLE order_items ({_ID}, uuid CHAR(36) NOT NULL, order_id BIGINT UNSIGNED NOT NULL,
  product_id BIGINT UNSIGNED NOT NULL, name VARCHAR(160) NOT NULL, barcode VARCHAR(20) NOT NULL,
  quantity DECIMAL(12,3) NOT NULL,
  unit_price DECIMAL(12,2) NOT NULL, discount DECIMAL(12,2) NOT NULL, total DECIMAL(12,2) NOT NULL, {_STAMPS},
  FOREIGN KEY (order_id) REFERENCES orders (id), FOREIGN KEY (product_id) REFERENCES products (id))""",
    f"""CREATE TABLE payments ({_ID}, order_id BIGINT UNSIGNED NOT NULL, method VARCHAR(20) NOT NULL,
  amount DECIMAL(12,2) NOT NULL, reference VARCHAR(64), terminal VARCHAR(20), {_STAMPS}, KEY (reference),
  FOREIGN KEY (order_id) REFERENCES orders (id))""",
    f"""CREATE TABLE stock_movements ({_ID}, product_id BIGINT UNSIGNED NOT NULL, branch VARCHAR(16) NOT NULL,
  kind VARCHAR(16) NOT NULL, quantity DECIMAL(12,3) NOT NULL, balance DECIMAL(12,3) NOT NULL,
  source_type VARCHAR(60) NOT NULL, source_id BIGINT UNSIGNED NOT NULL, {_STAMPS},
  KEY (product_id, created_at))""",
    f"""CREATE TABLE audits ({_ID}, user_type VARCHAR(60), user_id BIGINT UNSIGNED, event VARCHAR(20) NOT NULL,
  auditable_type VARCHAR(60) NOT NULL, auditable_id BIGINT UNSIGNED NOT NULL, old_values JSON, new_values JSON,
  url TEXT, ip_address VARCHAR(45), user_agent VARCHAR(1023), tags VARCHAR(255), {_STAMPS}, 
  KEY (auditable_type, auditable_id), KEY (user_id))""",
)

__all__ = ("DATABASE", "TABLES")

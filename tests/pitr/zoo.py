# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with one of everything, for what must read it exactly."""

from __future__ import annotations

WIDE = 300

_COLUMNS = ", ".join(f"c{number} INT DEFAULT {number}" for number in range(WIDE))

SCHEMA = rf"""
CREATE DATABASE larapos CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE larapos;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, till INT NOT NULL, number VARCHAR(40), total DECIMAL(10,2),
  doubled DECIMAL(11,2) AS (total * 2) STORED, halved DECIMAL(11,3) AS (total / 2) VIRTUAL,
  moment VARCHAR(30) AS (CAST(made AS CHAR)) STORED, note TEXT, made TIMESTAMP(6) NULL);
CREATE TABLE everything (id INT PRIMARY KEY, f FLOAT, d DOUBLE, b BIT(64), y YEAR, t TIME(3), dt DATETIME(6), da DATE,
  bin VARBINARY(20), ch CHAR(10), latin VARCHAR(20) CHARACTER SET latin1, e ENUM('open', 'paid'), s SET('a', 'b'),
  big LONGBLOB, j JSON, p POINT, g GEOMETRY, i6 INET6, u UUID, hidden INT INVISIBLE DEFAULT 7, un BIGINT UNSIGNED,
  rank INT AS (id + 1) VIRTUAL, asked DATETIME(6) AS (NOW(6)) VIRTUAL);
CREATE TABLE twins (a VARCHAR(9), b VARCHAR(9), n INT);
CREATE TABLE emptied (id INT PRIMARY KEY, x VARCHAR(5));
CREATE TABLE wide (id INT PRIMARY KEY, {_COLUMNS});
CREATE TABLE `odd``na'me"; é☃% --` (`a``b %s` INT PRIMARY KEY, `select` VARCHAR(20));
CREATE TABLE versioned (id INT PRIMARY KEY, x INT) WITH SYSTEM VERSIONING;
CREATE TABLE shelf (day DATE, place INT, x INT, PRIMARY KEY (day, place)) PARTITION BY HASH (place) PARTITIONS 4;
CREATE TABLE notes (id INT PRIMARY KEY, note TEXT) ENGINE = MyISAM;
CREATE SEQUENCE receipts START WITH 412 CACHE 10;
CREATE VIEW daily AS SELECT COUNT(*) AS orders, SUM(total) AS gross FROM orders;
INSERT INTO orders (till, number, total, note, made) VALUES
  (1, 'B01-20261122-0411', 12.50, 'café 😀 O''Hara', '2026-03-29 02:30:00.123456'),
  (1, 'B01-20261122-0412', -3.10, '', NULL),
  (2, 'B01-20261122-0410', 7.00, NULL, '2026-11-22 12:00:00');
INSERT INTO everything (id, f, d, b, y, t, dt, da, bin, ch, latin, e, s, big, j, p, g, i6, u, un) VALUES
  (1, 0.1, 1e300 / 3, b'101', 2026, '-12:00:00.5', '2026-01-01 00:00:00.000001', '2026-02-28', x'00FF0A', 'abc', 'déjà',
   'paid', 'a,b', REPEAT(x'00FF27', 700000), '{{"a": [1, 2.50, "é"]}}', POINT(1.5, -2),
   ST_GeomFromText('LINESTRING(0 0,1 1)'), '::1', '123e4567-e89b-12d3-a456-426655440000', 18446744073709551615),
  (2, 16777217, -0e0, NULL, NULL, NULL, NULL, NULL, '', '', '', NULL, '', '', NULL, NULL, NULL, NULL, NULL, 0),
  (3, 123456.789, 0.1e0 + 0.2e0, ~0, 1901, '838:59:59', '9999-12-31 23:59:59', '1000-01-01', 'a ', 'a', 'a ', 'open',
   'b', 'x', '[]', NULL, NULL, '::ffff:1.2.3.4', NULL, NULL);
INSERT INTO twins VALUES ('x', '', 1), ('x', '', 1), ('', 'x', 1), (NULL, 'x', 1), ('x', NULL, NULL);
INSERT INTO wide (id, c17) VALUES (1, NULL), (2, -1);
INSERT INTO `odd``na'me"; é☃% --` VALUES (1, '😀'), (2, 'b%s');
INSERT INTO versioned VALUES (1, 1), (2, 2);
UPDATE versioned SET x = 3 WHERE id = 1;
INSERT INTO shelf VALUES ('2026-01-01', 1, 5), ('2026-01-01', 2, 6), ('2025-12-31', 9, 7);
INSERT INTO notes VALUES (1, 'no transactions');
DO NEXTVAL(receipts);
"""

__all__ = ("SCHEMA", "WIDE")

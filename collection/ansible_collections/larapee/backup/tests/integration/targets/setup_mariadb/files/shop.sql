-- Copyright (c) 2026, LaraPee contributors
-- SPDX-License-Identifier: GPL-3.0-or-later
CREATE DATABASE larapos CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
USE larapos;
CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, total DECIMAL(10,2), note TEXT, slip BLOB);
CREATE TABLE order_items (order_id INT NOT NULL, name VARCHAR(80), FOREIGN KEY (order_id) REFERENCES orders (id));
INSERT INTO orders (total, note, slip) VALUES (12.50, 'café 😀', x'00FF0A0D1A27225C'), (-3.10, NULL, NULL);
INSERT INTO order_items VALUES (1, 'tea'), (1, '日本');
CREATE VIEW daily AS SELECT COUNT(*) AS orders, SUM(total) AS gross FROM orders;
CREATE TRIGGER note_default BEFORE INSERT ON orders FOR EACH ROW SET NEW.note = COALESCE(NEW.note, 'none');
CREATE PROCEDURE close_day() SELECT SUM(total) FROM orders;
CREATE EVENT tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM order_items WHERE name = '';
CREATE USER 'larapee-backup'@'localhost' IDENTIFIED BY 'back up #1';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON larapos.* TO 'larapee-backup'@'localhost';
GRANT SELECT ON mysql.proc TO 'larapee-backup'@'localhost';
GRANT RELOAD, BINLOG MONITOR ON *.* TO 'larapee-backup'@'localhost';
CREATE USER 'larapee-restore'@'localhost' IDENTIFIED BY 'restore #1';
GRANT SELECT, INSERT, CREATE, DROP, ALTER, INDEX, REFERENCES, LOCK TABLES, CREATE VIEW, SHOW VIEW, TRIGGER, EVENT,
  CREATE ROUTINE, ALTER ROUTINE ON larapos.* TO 'larapee-restore'@'localhost';
GRANT SET USER ON *.* TO 'larapee-restore'@'localhost';

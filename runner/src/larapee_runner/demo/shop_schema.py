# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables, views, routines, triggers and event of the demo's shop."""

from __future__ import annotations

# Unlike the server's default, so that a restore that forgets the schema's own collation shows a difference.
SCHEMA_CHARACTER_SET = "utf8mb4"
SCHEMA_COLLATION = "utf8mb4_unicode_ci"

TABLES = (
    """CREATE TABLE branches (
        code CHAR(3) NOT NULL PRIMARY KEY,
        name VARCHAR(120) NOT NULL,
        timezone VARCHAR(40) NOT NULL DEFAULT 'America/Caracas',
        opened_on DATE NULL
    )""",
    """CREATE TABLE customers (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        name VARCHAR(160) NOT NULL,
        phone VARCHAR(32) NULL UNIQUE,
        email VARCHAR(160) NULL,
        loyalty_points INT NOT NULL DEFAULT 0,
        notes TEXT NULL,
        search_name VARCHAR(160) AS (LOWER(TRIM(name))) VIRTUAL,
        created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
        KEY customers_name (name)
    )""",
    """CREATE TABLE products (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        sku VARCHAR(32) NOT NULL UNIQUE,
        name VARCHAR(160) NOT NULL,
        category ENUM('bakery', 'dairy', 'drinks', 'produce', 'household') NOT NULL,
        tax_rate DECIMAL(5,4) NOT NULL,
        attributes JSON NULL,
        picture_path VARCHAR(255) COLLATE utf8mb4_bin NULL,
        picture_sha256 BINARY(32) NULL,
        deleted_at TIMESTAMP NULL DEFAULT NULL
    )""",
    """CREATE TABLE product_variants (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        product_id BIGINT UNSIGNED NOT NULL,
        name VARCHAR(80) NOT NULL,
        barcode CHAR(13) NOT NULL UNIQUE,
        price DECIMAL(12,4) NOT NULL,
        cost DECIMAL(12,4) NOT NULL,
        margin DECIMAL(12,4) AS (price - cost) STORED,
        stock DECIMAL(14,3) NOT NULL DEFAULT 0,
        weighed BIT(1) NOT NULL DEFAULT b'0',
        CONSTRAINT product_variants_product FOREIGN KEY (product_id) REFERENCES products (id)
    )""",
    """CREATE TABLE document_sequences (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        branch_code CHAR(3) NOT NULL,
        document VARCHAR(20) NOT NULL,
        day DATE NOT NULL,
        last_number INT UNSIGNED NOT NULL,
        UNIQUE KEY document_sequences_day (branch_code, document, day),
        CONSTRAINT document_sequences_branch FOREIGN KEY (branch_code) REFERENCES branches (code)
    )""",
    """CREATE TABLE orders (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        branch_code CHAR(3) NOT NULL,
        till SMALLINT UNSIGNED NOT NULL,
        invoice_number VARCHAR(32) NOT NULL UNIQUE,
        idempotency_key BINARY(16) NOT NULL UNIQUE,
        customer_id BIGINT UNSIGNED NULL,
        status ENUM('paid', 'refunded') NOT NULL DEFAULT 'paid',
        subtotal DECIMAL(14,4) NOT NULL,
        discount DECIMAL(14,4) NOT NULL DEFAULT 0,
        tax DECIMAL(14,4) NOT NULL,
        total DECIMAL(14,4) AS (subtotal - discount + tax) STORED,
        notes VARCHAR(255) NULL,
        ordered_at DATETIME(6) NOT NULL,
        business_day DATE AS (CAST(ordered_at AS DATE)) VIRTUAL,
        KEY orders_business_day (business_day, till),
        CONSTRAINT orders_branch FOREIGN KEY (branch_code) REFERENCES branches (code),
        CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE SET NULL
    )""",
    """CREATE TABLE order_items (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_id BIGINT UNSIGNED NOT NULL,
        variant_id BIGINT UNSIGNED NOT NULL,
        quantity DECIMAL(10,3) NOT NULL,
        unit_price DECIMAL(12,4) NOT NULL,
        line_total DECIMAL(14,4) AS (ROUND(quantity * unit_price, 4)) STORED,
        CONSTRAINT order_items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
        CONSTRAINT order_items_variant FOREIGN KEY (variant_id) REFERENCES product_variants (id)
    )""",
    """CREATE TABLE payments (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_id BIGINT UNSIGNED NOT NULL,
        method ENUM('cash', 'card', 'transfer', 'mobile') NOT NULL,
        amount DECIMAL(14,4) NOT NULL,
        currency CHAR(3) NOT NULL,
        exchange_rate DECIMAL(18,8) NOT NULL,
        reference VARCHAR(40) NULL,
        paid_at DATETIME(6) NOT NULL,
        CONSTRAINT payments_order FOREIGN KEY (order_id) REFERENCES orders (id)
    )""",
    """CREATE TABLE stock_movements (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        variant_id BIGINT UNSIGNED NOT NULL,
        order_id BIGINT UNSIGNED NULL,
        kind ENUM('sale', 'delivery', 'return', 'count') NOT NULL,
        quantity DECIMAL(14,3) NOT NULL,
        occurred_at DATETIME(6) NOT NULL,
        CONSTRAINT stock_movements_variant FOREIGN KEY (variant_id) REFERENCES product_variants (id),
        CONSTRAINT stock_movements_order FOREIGN KEY (order_id) REFERENCES orders (id)
    )""",
    """CREATE TABLE shift_closings (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        branch_code CHAR(3) NOT NULL,
        till SMALLINT UNSIGNED NOT NULL,
        cashier VARCHAR(80) NOT NULL,
        closed_at DATETIME(6) NOT NULL,
        expected DECIMAL(14,4) NOT NULL,
        counted DECIMAL(14,4) NOT NULL,
        difference DECIMAL(14,4) AS (counted - expected) VIRTUAL,
        CONSTRAINT shift_closings_branch FOREIGN KEY (branch_code) REFERENCES branches (code)
    )""",
    """CREATE TABLE daily_branch_closings (
        branch_code CHAR(3) NOT NULL,
        business_day DATE NOT NULL,
        orders INT UNSIGNED NOT NULL,
        gross DECIMAL(16,4) NOT NULL,
        tax DECIMAL(16,4) NOT NULL,
        last_invoice VARCHAR(32) NOT NULL,
        closed_at DATETIME(6) NOT NULL,
        PRIMARY KEY (branch_code, business_day),
        CONSTRAINT daily_branch_closings_branch FOREIGN KEY (branch_code) REFERENCES branches (code)
    )""",
    """CREATE TABLE audit_logs (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        actor VARCHAR(80) NULL,
        action VARCHAR(60) NOT NULL,
        payload JSON NOT NULL,
        risk_score DOUBLE NULL,
        created_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
    )""",
    """CREATE TABLE financial_adjustments (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_id BIGINT UNSIGNED NULL,
        reason VARCHAR(160) NOT NULL,
        amount DECIMAL(14,4) NOT NULL,
        approved_by VARCHAR(80) NULL,
        created_at DATETIME(6) NOT NULL,
        CONSTRAINT financial_adjustments_order FOREIGN KEY (order_id) REFERENCES orders (id)
    )""",
    """CREATE TABLE receipt_images (
        order_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
        media_type VARCHAR(40) NOT NULL,
        image MEDIUMBLOB NOT NULL,
        sha256 BINARY(32) NOT NULL,
        CONSTRAINT receipt_images_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE
    )""",
    """CREATE TABLE payment_slips (
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_id BIGINT UNSIGNED NOT NULL,
        path VARCHAR(255) COLLATE utf8mb4_bin NOT NULL UNIQUE,
        media_type VARCHAR(40) NOT NULL,
        size INT UNSIGNED NOT NULL,
        sha256 BINARY(32) NOT NULL,
        uploaded_at DATETIME(6) NOT NULL,
        CONSTRAINT payment_slips_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE
    )""",
)

# Made after the shop is filled: its stock is then summed up once instead of row by row.
PROGRAMS = (
    """CREATE TRIGGER stock_follows_movements AFTER INSERT ON stock_movements FOR EACH ROW
        UPDATE product_variants SET stock = stock + NEW.quantity WHERE id = NEW.variant_id""",
    """CREATE TRIGGER invoice_numbers_stay BEFORE UPDATE ON orders FOR EACH ROW
    BEGIN
        IF NEW.invoice_number <> OLD.invoice_number THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'An invoice''s number never changes';
        END IF;
    END""",
    """CREATE SQL SECURITY INVOKER VIEW daily_sales AS
        SELECT branch_code, business_day, till, COUNT(*) AS orders, SUM(total) AS gross, SUM(tax) AS tax
        FROM orders GROUP BY branch_code, business_day, till""",
    """CREATE FUNCTION loyalty_points(total DECIMAL(14,4)) RETURNS INT DETERMINISTIC NO SQL SQL SECURITY INVOKER
        RETURN FLOOR(total / 10)""",
    """CREATE PROCEDURE close_day(IN branch CHAR(3), IN day DATE) MODIFIES SQL DATA SQL SECURITY INVOKER
        COMMENT 'Closes a branch''s day: what pos:daily-close calls'
    BEGIN
        REPLACE INTO daily_branch_closings
            SELECT branch_code, business_day, COUNT(*), SUM(total), SUM(tax), MAX(invoice_number), MAX(ordered_at)
            FROM orders WHERE branch_code = branch AND business_day = day GROUP BY branch_code, business_day;
    END""",
    """CREATE EVENT forget_old_audit_logs ON SCHEDULE EVERY 1 DAY STARTS '2026-01-01 04:00:00'
        COMMENT 'Audit entries are kept for two years'
        DO DELETE FROM audit_logs WHERE created_at < NOW() - INTERVAL 2 YEAR""",
)

__all__ = ("PROGRAMS", "SCHEMA_CHARACTER_SET", "SCHEMA_COLLATION", "TABLES")

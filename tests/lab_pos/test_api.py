# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shop's API answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from tests.lab_pos.lab import CASHIER

if TYPE_CHECKING:
    from tests.lab_pos.lab import LabPos

pytestmark = pytest.mark.xdist_group("lab_pos")


def test_health_tells_a_database_that_is_away_and_back(lab: LabPos) -> None:
    well = lab.get("health")
    assert (well.status, well.body) == (200, {"status": "ok", "checks": {"database": "ok", "storage": "ok"}})
    lab.server.stop()
    try:
        ill = lab.get("health")
    finally:
        lab.server.start()
    assert (ill.status, ill.body["checks"]) == (503, {"database": "failed", "storage": "ok"})
    assert lab.get("health").status == HTTPStatus.OK


def test_only_the_right_password_logs_in(lab: LabPos, token: str) -> None:
    wrong = lab.ask("POST", "auth/login", {"email": CASHIER, "password": lab.password + "x"})
    assert wrong.status == HTTPStatus.UNAUTHORIZED
    assert lab.get("me").status == HTTPStatus.UNAUTHORIZED
    assert lab.get("me", token=token + "x").status == HTTPStatus.UNAUTHORIZED
    assert lab.get("me", token=token).body["email"] == CASHIER


def test_a_sale_leaves_all_its_rows(lab: LabPos, token: str) -> None:
    before = lab.rows("SELECT stock FROM product_variants WHERE id = 2")[0][0]
    answer = lab.order(token, items=[{"variant_id": 2, "quantity": 1.5}], method="card", till=3)
    assert answer.status == HTTPStatus.CREATED
    sold = answer.body
    # 1.5 of 9.60, and 16 % of that.
    assert (sold["subtotal"], sold["tax"], sold["total"]) == ("14.40", "2.30", "16.70")
    rows = lab.rows(
        "SELECT o.till, i.quantity, p.method, p.amount, m.kind, m.quantity, v.stock FROM orders o"
        " JOIN order_items i ON i.order_id = o.id JOIN payments p ON p.order_id = o.id"
        " JOIN stock_movements m ON m.order_id = o.id JOIN product_variants v ON v.id = i.variant_id"
        " WHERE o.invoice_number = %s",
        sold["invoice"],
    )
    assert [tuple(map(str, row)) for row in rows] == [
        ("3", "1.500", "card", "16.70", "sale", "-1.500", f"{float(before) - 1.5:.3f}")
    ]
    seen = lab.get(f"orders/{sold['invoice']}", token=token)
    assert (seen.status, seen.body["total"]) == (200, "16.70")
    assert lab.get("orders/B01-20260101-9999", token=token).status == HTTPStatus.NOT_FOUND


def test_one_idempotency_key_makes_one_order(lab: LabPos, token: str) -> None:
    first = lab.order(token, key="the same")
    again = lab.order(token, key="the same")
    assert (first.status, again.status) == (201, 200)
    assert again.body["invoice"] == first.body["invoice"]
    assert lab.rows("SELECT COUNT(*) FROM orders WHERE idempotency_key = 'the same'") == [(1,)]
    without = lab.ask("POST", "orders", {"items": [{"variant_id": 1, "quantity": 1}]}, token=token)
    assert without.status == HTTPStatus.UNPROCESSABLE_ENTITY


def test_one_idempotency_key_makes_one_order_also_at_the_same_time(lab: LabPos, token: str) -> None:
    for attempt in range(8):
        with ThreadPoolExecutor(4) as tills:
            key = f"at once {attempt}"
            answers = list(tills.map(lambda _, key=key: lab.order(token, key=key), range(4)))
        assert sorted(answer.status for answer in answers) == [200, 200, 200, 201]
        assert len({answer.body["invoice"] for answer in answers}) == 1


def test_tills_that_sell_at_the_same_time_get_numbers_in_a_row(lab: LabPos, token: str) -> None:
    before = lab.order(token).body["invoice"]
    with ThreadPoolExecutor(4) as tills:
        answers = list(tills.map(lambda _: lab.order(token), range(40)))
    assert {answer.status for answer in answers} == {HTTPStatus.CREATED}
    numbers = sorted(int(answer.body["invoice"][-4:]) for answer in answers)
    assert numbers == list(range(int(before[-4:]) + 1, int(before[-4:]) + 41))


def test_what_is_not_sold_here_takes_no_number(lab: LabPos, token: str) -> None:
    numbers = lab.rows("SELECT last_number FROM document_sequences")
    for items in ([{"variant_id": 9999, "quantity": 1}], [{"variant_id": 1, "quantity": 0}], []):
        assert lab.order(token, items=items).status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert lab.rows("SELECT last_number FROM document_sequences") == numbers


def test_a_sale_that_fails_half_way_gives_its_number_back(lab: LabPos, token: str) -> None:
    before = lab.order(token).body["invoice"]
    lab.rows("CREATE TRIGGER no_payment BEFORE INSERT ON payments FOR EACH ROW SIGNAL SQLSTATE '45000'")
    try:
        assert lab.order(token).status == HTTPStatus.INTERNAL_SERVER_ERROR
    finally:
        lab.rows("DROP TRIGGER no_payment")
    assert int(lab.order(token).body["invoice"][-4:]) == int(before[-4:]) + 1


def test_a_test_order_is_removed_with_all_it_left(lab: LabPos, token: str, png: bytes) -> None:
    def state() -> list[list[tuple[object, ...]]]:
        stock = lab.rows("SELECT id, stock FROM product_variants")
        tables = ("orders", "order_items", "payments", "stock_movements", "payment_slips", "jobs")
        return [stock, *(lab.rows(f"SELECT COUNT(*) FROM {table}") for table in tables)]

    lab.work()
    before = state()
    real = lab.rows("SELECT last_number FROM document_sequences WHERE document = 'invoice'")
    order = lab.order(token, test=True).body
    invoice = order["invoice"]
    assert order["test"] is True
    assert invoice.startswith("TEST-B01-")
    slip = lab.upload(token, invoice, png).body["path"]
    lab.work()
    receipt = lab.app / f"storage/app/receipts/{invoice}.txt"
    assert receipt.is_file()
    assert (lab.public / slip).is_file()
    assert lab.ask("DELETE", f"orders/{invoice}", token=token).status == HTTPStatus.NO_CONTENT
    assert state() == before
    assert lab.rows("SELECT last_number FROM document_sequences WHERE document = 'invoice'") == real
    assert not receipt.exists()
    assert not (lab.public / slip).exists()


def test_a_real_order_stays(lab: LabPos, token: str) -> None:
    invoice = lab.order(token).body["invoice"]
    assert lab.ask("DELETE", f"orders/{invoice}", token=token).status == HTTPStatus.FORBIDDEN
    assert lab.get(f"orders/{invoice}", token=token).status == HTTPStatus.OK


def test_a_text_is_no_slip(lab: LabPos, token: str) -> None:
    invoice = lab.order(token).body["invoice"]
    assert lab.upload(token, invoice, b"#!/bin/sh\n").status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert lab.upload(token, "B01-20260101-9999", b"").status == HTTPStatus.UNPROCESSABLE_ENTITY

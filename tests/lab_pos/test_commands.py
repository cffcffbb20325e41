# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What artisan does: what a restore and its drill call, and the work behind the shop's back."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab_pos.lab import LabPos

pytestmark = pytest.mark.xdist_group("lab_pos")


def _references(lab: LabPos) -> dict[str, str]:
    lines = [json.loads(line) for line in lab.artisan("pos:references").stdout.splitlines()]
    return {line["path"]: line["sha256"] for line in lines}


def test_migrating_and_seeding_again_changes_nothing(lab: LabPos) -> None:
    assert "Nothing to migrate" in lab.artisan("migrate", "--force").stdout
    assert lab.seed().startswith("Nothing to seed.\n")


def test_every_referenced_file_is_listed_with_the_digest_of_its_content(lab: LabPos, token: str, png: bytes) -> None:
    invoice = lab.order(token).body["invoice"]
    answer = lab.upload(token, invoice, png)
    assert answer.status == HTTPStatus.CREATED
    path = answer.body["path"]
    assert path.startswith("slips/")
    assert lab.rows("SELECT media_type, size, sha256 FROM payment_slips WHERE path = %s", path) == [
        ("image/png", len(png), hashlib.sha256(png).hexdigest())
    ]
    assert lab.get(f"/storage/{path}").content == png
    references = _references(lab)
    assert path in references
    assert len([name for name in references if name.startswith("products/")]) == 10
    assert {name: hashlib.sha256((lab.public / name).read_bytes()).hexdigest() for name in references} == references


def test_only_the_key_that_encrypted_passes_the_check(lab: LabPos) -> None:
    assert lab.artisan("pos:app-key-check").stdout == "APP_KEY opens what the database holds.\n"
    stranger = base64.b64encode(secrets.token_bytes(32)).decode()
    for wrong in (f"base64:{stranger}", "base64:c2hvcnQ=", ""):
        done = lab.artisan("pos:app-key-check", environment={"APP_KEY": wrong}, check=False)
        assert done.returncode == 1
        assert done.stdout.startswith("APP_KEY does not open what the database holds: ")
        assert done.stdout.count("\n") == 1


def test_a_worker_writes_receipts_until_it_is_told_to_restart(lab: LabPos, token: str) -> None:
    worker = lab.spawn("php", str(lab.app / "artisan"), "queue:work", "--sleep=0.1")
    invoice = lab.order(token, items=[{"variant_id": 30, "quantity": 2}]).body["invoice"]
    deadline = time.monotonic() + 10
    while lab.get(f"orders/{invoice}", token=token).body["receipt_at"] is None:
        assert time.monotonic() < deadline, lab.rows("SELECT queue, attempts, LEFT(payload, 200) FROM jobs")
        time.sleep(0.05)
    receipt = (lab.app / f"storage/app/receipts/{invoice}.txt").read_text(encoding="utf-8")
    assert receipt.splitlines()[:2] == ["Sucursal Centro", invoice]
    assert "2.000 x Bolsa 20', family's size: 1.50" in receipt
    assert worker.poll() is None
    lab.artisan("queue:restart")
    assert worker.wait(timeout=10) == 0
    assert lab.rows("SELECT COUNT(*) FROM failed_jobs") == [(0,)]


def test_a_day_is_closed_with_what_was_sold_and_can_be_closed_again(lab: LabPos, token: str) -> None:
    today = datetime.now(UTC).date().isoformat()
    lab.order(token, till=7)
    lab.order(token, test=True)
    for _ in range(2):
        last = lab.order(token, till=7).body["invoice"]
        closing = json.loads(lab.artisan("pos:daily-close", f"--date={today}").stdout)
        sold = lab.rows(
            "SELECT COUNT(*), SUM(total), SUM(tax) FROM orders WHERE business_day = %s AND NOT is_test", today
        )
        assert (closing["orders"], closing["gross"], closing["tax"]) == tuple(
            value if isinstance(value, int) else str(value) for value in sold[0]
        )
        closed = lab.rows("SELECT orders, gross, tax FROM daily_branch_closings WHERE business_day = %s", today)
        assert closed == sold
        assert closing["last_invoice"] == last
        assert lab.rows("SELECT expected FROM shift_closings WHERE business_day = %s AND till = 7", today) == lab.rows(
            "SELECT SUM(total) FROM orders WHERE business_day = %s AND till = 7", today
        )
    done = lab.artisan("pos:daily-close", "--date=yesterday", check=False)
    assert done.returncode == 1
    assert "YYYY-MM-DD" in done.stdout + done.stderr


class Outside(HTTPServer):
    """Somebody who is called."""

    def __init__(self) -> None:
        self.calls: list[dict[str, object]] = []
        super().__init__(("127.0.0.1", 0), _Listener)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/called"


class _Listener(BaseHTTPRequestHandler):
    server: Outside

    def do_POST(self) -> None:
        self.server.calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_arguments: object) -> None:
        """The test reads the calls, nobody the log."""


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_outside_is_called_only_while_its_address_is_set(
    lab: LabPos, token: str, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = lab.app / ".env"
    without = settings.read_text(encoding="utf-8")
    off = {"webhook": "off", "sms": "off", "payment": "off", "mail": "off"}
    assert json.loads(lab.artisan("pos:side-effects").stdout) == off
    lab.work()
    settings.write_text(without.replace("WEBHOOK_URL=\n", f"WEBHOOK_URL={outside.url}\n"), encoding="utf-8")
    try:
        told = lab.artisan("pos:side-effects", check=False)
        assert (told.returncode, json.loads(told.stdout)) == (1, {**off, "webhook": "on"})
        invoice = lab.order(token).body["invoice"]
        lab.work()
        assert [(call["event"], call["channel"], call["invoice"]) for call in outside.calls] == [
            ("order.paid", "webhook", invoice)
        ]
        lab.order(token)
    finally:
        settings.write_text(without, encoding="utf-8")
    # What was queued before the address was taken away calls nobody either.
    lab.work()
    assert len(outside.calls) == 1
    assert lab.rows("SELECT COUNT(*) FROM jobs") == [(0,)]


def test_a_call_that_nobody_takes_is_kept_as_failed(lab: LabPos, token: str, outside: Outside) -> None:
    unheard = {"WEBHOOK_URL": "http://127.0.0.1:9/"}
    settings = lab.app / ".env"
    without = settings.read_text(encoding="utf-8")
    settings.write_text(without.replace("WEBHOOK_URL=\n", f"WEBHOOK_URL={outside.url}\n"), encoding="utf-8")
    try:
        lab.order(token)
    finally:
        settings.write_text(without, encoding="utf-8")
    lab.work(**unheard)
    failed = lab.rows("SELECT exception FROM failed_jobs")
    lab.artisan("queue:flush")
    assert len(failed) == 1
    assert "Failed to call webhook" in failed[0][0]
    assert outside.calls == []


def test_the_shop_works_from_its_caches(lab: LabPos, token: str) -> None:
    for command in ("config:cache", "route:cache", "view:cache"):
        lab.artisan(command)
    try:
        assert lab.get("health").status == HTTPStatus.OK
        assert lab.order(token).status == HTTPStatus.CREATED
        lab.work()
        assert lab.artisan("pos:app-key-check").returncode == 0
    finally:
        for command in ("config:clear", "route:clear", "view:clear"):
            lab.artisan(command)


def test_a_shop_that_is_down_says_when_to_come_again(lab: LabPos, token: str) -> None:
    lab.artisan("down", "--retry=60")
    try:
        answer = lab.order(token)
    finally:
        lab.artisan("up")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert lab.order(token).status == HTTPStatus.CREATED


def test_the_scheduler_knows_the_closing_of_the_day(lab: LabPos) -> None:
    assert "pos:daily-close" in lab.artisan("schedule:list").stdout
    lab.artisan("schedule:run")

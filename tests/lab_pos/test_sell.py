# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load generator keeps what was promised, and numbers have no gap when two of them sell."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab_pos.lab import CASHIER, ROLE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab_pos.lab import LabPos

pytestmark = pytest.mark.xdist_group("lab_pos")
SEED = 20261123


def _start(lab: LabPos, directory: Path, number: int, *more: str) -> tuple[subprocess.Popen[bytes], Path]:
    password = directory / "password"
    password.write_text(lab.password + "\n", encoding="utf-8")
    ledger = directory / f"acknowledged-{number}"
    argv = [sys.executable, str(ROLE / "files/sell.py"), "--url", lab.url, "--email", CASHIER]
    argv += ["--password-file", str(password), "--acknowledged", str(ledger), "--seed", str(SEED + number)]
    return lab.spawn(*argv, "--per-second", "50", *more), ledger


def _lines(ledger: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()] if ledger.exists() else []


def _wait_for(ledger: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(_lines(ledger)) < count:
        assert time.monotonic() < deadline, _lines(ledger)[-1:]
        time.sleep(0.05)


def test_two_sellers_leave_no_gap_and_every_promise_is_kept(lab: LabPos, tmp_path: Path) -> None:
    sellers = [_start(lab, tmp_path, number, "--slip-bytes", "2048") for number in (1, 2)]
    for _seller, ledger in sellers:
        _wait_for(ledger, 40)
    for seller, _ledger in sellers:
        seller.send_signal(signal.SIGTERM)
    assert [seller.wait(timeout=20) for seller, _ledger in sellers] == [0, 0]
    promised = [line for _seller, ledger in sellers for line in _lines(ledger)]
    receipts = [line["invoice"] for line in promised if "total" in line]
    assert len(set(receipts)) == len(receipts)
    sold = dict(lab.rows("SELECT invoice_number, total FROM orders WHERE NOT is_test"))
    assert {line["invoice"]: line["total"] for line in promised if "total" in line} == {
        invoice: str(sold[invoice]) for invoice in receipts
    }
    by_day: dict[str, list[int]] = {}
    for invoice in sold:
        _branch, day, number = invoice.split("-")
        by_day.setdefault(day, []).append(int(number))
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in by_day.values())
    slips = {line["path"]: line["sha256"] for line in promised if "path" in line}
    assert slips
    assert {path: hashlib.sha256((lab.public / path).read_bytes()).hexdigest() for path in slips} == slips


def test_an_order_without_an_answer_is_sent_again_and_made_once(lab: LabPos, tmp_path: Path) -> None:
    before = lab.rows("SELECT COUNT(*) FROM orders")[0][0]
    seller, ledger = _start(lab, tmp_path, 3, "--slip-share", "0")
    _wait_for(ledger, 5)
    lab.server.kill()
    time.sleep(0.3)
    lab.server.start()
    _wait_for(ledger, len(_lines(ledger)) + 5)
    seller.send_signal(signal.SIGTERM)
    assert seller.wait(timeout=20) == 0
    # One order may be made and not acknowledged: the one that the end of the seller came upon.
    made = lab.rows("SELECT COUNT(*) FROM orders")[0][0] - before
    assert made - len(_lines(ledger)) in {0, 1}


def test_a_shop_that_forgot_the_login_is_asked_for_another(lab: LabPos, tmp_path: Path) -> None:
    seller, ledger = _start(lab, tmp_path, 4)
    _wait_for(ledger, 3)
    lab.rows("DELETE FROM personal_access_tokens WHERE id = (SELECT MAX(id) FROM personal_access_tokens)")
    _wait_for(ledger, len(_lines(ledger)) + 5)
    seller.send_signal(signal.SIGTERM)
    assert seller.wait(timeout=20) == 0


def test_a_wrong_password_ends_the_seller(lab: LabPos, tmp_path: Path) -> None:
    assert lab.get("health").status == HTTPStatus.OK
    password = tmp_path / "password"
    password.write_text("wrong\n", encoding="utf-8")
    argv = [sys.executable, str(ROLE / "files/sell.py"), "--url", lab.url, "--email", CASHIER]
    argv += ["--password-file", str(password), "--acknowledged", str(tmp_path / "acknowledged")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert "401" in done.stderr

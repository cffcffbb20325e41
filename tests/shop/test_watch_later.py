# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The half hour of watching left running by itself: the restore ends with an open shop, the verdict is another row."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tests.end_to_end.branch import COMMAND

from .shop import PATIENCE_S, Shop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

WATCH = "larapee.backup.restore_watch"
LATER = ("-e", "larapee_backup_shop_watch_later=true")


def newest(shop: Shop) -> tuple[str, Mapping[str, Any]]:
    row = shop.branch.rows()[0]
    return row.status, row.details


def watch_in_the_background(shop: Shop, *, seconds: int) -> None:
    """As the runbook has it: the terminal is free at once."""
    options = json.dumps({"larapee_backup_shop_watch_seconds": seconds})
    argv = ("setsid", "--fork", *COMMAND, "run", WATCH, "-i", str(shop.branch.inventory), "-e", options)
    assert shop.branch.start(*argv).wait() == 0


def wait_for(shop: Shop, status: str) -> Mapping[str, Any]:
    ends = time.monotonic() + PATIENCE_S
    while True:
        found, details = newest(shop)
        if found == status and details.get("job") == "restore_watch":
            return details
        assert time.monotonic() < ends, (found, details)
        time.sleep(0.1)


def test_a_watch_in_the_background_leaves_its_verdict_as_a_row(shop: Shop) -> None:
    code, refused = shop.branch.playbook(WATCH)
    assert code != 0
    assert "no restore on this host has ended in an open shop" in refused.words
    shop.sell(2)
    shop.back_up("full")
    code, started = shop.restore(*LATER)
    assert code == 0, started.output
    status, details = newest(shop)
    assert (status, details["watch"], details["outcome"]) == ("success", "NOT RUN", "open")
    assert [each["name"] for each in details["steps"]][-1] == "open"
    restore_id = details["restore_id"]
    # Between the restore and the watch somebody sells, and something breaks.
    shop.sell(1)
    watch_in_the_background(shop, seconds=2)
    details = wait_for(shop, "success")
    assert (details["watch"]["errors"], details["restore_id"]) == (0, restore_id)
    log = shop.lab.app / "storage/logs/laravel.log"
    with log.open("a", encoding="utf-8") as stream:
        stream.write("[2026-11-24 12:00:00] production.ERROR: the printer is gone {}\n")
    watch_in_the_background(shop, seconds=2)
    details = wait_for(shop, "failed")
    assert details["reason"] == "logs_have_errors"
    assert "errors in" in str(shop.branch.rows()[0].error)

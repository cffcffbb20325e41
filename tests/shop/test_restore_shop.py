# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's six steps on a shop that sells: what comes back, what is kept, how it goes on after each interruption."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.end_to_end.branch import BRANCH, FULL
from tests.shop.shop import ASIDE, kill

if TYPE_CHECKING:
    from tests.shop.shop import Shop

STEPS = ("stop", "database", "files", "migrate", "validate", "open", "watch")
CLEAR, ROLLBACK = "larapee.backup.restore_clear", "larapee.backup.restore_rollback"


def backed_up(shop: Shop, slip: bytes) -> list[str]:
    """The receipts that a restore brings back; the shop goes on selling after them."""
    shop.sell(2, slip=slip)
    shop.back_up("full")
    shop.sell(3)
    shop.back_up("log")
    return shop.invoices()


def require_open(shop: Shop) -> None:
    assert shop.worker_runs
    assert not shop.latched
    assert shop.sell(1)


def set_variables(**variables: Any) -> tuple[str, str]:
    return ("-e", json.dumps(variables))


def test_the_shop_sells_again_what_it_had_is_kept_and_goes_when_a_person_says_so(shop: Shop, slip: bytes) -> None:
    promised = backed_up(shop, slip)
    files = shop.uploads()
    epoch = next(each.details["epoch"] for each in shop.branch.rows() if each.kind == "full")
    lost = shop.sell(2, slip=slip)

    code, refused = shop.restore(confirmed=False)
    assert code != 0
    assert "its content would be lost" in refused.words
    assert shop.worker_runs
    assert not shop.latched
    code, preview = shop.restore("--check")
    assert code == 0, preview.output
    answer = preview.words
    assert f"{BRANCH} comes back as it was at 2" in answer
    known = re.search(r"Last receipt \(2\S+Z\): 1: (B01-\S+)\. Later ones", answer)
    assert known is not None
    assert known[1] in promised
    assert "is in no artifact of this chain" in answer
    assert "Time until it sells: unknown, no drill" in answer
    assert shop.worker_runs
    assert shop.invoices() == [*promised, *lost]

    code, started = shop.restore()
    assert code == 0, started.output
    assert shop.invoices() == promised
    assert shop.uploads() == files
    row = shop.branch.rows()[0]
    assert (row.status, row.kind) == ("success", "restore")
    assert [(each["name"], each["result"]) for each in row.details["steps"]] == [(step, "OK") for step in STEPS]
    assert 0 < row.details["down_s"] < row.details["total_s"] < row.duration_s
    assert row.details["app_key"] == "OK"
    assert {each["name"]: each["result"] for each in row.details["checks"]}["order"] == "OK"
    assert row.details["plan"]["fingerprint"]["receipt"].removeprefix("1: ") in promised
    require_open(shop)
    code, preview = shop.restore("--check")
    assert code == 0, preview.output
    assert "About 1 min until it sells, by the restore of 2" in preview.words
    assert ASIDE in shop.databases()

    code, refused = shop.restore(playbook=CLEAR, confirmed=False)
    assert code != 0
    code, cleared = shop.restore(playbook=CLEAR)
    assert code == 0, cleared.output
    assert ASIDE not in shop.databases()
    assert not list(shop.lab.public.parent.glob("*before-restore*"))

    # What came after is a new life: the next run takes a full by itself, and the chain goes on from there.
    shop.back_up("log")
    newest = shop.branch.rows()[0]
    assert any(each["name"].endswith(".sql.gz.age") for each in newest.artifacts)
    assert newest.details["epoch"] != epoch


def test_rolled_back_it_is_what_it_was(shop: Shop, slip: bytes) -> None:
    backed_up(shop, slip)
    shop.sell(2, slip=slip)
    before, files = shop.invoices(), shop.uploads()
    code, started = shop.restore()
    assert code == 0, started.output
    assert shop.invoices() != before
    code, started = shop.restore(playbook=ROLLBACK)
    assert code == 0, started.output
    assert shop.invoices() == before
    assert shop.uploads() == files
    require_open(shop)
    assert ASIDE not in shop.databases()


def test_a_restore_that_is_killed_at_each_step_goes_on_with_it(shop: Shop, slip: bytes) -> None:
    promised = backed_up(shop, slip)
    shop.sell(2)
    files = shop.uploads()
    for step in STEPS:
        started = shop.start_restore()
        shop.wait_for_step(step, started)
        kill(started)
        done = [name for name, result in shop.steps().items() if result == "OK"]
        assert done == list(STEPS[: STEPS.index(step)])
    code, started = shop.restore()
    assert code == 0, started.output
    assert shop.invoices()[: len(promised)] == promised
    assert shop.uploads() == files
    require_open(shop)
    rows = shop.branch.rows()
    assert rows[0].status == "success"
    assert [row.status for row in rows if row.kind == "restore"].count("failed") == len(STEPS)
    code, started = shop.restore(playbook=ROLLBACK)
    assert code == 0, started.output
    assert len(shop.invoices()) == len(promised) + 2


def test_a_host_that_had_no_shop_gets_one(shop: Shop, slip: bytes) -> None:
    """What branch_prepare and the application's installation leave: an empty database, no uploads."""
    promised = backed_up(shop, slip)
    files = shop.uploads()
    shutil.rmtree(shop.lab.public)
    with shop.lab.server.connect() as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {shop.lab.database}")
        cursor.execute(f"CREATE DATABASE {shop.lab.database}")
    code, started = shop.restore(confirmed=False)
    assert code == 0, started.output
    assert shop.invoices() == promised
    assert shop.uploads() == files
    require_open(shop)
    code, started = shop.restore(playbook=ROLLBACK)
    assert code != 0
    assert "has kept a database on this host" in started.words


@pytest.mark.parametrize("on_failure", ["stop", "rollback"])
def test_a_migration_that_fails(shop: Shop, slip: bytes, on_failure: str) -> None:
    promised = backed_up(shop, slip)
    shop.sell(1)
    before = shop.invoices()
    broken = shop.lab.app / "database/migrations/2026_11_24_000001_break.php"
    broken.write_text(BROKEN_MIGRATION, encoding="utf-8")
    code, started = shop.restore("-e", f"larapee_backup_restore_on_failure={on_failure}")
    assert code != 0
    row = next(row for row in shop.branch.rows() if row.kind == "restore")
    assert row.status == "failed"
    assert {each["name"]: each["result"] for each in row.details["steps"]}["migrate"] == "FAILED"
    assert "no such column in this shop" in str(row.error)
    if on_failure == "rollback":
        assert shop.invoices() == before
        broken.unlink()
        require_open(shop)
        return
    assert not shop.worker_runs
    assert shop.latched
    code, backup = shop.branch.playbook(FULL, "-e", "larapee_backup_kind=log")
    assert code != 0
    assert "the shop is not open yet" in backup.words
    broken.unlink()
    code, started = shop.restore()
    assert code == 0, started.output
    assert shop.invoices() == promised
    require_open(shop)


BROKEN_MIGRATION = """<?php
use Illuminate\\Database\\Migrations\\Migration;
return new class extends Migration {
    public function up() { throw new RuntimeException('no such column in this shop'); }
};
"""


def test_a_key_that_does_not_open_the_database_starts_no_worker(shop: Shop, slip: bytes) -> None:
    promised = backed_up(shop, slip)
    settings = shop.lab.app / ".env"
    right = settings.read_text(encoding="utf-8")
    settings.write_text(right.replace(shop.lab.app_key, "base64:" + "A" * 43 + "="), encoding="utf-8")
    code, started = shop.restore()
    assert code != 0
    assert "APP_KEY does not open what the database holds" in started.words
    assert "In .env these names differ" in started.words
    assert shop.lab.app_key not in started.output
    assert not shop.worker_runs
    applied = set_variables(larapee_backup_restore_config_apply=[str(settings)], larapee_backup_restore_anew=True)
    code, started = shop.restore(*applied)
    assert code == 0, started.output
    assert settings.read_text(encoding="utf-8") == right
    assert shop.invoices() == promised
    require_open(shop)


@pytest.mark.parametrize("cut_off", [False, True])
def test_settings_that_were_replaced_come_back_with_a_rollback(shop: Shop, slip: bytes, cut_off: bool) -> None:
    """Also where the start that replaced them had no time to note it."""
    backed_up(shop, slip)
    settings = shop.lab.app / ".env"
    snapshot = settings.read_text(encoding="utf-8")
    before = f"{snapshot}POS_NOTE=since\n"
    settings.write_text(before, encoding="utf-8")
    applied = {"larapee_backup_restore_config_apply": [str(settings)]}
    broken = {**applied, "larapee_backup_shop_migrate_commands": [["false"]]}
    code, started = shop.restore(*set_variables(**broken))
    assert code != 0
    assert settings.read_text(encoding="utf-8") == snapshot
    if cut_off:
        record = shop.record
        record["steps"] = [each for each in record["steps"] if each["name"] != "migrate"]
        record["steps"][-1].update(name="files", result="BEGUN")
        record["facts"].pop("config", None)
        (shop.branch.state / f"restores/{BRANCH}.json").write_text(json.dumps(record), encoding="utf-8")
        code, started = shop.restore(*set_variables(**applied))
        assert code == 0, started.output
    code, started = shop.restore(playbook=ROLLBACK)
    assert code == 0, started.output
    assert settings.read_text(encoding="utf-8") == before
    require_open(shop)


def test_a_worker_that_somebody_starts_meanwhile_stops_the_restore(shop: Shop, slip: bytes) -> None:
    promised = backed_up(shop, slip)
    started = shop.start_restore()
    shop.wait_for_step("database", started)
    shop.work("start")
    assert started.wait() != 0
    assert "behind the restore's back" in started.words
    assert shop.steps()["migrate"] == "FAILED"
    shop.work("stop")
    code, started = shop.restore()
    assert code == 0, started.output
    assert shop.invoices() == promised
    require_open(shop)


@pytest.mark.parametrize(
    ("broken", "said"),
    [("UPDATE users SET password = 'x'", "login"), ("RENAME TABLE payments TO payments_gone", "order")],
)
def test_a_shop_that_is_not_well_is_not_opened(shop: Shop, slip: bytes, broken: str, said: str) -> None:
    """Health is green; what the customers need is not."""
    backed_up(shop, slip)
    statement = f'mariadb -S {shop.lab.server.socket} -u root larapos -e "{broken}"'
    migrate = [["sh", "-c", statement]]
    code, started = shop.restore(*set_variables(larapee_backup_shop_migrate_commands=migrate))
    assert code != 0
    assert shop.steps()["validate"] == "FAILED"
    assert said in started.words
    assert "keep the tills off it" in started.words
    assert not shop.worker_runs
    assert shop.latched


def test_another_restore_is_not_begun_over_one_that_was_cut_off(shop: Shop, slip: bytes) -> None:
    backed_up(shop, slip)
    started = shop.start_restore()
    shop.wait_for_step("files", started)
    kill(started)
    code, started = shop.restore("-e", "larapee_backup_restore_to=set:1")
    assert code != 0
    assert "and it has another to" in started.words
    assert shop.branch.rows()[0].details["reason"] == "another_restore"
    code, started = shop.restore("-e", "larapee_backup_restore_to=set:1", "-e", "larapee_backup_restore_anew=true")
    assert code == 0, started.output
    require_open(shop)


def test_nobody_who_did_not_say_how_closes_a_shop(shop: Shop, slip: bytes) -> None:
    backed_up(shop, slip)
    code, started = shop.restore(*set_variables(larapee_backup_shop_url=""))
    assert code != 0
    assert "Set larapee_backup_shop_url" in started.words
    assert shop.record == {"steps": []}
    assert shop.worker_runs
    assert BRANCH in started.output

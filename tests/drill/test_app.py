# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The restored shop sells, and calls nobody."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from larapee_runner.demo.accounts import create_operator
from tests.drill.staging import Staging
from tests.lab_pos.lab import CASHIER, LabPos

if TYPE_CHECKING:
    from collections.abc import Iterator

    from larapee_runner.demo.server import ThrowawayServer
    from tests.end_to_end.branch import Branch

OUTSIDE = {"WEBHOOK_URL": "", "SMS_GATEWAY_URL": "", "PAYMENT_GATEWAY_URL": ""}
PASSWORD = "operates-the-lab"  # noqa: S105 - of a server that only this test can reach


@pytest.fixture(scope="module")
def lab(server: ThrowawayServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabPos]:
    with LabPos(server, tmp_path_factory.mktemp("lab")) as running:
        create_operator(server, database=running.database, user="lab_operator", password=PASSWORD)
        token = running.login()
        invoice = str(running.order(token).body["invoice"])
        running.upload(token, invoice, b"\x89PNG\r\n\x1a\n a slip")
        yield running


@pytest.fixture
def shop(lab: LabPos, branch: Branch, tmp_path: Path) -> Iterator[Staging]:
    branch.write_inventory(
        larapee_backup_db_name=lab.database,
        larapee_backup_uploads_path=str(lab.public),
        larapee_backup_config_paths=[str(lab.app / ".env")],
    )
    branch.server.write_option_file(branch.operator_file, user="lab_operator", password=PASSWORD)
    made = Staging(branch, tmp_path / "staging")
    set_up(made, lab)
    yield made
    made.end()


def set_up(staging: Staging, lab: LabPos, **more: Any) -> None:
    login = staging.directory / "login.json"
    login.write_text(json.dumps({"email": CASHIER, "password": lab.password}), encoding="ascii")
    login.chmod(0o600)
    settings = {
        "larapee_backup_drill_leave_out": [],
        "larapee_backup_drill_reference_queries": [],
        "larapee_backup_drill_app_path": str(lab.app),
        "larapee_backup_drill_env_path": str(lab.app / ".env"),
        "larapee_backup_drill_env": OUTSIDE,
        "larapee_backup_drill_references_command": ["php", "artisan", "pos:references"],
        "larapee_backup_drill_side_effects_command": ["php", "artisan", "pos:side-effects"],
        "larapee_backup_drill_app_key_command": ["php", "artisan", "pos:app-key-check"],
        "larapee_backup_drill_login_file": str(login),
        "larapee_backup_drill_order": {"items": [{"variant_id": 1, "quantity": 2}], "test": True},
    }
    staging.write_inventory(**{**settings, **more})


def test_the_restored_shop_sells(shop: Staging, lab: LabPos) -> None:
    shop.back_up("full")
    sold, files = lab.rows("SELECT COUNT(*) FROM orders"), sorted(lab.app.rglob("*"))
    code, started = shop.drill()
    assert code == 0, started.output
    assert set(shop.results().values()) == {"OK"}, shop.results()
    assert shop.step("references")["hashed"] > 0
    # The live one is as it was: neither its database nor its files were the drill's.
    assert lab.rows("SELECT COUNT(*) FROM orders") == sold
    assert sorted(lab.app.rglob("*")) == files
    assert shop.left() == []
    assert shop.processes() == []
    assert lab.password not in started.output
    assert lab.app_key not in started.output


def failed(shop: Staging, step: str) -> str:
    """The words of the one step that failed; those after it were not run."""
    code, started = shop.drill()
    assert code == 2, started.output
    row = shop.rows()[0]
    assert [name for name, result in shop.results().items() if result == "FAILED"] == [step], shop.results()
    assert row.details["reason"] == shop.step(step)["reason"]
    assert shop.left() == []
    assert shop.processes() == []
    return str(row.error)


def test_another_app_key_in_the_config_snapshot(shop: Staging, lab: LabPos) -> None:
    env = lab.app / ".env"
    right = env.read_text(encoding="utf-8")
    try:
        env.write_text(right.replace(lab.app_key, f"base64:{'A' * 43}="), encoding="utf-8")
        shop.back_up("full")
    finally:
        env.write_text(right, encoding="utf-8")
    assert "app_key FAILED: Failed to run php artisan pos:app-key-check" in failed(shop, "app_key")


def test_a_migration_of_todays_release_that_breaks(shop: Staging, lab: LabPos) -> None:
    release = shop.directory / "release"
    shutil.copytree(lab.app, release, symlinks=True)
    (release / "database" / "migrations" / "2030_01_01_000000_break.php").write_text(
        "<?php return new class extends Illuminate\\Database\\Migrations\\Migration {\n"
        "    public function up(): void { throw new Exception('no such column'); }\n};\n",
        encoding="ascii",
    )
    shop.back_up("full")
    set_up(shop, lab, larapee_backup_drill_app_path=str(release))
    assert "no such column" in failed(shop, "migrate")


def test_a_way_to_the_outside_that_is_on(shop: Staging, lab: LabPos) -> None:
    shop.back_up("full")
    set_up(shop, lab, larapee_backup_drill_env={**OUTSIDE, "SMS_GATEWAY_URL": "http://192.0.2.7/sms"})
    assert "side_effects FAILED" in failed(shop, "side_effects")


def test_a_network_that_is_not_cut(shop: Staging) -> None:
    """Whatever the reason is: here a program that does not do what it was asked for."""
    shop.back_up("full")
    program = Path(shop.environ["PATH"].partition(os.pathsep)[0]) / "unshare"
    program.write_text('#!/bin/sh\nwhile case $1 in --*) true;; *) false;; esac; do shift; done\nexec "$@"\n')
    program.chmod(0o755)
    assert "Failed to cut the application off: it reaches" in failed(shop, "app")


def test_a_shop_whose_health_is_green_and_nobody_can_log_in(shop: Staging, lab: LabPos) -> None:
    shop.back_up("full")
    login = shop.directory / "login.json"
    login.write_text(json.dumps({"email": CASHIER, "password": "another"}), encoding="ascii")
    assert "login FAILED: Failed to log in to the restored application: it answers 401" in failed(shop, "login")
    assert shop.step("health")["result"] == "OK"


def test_a_shop_that_takes_no_order(shop: Staging, lab: LabPos) -> None:
    shop.back_up("full")
    set_up(shop, lab, larapee_backup_drill_order={"items": [{"variant_id": 999999, "quantity": 1}]})
    assert "it answers 422" in failed(shop, "order")


def test_what_is_not_configured_is_not_proven(shop: Staging, lab: LabPos) -> None:
    shop.back_up("full")
    set_up(
        shop,
        lab,
        larapee_backup_drill_login_file="",
        larapee_backup_drill_side_effects_command=[],
        larapee_backup_drill_references_command=[],
    )
    code, started = shop.drill()
    assert code == 2, started.output
    assert [name for name, result in shop.results().items() if result == "NOT RUN"] == [
        *("references", "side_effects", "login", "order")
    ]
    assert shop.rows()[0].details["reason"] == "not_run"

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real shop that is backed up and restored where it stands: the lab POS with a worker, and a branch's backups."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._account import AccountRequest, settle_account
from larapee_runner.demo.accounts import create_log_reader
from larapee_runner.demo.server import ThrowawayServer, create_operator
from tests.end_to_end.branch import BRANCH, FULL, RESTORE, Branch, Started
from tests.end_to_end.conftest import environment
from tests.end_to_end.processes import children_of
from tests.lab_pos.lab import CASHIER, LabPos

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.end_to_end.branch import Keys

PROGRAM = Path(__file__).parent / "worker.py"
ASIDE = "larapos_before_restore"
PATIENCE_S = 60.0


@dataclass
class Shop:
    lab: LabPos
    branch: Branch

    def write_inventory(self, **more: object) -> None:
        """The shop's own database, uploads and settings are what is restored."""
        directory = self.branch.directory
        credentials = directory / "cashier.ini"
        credentials.write_text(f"email={CASHIER}\npassword={self.lab.password}\n", encoding="ascii")
        credentials.chmod(0o600)
        artisan = ["php", str(self.lab.app / "artisan"), "--no-ansi", "--no-interaction"]
        self.branch.write_inventory(
            larapee_backup_receipt_query="SELECT till, MAX(invoice_number) FROM orders GROUP BY till",
            larapee_backup_restore_shop=True,
            larapee_backup_restore_db_name=self.lab.database,
            larapee_backup_restore_uploads_path=str(self.lab.public),
            larapee_backup_restore_config_path=str(directory / "restored-config"),
            larapee_backup_app_path=str(self.lab.app),
            larapee_backup_shop_account="",
            larapee_backup_shop_url=self.lab.url,
            larapee_backup_shop_credentials_file=str(credentials),
            larapee_backup_shop_stop_commands=[[*artisan, "down"], self.worker("stop")],
            larapee_backup_shop_quiet_commands=[self.worker("quiet")],
            larapee_backup_shop_key_commands=[[*artisan, "pos:app-key-check"]],
            larapee_backup_shop_cache_commands=[[*artisan, "config:clear"]],
            larapee_backup_shop_serve_commands=[[*artisan, "up"]],
            larapee_backup_shop_open_commands=[self.worker("start")],
            larapee_backup_shop_watch_paths=[str(self.lab.app / "storage/logs/*.log")],
            larapee_backup_shop_watch_seconds=1,
            **more,
        )

    def worker(self, what: str) -> list[str]:
        """How the queue's worker is started and stopped where systemd is not."""
        return [sys.executable, str(PROGRAM), what, str(self.lab.app), str(self.branch.directory / "worker.pid")]

    def work(self, what: str) -> bool:
        return subprocess.run(self.worker(what), check=False).returncode == 0

    @property
    def worker_runs(self) -> bool:
        return not self.work("quiet")

    def back_up(self, kind: str) -> None:
        code, started = self.branch.playbook(FULL, "-e", f"larapee_backup_kind={kind}")
        assert code == 0, started.output

    def sell(self, count: int, *, slip: bytes = b"") -> list[str]:
        """The invoices that the till was promised."""
        token = self.lab.login()
        invoices = [str(self.lab.order(token).body["invoice"]) for _ in range(count)]
        if slip:
            assert self.lab.upload(token, invoices[-1], slip).status == 201
        return invoices

    def invoices(self) -> list[str]:
        """What a customer could come back with; a validation's order is none."""
        rows = self.lab.rows("SELECT invoice_number FROM orders ORDER BY id")
        return [str(row[0]) for row in rows]

    def uploads(self) -> dict[str, bytes]:
        found = sorted(path for path in self.lab.public.rglob("*") if path.is_file())
        return {str(path.relative_to(self.lab.public)): path.read_bytes() for path in found}

    def databases(self) -> list[str]:
        with self.lab.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW DATABASES LIKE 'larapos%'")
            return [str(row[0]) for row in cursor.fetchall()]

    def restore(self, *arguments: str, playbook: str = RESTORE, confirmed: bool = True) -> tuple[int, Started]:
        return self.branch.playbook(playbook, *self._confirm(confirmed), *arguments)

    def start_restore(self, *arguments: str, confirmed: bool = True) -> Started:
        return self.branch.start_playbook(RESTORE, *self._confirm(confirmed), *arguments)

    @staticmethod
    def _confirm(confirmed: bool) -> tuple[str, ...]:
        return ("-e", f"larapee_backup_restore_confirm={BRANCH}") if confirmed else ()

    @property
    def record(self) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads((self.branch.state / f"restores/{BRANCH}.json").read_bytes())
            return found
        return {"steps": []}

    @property
    def latched(self) -> bool:
        return (self.branch.state / f"latch/{BRANCH}.json").exists()

    def steps(self) -> dict[str, str]:
        return {each["name"]: each["result"] for each in self.record["steps"]}

    def wait_for_step(self, step: str, started: Started) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.steps().get(step) != "BEGUN":
            assert started.process.poll() is None, started.output
            assert time.monotonic() < deadline, started.output
            time.sleep(0.01)

    def __enter__(self) -> Shop:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.work("stop")
        self.branch.end()


@contextlib.contextmanager
def opened_shop(root: Path, keys: Keys) -> Iterator[Shop]:
    """It sells, and has not been backed up yet."""
    directory = root / "shop"
    directory.mkdir()
    with ThrowawayServer(root / "server") as server, LabPos(server, directory) as lab:
        (directory / "etc/nginx").mkdir(parents=True)
        (directory / "etc/nginx/pos.conf").write_text("listen 443;\n", encoding="ascii")
        passwords = {role: f"Pw{os.urandom(12).hex()}" for role in ("operator", "log_reader", "restorer")}
        branch = Branch(
            directory=directory,
            server=server,
            database=lab.database,
            keys=keys,
            operator="operator",
            log_reader="log_reader",
            passwords=passwords,
            environ=environment(directory),
        )
        create_operator(server, database=lab.database, user="operator", password=passwords["operator"])
        create_log_reader(server, user="log_reader", password=passwords["log_reader"])
        server.write_option_file(branch.operator_file, user="operator", password=passwords["operator"])
        server.write_option_file(branch.binlog_file, user="log_reader", password=passwords["log_reader"])
        _settle_restorer(branch)
        with Shop(lab, branch) as opened:
            opened.write_inventory()
            opened.work("start")
            yield opened


def _settle_restorer(branch: Branch) -> None:
    """Every restore here works with what ``db_account`` gives, and no more."""
    password = branch.directory / "restorer.password"
    password.touch(mode=0o600)
    password.write_text(branch.passwords["restorer"], encoding="ascii")
    settle_account(
        AccountRequest(
            option_file=str(branch.server.write_option_file(branch.directory / "admin.cnf", user="root", password="")),
            role="restorer",
            name="restorer",
            database=branch.database,
            password_file=str(password),
            aside=ASIDE,
        )
    )
    branch.server.write_option_file(branch.restorer_file, user="restorer", password=branch.passwords["restorer"])


def kill(started: Started) -> None:
    """As a power cut does: the playbook and all that it started, with no time to say anything."""
    waiting, found = [started.pid], []
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            waiting += children_of(pid)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    started.process.wait()


def details(row: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = row.details
    return found


__all__ = ("ASIDE", "Shop", "details", "kill", "opened_shop")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shop brought back from central's copy, by the runbook's steps; and the plan's two commands for its data."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import statistics
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.end_to_end.branch import BRANCH, RESTORE, Keys
from tests.pull.sshd import Sshd
from tests.shop.shop import Shop, opened_shop

from . import shop as goods
from .measure import Contestant, ContestantError, Stage, makes_nothing, shell
from .tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .estate import Estate
    from .settings import Settings

PLAN = "plan: gunzip | mariadb, tar -x"
OURS = "ours, all steps of the runbook"
SALES = 200
_FILLED = "years_of_selling"
_PLANS_DATABASE = "as_the_plan_restores"
_OPTIONS = "--no-defaults --user=root --default-character-set=utf8mb4"


@dataclass
class Lost:
    """The shop with its branch's artifacts at central, behind *sshd*; ``sold`` is what a restore must bring back."""

    shop: Shop
    root: Path
    sshd: Sshd
    plain_bytes: int
    upload_bytes: int
    sold: list[str]

    @property
    def bytes(self) -> int:
        return self.plain_bytes + self.upload_bytes

    def runbook(self, _scratch: Path) -> Sequence[str]:
        branch = self.shop.branch
        more = {
            "larapee_backup_restore_source": f"ssh://127.0.0.1:{self.sshd.port}{self.root / 'branches'}",
            "larapee_backup_restore_central_sshd_config": str(self.sshd.etc / "config"),
            "larapee_backup_restore_key_path": str(self.root / "run"),
            "larapee_backup_restore_confirm": BRANCH,
        }
        environ = [f"{name}={value}" for name, value in branch.environ.items()]
        inventories = ["-i", str(self.root / "central.yml"), "-i", str(branch.inventory)]
        return ["env", "-i", *environ, "ansible-playbook", *inventories, "-e", json.dumps(more), RESTORE]

    def plan(self, scratch: Path) -> Sequence[str]:
        client = f"mariadb {_OPTIONS} --socket={shlex.quote(str(self.shop.branch.server.socket))}"
        name = _PLANS_DATABASE
        create = f"DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb4"
        artifacts = shlex.quote(str(self.root / "plan"))
        return shell(
            f"{client} -e '{create}' && gunzip -c {artifacts}/db.sql.gz | {client} --max-allowed-packet=1G {name}"
            f" && zstd -q -d -c {artifacts}/uploads.tar.zst | tar -x -C {{scratch}}"
        )(scratch)

    def forget(self, number: int) -> None:
        """As on a host that was never restored: all of it comes over the line, and nothing kept aside takes room."""
        if number:
            self.check()
            code, cleared = self.shop.restore(playbook="larapee.backup.restore_clear")
            if code:
                raise ContestantError(f"Failed to prepare a restore: {cleared.output[-2000:]}")
        for name in ("fetched", "restores"):
            shutil.rmtree(self.shop.branch.state / name, ignore_errors=True)

    def check(self) -> None:
        """A restore that brought less back would be a fast one."""
        rows = [row for row in self.shop.branch.rows() if row.kind == "restore" and row.details.get("steps")]
        if self.shop.invoices() != self.sold or not rows or rows[0].status != "success":
            raise ContestantError(f"Failed to measure a restore: {self.shop.branch.rows()[0]}")

    def steps(self) -> Mapping[str, float]:
        """Median seconds of each step, of all together and of the time without a shop, as the rows tell them."""
        told: dict[str, list[float]] = {}
        for row in self.shop.branch.rows():
            details: Mapping[str, Any] = row.details
            if row.kind != "restore" or "steps" not in details:
                continue
            for each in details["steps"]:
                told.setdefault(each["name"], []).append(float(each["seconds"]))
            for name in ("down_s", "total_s"):
                told.setdefault(name, []).append(float(details[name]))
        return {name: statistics.median(seconds) for name, seconds in told.items()}


@contextmanager
def lost(estate: Estate, settings: Settings) -> Iterator[Lost]:
    if os.geteuid() != 0:
        raise ContestantError("Failed to start an sshd: only root can. Leave restore out of BENCH_PARTS.")
    root = estate.root / "runbook"
    root.mkdir()
    keys = root / "keys"
    keys.mkdir()
    sshd = Sshd(root / "sshd")
    with opened_shop(root, Keys.make(keys)) as shop:
        try:
            sshd.open({})
            yield _lose(shop, root, sshd, settings)
        finally:
            sshd.close()


def stage(found: Lost) -> Stage:
    ours = Contestant(OURS, found.runbook, size=makes_nothing, server_pid=lambda: found.shop.branch.server.pid)
    plan = Contestant(PLAN, found.plan, size=makes_nothing, server_pid=lambda: found.shop.branch.server.pid)
    return Stage((plan, ours), prepare=found.forget)


def _lose(shop: Shop, root: Path, sshd: Sshd, settings: Settings) -> Lost:
    server, database = shop.branch.server, shop.lab.database
    goods.fill(server, megabytes=settings.sql_mb, seed=settings.seed, database=_FILLED)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute(f"SHOW TABLES FROM {_FILLED}")
        moved = [f"{_FILLED}.{name} TO {database}.archived_{name}" for (name,) in cursor.fetchall()]
        cursor.execute(f"RENAME TABLE {', '.join(moved)}")
        cursor.execute(f"DROP DATABASE {_FILLED}")
    tree = Tree(shop.lab.public / "archive", megabytes=settings.files_mb, seed=settings.seed)
    tree.settle()
    _as_the_plan_backs_up(shop, root / "plan")
    _back_up(shop, "full")
    shop.sell(SALES)
    _back_up(shop, "log")
    place = root / "branches" / BRANCH
    shutil.copytree(shop.branch.local, place, ignore=shutil.ignore_patterns("runs", "tip.*"))
    for path in (place.parent, place, *place.iterdir()):
        path.chmod(0o700 if path.is_dir() else 0o600)
    shutil.rmtree(shop.branch.local)
    host = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (root / "central.yml").write_text(yaml.safe_dump({"central": {"hosts": {"central-001": host}}}))
    (full,) = place.glob("db-*.sql.gz.age.manifest.json")
    return Lost(shop, root, sshd, int(json.loads(full.read_bytes())["plain_size"]), tree.bytes, shop.invoices())


def _back_up(shop: Shop, kind: str) -> None:
    """Longer than a test waits."""
    started = shop.branch.start_playbook("larapee.backup.branch_backup", "-e", f"larapee_backup_kind={kind}")
    if started.process.wait() != 0:
        raise ContestantError(f"Failed to back the shop up: {started.output[-2000:]}")


def _as_the_plan_backs_up(shop: Shop, directory: Path) -> None:
    """At a level of zstd that takes seconds: what it takes to unpack hardly depends on that."""
    directory.mkdir()
    dump = f"mysqldump {_OPTIONS} --socket={shlex.quote(str(shop.branch.server.socket))} --single-transaction"
    script = f"{dump} --quick --routines --triggers --events {shop.lab.database} | gzip > {{scratch}}/db.sql.gz"
    script += f" && tar -c -C {shlex.quote(str(shop.lab.public))} . | zstd -q -3 -T0 > {{scratch}}/uploads.tar.zst"
    subprocess.run(shell(script)(directory), check=True)


__all__ = ("OURS", "PLAN", "SALES", "Lost", "lost", "stage")

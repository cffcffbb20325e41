# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The acts of the story, in their order."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from larapee_runner.render import size

from .accounts import create_application, create_operator, create_restorer
from .errors import DemoError
from .estate import DATABASE, make_keys, write_configuration
from .moment import Full, Moment, full_and_picture, newest_full, require_intact
from .picture import differences, take_picture
from .server import ThrowawayServer
from .shop import Shop, open_shop
from .till import Receipt, Till

if TYPE_CHECKING:
    from pathlib import Path

    from .launcher import Launcher, Running
    from .narrator import Narrator, Step
    from .workplace import Workplace

OPERATOR, RESTORER, APPLICATION = "larapee-backup", "larapee-restore", "larapee-app"
SOLD_BEFORE_FULL = 40
SOLD_AFTER_FULL = 60
MAX_SHOWN = 12


class Acts:
    def __init__(self, narrator: Narrator, workplace: Workplace, launcher: Launcher, *, orders: int, seed: int) -> None:
        self._narrator = narrator
        self._workplace = workplace
        self._launcher = launcher
        self._orders = orders
        self._seed = seed
        self._shop_server = ThrowawayServer(workplace.shop_server, server_id=1)
        self._new_server = ThrowawayServer(workplace.new_server, server_id=2)
        self._cleanup = ExitStack()
        for server in (self._shop_server, self._new_server):
            self._cleanup.callback(server.close)
            self._cleanup.callback(server.stop)

    def close(self) -> None:
        """Stop selling, then the servers; their data stays."""
        self._cleanup.close()

    def play(self) -> None:
        """Ends well only if equality was proven and every receipt is accounted for; raises DemoError otherwise."""
        passwords = {user: secrets.token_urlsafe(24) for user in (OPERATOR, RESTORER, APPLICATION)}
        self._prepare(passwords)
        shop = self._fill()
        till = self._start_selling(shop, passwords)
        moment = self._take_full(till)
        self._verify(till)
        sold = self._lose_everything(till, moment)
        self._restore(passwords)
        self._compare(moment)
        self._tell_losses(moment, sold)

    def _prepare(self, passwords: dict[str, str]) -> None:
        with self._narrator.step("Start the shop's server, make its keys") as step:
            self._shop_server.start()
            recipients = make_keys(self._workplace)
            operator = self._shop_server.write_option_file(
                self._workplace.branch / "operator.cnf", user=OPERATOR, password=passwords[OPERATOR]
            )
            restorer = self._workplace.restorer / "target.cnf"
            write_configuration(self._workplace, recipients=recipients, operator=operator, restorer=restorer)
            step.fact(f"{self._shop_server.version}, process {self._shop_server.pid}, binary log on")
            step.fact("backups are encrypted to two recipients; their identities are the restorer's, not the branch's")

    def _fill(self) -> Shop:
        with self._narrator.step(f"Fill it with {self._orders:,} orders") as step:
            shop = open_shop(
                self._shop_server,
                database=DATABASE,
                orders=self._orders,
                seed=self._seed,
                last_day=datetime.now(UTC).date() - timedelta(days=1),
                on_progress=lambda sold: step.now(f"{sold:,}"),
            )
            picture = take_picture(self._shop_server, database=DATABASE)
            step.fact(
                f"{picture.rows:,} rows in {picture.counts['TABLE']} tables, with "
                + ", ".join(
                    f"{count} {kind.lower()}{'s' if count > 1 else ''}"
                    for kind, count in picture.counts.items()
                    if count and kind != "TABLE"
                )
            )
            return shop

    def _start_selling(self, shop: Shop, passwords: dict[str, str]) -> Till:
        with self._narrator.step("Open the tills: orders keep coming") as step:
            create_operator(self._shop_server, database=DATABASE, user=OPERATOR, password=passwords[OPERATOR])
            create_application(self._shop_server, database=DATABASE, user=APPLICATION, password=passwords[APPLICATION])
            till = Till(self._shop_server, shop, user=APPLICATION, password=passwords[APPLICATION])
            self._cleanup.enter_context(till)
            till.wait_until_sold(SOLD_BEFORE_FULL)
            step.fact(f"first receipt {till.receipts[0].number}")
        return till

    def _take_full(self, till: Till) -> Moment:
        with self._narrator.step("Take a full: larapee-backup run larapee.backup.branch_backup") as step:
            moment, full = self._full(till, step, hold_first=False)
            if full.start != moment.position:
                step.fact(f"orders slipped in before the full's snapshot ({full.start}); taking another one")
                moment, full = self._full(till, step, hold_first=True)
            if full.start != moment.position:
                msg = (
                    f"Failed to compare: the full starts at {full.start}, the picture was taken at {moment.position},"
                    " although no order was open. Report this."
                )
                raise DemoError(msg)
            step.fact(f"{full.artifact.name}: {size(full.size)}, from {size(full.plain_size)} of SQL")
            step.fact(f"its position is {full.start}; for the comparison orders were held {moment.held_s:.1f} s")
        return moment

    def _full(self, till: Till, step: Step, *, hold_first: bool) -> tuple[Moment, Full]:
        def tick(run: Running, held: bool) -> None:
            step.now(f"{run.seconds:.0f} s, {till.sold} receipts, {'orders held' if held else 'selling'}")

        moment = full_and_picture(
            self._shop_server,
            till,
            database=DATABASE,
            operator=OPERATOR,
            start_run=lambda: self._launcher.start(
                "take a full",
                *("run", "larapee.backup.branch_backup", "-i", str(self._workplace.inventory)),
                *("-e", "larapee_backup_kind=full"),
            ),
            tick=tick,
            hold_first=hold_first,
        )
        return moment, newest_full(self._workplace.backups)

    def _verify(self, till: Till) -> None:
        with self._narrator.step("Verify it: larapee-backup run larapee.backup.verify") as step:
            sold = till.sold
            self._run(step, "verify", "larapee.backup.verify", self._workplace.inventory)
            step.fact(f"the shop sold on meanwhile: {till.sold - sold} receipts")
            require_intact(newest_full(self._workplace.backups))
            step.fact("intact: size, hash and signature are right; to open it takes the restorer's identity")

    def _lose_everything(self, till: Till, moment: Moment) -> tuple[Receipt, ...]:
        with self._narrator.step("Lose everything: kill -9, then destroy the data directory") as step:
            till.wait_until_sold(len(moment.receipts) + SOLD_AFTER_FULL)
            pid = self._shop_server.pid
            self._shop_server.kill()
            till.close()
            self._shop_server.destroy()
            step.fact(f"process {pid} is dead, {self._shop_server.datadir} is gone")
            step.fact(f"the tills had sold {till.sold} receipts, the last one {till.receipts[-1].number}")
        return till.receipts

    def _restore(self, passwords: dict[str, str]) -> None:
        with self._narrator.step("Restore into a new server: larapee-backup run larapee.backup.restore") as step:
            self._new_server.start()
            create_restorer(self._new_server, database=DATABASE, user=RESTORER, password=passwords[RESTORER])
            self._new_server.write_option_file(
                self._workplace.restorer / "target.cnf", user=RESTORER, password=passwords[RESTORER]
            )
            self._run(step, "restore", "larapee.backup.restore", self._workplace.restorer_inventory)
            step.fact(f"process {self._new_server.pid}, by an account that may fill {DATABASE} and nothing else")

    def _compare(self, moment: Moment) -> None:
        with self._narrator.step("Compare it with the picture of the lost database") as step:
            after = take_picture(self._new_server, database=DATABASE)
            found = differences(moment.picture, after)
            if found:
                raise DemoError(
                    f"Failed to prove equality: {len(found)} differences: {'; '.join(found[:MAX_SHOWN])}."
                    f" The restored data is in {self._new_server.datadir}. Report this with the seed {self._seed}."
                )
            step.fact(f"EQUAL at {moment.position}: {len(after.facts)} facts, {after.rows:,} rows by checksum")
            receipts = ", ".join(f"till {till} {number}" for till, number in after.highest_receipts.items())
            step.fact(f"last receipts: {receipts}")

    def _tell_losses(self, moment: Moment, sold: tuple[Receipt, ...]) -> None:
        with self._narrator.step("Name what a full alone cannot bring back") as step:
            kept, lost = sold[: len(moment.receipts)], sold[len(moment.receipts) :]
            restored = self._restored_receipts()
            missing = [receipt.number for receipt in kept if receipt.number not in restored]
            risen = [receipt.number for receipt in lost if receipt.number in restored]
            if missing or risen:
                msg = (
                    f"Failed to account for the receipts: {len(missing)} sold before the full are missing,"
                    f" {len(risen)} sold after it are there. Report this with the seed {self._seed}."
                )
                raise DemoError(msg)
            first, last = lost[0], lost[-1]
            step.fact(f"{len(lost)} receipts sold after the full are lost:")
            step.fact(f"from {first.number} ({first.committed_at:%H:%M:%S} UTC, total {first.total})")
            step.fact(f"to   {last.number} ({last.committed_at:%H:%M:%S} UTC, total {last.total})")

    def _restored_receipts(self) -> frozenset[str]:
        connection = self._new_server.connect(database=DATABASE)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT invoice_number FROM orders WHERE id > %s", (self._orders,))
                return frozenset(str(row[0]) for row in cursor.fetchall())
        finally:
            connection.close()

    def _run(self, step: Step, what: str, playbook: str, inventory: Path) -> None:
        run = self._launcher.start(what, "run", playbook, "-i", str(inventory))
        try:
            run.wait(lambda: step.now(f"{run.seconds:.0f} s"))
        finally:
            run.stop()


__all__ = ("Acts",)

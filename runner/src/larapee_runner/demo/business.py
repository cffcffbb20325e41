# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first half of the story: a shop sells, is backed up while it sells, and is lost."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from larapee_runner.render import size

from .accounts import create_application, create_log_reader, create_operator
from .errors import DemoError
from .estate import DATABASE, make_keys, write_configuration
from .file_picture import FilePicture, take_file_picture
from .moment import Moment, Photographer
from .picture import take_picture
from .shop import Shop, open_shop
from .stage import APPLICATION, BACKUP, LOG_READER, OPERATOR, Stage
from .stored import Stored, newest_set, require_intact
from .till import Receipt, Till

if TYPE_CHECKING:
    from .launcher import Running
    from .narrator import Step

SOLD_BEFORE_FULL = 40
SOLD_BEFORE_INCREMENT = 40
SOLD_BEFORE_LOSS = 60
SLIPS_BETWEEN = 5


class Business:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._step = stage.narrator.step

    def prepare(self) -> None:
        stage, workplace = self._stage, self._stage.workplace
        with self._step("Start the shop's server, install its application, make its keys") as step:
            stage.shop_server.start()
            recipients = make_keys(workplace)
            operator, log_reader = (
                stage.shop_server.write_option_file(workplace.branch / name, user=user, password=stage.passwords[user])
                for name, user in (("operator.cnf", OPERATOR), ("binlog.cnf", LOG_READER))
            )
            restorer = workplace.restorer / "target.cnf"
            write_configuration(
                workplace,
                application=stage.application,
                recipients=recipients,
                operator=operator,
                log_reader=log_reader,
                restorer=restorer,
            )
            stage.application.install(database=DATABASE, user=APPLICATION, password=stage.passwords[APPLICATION])
            step.fact(f"{stage.shop_server.version}, process {stage.shop_server.pid}, binary log on")
            step.fact(f"{workplace.application} has storage/app/public, .env and the web server's configuration")
            step.fact("backups are encrypted to two recipients; their identities are the restorer's, not the branch's")

    def fill(self) -> Shop:
        stage = self._stage
        with self._step(f"Fill it with {stage.orders:,} orders, product pictures and payment slips") as step:
            shop = open_shop(
                stage.shop_server,
                database=DATABASE,
                orders=stage.orders,
                seed=stage.seed,
                last_day=datetime.now(UTC).date() - timedelta(days=1),
                uploads=stage.application.uploads,
                on_progress=lambda sold: step.now(f"{sold:,}"),
            )
            picture = take_picture(stage.shop_server, database=DATABASE)
            step.fact(
                f"{picture.rows:,} rows in {picture.counts['TABLE']} tables, with "
                + ", ".join(
                    f"{count} {kind.lower()}{'s' if count > 1 else ''}"
                    for kind, count in picture.counts.items()
                    if count and kind != "TABLE"
                )
            )
            uploads = self._take_files()["uploads"]
            step.fact(f"uploads: {uploads}, {size(uploads.size)}; odd names, hard and symbolic links among them")
            return shop

    def start_selling(self, shop: Shop) -> Till:
        stage = self._stage
        with self._step("Open the tills: orders and slips keep coming") as step:
            create_operator(stage.shop_server, database=DATABASE, user=OPERATOR, password=stage.passwords[OPERATOR])
            create_log_reader(stage.shop_server, user=LOG_READER, password=stage.passwords[LOG_READER])
            password = stage.passwords[APPLICATION]
            create_application(stage.shop_server, database=DATABASE, user=APPLICATION, password=password)
            till = Till(stage.shop_server, shop, user=APPLICATION, password=password, uploads=stage.application.uploads)
            stage.cleanup.enter_context(till)
            till.wait_until_sold(SOLD_BEFORE_FULL, slips=SLIPS_BETWEEN)
            step.fact(f"first receipt {till.receipts[0].number}")
        return till

    def take_full(self, till: Till) -> None:
        with self._step(f"Take a full: larapee-backup run {BACKUP}") as step:
            self._run(step, till, "full")
            self._tell_set(step, newest_set(self._stage.workplace.backups))

    def work_on(self, till: Till) -> None:
        with self._step("Let the shop work on: sales, slips, files replaced and removed") as step:
            sold, slips = till.sold, till.slips
            self._stage.application.work_on()
            till.wait_until_sold(sold + SOLD_BEFORE_INCREMENT, slips=slips + SLIPS_BETWEEN)
            step.fact(f"{till.sold - sold} receipts, {till.slips - slips} slips")

    def take_increment(self, till: Till) -> None:
        with self._step("Take an increment: the same with -e larapee_backup_kind=increment") as step:
            self._run(step, till, "increment")
            made = newest_set(self._stage.workplace.backups)
            self._tell_set(step, made)
            fingerprint = made["database"].manifest["fingerprint"]
            step.fact(
                f"with a fingerprint, to compare a restore with; the last receipt in it is {fingerprint['receipt']}"
            )

    def seal_log(self, till: Till) -> Moment:
        with self._step("Seal the log, as every five minutes: -e larapee_backup_kind=log") as step:
            moment, made = self._seal(till, step, hold_first=False)
            if made["database"].end.gtid != moment.gtid:
                step.fact(f"orders slipped in after it ({made['database'].end.gtid}); sealing once more")
                moment, made = self._seal(till, step, hold_first=True)
            end = made["database"].end
            if end.gtid != moment.gtid:
                msg = (
                    f"Failed to compare: what was sealed ends at {end}, the picture was taken at {moment.gtid},"
                    " although no order was open. Report this."
                )
                raise DemoError(msg)
            self._tell_set(step, made)
            step.fact(
                f"it ends at {end}; for a picture of that moment, orders were held {moment.orders_held_s:.1f} s"
                f" and slips {moment.slips_held_s:.1f} s"
            )
        return moment

    def _seal(self, till: Till, step: Step, *, hold_first: bool) -> tuple[Moment, dict[str, Stored]]:
        stage = self._stage
        photographer = Photographer(
            stage.shop_server, till, database=DATABASE, log_reader=LOG_READER, backups=stage.workplace.backups
        )
        moment = photographer.follow(
            lambda: stage.start_backup("log"),
            take_files=self._take_files,
            tick=lambda run, held: self._tick(step, till, run, held=held),
            hold_first=hold_first,
        )
        return moment, newest_set(stage.workplace.backups)

    def _run(self, step: Step, till: Till, kind: str) -> None:
        sold = till.sold
        run = self._stage.start_backup(kind)
        try:
            run.wait(lambda: self._tick(step, till, run, held=False))
        finally:
            run.stop()
        step.fact(f"the shop sold on meanwhile: {till.sold - sold} receipts")

    @staticmethod
    def _tick(step: Step, till: Till, run: Running, *, held: bool) -> None:
        step.now(f"{run.seconds:.0f} s, {till.sold} receipts, {'orders held' if held else 'selling'}")

    def _take_files(self) -> dict[str, FilePicture]:
        """An earlier picture is replaced."""
        aside, application = self._stage.workplace.aside, self._stage.application
        for directory in aside.iterdir():
            shutil.rmtree(directory)
        config = [str(path.relative_to("/")) for path in application.config_paths]
        return {
            "uploads": take_file_picture(application.uploads.directory, ["."], aside=aside / "uploads"),
            "config": take_file_picture(Path("/"), config, aside=aside / "config"),
        }

    @staticmethod
    def _tell_set(step: Step, made: dict[str, Stored]) -> None:
        newest = made["database"].set_number
        step.fact(f"set {newest}:")
        for stored in made.values():
            kept = "" if stored.set_number == newest else f"; of set {stored.set_number}, nothing changed"
            step.fact(f"    {stored.name}: {size(stored.size)}, {stored.contents}{kept}")

    def verify(self, till: Till) -> None:
        with self._step("Verify all of it: larapee-backup run larapee.backup.verify") as step:
            sold, workplace = till.sold, self._stage.workplace
            self._stage.run(step, "verify", "larapee.backup.verify", workplace.inventory)
            step.fact(f"the shop sold on meanwhile: {till.sold - sold} receipts")
            for stored in newest_set(workplace.backups).values():
                require_intact(stored)
            step.fact("intact: sizes, hashes and signatures are right; to open them takes the restorer's identity")

    def lose_everything(self, till: Till, moment: Moment) -> tuple[Receipt, ...]:
        stage = self._stage
        with self._step("Lose everything: kill -9, then remove data, uploads and .env") as step:
            slips = sum(receipt.slip is not None for receipt in moment.receipts)
            till.wait_until_sold(len(moment.receipts) + SOLD_BEFORE_LOSS, slips=slips + SLIPS_BETWEEN)
            pid = stage.shop_server.pid
            stage.shop_server.kill()
            till.close()
            stage.shop_server.destroy()
            stage.application.remove()
            step.fact(f"process {pid} is dead, {stage.shop_server.datadir} and {stage.application.root} are gone")
            step.fact(f"the tills had sold {till.sold} receipts, the last one {till.receipts[-1].number}")
        return till.receipts


__all__ = ("Business",)

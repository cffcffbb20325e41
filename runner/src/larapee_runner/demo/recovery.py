# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second half of the story: the shop comes back, is compared with what it was, and what it lost is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from larapee_runner.render import size

from .accounts import create_restorer
from .errors import DemoError
from .estate import DATABASE
from .file_picture import file_differences
from .picture import differences, take_picture
from .references import check_references
from .stage import RESTORER, Stage
from .stored import newest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .moment import Moment
    from .till import Receipt

MAX_SHOWN = 12


class Recovery:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._step = stage.narrator.step

    def restore(self) -> None:
        stage, workplace = self._stage, self._stage.workplace
        with self._step("Restore into new places: larapee-backup run larapee.backup.restore") as step:
            stage.new_server.start()
            password = stage.passwords[RESTORER]
            create_restorer(stage.new_server, database=DATABASE, user=RESTORER, password=password)
            stage.new_server.write_option_file(workplace.restorer / "target.cnf", user=RESTORER, password=password)
            stage.run(step, "restore", "larapee.backup.restore", workplace.restorer_inventory)
            number = newest(workplace.backups, "database").set_number
            step.fact(f"set {number}: the database, its uploads, its configuration")
            step.fact(f"process {stage.new_server.pid}, by an account that may fill {DATABASE} and nothing else")

    def compare_database(self, moment: Moment) -> None:
        stage = self._stage
        with self._step("Compare the database with the picture of the lost one") as step:
            after = take_picture(stage.new_server, database=DATABASE)
            found = differences(moment.picture, after)
            self._require_equal(found, where=stage.new_server.datadir)
            step.fact(f"EQUAL at {moment.position}: {len(after.facts)} facts, {after.rows:,} rows by checksum")
            receipts = ", ".join(f"till {till} {number}" for till, number in after.highest_receipts.items())
            step.fact(f"last receipts: {receipts}")

    def compare_files(self, moment: Moment) -> None:
        workplace = self._stage.workplace
        restored = {
            "uploads": ("uploads", workplace.restored_uploads),
            "config": (".env and nginx", workplace.restored_config),
        }
        with self._step("Compare the files with a copy of the lost ones: diff -r and find") as step:
            for family, (told, root) in restored.items():
                before = moment.files[family]
                found = file_differences(before, root, aside=workplace.aside / family)
                self._require_equal(found, where=root)
                step.fact(
                    f"EQUAL {told}: {before}, {size(before.size)}; their contents, names, modes, owners, times, links"
                )
            number = check_references(self._stage.new_server, database=DATABASE, uploads=workplace.restored_uploads)
            step.fact(f"{number} rows name a picture or slip: sha256sum finds each file as its row says")

    def _require_equal(self, found: Sequence[str], *, where: Path) -> None:
        if found:
            raise DemoError(
                f"Failed to prove equality: {len(found)} differences: {'; '.join(found[:MAX_SHOWN])}."
                f" What was restored is in {where}. Report this with the seed {self._stage.seed}."
            )

    def tell_losses(self, moment: Moment, sold: tuple[Receipt, ...]) -> None:
        with self._step("Name what the last backup cannot bring back") as step:
            kept, lost = sold[: len(moment.receipts)], sold[len(moment.receipts) :]
            restored = self._restored_receipts()
            uploads = self._stage.workplace.restored_uploads
            missing = [receipt.number for receipt in kept if receipt.number not in restored]
            missing += [receipt.slip for receipt in kept if receipt.slip and not (uploads / receipt.slip).is_file()]
            risen = [receipt.number for receipt in lost if receipt.number in restored]
            risen += [receipt.slip for receipt in lost if receipt.slip and (uploads / receipt.slip).exists()]
            if missing or risen:
                shown = "; ".join((missing + risen)[:MAX_SHOWN])
                msg = (
                    f"Failed to account for receipts and slips: {len(missing)} from before the increment are missing,"
                    f" {len(risen)} from after it are there: {shown}. Report this with the seed {self._stage.seed}."
                )
                raise DemoError(msg)
            first, last = lost[0], lost[-1]
            step.fact(f"{len(lost)} receipts sold after the increment are lost:")
            step.fact(f"from {first.number} ({first.committed_at:%H:%M:%S} UTC, total {first.total})")
            step.fact(f"to   {last.number} ({last.committed_at:%H:%M:%S} UTC, total {last.total})")
            slips = [receipt.slip for receipt in lost if receipt.slip]
            step.fact(f"{len(slips)} slips uploaded with them are lost:")
            step.fact(f"from {slips[0]}")
            step.fact(f"to   {slips[-1]}")

    def _restored_receipts(self) -> frozenset[str]:
        connection = self._stage.new_server.connect(database=DATABASE)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT invoice_number FROM orders WHERE id > %s", (self._stage.orders,))
                return frozenset(str(row[0]) for row in cursor.fetchall())
        finally:
            connection.close()


__all__ = ("Recovery",)

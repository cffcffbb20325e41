# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The second half of the story: the shop comes back, is compared with what it was, and what it lost is named."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from .narrator import Step
    from .till import Receipt

MAX_SHOWN = 12
# As manifests and plans write times: in UTC, so that their texts are in their order.
TIME = "%Y-%m-%dT%H:%M:%SZ"


class Recovery:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._step = stage.narrator.step

    def preview(self, moment: Moment) -> None:
        """Ask for a time shortly before the end of what was sealed; nothing is restored by it."""
        with self._step("Ask what another moment would bring: the restore to a time, with --check") as step:
            self._open_target()
            sealed_at = newest(self._stage.workplace.backups, "database").manifest["created_at"]
            to = (datetime.fromisoformat(sealed_at) - timedelta(seconds=1)).strftime(TIME)
            plan = self._restore(step, "preview a restore", "-e", f"larapee_backup_restore_to={to}", "--check")
            last, following = plan["position"], plan["next_transaction"]
            if not last["time"] < to <= following["time"]:
                between = f"{last['time']} and {following['time']}"
                raise DemoError(f"Failed to preview {to}: it is not between {between}. Report this.")
            printed = [receipt.number for receipt in moment.receipts if receipt.committed_at.strftime(TIME) < to]
            step.fact(
                f"to {to}: a full and {len(plan['artifacts']) - 1} increments, {plan['transactions']} transactions"
            )
            step.fact(f"the last one is {last['gtid']} of {last['time']}; {following['gtid']} would not come back")
            known = plan["fingerprint"]["receipt"]
            step.fact(f"the last receipt of the fingerprint before it is {known}; the tills' own, {printed[-1]}")
            step.fact(f"expected to take {plan['expected']['seconds']:.0f} s")

    def _open_target(self) -> None:
        stage = self._stage
        stage.new_server.start()
        password = stage.passwords[RESTORER]
        create_restorer(stage.new_server, database=DATABASE, user=RESTORER, password=password)
        option_file = stage.workplace.restorer / "target.cnf"
        stage.new_server.write_option_file(option_file, user=RESTORER, password=password)

    def _restore(self, step: Step, what: str, *arguments: str) -> dict[str, Any]:
        """The plan that the run's row tells."""
        stage = self._stage
        run = stage.run(step, what, "larapee.backup.restore", stage.workplace.restorer_inventory, *arguments)
        row = stage.launcher.ask("runs")["runs"][0]
        plan: dict[str, Any] | None = row["details"].get("plan") if row["kind"] == "restore" else None
        if not plan:
            raise DemoError(f"Failed to {what}: the run said success, its row tells of no plan. Read {run.log}.")
        return plan

    def restore(self) -> None:
        stage = self._stage
        with self._step("Restore to the last sealed second: larapee-backup run larapee.backup.restore") as step:
            plan = self._restore(step, "restore")
            artifacts = len(plan["artifacts"]) - 1
            step.fact(
                f"{plan['artifact']} and {artifacts} increments after it: {plan['transactions']} transactions replayed"
            )
            step.fact(
                f"at the fingerprint of {plan['fingerprint']['taken_at']} all its tables and answers were compared"
            )
            step.fact(f"recovery point {plan['recovery_point']}: all is there that was committed before it")
            step.fact(f"process {stage.new_server.pid}, by an account that may fill {DATABASE} and nothing else")

    def compare_database(self, moment: Moment) -> None:
        stage = self._stage
        with self._step("Compare the database with the picture of the lost one") as step:
            after = take_picture(stage.new_server, database=DATABASE)
            found = differences(moment.picture, after)
            self._require_equal(found, where=stage.new_server.datadir)
            step.fact(f"EQUAL at GTID {moment.gtid}: {len(after.facts)} facts, {after.rows:,} rows by checksum")
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
        with self._step("Name what was lost: the receipts that the tills printed, and those that are there") as step:
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
                    f"Failed to account for receipts and slips: {len(missing)} from before the last seal are missing,"
                    f" {len(risen)} from after it are there: {shown}. Report this with the seed {self._stage.seed}."
                )
                raise DemoError(msg)
            first, last = lost[0], lost[-1]
            seconds = (last.committed_at - first.committed_at).total_seconds()
            step.fact(
                f"all {len(kept)} receipts up to {kept[-1].number} ({kept[-1].committed_at:%H:%M:%S} UTC) are there"
            )
            step.fact(f"{len(lost)} receipts of the last {seconds:.1f} s, sold after the log was sealed, are lost:")
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

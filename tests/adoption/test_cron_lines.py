# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan's cron lines left is adopted and restored for real, and compared by stock tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.adoption.cron_shop import DUMP_LINE, later, picture_without_programs
from tests.database.estate import sql
from tests.files.restoring import picture

if TYPE_CHECKING:
    from tests.adoption.cron_shop import CronShop

ROOT = Path(__file__).resolve().parents[2]


def fill_uploads(directory: Path) -> None:
    photos = directory / "receipts" / "2026"
    photos.mkdir(parents=True)
    for number in range(6):
        (photos / f"photo {number}.jpg").write_bytes(os.urandom(100_000))
    os.link(photos / "photo 0.jpg", photos / "same.jpg")
    (photos / "-newest.jpg").symlink_to("photo 5.jpg")
    (directory / "empty").mkdir(mode=0o750)
    (directory / "naïve \n 😀.txt").write_bytes(b"")
    (directory / ("long" * 60)).write_bytes(b"long")
    os.chmod(photos / "photo 1.jpg", 0o640)
    os.utime(photos / "photo 2.jpg", (1_600_000_000, 1_600_000_000))


def reset_fractions(directory: Path) -> None:
    """The plan's tar keeps whole seconds only."""
    for path, directories, files in os.walk(os.fsencode(directory), topdown=False):
        for name in (*files, *directories, b"."):
            whole = os.path.join(path, name)
            seconds = int(os.lstat(whole).st_mtime)
            os.utime(whole, (seconds, seconds), follow_symlinks=False)


def test_a_dump_of_the_plans_line_restores_to_what_it_was_made_of(cron_shop: CronShop) -> None:
    estate = cron_shop.estate
    before = picture_without_programs(estate.source)
    dump = cron_shop.dump()
    sql(estate.source, "DROP TABLE larapos.order_items")
    stored = dump.read_bytes()
    (manifest,) = cron_shop.adopt().adopted
    assert manifest.document["adopted"]["moment"] == cron_shop.begun[dump.name]
    assert manifest.document["objects"] == {
        "tables": 4,
        "views": 1,
        "sequences": 1,
        "triggers": 1,
        "routines": 0,
        "events": 0,
    }
    outcome = estate.restore(identity=None)
    assert picture_without_programs(estate.target) == before
    assert sql(estate.target, "SHOW PROCEDURE STATUS WHERE Db = 'larapos'") == ""
    assert outcome.plan["recovery_point"] == cron_shop.begun[dump.name]
    assert cron_shop.begun[dump.name] in outcome.plan["lost"]
    (warning,) = outcome.warnings
    assert f"{dump.name} was adopted from an older cron line: nobody has proven it" in warning
    assert "routines and events are not in it" in warning
    assert dump.read_bytes() == stored


def test_an_archive_of_the_plans_line_restores_to_what_it_was_made_of(cron_shop: CronShop) -> None:
    fill_uploads(cron_shop.uploads)
    reset_fractions(cron_shop.uploads)
    before = picture(cron_shop.uploads)
    archive = cron_shop.archive()
    stored = archive.read_bytes()
    shutil.rmtree(cron_shop.uploads)
    (manifest,) = cron_shop.adopt().adopted
    assert manifest.recovery_point.strftime("%Y-%m-%dT%H:%M:%SZ") == cron_shop.begun[archive.name]
    outcome = cron_shop.restore_uploads()
    assert picture(cron_shop.target) == before
    assert any("taken over from an older cron line" in warning for warning in outcome.warnings)
    assert archive.read_bytes() == stored


def test_an_older_moment_is_reached_and_an_own_full_comes_first(cron_shop: CronShop) -> None:
    estate = cron_shop.estate
    old = cron_shop.dump(hours_ago=30)
    sql(estate.source, "UPDATE larapos.orders SET note = 'changed'")
    newer = cron_shop.dump(hours_ago=2)
    assert len(cron_shop.adopt().adopted) == 2
    assert estate.restore(identity=None, check_mode=True).entry.name == newer.name
    outcome = estate.restore(identity=None, to=cron_shop.begun[old.name])
    assert outcome.entry.name == old.name
    assert "changed" not in sql(estate.target, "SELECT note FROM larapos.orders")
    own = estate.dump().manifest
    assert own is not None
    assert estate.restore(check_mode=True, confirm="branch-001").entry.name == own.artifact
    assert estate.verify().failures == []
    assert cron_shop.adopt().adopted == []


def test_what_is_written_beside_them_is_what_is_published(cron_shop: CronShop) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
    fill_uploads(cron_shop.uploads)
    artifacts = {cron_shop.dump(), cron_shop.archive()}
    assert len(cron_shop.adopt().adopted) == len(artifacts)
    for path in artifacts:
        jsonschema.validate(json.loads(Path(f"{path}.manifest.json").read_bytes()), schema)


def test_a_line_that_died_half_way_is_refused_by_name(cron_shop: CronShop) -> None:
    whole = cron_shop.dump(hours_ago=5)
    killed = cron_shop.dump(hours_ago=4, line=DUMP_LINE.replace("| gzip", "| head -c 3000 | gzip"))
    no_server = cron_shop.dump(hours_ago=3, line=DUMP_LINE.replace("mysqldump", "mysqldump --socket=/nonexistent"))
    full_disk = cron_shop.archive()
    full_disk.write_bytes(full_disk.read_bytes()[:-4])
    os.utime(full_disk, (1_700_000_000, 1_700_000_000))
    outcome = cron_shop.adopt()
    assert [each.artifact for each in outcome.adopted] == [whole.name]
    assert set(outcome.refused) == {killed.name, no_server.name, full_disk.name}
    assert "cut short" in outcome.refused[killed.name]
    assert outcome.failure is not None
    with pytest.raises(BackupError, match="nothing here reaches that point"):
        cron_shop.estate.restore(to=cron_shop.begun[killed.name])


def test_a_dump_of_all_databases_is_refused(cron_shop: CronShop) -> None:
    everything = cron_shop.dump(line=DUMP_LINE.replace(" larapos |", " --databases larapos mysql |"))
    outcome = cron_shop.adopt()
    assert set(outcome.refused) == {everything.name}


def test_a_line_at_work_is_left_and_adopted_by_the_next_run(cron_shop: CronShop) -> None:
    dump = cron_shop.dump()
    modified = dump.stat().st_mtime
    later(dump)
    outcome = cron_shop.adopt()
    assert (outcome.adopted, outcome.failure, set(outcome.later)) == ([], None, {dump.name})
    os.utime(dump, (modified, modified))
    assert [each.artifact for each in cron_shop.adopt().adopted] == [dump.name]


def test_the_cron_lines_may_go_on_beside_own_backups(cron_shop: CronShop) -> None:
    estate = cron_shop.estate
    cron_shop.dump()
    cron_shop.adopt()
    assert estate.dump().manifest is not None
    cron_shop.dump(hours_ago=1)
    assert estate.dump().manifest is not None
    assert len(cron_shop.adopt().adopted) == 1
    assert estate.verify().failures == []
    catalogue = _catalog.read_catalogue(str(cron_shop.local))
    assert [entry.manifest.sequence for entry in catalogue.of_kind("db_full")] == [0, 0, 1, 2]
    checked = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=cron_shop.local, capture_output=True)
    assert checked.returncode == 0

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that makes room for another one, and takes its place again, on a real server."""

from __future__ import annotations

import os
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _db_aside, _epoch
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.database.aside_shop import BRANCH, ODD, Live, refused
from tests.database.estate import SCHEMA, sql, stock_picture

if TYPE_CHECKING:
    from tests.database.estate import Estate


def test_it_comes_back_as_it_was_object_for_object(live: Live) -> None:
    live.sql(
        "CREATE USER IF NOT EXISTS till@localhost",
        "GRANT EXECUTE ON PROCEDURE total TO till@localhost",
        "GRANT SELECT (id) ON orders TO till@localhost",
    )
    before, grants = live.picture(), live.sql("SHOW GRANTS FOR till@localhost")
    outcome = _db_aside.keep(live.request())
    assert outcome.changed
    assert outcome.kept is not None
    assert (outcome.kept["schema"], outcome.kept["tables"]) == (live.aside, 8)
    assert outcome.kept["bytes"] > 0
    assert live.sql("SHOW TABLES") == []
    assert live.sql("SELECT number FROM orders ORDER BY id", database=live.aside)[0] == ("B01-20261122-0001",)
    assert not _db_aside.keep(live.request(confirm="")).changed
    live.replace()
    outcome = _db_aside.bring_back(live.request())
    assert (outcome.changed, outcome.kept, outcome.warnings) == (True, None, [])
    assert outcome.dropped is not None
    assert outcome.dropped["tables"] == 1
    assert live.picture() == before
    assert live.sql("SHOW GRANTS FOR till@localhost") == grants
    assert "the shop''s" in live.sql(f"SHOW CREATE DATABASE {live.database}")[0][1]
    assert live.there() == {live.database}
    assert live.files == {f"{BRANCH}.aside.json"}
    assert not _db_aside.bring_back(live.request()).changed
    live.sql("DROP USER till@localhost")


def test_what_came_back_works(live: Live) -> None:
    _db_aside.keep(live.request())
    _db_aside.bring_back(live.request())
    live.sql(
        "INSERT INTO orders (number, total) VALUES ('B01-20261122-0003', 1)",
        "INSERT INTO numbered (n) VALUES (3)",
        f"UPDATE {ODD} SET order_id = 101",
    )
    assert live.sql("SELECT n, who FROM counters ORDER BY who") == [(102, 1), (102, 2)]
    assert live.sql("SELECT number, one FROM newest") == [("B01-20261122-0003", 1)]
    assert live.sql(f"SELECT DISTINCT order_id FROM {ODD}") == [(100,)]
    # After the thousand values that the server had reserved, as after its restart.
    assert live.sql("SELECT MAX(id) FROM numbered") == [(1007,)]
    assert live.sql("SELECT COUNT(*) FROM history FOR SYSTEM_TIME ALL") == [(2,)]
    assert live.sql("SELECT one()") == [(1,)]
    live.sql("DELETE FROM orders WHERE id = 100")
    assert live.sql(f"SELECT COUNT(*) FROM {ODD}") == [(0,)]
    definers = live.sql("SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_NAME = 'total'")
    assert definers == [("gone@nowhere",)]


@pytest.mark.parametrize("action", [_db_aside.keep, _db_aside.bring_back])
def test_a_new_epoch_is_demanded_before_anything_changes(
    live: Live, monkeypatch: pytest.MonkeyPatch, action: object
) -> None:
    def refuse(*_arguments: object, **_keywords: object) -> None:
        raise BackupError("no room for a demand")

    if action is _db_aside.bring_back:
        _db_aside.keep(live.request())
        live.replace()
    before, there = live.picture(), live.there()
    monkeypatch.setattr(_epoch, "demand", refuse)
    with pytest.raises(BackupError, match="no room"):
        action(live.request())  # type: ignore[operator]
    assert live.picture() == before
    assert live.there() == there
    assert not live.is_marked


def test_the_demand_names_what_was_done(live: Live) -> None:
    state = str(live.root / "state")
    _db_aside.keep(live.request())
    assert "was put aside" in str(_epoch.demanded(state, branch=BRANCH))
    _db_aside.bring_back(live.request())
    assert "was brought back" in str(_epoch.demanded(state, branch=BRANCH))


def test_an_empty_schema_of_that_name_is_used(live: Live) -> None:
    before = live.picture()
    live.sql(f"CREATE DATABASE {live.aside}")
    assert _db_aside.keep(live.request()).changed
    _db_aside.bring_back(live.request())
    assert live.picture() == before


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_nothing_is_kept_of_an_empty_database(live: Live, how: str) -> None:
    live.sql(f"DROP DATABASE {live.database}", database="mysql")
    if how == "empty":
        live.sql(f"CREATE DATABASE {live.database}", database="mysql")
    outcome = _db_aside.keep(live.request(confirm=""))
    assert (outcome.changed, outcome.kept) == (False, None)
    with pytest.raises(BackupError) as caught:
        _db_aside.bring_back(live.request())
    assert caught.value.reason == "nothing_kept"
    assert live.there() == ({live.database} if how == "empty" else set())


def test_what_came_back_once_is_not_taken_for_what_a_later_restore_kept(live: Live) -> None:
    _db_aside.keep(live.request())
    _db_aside.bring_back(live.request())
    live.sql(f"DROP DATABASE {live.database}", f"CREATE DATABASE {live.database}", database="mysql")
    assert _db_aside.keep(live.request()).kept is None
    refused(live, "nothing is kept", reason="nothing_kept", state="back")


def test_definitions_alone_are_kept_too(live: Live) -> None:
    live.sql("SET foreign_key_checks = 0", f"DROP DATABASE {live.database}", f"CREATE DATABASE {live.database}")
    live.sql("CREATE FUNCTION two() RETURNS INT DETERMINISTIC RETURN 2", "CREATE VIEW of_it AS SELECT two() AS two")
    before = live.picture()
    outcome = _db_aside.keep(live.request())
    assert outcome.kept is not None
    assert outcome.kept["tables"] == 0
    assert not _db_aside.keep(live.request()).changed
    live.replace()
    _db_aside.bring_back(live.request())
    assert live.picture() == before


def test_a_preview_changes_nothing_and_tells_the_same(live: Live) -> None:
    before = live.picture()
    told = _db_aside.keep(live.request(), check_mode=True)
    assert live.picture() == before
    assert live.there() == {live.database}
    assert not (live.root / "state").exists()
    done = _db_aside.keep(live.request())
    assert told.kept is not None
    assert done.kept is not None
    assert (told.changed, told.kept["tables"]) == (done.changed, done.kept["tables"])
    live.replace()
    picture = live.picture()
    told = _db_aside.bring_back(live.request(), check_mode=True)
    assert _db_aside.forget(live.request(), check_mode=True).changed
    assert live.there() == {live.database, live.aside}
    assert live.picture() == picture
    done = _db_aside.bring_back(live.request())
    assert (told.changed, told.kept, told.dropped) == (done.changed, done.kept, done.dropped)


def test_a_one_time_event_whose_time_has_passed_does_not_stop_the_way_back(live: Live) -> None:
    live.sql("CREATE EVENT once ON SCHEDULE AT NOW() + INTERVAL 3 SECOND DO DELETE FROM counters")
    _db_aside.keep(live.request())
    live.sql("DO SLEEP(3.5)")
    assert "1 one-time events" in _db_aside.bring_back(live.request()).warnings[0]


def test_no_row_is_copied(live: Live) -> None:
    """1,200 tables, and one of 100 MB, change places in seconds; its file is the same one."""
    live.sql(
        *(f"CREATE TABLE t{number} (id INT) ENGINE=InnoDB" for number in range(1200)),
        "CREATE TABLE large (id INT PRIMARY KEY AUTO_INCREMENT, filling LONGBLOB)",
        "INSERT INTO large (filling) SELECT REPEAT('x', 1048576) FROM seq_1_to_100",
        "ANALYZE TABLE large",
    )
    inode = os.stat(live.server.datadir / live.database / "large.ibd").st_ino
    begun = time.monotonic()
    outcome = _db_aside.keep(live.request())
    seconds = time.monotonic() - begun
    assert outcome.kept is not None
    assert outcome.kept["tables"] == 1209
    assert outcome.kept["bytes"] > 100_000_000
    assert os.stat(live.server.datadir / live.aside / "large.ibd").st_ino == inode
    begun = time.monotonic()
    _db_aside.bring_back(live.request())
    seconds += time.monotonic() - begun
    assert live.sql("SELECT COUNT(*), SUM(LENGTH(filling)) FROM large") == [(100, 104857600)]
    assert os.stat(live.server.datadir / live.database / "large.ibd").st_ino == inode
    # A shared machine; copying would take the disk's time besides.
    assert seconds < 60


def test_a_restore_fills_the_place_that_was_made_and_can_be_undone(estate: Estate) -> None:
    estate.dump()
    sql(estate.target, SCHEMA)
    sql(estate.target, "INSERT INTO larapos.emptied VALUES (7)")
    before = stock_picture(estate.target)
    user = "'larapee-restore'@'localhost'"
    sql(
        estate.target,
        f"GRANT ALL ON `larapos\\_before\\_restore`.* TO {user}; GRANT SELECT ON mysql.proc TO {user}",
    )
    request = _db_aside.AsideRequest(
        branch=BRANCH,
        option_file=str(estate.restorer_file),
        database="larapos",
        aside="larapos_before_restore",
        state_path=str(estate.state),
        run_id=str(uuid.uuid4()),
        confirm=BRANCH,
    )
    assert _db_aside.keep(request).changed
    estate.restore()
    assert stock_picture(estate.target) == stock_picture(estate.source)
    _db_aside.bring_back(request)
    assert stock_picture(estate.target) == before
    sql(estate.target, "DROP DATABASE larapos")

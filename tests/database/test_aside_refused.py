# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be put aside, brought back or removed, and what is noticed before anything changes."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _aside_definitions, _db_aside
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _marker, _moving
from tests.database.aside_shop import BRANCH, Live, refused

if TYPE_CHECKING:
    from larapee_runner.demo.server import ThrowawayServer
    from tests.database.estate import FakeTools


def test_what_was_kept_is_not_written_over(live: Live) -> None:
    _db_aside.keep(live.request())
    live.replace()
    refused(live, "holds what an earlier restore kept", reason="aside_in_use")
    outcome = _db_aside.keep(live.request(again=True, confirm=""))
    assert not outcome.changed
    assert outcome.kept is not None
    assert live.sql("SELECT COUNT(*) FROM orders") == [(1,)]


def test_what_a_restore_left_unfinished_is_neither_kept_nor_touched(live: Live) -> None:
    _db_aside.keep(live.request())
    live.replace()
    live.sql(f"CREATE TABLE {_marker.TABLE} (artifact INT, run_id INT, started_at INT)")
    before = live.picture()
    outcome = _db_aside.keep(live.request(confirm=""))
    assert not outcome.changed
    assert outcome.kept is not None
    assert live.picture() == before
    _db_aside.forget(live.request())
    outcome = _db_aside.keep(live.request())
    assert (outcome.changed, outcome.kept) == (False, None)
    assert "not worth keeping" in outcome.warnings[0]
    assert live.picture() == before


def test_a_schema_that_holds_something_else_is_not_used(live: Live) -> None:
    live.sql(f"CREATE DATABASE {live.aside}", f"CREATE TABLE {live.aside}.precious (i INT)")
    refused(live, "no record says", reason="aside_in_use")
    refused(live, "no record says", reason="aside_in_use", state="forget")
    refused(live, "nothing is kept", reason="nothing_kept", state="back")
    _db_aside.keep(live.request(aside=f"{live.database}_elsewhere"))
    refused(live, "tells what was put aside", reason="bad_record")
    _db_aside.bring_back(live.request(aside=f"{live.database}_elsewhere"))


@pytest.mark.parametrize("confirm", ["", "branch-002"])
def test_a_person_has_to_say_so(live: Live, confirm: str) -> None:
    before = live.picture()
    with pytest.raises(BackupError, match="larapee_backup_restore_confirm") as caught:
        _db_aside.keep(live.request(confirm=confirm))
    assert caught.value.reason == "not_empty"
    assert live.picture() == before
    assert _db_aside.keep(live.request(confirm=confirm), check_mode=True).changed
    _db_aside.keep(live.request())
    with pytest.raises(BackupError, match="larapee_backup_restore_confirm") as caught:
        _db_aside.forget(live.request(confirm=confirm))
    assert caught.value.reason == "not_empty"
    assert live.aside in live.there()
    outcome = _db_aside.forget(live.request())
    assert outcome.changed
    assert outcome.dropped is not None
    assert outcome.dropped["tables"] == 8
    assert live.there() == {live.database}
    assert live.files == set()
    assert not _db_aside.forget(live.request(confirm="")).changed


def test_foreign_keys_of_others_would_follow_the_old_tables(live: Live) -> None:
    other = f"{live.database}_reports"
    live.sql(
        f"CREATE DATABASE {other}",
        f"CREATE TABLE {other}.lines (o INT, FOREIGN KEY (o) REFERENCES {live.database}.orders (id))",
    )
    refused(live, f"{other}.lines", reason="foreign_references")
    live.sql(f"DROP DATABASE {other}")


@pytest.mark.parametrize("aside", ["mysql", "x" * 65, "itself"])
def test_a_schema_that_cannot_keep_it_is_refused(live: Live, aside: str) -> None:
    reason = "system_schema" if aside == "mysql" else "bad_name"
    refused(live, "Failed to use", reason=reason, aside=live.database.upper() if aside == "itself" else aside)


def test_exactly_the_rights_that_it_asks_for_are_enough(live: Live) -> None:
    user = f"restorer_{live.database}"
    live.sql(f"CREATE USER {user}@localhost", f"GRANT SELECT ON {live.database}.* TO {user}@localhost")
    live.server.write_option_file(live.option_file, user=user, password="")
    before = live.picture()
    with pytest.raises(BackupError, match="the account lacks") as caught:
        _db_aside.keep(live.request())
    assert caught.value.reason == "missing_privilege"
    assert live.picture() == before
    missing = str(caught.value).partition("the account lacks ")[2].partition(". Nothing")[0].split(", ")
    assert f"ALTER ON `{live.aside}`.*" in missing
    live.sql(*(f"GRANT {each} TO {user}@localhost" for each in missing))
    with pytest.raises(BackupError, match="execute command denied"):
        _db_aside.keep(live.request())
    assert live.picture() == before
    # Only a view that calls a function needs it.
    live.sql(f"GRANT EXECUTE ON {live.database}.* TO {user}@localhost")
    _db_aside.keep(live.request())
    live.replace()
    _db_aside.bring_back(live.request())
    assert live.picture() == before
    _db_aside.keep(live.request())
    _db_aside.forget(live.request())
    live.sql(f"DROP USER {user}@localhost")
    assert live.there() == {live.database}


def test_a_table_that_somebody_uses_is_told_and_it_goes_on_later(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_moving, "_LOCK_WAIT_SECONDS", 1)
    before = live.picture()
    with live.server.connect(database=live.database) as till, till.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM parts")
        with pytest.raises(BackupError, match="somebody uses one of them") as caught:
            _db_aside.keep(live.request())
    assert caught.value.reason == "table_in_use"
    assert live.there() == {live.database, live.aside}
    assert live.sql("SHOW TABLES", database=live.aside) == []
    assert _db_aside.keep(live.request(), check_mode=True).changed
    assert _db_aside.keep(live.request()).changed
    _db_aside.bring_back(live.request())
    assert live.picture() == before


def test_what_was_begun_can_be_taken_back_at_once(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_moving, "_LOCK_WAIT_SECONDS", 1)
    before = live.picture()
    with live.server.connect(database=live.database) as till, till.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM parts")
        with pytest.raises(BackupError, match="somebody uses one of them"):
            _db_aside.keep(live.request())
    with pytest.raises(BackupError) as caught:
        _db_aside.forget(live.request())
    assert caught.value.reason == "in_use"
    _db_aside.bring_back(live.request())
    assert live.picture() == before


def test_a_restore_over_what_was_half_moved_is_not_taken_for_it(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_moving, "_LOCK_WAIT_SECONDS", 1)
    with live.server.connect(database=live.database) as till, till.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT COUNT(*) FROM parts")
        with pytest.raises(BackupError, match="somebody uses one of them"):
            _db_aside.keep(live.request())
    names = [row[0] for row in live.sql("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'")]
    live.replace()
    for name in sorted({*names} - {_marker.TABLE}):
        quoted = "`" + name.replace("`", "``") + "`"
        live.sql(f"CREATE TABLE IF NOT EXISTS {quoted} (restored INT)")
    live.sql("CREATE SEQUENCE tickets")
    refused(live, "nothing is kept", reason="nothing_kept", state="back")


def test_definitions_that_are_cut_short_are_noticed_before_anything_changes(live: Live, fake_tools: FakeTools) -> None:
    fake_tools.dump_client('set -o pipefail; "$real" "$@" | sed "/^-- Dump completed/d"')
    before = live.picture()
    with pytest.raises(BackupError, match="cut short") as caught:
        _db_aside.keep(live.request())
    assert caught.value.reason == "truncated"
    assert live.picture() == before
    assert live.there() == {live.database}
    assert live.files == set()


@pytest.mark.parametrize("left_out", ["--triggers", "--routines", "--events"])
def test_definitions_that_lack_objects_are_noticed_before_anything_changes(
    live: Live, fake_tools: FakeTools, left_out: str
) -> None:
    without = left_out.replace("--", "--skip-")
    fake_tools.dump_client(f'exec "$real" "${{@/#{left_out}/{without}}}"')
    before = live.picture()
    with pytest.raises(BackupError, match=f"0 of . {left_out[2:]}") as caught:
        _db_aside.keep(live.request())
    assert caught.value.reason == "incomplete"
    assert live.picture() == before
    assert live.there() == {live.database}


def test_a_view_that_cannot_be_read_is_named_before_anything_changes(live: Live) -> None:
    live.sql("CREATE TABLE gone (i INT)", "CREATE VIEW broken AS SELECT i FROM gone", "DROP TABLE gone")
    with pytest.raises(BackupError, match="broken") as caught:
        _db_aside.keep(live.request())
    assert caught.value.reason == "stage_failed"
    assert live.there() == {live.database}
    live.sql("DROP VIEW broken")
    assert _db_aside.keep(live.request()).changed


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_definitions_that_are_not_the_written_ones_are_noticed_before_anything_changes(live: Live, damage: str) -> None:
    _db_aside.keep(live.request())
    live.replace()
    path = live.root / f"state/restores/{BRANCH}.definitions.sql"
    assert path.stat().st_mode & 0o777 == 0o600
    kept = path.read_bytes()
    path.unlink()
    if damage == "changed":
        path.write_bytes(kept.replace(b"count_orders", b"count_0rders"))
    refused(live, "not those that were written", reason="bad_definitions", state="back")
    path.write_bytes(kept)
    assert _db_aside.bring_back(live.request()).changed


def test_objects_that_do_not_come_back_are_told_and_come_with_the_next_call(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live.picture()
    _db_aside.keep(live.request())
    with monkeypatch.context() as patch:
        patch.setattr(_aside_definitions.Clients, "apply", lambda *_arguments, **_keywords: None)
        with pytest.raises(BackupError, match="0 of 3 triggers") as caught:
            _db_aside.bring_back(live.request())
    assert caught.value.reason == "incomplete"
    assert live.is_marked
    assert live.sql("SELECT COUNT(*) FROM orders") == [(2,)]
    with pytest.raises(BackupError) as caught:
        _db_aside.keep(live.request())
    assert caught.value.reason == "in_use"
    _db_aside.bring_back(live.request())
    assert live.picture() == before


def test_a_client_that_reaches_another_server_defines_nothing(
    live: Live, fake_tools: FakeTools, source: ThrowawayServer
) -> None:
    before = live.picture()
    _db_aside.keep(live.request())
    elsewhere = f'exec /usr/bin/mariadb --no-defaults -uroot --socket={source.socket} "${{@:4}}"'
    script = fake_tools.script("mariadb", f'case "$*" in *--version*) exec /usr/bin/mariadb "$@";; esac\n{elsewhere}')
    with pytest.raises(BackupError, match="does not reach the server that was checked") as caught:
        _db_aside.bring_back(live.request())
    assert caught.value.reason == "other_server"
    script.unlink()
    _db_aside.bring_back(live.request())
    assert live.picture() == before


def test_a_damaged_record_is_told(live: Live) -> None:
    _db_aside.keep(live.request())
    path = live.root / f"state/restores/{BRANCH}.aside.json"
    kept = path.read_text()
    for text in ("{", "[]", json.dumps({**json.loads(kept), "phase": "?"})):
        path.write_text(text)
        refused(live, "It tells what was put aside", reason="bad_record", state="back")
    path.write_text(kept)
    assert _db_aside.bring_back(live.request()).changed


def test_two_do_not_meet(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_db_aside, "_LOCK_WAIT_SECONDS", 1)
    name = "larapee-" + hashlib.sha256(live.database.encode()).hexdigest()[:40]
    with live.server.connect() as other, other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", [name])
        with pytest.raises(BackupError) as caught:
            _db_aside.keep(live.request())
    assert caught.value.reason == "lock_held"
    assert live.there() == {live.database}

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When something is missing or comes between on MySQL, it is refused or detected."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _ddl_guard
from tests.acceptance.mysql_shop import DATABASE, OPERATOR, RESTORER, SCHEMA, picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.acceptance.mysql_shop import Shop

MARK = "larapee_backup_unfinished_restore"
OTHER_VENDOR = "/opt/mariadb/usr/bin"


def refused(shop: Shop, match: str, *, reason: str) -> None:
    with pytest.raises(BackupError, match=match) as caught:
        shop.dump()
    assert caught.value.reason == reason
    assert shop.files() == []


# The client's output is held back after its first pages: its snapshot is taken, most of the rows are not yet read.
HELD = (
    '$real "$@" | {{ head -c 8192; touch {reached}; while [ ! -e {gate} ]; do sleep 0.05; done; cat; }}\n'
    "exit ${{PIPESTATUS[0]}}"
)


@dataclasses.dataclass
class Migration:
    """An ALTER in a thread of its own, which says when it is done."""

    shop: Shop
    done: threading.Event = dataclasses.field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._alter)
        self._thread.start()
        return self

    def _alter(self) -> None:
        self.shop.source.sql("ALTER TABLE emptied ADD COLUMN later INT", database=DATABASE)
        self.done.set()

    def __exit__(self, *_error: object) -> None:
        self._thread.join()


@pytest.fixture
def held_dump(
    shop: Shop, fake_client: Callable[[str, str], None], tmp_path: Path
) -> Iterator[Callable[[str], tuple[Path, list[dict[str, Any]], threading.Thread]]]:
    """Starts a dump with a client that stops at a gate; gives the gate, the manifest to come and the thread."""
    gate, reached = tmp_path / "gate", tmp_path / "reached"

    def start(body: str) -> tuple[Path, list[dict[str, Any]], threading.Thread]:
        fake_client("mysqldump", body.format(gate=gate, reached=reached))
        documents: list[dict[str, Any]] = []
        dumper = threading.Thread(target=lambda: documents.append(shop.document()))
        dumper.start()
        while not reached.exists():
            assert dumper.is_alive()
            time.sleep(0.02)
        return gate, documents, dumper

    yield start
    gate.touch()


def test_ddl_waits_until_the_dump_is_done(shop: Shop, held_dump: Callable[..., Any]) -> None:
    gate, documents, dumper = held_dump(HELD)
    with Migration(shop) as migration:
        assert not migration.done.wait(0.7)
        shop.source.sql("INSERT INTO orders (total) VALUES (1)", database=DATABASE)
        gate.touch()
        dumper.join()
    assert migration.done.is_set()
    (document,) = documents
    assert document["ddl_guard"] == "block_ddl"
    assert "`later`" not in shop.plain_text(str(document["artifact"]))


def test_ddl_that_comes_before_the_snapshot_stops_neither_the_dump_nor_the_shop(
    shop: Shop, held_dump: Callable[..., Any]
) -> None:
    """With the lock taken too early, ALTER, dump and all sales wait for each other for ever."""
    gate, documents, dumper = held_dump('touch {reached}; while [ ! -e {gate} ]; do sleep 0.05; done; exec $real "$@"')
    with Migration(shop) as migration:
        assert migration.done.wait(5)
    gate.touch()
    dumper.join(20)
    assert not dumper.is_alive()
    (document,) = documents
    assert document["ddl_guard"] == "block_ddl"
    assert "`later`" in shop.plain_text(str(document["artifact"]))


def test_ddl_that_goes_on_and_on_is_not_waited_for_with_all_writes_stopped(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_ddl_guard, "_LOCK_WAIT_SECONDS", 1)
    holder = subprocess.Popen(
        shop.source.client("mysql", "--execute", "LOCK TABLES larapos.emptied READ; SELECT SLEEP(6)"),
        stdout=subprocess.DEVNULL,
    )
    time.sleep(0.5)
    with Migration(shop):
        time.sleep(0.5)
        refused(shop, "a definition has been changing for 1 s", reason="schema_changed")
        shop.source.sql("INSERT INTO orders (total) VALUES (1)", database=DATABASE)
        holder.wait()


def without_backup_admin(shop: Shop) -> str:
    """Return a command that changes a definition, as a migration would."""
    shop.source.sql(f"REVOKE BACKUP_ADMIN ON *.* FROM {OPERATOR}")
    client = " ".join(shop.source.client("mysql"))
    return f'{client} -e "ALTER TABLE {DATABASE}.emptied ADD COLUMN c$RANDOM$RANDOM INT"'


def test_ddl_that_cannot_be_held_off_is_detected_and_the_full_is_taken_again(
    shop: Shop, fake_client: Callable[[str, str], None], tmp_path: Path
) -> None:
    alter = without_backup_admin(shop)
    once = tmp_path / "once"
    fake_client("mysqldump", f'$real "$@"; status=$?; if [ ! -e {once} ]; then touch {once}; {alter}; fi; exit $status')
    outcome = shop.dump()
    assert outcome.manifest is not None
    assert outcome.manifest.document["ddl_guard"] == "fingerprint"
    assert "thrown away" in outcome.warnings[0]
    assert len([name for name in shop.files() if name.endswith(".sql.gz.age")]) == 1


def test_ddl_in_every_attempt_fails_and_keeps_nothing(shop: Shop, fake_client: Callable[[str, str], None]) -> None:
    alter = without_backup_admin(shop)
    fake_client("mysqldump", f'$real "$@"; status=$?; {alter}; exit $status')
    refused(shop, "definitions changed during each of 3 attempts", reason="schema_changed")


def test_a_table_without_transactions_is_refused(shop: Shop) -> None:
    """MySQL's backup lock lets writes to it through, and the snapshot does not know it."""
    shop.source.sql("CREATE TABLE old_days (i INT) ENGINE = MyISAM", database=DATABASE)
    refused(shop, "old_days have no transactions.*Convert them to InnoDB", reason="not_transactional")


@pytest.mark.parametrize(
    ("privilege", "scope"),
    [
        *[(privilege, f"`{DATABASE}`.*") for privilege in ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")],
        ("SHOW_ROUTINE", "*.*"),
    ],
)
def test_missing_privilege_is_refused_before_the_dump(shop: Shop, privilege: str, scope: str) -> None:
    shop.source.sql(f"REVOKE {privilege} ON {scope} FROM {OPERATOR}")
    refused(shop, f"lacks {privilege} ON", reason="missing_privilege")


def test_a_privilege_taken_back_by_a_partial_revoke_is_refused_before_the_dump(shop: Shop) -> None:
    shop.source.sql(
        "SET GLOBAL partial_revokes = ON;"
        f"GRANT SELECT, TRIGGER ON *.* TO {OPERATOR}; REVOKE TRIGGER ON {DATABASE}.* FROM {OPERATOR};"
        f"REVOKE TRIGGER ON {DATABASE}.* FROM {OPERATOR}"
    )
    try:
        refused(shop, "lacks TRIGGER ON", reason="missing_privilege")
    finally:
        shop.source.sql(f"DROP USER {OPERATOR}; SET GLOBAL partial_revokes = OFF")


@pytest.mark.parametrize("privilege", ["FLUSH_TABLES", "REPLICATION CLIENT"])
def test_a_privilege_without_which_the_client_gives_up_leaves_nothing(shop: Shop, privilege: str) -> None:
    shop.source.sql(f"REVOKE {privilege} ON *.* FROM {OPERATOR}")
    with pytest.raises(BackupError, match=privilege):
        shop.dump()
    assert shop.files() == []


@pytest.mark.parametrize(
    "left_out", ["--skip-triggers", "--skip-routines", "--skip-events", "--ignore-table=larapos.daily"]
)
def test_dump_client_leaves_objects_out_and_ends_well(
    shop: Shop, fake_client: Callable[[str, str], None], left_out: str
) -> None:
    fake_client("mysqldump", f'exec $real "$1" "${{@:2:$#-3}}" {left_out} -- larapos')
    refused(shop, "that the server shows", reason="incomplete")


def test_mariadbs_client_is_refused(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a host where MariaDB's packages answer to the name mysqldump."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "mysqldump").symlink_to(f"{OTHER_VENDOR}/mariadb-dump")
    monkeypatch.setenv("PATH", f"{other}:{os.environ['PATH']}")
    refused(shop, "the server is mysql .* but .*MariaDB", reason="wrong_client")


def test_mariadbs_client_is_refused_before_the_target_is_touched(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.dump()
    shop.target.sql(SCHEMA)
    before = picture(shop.target)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mysql").symlink_to(f"{OTHER_VENDOR}/mariadb")
    monkeypatch.setenv("PATH", f"{other}:{os.environ['PATH']}")
    with pytest.raises(BackupError, match="the server is mysql .* but .*MariaDB"):
        shop.restore(confirm="branch-001")
    assert picture(shop.target) == before


@pytest.mark.parametrize(
    "privilege",
    ["SYSTEM_USER", "SESSION_VARIABLES_ADMIN", "SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER"],
)
def test_an_account_that_would_fail_half_way_is_refused_before(shop: Shop, privilege: str) -> None:
    shop.dump()
    shop.target.sql(SCHEMA)
    before = picture(shop.target)
    shop.target.sql(f"REVOKE {privilege} ON *.* FROM {RESTORER}")
    with pytest.raises(BackupError, match=f"the account lacks {privilege}") as caught:
        shop.restore(confirm="branch-001")
    assert caught.value.reason == "missing_privilege"
    assert picture(shop.target) == before


def test_a_server_that_would_refuse_triggers_is_refused_before(shop: Shop) -> None:
    shop.dump()
    shop.target.sql("SET GLOBAL log_bin_trust_function_creators = 0")
    try:
        with pytest.raises(BackupError, match="log_bin_trust_function_creators"):
            shop.restore()
    finally:
        shop.target.sql("SET GLOBAL log_bin_trust_function_creators = 1")
    assert shop.target.sql(f"SHOW DATABASES LIKE '{DATABASE}'") == ""


def test_a_server_that_would_run_events_on_a_half_filled_database_is_refused_before(shop: Shop) -> None:
    """MySQL starts with the scheduler on."""
    shop.dump()
    shop.target.sql("SET GLOBAL event_scheduler = ON")
    try:
        with pytest.raises(BackupError, match="SET GLOBAL event_scheduler=OFF"):
            shop.restore()
    finally:
        shop.target.sql("SET GLOBAL event_scheduler = OFF")
    assert shop.target.sql(f"SHOW DATABASES LIKE '{DATABASE}'") == ""


def test_a_packet_that_the_target_would_refuse_is_refused_before(shop: Shop) -> None:
    shop.dump()
    shop.target.sql("SET GLOBAL max_allowed_packet = 4194304")
    try:
        with pytest.raises(BackupError, match="Set max_allowed_packet=1G") as caught:
            shop.restore()
    finally:
        shop.target.sql("SET GLOBAL max_allowed_packet = 1073741824")
    assert caught.value.reason == "packet_too_small"


def test_a_restore_that_fails_half_way_leaves_an_empty_target_empty_and_a_replaced_one_marked(
    shop: Shop, fake_client: Callable[[str, str], None]
) -> None:
    before = picture(shop.source)
    artifact = shop.document()["artifact"]
    fake_client("mysql", 'head -c 5000 | $real "$@"; cat >/dev/null; exit 1')
    with pytest.raises(BackupError, match="The target is empty, as it was"):
        shop.restore()
    assert shop.target.sql(f"SHOW DATABASES LIKE '{DATABASE}'") == ""
    shop.target.sql(SCHEMA)
    with pytest.raises(BackupError, match="unusable and marked so"):
        shop.restore(confirm="branch-001")
    assert artifact in shop.target.sql(f"SELECT artifact FROM {DATABASE}.{MARK}")
    fake_client("mysql", 'exec $real "$@"')
    shop.restore(confirm="branch-001")
    assert picture(shop.target) == before

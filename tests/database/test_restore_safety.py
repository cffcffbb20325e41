# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore must never do to a target: touch what it was not told of, or leave a state that it does not name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _lease, _open, _signature
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._mysql import _marker
from tests.database.estate import SCHEMA, sql, stock_picture
from tests.database.test_restore import artifact, refused
from tests.database.test_verify import manifest_path, signature_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.database.estate import Estate, FakeTools

__all__ = ("artifact",)

PRECIOUS = "CREATE TABLE larapos.precious (i INT); INSERT INTO larapos.precious VALUES (7)"


def meanwhile(estate: Estate, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Run *text* on the target while the artifact is being opened, after the checks."""
    opened = _open.open_artifact
    pending = [text]

    def slow(*arguments: object, **options: object) -> object:
        if pending:
            sql(estate.target, pending.pop())
        return opened(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(_open, "open_artifact", slow)


def precious(estate: Estate) -> str:
    return sql(estate.target, "SELECT i FROM larapos.precious").strip()


@pytest.fixture
def setting(estate: Estate) -> Iterator[object]:
    before: dict[str, str] = {}

    def change(name: str, value: str) -> None:
        before[name] = sql(estate.target, f"SELECT @@global.{name}").strip()
        sql(estate.target, f"SET GLOBAL {name} = {value}")

    yield change
    for name, value in before.items():
        sql(estate.target, f"SET GLOBAL {name} = {value}")


def test_a_schema_that_somebody_made_meanwhile_is_left_alone(
    estate: Estate, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(estate, monkeypatch, f"CREATE DATABASE larapos; {PRECIOUS}")
    with pytest.raises(BackupError, match="Nothing was changed on the target"):
        estate.restore()
    assert precious(estate) == "7"


def test_an_empty_schema_that_somebody_filled_meanwhile_is_left_alone(
    estate: Estate, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(estate.target, "CREATE DATABASE larapos")
    meanwhile(estate, monkeypatch, PRECIOUS)
    with pytest.raises(BackupError, match="is not any more") as caught:
        estate.restore()
    assert caught.value.reason == "not_empty"
    assert precious(estate) == "7"
    assert sql(estate.target, "SHOW TABLES FROM larapos") == "precious\n"


def test_an_interruption_right_after_the_mark_takes_the_mark_back(
    estate: Estate, artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql(estate.target, SCHEMA)
    place = _marker.place

    def interrupted(*arguments: object, **options: object) -> None:
        place(*arguments, **options)  # type: ignore[arg-type]
        raise BackupError("Failed to finish: interrupted (signal 15).", reason="interrupted")

    monkeypatch.setattr(_marker, "place", interrupted)
    refused(estate, "The target is as it was", reason="interrupted", confirm="branch-001")


def test_two_restores_into_one_database_do_not_meet(estate: Estate, artifact: Path) -> None:
    import hashlib

    name = "larapee-" + hashlib.sha256(b"larapos").hexdigest()[:40]
    with estate.target.connect() as other, other.cursor() as cursor:
        cursor.execute("SELECT GET_LOCK(%s, 0)", [name])
        refused(estate, "another restore fills it now", reason="lock_held")
    estate.restore()


def test_a_client_that_reaches_another_server_loads_nothing(
    estate: Estate, artifact: Path, fake_tools: FakeTools
) -> None:
    elsewhere = f'exec /usr/bin/mariadb --no-defaults -uroot --socket={estate.source.socket} "${{@:4}}"'
    fake_tools.script("mariadb", f'case "$*" in *--version*) exec /usr/bin/mariadb "$@";; esac\n{elsewhere}')
    before = stock_picture(estate.source)
    with pytest.raises(BackupError, match="does not reach the server that was checked") as caught:
        estate.restore()
    assert caught.value.reason == "other_server"
    assert stock_picture(estate.source) == before
    assert sql(estate.target, "SHOW DATABASES LIKE 'larapos'") == ""


def resigned(estate: Estate, artifact: Path, **changes: object) -> None:
    """Change fields of the manifest, signed by the branch itself."""
    document = {**json.loads(manifest_path(artifact).read_text()), **changes}
    manifest_path(artifact).write_text(json.dumps(document))
    signature_path(artifact).write_bytes(
        _signature.sign(manifest_path(artifact).read_bytes(), key=str(estate.keys.signing_key))
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"schema_collation": "utf8mb4_of_the_future"},
        {"schema_collation": "utf8mb4_bin COLLATE x; DROP DATABASE larapos"},
        {"version": "99.1.0-MariaDB"},
    ],
)
def test_a_full_that_this_server_cannot_hold_is_refused_before_the_old_content_goes(
    estate: Estate, artifact: Path, changes: dict[str, object]
) -> None:
    sql(estate.target, SCHEMA)
    resigned(estate, artifact, **changes)
    refused(estate, "the server", reason="older_server", confirm="branch-001")


def test_a_read_only_server_is_refused(estate: Estate, artifact: Path, setting: object) -> None:
    setting("read_only", "1")  # type: ignore[operator]
    refused(estate, "read_only", reason="read_only")


def test_a_running_event_scheduler_is_refused(estate: Estate, artifact: Path, setting: object) -> None:
    setting("event_scheduler", "1")  # type: ignore[operator]
    refused(estate, "event scheduler is on", reason="event_scheduler")


def test_a_copy_beside_the_original_is_refused(estate: Estate, artifact: Path) -> None:
    sql(estate.target, f"{SCHEMA}; GRANT ALL ON drill.* TO 'larapee-restore'@'localhost'")
    refused(estate, "which is on this server too", reason="other_schema", database="drill")


def test_a_drop_that_breaks_off_leaves_a_named_state(estate: Estate, artifact: Path) -> None:
    sql(estate.target, SCHEMA)
    foreign = estate.target.datadir / "larapos" / "foreign.txt"
    foreign.write_text("DROP DATABASE cannot remove this directory")
    try:
        with pytest.raises(BackupError, match="unusable and marked so"):
            estate.restore(confirm="branch-001")
        assert artifact.name in sql(estate.target, "SELECT artifact FROM larapos.larapee_backup_unfinished_restore")
    finally:
        foreign.unlink()


def test_a_one_time_event_whose_time_has_passed_does_not_stop_a_restore(estate: Estate) -> None:
    sql(
        estate.source,
        "CREATE EVENT larapos.once ON SCHEDULE AT NOW() + INTERVAL 6 SECOND DO DELETE FROM larapos.emptied",
    )
    estate.dump()
    sql(estate.target, "DO SLEEP(6.5)")
    assert "1 one-time events" in " ".join(estate.restore().warnings)
    assert sql(estate.target, "SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'larapos'") == "1\n"


def test_what_the_source_held_under_looser_settings_loads(estate: Estate) -> None:
    columns = ", ".join(f"c{number} VARCHAR(60) CHARACTER SET latin1 NOT NULL DEFAULT ''" for number in range(190))
    sql(
        estate.source,
        "CREATE TABLE larapos.checked (i INT CHECK (i > 0)); SET check_constraint_checks = 0; "
        "INSERT INTO larapos.checked VALUES (-1); SET innodb_strict_mode = 0; "
        f"CREATE TABLE larapos.wide ({columns}) ROW_FORMAT=COMPACT",
    )
    estate.dump()
    estate.restore()
    assert sql(estate.target, "SELECT i FROM larapos.checked") == "-1\n"
    assert "c189" in sql(estate.target, "SHOW CREATE TABLE larapos.wide")


@pytest.mark.parametrize("loss", ["manifest", "everything"])
def test_the_loss_of_the_newest_full_is_said(estate: Estate, artifact: Path, loss: str) -> None:
    newer = estate.dump().manifest
    assert newer is not None
    lost = [manifest_path(estate.local / newer.artifact)]
    if loss == "everything":
        lost = list(estate.local.glob(newer.artifact + "*"))
    for path in lost:
        path.unlink()
    outcome = estate.restore()
    assert outcome.entry.name == artifact.name
    assert "NOT all that was backed up is restored" in outcome.warnings[0]


def test_the_full_that_is_being_restored_cannot_be_removed(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    estate.dump()
    real, claims = _open.open_artifact, []

    def opened(entry: Any, **options: Any) -> Any:
        with _lease.claim(entry) as claimed:
            claims.append(claimed)
        return real(entry, **options)

    monkeypatch.setattr(_open, "open_artifact", opened)
    estate.restore()
    assert claims
    assert not any(claims)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores into a real server: equality by stock tools, and every refusal with its way out."""

from __future__ import annotations

import json
import os
import resource
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.database.estate import SCHEMA, sql, stock_picture
from tests.database.test_verify import manifest_path, signature_path

if TYPE_CHECKING:
    from pathlib import Path

    from tests.database.estate import Estate, FakeTools

MARK = "larapee_backup_unfinished_restore"


@pytest.fixture
def artifact(estate: Estate) -> Path:
    manifest = estate.dump().manifest
    assert manifest is not None
    return estate.local / manifest.artifact


def target_tables(estate: Estate) -> str:
    return sql(estate.target, "SHOW TABLES FROM larapos")


def refused(estate: Estate, match: str, *, reason: str, **changes: object) -> None:
    """A restore that must be refused and must not touch the target."""
    before = stock_or_nothing(estate)
    with pytest.raises(BackupError, match=match) as caught:
        estate.restore(**changes)
    assert caught.value.reason == reason
    assert stock_or_nothing(estate) == before


def stock_or_nothing(estate: Estate) -> str:
    known = sql(estate.target, "SHOW DATABASES LIKE 'larapos'")
    return stock_picture(estate.target) if known else ""


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_restored_database_is_equal(estate: Estate, compression: str) -> None:
    before = stock_picture(estate.source)
    estate.dump(compression=compression)
    outcome = estate.restore()
    assert stock_picture(estate.target) == before
    assert set(outcome.seconds) == {"choose", "open", "load", "compare"}
    assert MARK not in target_tables(estate)


def test_an_existing_empty_schema_gets_the_character_set_of_the_backup(estate: Estate, artifact: Path) -> None:
    sql(estate.target, "CREATE DATABASE larapos CHARACTER SET latin1")
    estate.restore()
    assert stock_picture(estate.target) == stock_picture(estate.source)


def test_a_blob_of_64_mib_comes_back_in_bounded_memory(estate: Estate) -> None:
    sql(estate.source, "INSERT INTO larapos.orders (slip) SELECT REPEAT(UNHEX('00FF270A'), 16777216)")
    expected = sql(estate.source, "SELECT id, LENGTH(slip), MD5(slip) FROM larapos.orders")
    assert "67108864" in expected
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    manifest = estate.dump().manifest
    assert manifest is not None
    assert manifest.document["longest_line"] > 2 * 67108864
    estate.restore()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, f"grew by {grown} KiB"
    assert sql(estate.target, "SELECT id, LENGTH(slip), MD5(slip) FROM larapos.orders") == expected


def test_a_target_whose_packets_are_too_small_is_refused_before_anything_changes(estate: Estate) -> None:
    sql(estate.source, "INSERT INTO larapos.orders (slip) SELECT REPEAT('x', 3000000)")
    estate.dump()
    sql(estate.target, "SET GLOBAL max_allowed_packet = 2097152")
    try:
        refused(estate, "max_allowed_packet=1G", reason="packet_too_small")
    finally:
        sql(estate.target, "SET GLOBAL max_allowed_packet = 1073741824")


def test_check_mode_tells_the_plan_and_changes_nothing(estate: Estate, artifact: Path) -> None:
    outcome = estate.restore(check_mode=True)
    assert outcome.plan["artifact"] == artifact.name
    assert outcome.plan["replaces"] is None
    assert outcome.plan["identity"] == "opens"
    assert stock_or_nothing(estate) == ""


def test_a_target_that_is_not_empty_is_refused_and_named(estate: Estate, artifact: Path) -> None:
    sql(estate.target, SCHEMA)
    refused(estate, "set larapee_backup_restore_confirm to branch-001", reason="not_empty")
    refused(estate, "not empty", reason="not_empty", confirm="branch-002")


def test_a_confirmed_target_is_replaced_whole(estate: Estate, artifact: Path) -> None:
    sql(estate.target, SCHEMA)
    sql(estate.target, "CREATE TABLE larapos.later (i INT); DELETE FROM larapos.orders")
    estate.restore(confirm="branch-001")
    assert stock_picture(estate.target) == stock_picture(estate.source)


def test_wrong_branch(estate: Estate, artifact: Path) -> None:
    refused(estate, "holds backups of branch-001, not of branch-002", reason="wrong_branch", branch="branch-002")


def test_a_set_relabelled_for_another_branch(estate: Estate, artifact: Path) -> None:
    document = json.loads(manifest_path(artifact).read_text())
    document["branch"] = "branch-002"
    manifest_path(artifact).write_text(json.dumps(document))
    refused(estate, "not signed by branch-002", reason="not_intact", branch="branch-002")


def test_unsigned(estate: Estate, artifact: Path) -> None:
    signature_path(artifact).unlink()
    refused(estate, "signature is missing", reason="not_intact")


def test_signature_of_another_branch(estate: Estate, artifact: Path) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _signature

    other = _signature.sign(manifest_path(artifact).read_bytes(), key=str(estate.keys.directory / "branch-002"))
    signature_path(artifact).write_bytes(other)
    refused(estate, "not signed by branch-001", reason="not_intact")


def test_edited_manifest(estate: Estate, artifact: Path) -> None:
    document = json.loads(manifest_path(artifact).read_text())
    document["database"] = "other"
    manifest_path(artifact).write_text(json.dumps(document))
    refused(estate, "not signed by branch-001", reason="not_intact")


def test_one_flipped_byte(estate: Estate, artifact: Path) -> None:
    raw = bytearray(artifact.read_bytes())
    raw[-20] ^= 1
    artifact.write_bytes(raw)
    refused(estate, "SHA-256 is not that of its manifest", reason="not_intact")


def test_truncated(estate: Estate, artifact: Path) -> None:
    os.truncate(artifact, 100)
    refused(estate, "it has 100 bytes", reason="not_intact")


def test_manifest_without_artifact(estate: Estate, artifact: Path) -> None:
    artifact.unlink()
    refused(estate, "only its manifest is there", reason="not_intact")


def test_artifact_without_manifest(estate: Estate, artifact: Path) -> None:
    manifest_path(artifact).unlink()
    refused(estate, "artifact without manifest", reason="nothing_to_restore")


def test_the_newest_that_is_not_intact_is_passed_over_and_said(estate: Estate, artifact: Path) -> None:
    newer = estate.dump().manifest
    assert newer is not None
    os.truncate(estate.local / newer.artifact, 10)
    outcome = estate.restore()
    assert outcome.entry.name == artifact.name
    assert newer.artifact in outcome.warnings[0]


def test_without_identity(estate: Estate, artifact: Path) -> None:
    refused(estate, "larapee_backup_restore_age_identity", reason="no_identity", identity=None)


def test_with_a_foreign_identity_the_target_is_not_touched(estate: Estate, artifact: Path) -> None:
    import subprocess

    sql(estate.target, SCHEMA)
    other = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True).stdout
    refused(estate, "no identity matched", reason="stage_failed", identity=other, confirm="branch-001")
    # Whoever looks ahead has to meet it then, and not when the shop is closed.
    with pytest.raises(BackupError, match=r"no identity matched.*Nothing was changed\."):
        estate.restore(identity=other, confirm="branch-001", check_mode=True)


def test_a_moment_between_fulls_is_refused_with_the_nearest(estate: Estate, artifact: Path) -> None:
    point = estate.restore(check_mode=True).plan["recovery_point"]
    refused(estate, f"nearest that can be had is {point}", reason="target_out_of_reach", to="2030-01-01T00:00:00Z")


def test_the_exact_moment_of_an_older_full_can_be_had(estate: Estate, artifact: Path) -> None:
    position = json.loads(manifest_path(artifact).read_text())["start"]
    # Two fulls of one second would stand at the same time.
    time.sleep(1)
    sql(estate.source, "INSERT INTO larapos.orders (total) VALUES (99)")
    estate.dump()
    for to in (position["time"], f"gtid:{position['gtid']}", f"{position['file']}:{position['position']}"):
        assert estate.restore(check_mode=True, to=to).entry.name == artifact.name


def test_an_account_that_would_fail_half_way_is_refused_before(estate: Estate, artifact: Path) -> None:
    sql(estate.target, "REVOKE SET USER ON *.* FROM 'larapee-restore'@'localhost'")
    refused(estate, "the account lacks SET USER", reason="missing_privilege")


def test_a_dump_that_alters_another_schema_is_refused_and_the_target_left_empty(estate: Estate) -> None:
    """mariadb-dump writes ALTER DATABASE with the old name where a trigger was made under another collation."""
    sql(estate.source, "ALTER DATABASE larapos COLLATE utf8mb4_general_ci")
    estate.dump()
    sql(estate.target, "GRANT ALL ON staging.* TO 'larapee-restore'@'localhost'")
    with pytest.raises(BackupError, match="alters the schema larapos") as caught:
        estate.restore(database="staging")
    assert "The target is empty, as it was" in str(caught.value)
    assert sql(estate.target, "SHOW DATABASES LIKE 'staging'") == ""


def partial_client(fake_tools: FakeTools, *, status: int) -> None:
    """A client that loads only the beginning."""
    answer = 'case "$*" in *--version*|*--execute*) exec /usr/bin/mariadb "$@";; esac'
    fake_tools.script("mariadb", f'{answer}\nhead -c 4000 | /usr/bin/mariadb "$@"; cat >/dev/null; exit {status}')


def test_a_restore_that_fails_half_way_leaves_an_empty_target_empty(
    estate: Estate, artifact: Path, fake_tools: FakeTools
) -> None:
    partial_client(fake_tools, status=1)
    with pytest.raises(BackupError, match="The target is empty, as it was"):
        estate.restore()
    assert sql(estate.target, "SHOW DATABASES LIKE 'larapos'") == ""


def test_a_restore_that_fails_half_way_marks_a_replaced_target_as_unusable(
    estate: Estate, artifact: Path, fake_tools: FakeTools
) -> None:
    sql(estate.target, SCHEMA)
    partial_client(fake_tools, status=1)
    with pytest.raises(BackupError, match="unusable and marked so"):
        estate.restore(confirm="branch-001")
    assert artifact.name in sql(estate.target, f"SELECT artifact FROM larapos.{MARK}")
    (fake_tools.directory / "mariadb").unlink()
    refused(estate, "left unfinished by an earlier restore", reason="not_empty")
    estate.restore(confirm="branch-001")
    assert stock_picture(estate.target) == stock_picture(estate.source)


def test_a_client_that_loads_only_a_part_and_ends_well_is_found_out(
    estate: Estate, artifact: Path, fake_tools: FakeTools
) -> None:
    partial_client(fake_tools, status=0)
    with pytest.raises(BackupError, match="of the backup"):
        estate.restore()


def test_a_restored_server_starts_a_new_epoch(estate: Estate, artifact: Path) -> None:
    first = json.loads(manifest_path(artifact).read_text())["epoch"]
    estate.restore()
    after = estate.dump().manifest
    assert after is not None
    assert after.epoch != first
    assert after.document["epoch_reason"] == f"restored from {artifact.name}"


@pytest.mark.parametrize("name", ["mysql", "SYS", "", "x" * 65])
def test_the_servers_own_schemas_are_never_a_target(estate: Estate, artifact: Path, name: str) -> None:
    with pytest.raises(BackupError, match="Failed to use the database"):
        estate.restore(database=name, confirm="branch-001")

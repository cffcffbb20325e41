# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains that are not whole: what is refused, what is passed over, and that the target never sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.database.estate import sql, stock_picture
from tests.pitr.sealed_shop import current_log, fetch, groups_of, last_gtid, position

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._manifest import Manifest
    from tests.pitr.sealed_shop import SealedShop


def add(shop: SealedShop, number: int) -> str:
    sql(shop.source, f"INSERT INTO larapos.emptied VALUES ({number})")
    return last_gtid(shop.source)


def there(shop: SealedShop) -> str:
    return sql(shop.target, "SELECT GROUP_CONCAT(id ORDER BY id) FROM larapos.emptied").strip()


def refused(shop: SealedShop, match: str, *, reason: str, to: str = "latest") -> str:
    with pytest.raises(BackupError, match=match) as caught:
        shop.restore(to=to)
    assert caught.value.reason == reason
    assert sql(shop.target, "SHOW DATABASES LIKE 'larapos'") == ""
    assert shop.leftovers() == []
    assert not (shop.state / "epochs").exists()
    return str(caught.value)


@pytest.fixture
def chain(shop: SealedShop) -> tuple[Manifest, list[Manifest], list[str]]:
    """A full and three increments of one transaction each; and their GTIDs."""
    full = shop.full()
    increments, gtids = [], []
    for number in (1, 2, 3):
        gtids.append(add(shop, number))
        increments.append(shop.seal())
    return full, increments, gtids


def damage(path: Path, how: str) -> None:
    raw = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(raw[:-10])
    else:
        path.write_bytes(raw[:300] + bytes([raw[300] ^ 1]) + raw[301:])


@pytest.mark.parametrize("how", ["missing", "truncated", "flipped"])
def test_a_damaged_increment_ends_the_chain(
    shop: SealedShop, chain: tuple[Manifest, list[Manifest], list[str]], how: str
) -> None:
    _full, increments, gtids = chain
    damage(shop.local / increments[1].artifact, how)
    for to in (f"gtid:{gtids[1]}", f"gtid:{gtids[2]}"):
        assert increments[1].artifact in refused(
            shop, "nothing here reaches that point", reason="target_out_of_reach", to=to
        )
    outcome = shop.restore()
    assert there(shop) == "1"
    assert any(increments[1].artifact in warning for warning in outcome.warnings)


def test_a_damaged_newer_full_is_passed_over_and_loses_nothing(shop: SealedShop) -> None:
    """The increments go on past the newer full, so the older one reaches the same end."""
    older = shop.full()
    add(shop, 1)
    shop.seal()
    newer = shop.full()
    add(shop, 2)
    shop.seal()
    assert shop.restore(check_mode=True).plan["artifact"] == newer.artifact
    damage(shop.local / newer.artifact, "flipped")
    before = stock_picture(shop.source)
    outcome = shop.restore()
    assert stock_picture(shop.target) == before
    assert outcome.plan["artifact"] == older.artifact
    (warning,) = outcome.warnings
    assert f"The older full {older.artifact} is used with 2 increments" in warning
    assert newer.artifact in warning
    assert "is not in it" not in warning


def test_an_increment_of_another_branch_is_no_part_of_the_chain(
    shop: SealedShop, chain: tuple[Manifest, list[Manifest], list[str]]
) -> None:
    _full, increments, gtids = chain
    path = shop.local / f"{increments[1].artifact}.manifest.json"
    path.write_text(json.dumps({**increments[1].document, "branch": "branch-002"}))
    refused(shop, "nothing here reaches that point", reason="target_out_of_reach", to=f"gtid:{gtids[1]}")
    shop.restore()
    assert there(shop) == "1"


def test_an_increment_signed_by_another_branch_is_not_used(
    shop: SealedShop, chain: tuple[Manifest, list[Manifest], list[str]]
) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _signature

    path = shop.local / f"{chain[1][0].artifact}.manifest.json"
    other = _signature.sign(path.read_bytes(), key=str(shop.keys.directory / "branch-002"))
    path.with_name(f"{path.name}.sig").write_bytes(other)
    outcome = shop.restore()
    assert there(shop) == "NULL"
    assert any("not signed by branch-001" in warning for warning in outcome.warnings)


def test_a_full_of_another_life_of_the_server_is_found_out(shop: SealedShop) -> None:
    """Its manifest joins, but what the log holds up to its position is not what it says."""
    add(shop, 1)
    full = shop.full()
    add(shop, 2)
    shop.seal()
    domain, server, number = full.position["gtid"].split("-")
    other = {**full.position, "gtid": f"{domain}-{server}-{int(number) - 1}"}
    shop.rewrite(full, start=other, end=other)
    refused(shop, "of another server or of another life of it", reason="wrong_chain")


def test_a_full_that_stands_within_a_transaction_is_found_out(shop: SealedShop) -> None:
    add(shop, 1)
    full = shop.full()
    add(shop, 2)
    shop.seal()
    other = {**full.position, "position": full.position["position"] + 42}
    shop.rewrite(full, start=other, end=other)
    refused(shop, "within a transaction", reason="wrong_chain")


def test_a_file_of_another_server_in_the_middle_is_found_out(shop: SealedShop) -> None:
    """It bears the right name and its manifest is signed; only its content tells."""
    shop.full()
    add(shop, 1)
    shop.seal()
    add(shop, 2)
    name = current_log(shop.source)
    sql(shop.target, "FLUSH BINARY LOGS; CREATE DATABASE larapos; CREATE TABLE larapos.emptied (id INT PRIMARY KEY)")
    sql(shop.target, "INSERT INTO larapos.emptied VALUES (66); DROP DATABASE larapos")
    (stranger,) = fetch(shop.target, shop.root / "stranger", [current_log(shop.target)])

    def exchange(files: list[Path]) -> None:
        files[0].write_bytes(stranger.read_bytes())

    def deny(document: dict[str, Any]) -> None:
        # As the chain would have it.
        document["server_id"] = 1
        document["start"]["gtid"] = before

    assert name == current_log(shop.source)
    newest = next(each for each in reversed(shop.names()) if ".binlog." in each)
    before = json.loads((shop.local / f"{newest}.manifest.json").read_text())["end"]["gtid"]
    shop.seal(change=exchange, edit=deny)
    refused(shop, "is of the server 2, the full of 1", reason="not_intact")


@pytest.mark.parametrize("field", ["sha256", "identity", "size", "end"])
def test_a_file_that_is_not_the_one_of_its_manifest_is_found_out(shop: SealedShop, field: str) -> None:
    shop.full()
    add(shop, 1)

    def edit(document: dict[str, Any]) -> None:
        wrong = {"sha256": "0" * 64, "identity": "0" * 64, "size": 99999, "end": "stop"}
        document["files"][0][field] = wrong[field]
        if field == "size":
            document["end"].update(position=99999)

    shop.seal(edit=edit)
    refused(shop, f"its {field} is", reason="not_intact")


def test_a_transaction_that_is_missing_between_two_files_is_found_out(shop: SealedShop) -> None:
    """The next file begins after it; the replay client would go on without a word."""
    shop.full()
    add(shop, 1)
    add(shop, 2)
    sql(shop.source, "FLUSH BINARY LOGS")
    add(shop, 3)

    def cut(files: list[Path]) -> None:
        groups = list(groups_of(files[0]))
        raw = files[0].read_bytes()
        files[0].write_bytes(raw[: groups[-1].start])

    shop.seal(change=cut)
    refused(shop, "begins at GTID", reason="not_intact")


def test_a_log_that_a_crash_cut_off_is_replayed_to_its_last_whole_transaction(shop: SealedShop) -> None:
    shop.full()
    add(shop, 1)
    add(shop, 2)

    def tear(files: list[Path]) -> None:
        last = list(groups_of(files[0]))[-1]
        files[0].write_bytes(files[0].read_bytes()[: last.end - 30])

    def as_after_a_crash(document: dict[str, Any]) -> None:
        assert document["files"][0]["end"] == "crash"

    shop.seal(change=tear, edit=as_after_a_crash)
    shop.restore()
    assert there(shop) == "1"


def test_a_replay_goes_on_in_the_file_after_one_that_a_crash_cut_off(shop: SealedShop) -> None:
    shop.full()
    add(shop, 1)

    def tear(files: list[Path]) -> None:
        last = list(groups_of(files[0]))[-1]
        files[0].write_bytes(files[0].read_bytes()[: last.end + 25])

    assert shop.seal(change=tear).document["files"][0]["end"] == "crash"
    add(shop, 2)
    shop.seal()
    shop.restore()
    assert there(shop) == "1,2"


def test_a_replay_that_the_server_stops_names_the_event(shop: SealedShop) -> None:
    """A row of the log is in the full already: as when something wrote into the full's snapshot."""
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (5)")
    shop.full()
    sql(shop.source, "SET sql_log_bin = 0; DELETE FROM larapos.emptied WHERE id = 5")
    add(shop, 4)
    file, offset = position(shop.source)
    gtid = add(shop, 5)
    shop.seal()
    message = refused(shop, "Duplicate entry '5' for key 'PRIMARY'", reason="replay_failed")
    assert f"the transaction at {file}:{offset} (GTID {gtid})" in message
    assert "The target was not changed" in message


def test_a_confirmed_target_outlives_a_replay_that_fails(shop: SealedShop) -> None:
    sql(shop.source, "INSERT INTO larapos.emptied VALUES (5)")
    shop.full()
    sql(shop.source, "SET sql_log_bin = 0; DELETE FROM larapos.emptied WHERE id = 5")
    add(shop, 5)
    shop.seal()
    sql(shop.target, "CREATE DATABASE larapos; CREATE TABLE larapos.kept (i INT); INSERT INTO larapos.kept VALUES (1)")
    before = stock_picture(shop.target)
    with pytest.raises(BackupError, match="The target was not changed"):
        shop.restore(confirm="branch-001")
    assert stock_picture(shop.target) == before


def test_a_database_that_was_dropped_before_the_point_is_not_restored_as_nothing(shop: SealedShop) -> None:
    shop.full()
    gtid = add(shop, 1)
    sql(shop.source, "DROP DATABASE larapos")
    shop.seal()
    refused(shop, "was dropped before the point of the restore", reason="no_database")
    shop.restore(to=f"gtid:{gtid}")
    assert there(shop) == "1"

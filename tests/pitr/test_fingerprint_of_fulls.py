# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fingerprint that a full carries: taken after the dump, encrypted beside it, and never in the full's way."""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import (
    _catalog,
    _clock,
    _fingerprint,
    _fingerprint_file,
    _manifest,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._names import companion_name
from larapee_runner.demo.server import ThrowawayServer
from tests.database.estate import DATABASE, Estate, FakeTools, Keys, make_keys, sql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._catalog import Entry
    from ansible_collections.larapee.backup.plugins.module_utils._dump import DumpOutcome

QUERIES = {"gross": "SELECT COUNT(*), SUM(total) FROM orders"}
RECEIPT = "SELECT MAX(id) FROM orders"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("source")) as server:
        yield server


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("target"), server_id=2) as server:
        yield server


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def estate(source: ThrowawayServer, target: ThrowawayServer, keys: Keys, tmp_path: Path) -> Estate:
    return Estate(source=source, target=target, keys=keys, root=tmp_path)


@pytest.fixture
def fake_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTools:
    return FakeTools(tmp_path / "bin", monkeypatch)


def entry_of(estate: Estate, outcome: DumpOutcome) -> Entry:
    assert outcome.manifest is not None
    entries = {entry.name: entry for entry in _catalog.read_catalogue(str(estate.local)).entries}
    return entries[outcome.manifest.artifact]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("encrypt", [True, False])
def test_a_restore_of_the_full_agrees_with_it(estate: Estate, compression: str, encrypt: bool) -> None:
    recipients = estate.keys.recipients if encrypt else ()
    outcome = estate.dump(
        compression=compression,
        encrypt=encrypt,
        recipients=recipients,
        business_queries=QUERIES,
        receipt_query=RECEIPT,
    )
    assert outcome.warnings == []
    entry = entry_of(estate, outcome)
    found = _fingerprint.read_companion(entry, identity=estate.keys.identity)
    told = entry.manifest.document["fingerprint"]
    assert (told["receipt"], told["checksums"], told["gtid"]) == ("2", True, found.gtid)
    file, position = sql(estate.source, "SHOW MASTER STATUS").split("\t")[:2]
    assert (told["file"], told["position"]) == (file, int(position))
    assert found.queries == {"gross": [["2", "9.40"]]}
    verified = estate.verify(identity=estate.keys.identity)
    assert (verified.failures, verified.counts()["opened"]["OK"]) == ([], 1)
    estate.restore()
    connection = estate.target.connect()
    with connection:
        assert _fingerprint.compare(found, connection, DATABASE) == []
        sql(estate.target, "UPDATE larapos.orders SET total = 12.51 WHERE id = 1")
        assert _fingerprint.compare(found, connection, DATABASE) == [
            "orders: checksum differs",
            "query gross: 2, 9.41 instead of 2, 9.40",
        ]


def test_it_comes_after_the_dump_and_names_its_own_position(estate: Estate, fake_tools: FakeTools) -> None:
    """What is sold while the dump is written is in the fingerprint and not in the full."""
    client = f"mariadb --no-defaults -uroot -S {estate.source.socket}"
    sale = f"{client} -e 'INSERT INTO larapos.orders (total) VALUES (1)'"
    fake_tools.dump_client(f'$real "$@"; status=$?; {sale}; exit $status')
    entry = entry_of(estate, estate.dump())
    document = entry.manifest.document
    assert document["fingerprint"]["position"] > document["end"]["position"]
    found = _fingerprint.read_companion(entry, identity=estate.keys.identity)
    assert found.tables["orders"]["rows"] == 3
    estate.restore()
    assert sql(estate.target, "SELECT COUNT(*) FROM larapos.orders") == "2\n"


@pytest.mark.parametrize("seconds", [0.0, 0.000001, 0.999999])
def test_the_snapshots_second_is_over_when_the_full_is_said_to_reach_there(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    moment = dt.datetime(2030, 1, 1, 12, 0, 7, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
    monkeypatch.setattr(_clock, "now", lambda: moment)
    assert entry_of(estate, estate.dump()).manifest.document["snapshot_at"] == "2030-01-01T12:00:08Z"


def test_the_snapshot_is_timed_when_the_client_has_it_and_not_at_the_end(estate: Estate, fake_tools: FakeTools) -> None:
    sql(estate.source, "INSERT INTO larapos.orders (slip) VALUES (REPEAT('x', 4000000))")
    fake_tools.dump_client('sleep 2; $real "$@" | { head -c 2000000; sleep 3; cat; }')
    document = entry_of(estate, estate.dump()).manifest.document
    began, had = (_manifest.parse_time(document[field]) for field in ("created_at", "snapshot_at"))
    ended = _manifest.parse_time(document["fingerprint"]["taken_at"])
    assert 2 <= (had - began).total_seconds() <= (ended - began).total_seconds() - 1


def test_without_one_the_full_is_as_good_and_it_is_said(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise BackupError("Failed to take a fingerprint: no luck.", reason="no_fingerprint")

    monkeypatch.setattr(_fingerprint, "take", refuse)
    outcome = estate.dump()
    document = entry_of(estate, outcome).manifest.document
    assert (document["companion"], document["fingerprint"]) == (None, None)
    (warning,) = outcome.warnings
    assert warning.startswith("The full has no fingerprint to compare a restore with. Failed to take a fingerprint")
    assert not any("fingerprint" in name for name in estate.files())
    assert estate.verify(identity=estate.keys.identity).failures == []


def test_switched_off_there_is_none(estate: Estate) -> None:
    outcome = estate.dump(fingerprint=False)
    assert (outcome.warnings, entry_of(estate, outcome).companion_path) == ([], None)


def test_one_that_cannot_be_written_leaves_nothing_behind(estate: Estate, fake_tools: FakeTools) -> None:
    """The compressor of the dump lives, that of the fingerprint dies half-way."""
    fake_tools.script("zstd", 'case "$*" in *--version*) exec /usr/bin/zstd "$@";; esac\nhead -c 100; exit 7')
    outcome = estate.dump(compression="gzip")
    assert "zstd ended with status 7" in outcome.warnings[0]
    name = entry_of(estate, outcome).name
    assert estate.files() == {name, f"{name}.manifest.json", f"{name}.manifest.json.sig", "SHA256SUMS"}
    assert estate.verify().failures == []


def test_at_the_quota_the_full_goes_without(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _fingerprint_file.to_bytes
    quota = 2 * 1024 * 1024
    noise = os.urandom(quota).hex()
    monkeypatch.setattr(
        _fingerprint_file, "to_bytes", lambda found: real(found) + json.dumps({"noise": noise}).encode()
    )
    outcome = estate.dump(quota_bytes=quota)
    assert "its quota is" in outcome.warnings[0]
    assert entry_of(estate, outcome).companion_path is None
    assert not any("fingerprint" in name for name in estate.files())


def test_a_query_without_an_answer_is_a_warning(estate: Estate) -> None:
    outcome = estate.dump(business_queries={**QUERIES, "wrong": "DELETE FROM orders"})
    assert outcome.warnings == ["Not in the fingerprint: query wrong: it is not a SELECT."]
    found = _fingerprint.read_companion(entry_of(estate, outcome), identity=estate.keys.identity)
    assert list(found.queries) == ["gross"]


def test_no_amount_and_no_name_of_a_table_is_in_the_clear(estate: Estate) -> None:
    sql(estate.source, "CREATE TABLE larapos.secret_table (i INT); INSERT INTO larapos.orders (total) VALUES (7654.32)")
    outcome = estate.dump(business_queries=QUERIES)
    entry = entry_of(estate, outcome)
    for name in estate.files():
        content = (estate.local / name).read_bytes()
        assert not any(word in content for word in (b"secret_table", b"7654.32", b"7663.72", b"SUM(total)")), name
    found = _fingerprint.read_companion(entry, identity=estate.keys.identity)
    assert "secret_table" in found.tables
    assert found.queries["gross"] == [["3", "7663.72"]]


@pytest.mark.parametrize("how", ["flipped", "gone", "cut"])
def test_a_damaged_one_is_found_by_verification(estate: Estate, how: str) -> None:
    entry = entry_of(estate, estate.dump())
    path = estate.local / companion_name(entry.name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    if how != "gone":
        path.write_bytes(content if how == "flipped" else content[:-1])
    (failure,) = [check for check in estate.verify().failures if check.level == "intact"]
    assert path.name in failure.reason


def test_one_that_contradicts_the_manifest_is_not_opened(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _fingerprint.manifest_fields
    monkeypatch.setattr(_fingerprint, "manifest_fields", lambda found: {**real(found), "position": 4})
    entry = entry_of(estate, estate.dump())
    with pytest.raises(BackupError, match="its manifest tells another position") as caught:
        _fingerprint.read_companion(entry, identity=estate.keys.identity)
    assert caught.value.reason == "bad_fingerprint"
    outcome = estate.verify(identity=estate.keys.identity)
    assert [check.level for check in outcome.failures] == ["opened"]

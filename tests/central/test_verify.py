# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification of many branches at central, in one call of the module's parts and by the playbook."""

from __future__ import annotations

import datetime as dt
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import (
    _estate,
    _intact,
    _lock,
    _proofs,
    _report,
    _signature,
    _verify,
)
from tests.central.central import CODES, Central, tree
from tests.central.playing import play, rows

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.module_utils._catalog import Entry

FIRST = CODES[0]


def verify(central: Central, code: str = FIRST, *, hours: float = 0, **changes: Any) -> _verify.VerifyOutcome:
    """One night's verification of one branch, after *hours* have passed."""
    central.now += dt.timedelta(hours=hours)

    def work() -> _verify.VerifyOutcome:
        common = central.common(code)
        proofs = _proofs.Proofs(str(central.state), branch=code, allowed_signers=common["allowed_signers"])
        place = _estate.place_of(str(central.path), code)
        return _verify.verify_place(_verify.VerifyRequest(**common, directory=place, proofs=proofs, **changes))

    found: _verify.VerifyOutcome = central.at(central.now, work)
    return found


def test_the_estate_has_a_row_for_each_branch_and_an_error_for_each_that_is_not_whole(central: Central) -> None:
    codes = list(CODES[:13])
    missing, damaged, locked, unsigned = codes[3], codes[5], codes[7], codes[9]
    shops = {code: central.branch(code) for code in codes if code != missing}
    shops[damaged].damage(1)
    (shops[unsigned].directory / f"{shops[unsigned].name(1, 'config')}.manifest.json.sig").unlink()
    with _lock.hold(str(central.state), f"verify-{locked}", run_id="other"):
        code, output = play(central, codes, playbook="larapee.backup.verify_central")
    assert code == 2, output
    assert "Failed to finish 4 of 13 branches" in output
    found = rows(central)
    assert {row.kind for row in found.values()} == {"verify"}
    errors = {branch: str(row.error) for branch, row in found.items() if row.status != "success"}
    assert set(errors) == {missing, damaged, locked, unsigned}
    assert f"Failed to find what central holds of {missing}" in errors[missing]
    assert f"{shops[damaged].name(1, 'db_full')} intact FAILED: its SHA-256" in errors[damaged]
    assert "of run other" in errors[locked]
    assert "its signature is missing" in errors[unsigned]
    whole = found[codes[0]]
    assert whole.recovery_point == "2026-03-04T23:00:00Z"
    assert (whole.details["intact"], whole.details["read"]["artifacts"], whole.details["place"]) == (3, 3, "central")
    for shop in shops.values():
        if shop.code != locked:
            names = {path.name for path in shop.directory.iterdir()}
            assert {f"{name}.verified.json" for name in shop.names(1)} <= names
    (name,) = [name for name in shops[damaged].names(1) if name.startswith("db-")]
    result = json.loads((shops[damaged].directory / f"{name}.verified.json").read_text())
    assert result["levels"]["intact"]["status"] == "FAILED"


def test_check_mode_checks_and_writes_nothing(central: Central) -> None:
    shop = central.branch()
    shop.damage(1)
    before = tree(central.path)
    code, output = play(central, [FIRST], "--check", playbook="playbooks/verify_central.yml")
    assert code == 2, output
    assert tree(central.path) == before
    assert not (central.state / "proofs").exists()


def test_every_night_each_byte_is_read_and_no_signature_is_judged_twice(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = central.branch(runs=2)
    asked = []
    judge = _signature.verify
    monkeypatch.setattr(_signature, "verify", lambda *a, **k: (asked.append(k["principal"]), judge(*a, **k)))
    assert len(verify(central).read) == 6
    assert len(verify(central, hours=24).read) == 6
    assert len(asked) == 6
    shop.damage(2)
    outcome = verify(central, hours=24)
    assert [each.artifact for each in outcome.failures if each.level == "intact"] == [shop.name(2, "db_full")]
    # What a night found wrong is wrong until it was read again.
    shop.damage(2)
    assert verify(central, hours=1).failures == []


def test_a_rolling_share_reads_each_byte_within_its_days_and_a_replaced_file_at_once(central: Central) -> None:
    shop = central.branch(runs=4)
    names = set(shop.names(1) + shop.names(2) + shop.names(3) + shop.names(4))
    assert len(verify(central, read_days=3).read) == len(names)
    nights = [{each.name for each in verify(central, hours=24, read_days=3).read} for _night in range(3)]
    assert set.union(*nights) == names
    assert max(map(len, nights)) < len(names)
    verified = verify(central, hours=1, read_days=3)
    assert verified.failures == []
    assert (len(verified.verified), len(verified.read)) == (len(names), 0)
    (shop.directory / shop.name(1, "config")).write_bytes(b"shorter")
    reasons = [each.reason for each in verify(central, hours=1, read_days=3).failures if each.level == "intact"]
    assert len(reasons) == 1
    assert "it has 7 bytes" in reasons[0]


def test_what_was_read_keeps_its_time_until_it_is_read_again(central: Central) -> None:
    shop = central.branch()
    verify(central, read_days=5)
    result = shop.directory / f"{shop.name(1, 'config')}.verified.json"
    before = result.read_bytes()
    verify(central, hours=1, read_days=5)
    assert result.read_bytes() == before
    assert json.loads(before)["levels"]["intact"]["at"] == "2026-03-05T01:00:00Z"


def test_what_a_verification_found_damaged_is_in_no_snapshot_after_it(central: Central) -> None:
    shop = central.branch()
    verify(central)
    path = shop.directory / shop.name(1, "db_full")
    known = path.stat()
    shop.damage(1)
    # As a disk does it: the file looks as it did.
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert [each.artifact for each in verify(central, hours=13).failures if each.level == "intact"] == [path.name]
    assert list(central.snapshot(hours=1).left_out) == [path.name]


def test_an_interrupted_verification_keeps_what_it_proved(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    central.branch(runs=2)
    read = []
    check = _intact.check_companion

    def broken(entry: Entry) -> None:
        check(entry)
        read.append(entry)
        if len(read) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_intact, "check_companion", broken)
        with pytest.raises(KeyboardInterrupt):
            verify(central)
    assert len(verify(central).read) == 3


def test_what_a_killed_verification_left_is_removed_by_the_next(central: Central) -> None:
    shop = central.branch()
    name = shop.name(1, "config")
    left = shop.directory / f".{name}.verified.json.4711.new"
    others = [shop.directory / each for each in (".notes.4711.new", f"{name}.verified.json.4711.new", f".{name}.part")]
    for path in (left, *others):
        path.write_text("{")
    assert verify(central).failures == []
    assert not left.exists()
    assert all(path.exists() for path in others)


def test_neither_verification_nor_snapshot_waits_for_a_pull(central: Central) -> None:
    central.branch()
    with _lock.hold(str(central.state), f"pull-{FIRST}", run_id="pull"):
        assert verify(central).failures == []
        assert central.snapshot().left_out == {}


def test_the_report_lists_the_first_failures_only(central: Central) -> None:
    shop = central.branch(runs=40)
    for path in shop.directory.glob("*.sig"):
        path.unlink()
    outcome = verify(central)
    report = _report.report_of_estate(outcome, str(shop.directory))
    assert len(report["details"]["failures"]) == 100 < len(outcome.failures)
    assert len(report["error"]) < 1500
    assert report["recovery_point"] is None


def test_less_than_a_night_is_refused(central: Central) -> None:
    code, output = play(central, [FIRST], playbook="playbooks/verify_central.yml", larapee_backup_verify_read_days=0)
    assert code == 2
    assert "one is the least. Set larapee_backup_verify_read_days" in output

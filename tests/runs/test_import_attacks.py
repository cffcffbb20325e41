# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What branches cannot say of their runs: each speaks for itself, and for nothing more."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ansible_collections.larapee.backup.plugins.module_utils import _io, _runs_import
from ansible_collections.larapee.backup.plugins.plugin_utils import _inbox
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence
from tests.runs.central import OTHER, Central
from tests.runs.machines import BRANCH, make_row, now

if TYPE_CHECKING:
    pass


@pytest.mark.parametrize("key", [OTHER, BRANCH])
def test_a_branch_posing_as_another_is_refused(central: Central, key: str) -> None:
    """With its own key, and with a record of its own among the files of the other."""
    name = central.deliver(make_row(branch=OTHER if key == BRANCH else BRANCH), into=BRANCH, key=key)
    assert central.why(name) == ("it is of another branch" if key == BRANCH else _not_signed(central, name))
    assert central.machine.rows() == []


def _not_signed(central: Central, name: str) -> str:
    text = central.collect()[BRANCH].refused_before[name]
    assert text.startswith("not signed by branch-001")
    return text


@pytest.mark.parametrize("kind", ["sync", "offsite", "snapshot", "drill", "rotate", "anything"])
def test_rows_that_only_central_makes_are_refused(central: Central, kind: str) -> None:
    name = central.deliver(make_row(kind=kind))
    assert central.why(name) == f"only central has runs of kind {kind}"


@pytest.mark.parametrize("known", ["pending", "inferred", "other branch", "no branch"])
def test_rows_that_central_made_are_not_changed(central: Central, known: str) -> None:
    """Not even by a surer word, nor the row that a run has before it knows its branches."""
    row = make_row(kind="verify")
    changes: dict[str, Any] = {"evidence": Evidence.PENDING, "status": "pending", "finished_at": None}
    if known == "inferred":
        changes = {"evidence": Evidence.INFERRED, "status": "failed", "error": "lost"}
    centrals = dataclasses.replace(
        row,
        host="central",
        duration_s=None,
        branch={"other branch": OTHER, "no branch": None}.get(known, BRANCH),
        **changes,
    )
    central.machine.put(centrals)
    name = central.deliver(row)
    assert central.why(name) == "central has a row of this run that came from no branch"
    assert central.machine.rows() == [centrals]


def test_a_branch_cannot_say_what_only_central_says_in_details(central: Central) -> None:
    row = make_row(details={"imported": {"at": "never"}, "missed": {"due": "x"}, "own": 1})
    central.deliver(row)
    central.take()
    details = central.machine.rows()[0].details
    assert (details["own"], "missed" in details) == (1, False)
    assert details["imported"]["at"] != "never"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"run_id": str(uuid.uuid4())}, "it is of another run than its name says"),
        ({"id": str(uuid.uuid4())}, "it is of another branch"),
        ({"schema": 2}, "it is no run record that this version can read"),
        ({"exported_at": None}, "it is no run record (TypeError)"),
        ({"exported_at": "2026-01-01T00:00:00Z"}, "it was signed more than 40 days ago"),
        ({"exported_at": "2099-01-01T00:00:00Z"}, "it was signed in the future: check the clocks"),
        ({"evidence": 0}, "the run has not ended"),
        ({"evidence": 7}, "7 is not a valid Evidence"),
        ({"status": "pending"}, "the run has not ended"),
        ({"status": "failed"}, "its status and its error contradict each other"),
        ({"error": "none"}, "its status and its error contradict each other"),
        ({"finished_at": "9999-12-31T23:59:59.000000Z"}, "one of its times cannot be"),
        ({"recovery_point": "0001-01-01T00:00:00+14:00"}, "date value out of range"),
        ({"recovery_point": "tomorrow"}, None),
        ({"duration_s": -1}, "its duration_s cannot be"),
        ({"bytes": 2**64}, "its bytes cannot be"),
        ({"bytes": True}, "its bytes cannot be"),
        ({"artifacts": [{"name": "x"}]}, "its artifacts are none"),
        ({"artifacts": {}}, None),
        ({"launcher_ref": "x" * 256}, "its launcher_ref is too long"),
        ({"host": "shop\0"}, "its host is too long"),
        ({"details": json.loads("[" * 21 + "]" * 21)}, "it is no run record that this version can read"),
    ],
)
def test_records_that_no_recorder_makes_are_refused_and_the_rest_comes_in(
    central: Central, changes: dict[str, Any], why: str | None
) -> None:
    central.deliver(make_row())
    name = central.deliver(make_row(), **changes)
    imported, refused = central.take()[BRANCH]
    assert (imported, set(refused)) == (1, {name})
    if why is not None:
        assert refused[name] == why
    assert len(central.machine.rows()) == 1


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[1]", b'{"schema": NaN}', b"\xff", b"[" * 100_000, b'{"schema": 1, "a": "\\ud800"}']
)
def test_files_that_are_no_records_are_refused(central: Central, raw: bytes) -> None:
    name = central.lay(f"{uuid.uuid4()}.json", raw)
    assert central.why(name).startswith("it is no run record")


@pytest.mark.parametrize("value", ["NaN", "1e999", '"\\\\ud800"'])
def test_values_that_json_can_spell_and_tables_do_not_take_are_refused(central: Central, value: str) -> None:
    row = make_row(details={"mark": "HERE"})
    document = {**row.to_json(), "schema": 1, "exported_at": now().strftime("%Y-%m-%dT%H:%M:%SZ")}
    raw = json.dumps(document).replace('"HERE"', value.replace("\\\\", "\\"))
    assert central.why(central.lay(f"{row.run_id}.json", raw.encode())).startswith("it is no run record")


def test_an_id_that_central_makes_is_refused(central: Central) -> None:
    name = central.deliver(make_row(run_id=str(uuid.uuid5(uuid.NAMESPACE_DNS, "missed"))))
    assert central.why(name) == "its run id is one that central makes"


def test_links_pipes_and_giants_are_not_read(central: Central) -> None:
    secret = central.machine.top / "secret"
    secret.write_text("of central", encoding="utf-8")
    names = [f"{uuid.uuid4()}.json" for _ in range(4)]
    runs = central.runs()
    for name in names:
        (runs / f"{name}.sig").write_text("no signature", encoding="utf-8")
    (runs / names[0]).symlink_to(secret)
    os.mkfifo(runs / names[1])
    with (runs / names[2]).open("wb") as handle:
        handle.truncate(2**40)
    (runs / names[3]).mkdir()
    good = make_row()
    central.deliver(good)
    signature_is_a_link = central.deliver(make_row())
    (runs / f"{signature_is_a_link}.sig").unlink()
    (runs / f"{signature_is_a_link}.sig").symlink_to(secret)
    imported, refused = central.take()[BRANCH]
    assert imported == 1
    assert [refused[name] for name in (*names, signature_is_a_link)] == [
        "not a regular file",
        "not a regular file",
        "larger than 1048576 bytes",
        "not a regular file",
        "not a regular file",
    ]


@pytest.mark.parametrize("level", ["runs", "branch"])
def test_a_directory_that_is_a_link_is_not_entered(central: Central, level: str) -> None:
    """A branch that would have central read the records of another, or files of central."""
    central.deliver(make_row(branch=OTHER), into=OTHER)
    place = central.incoming / BRANCH
    if level == "runs":
        place.mkdir(parents=True)
        (place / "runs").symlink_to(central.runs(OTHER))
    else:
        place.symlink_to(central.incoming / OTHER)
    parcels = central.collect()
    assert (parcels[BRANCH].records, parcels[BRANCH].refused) == ({}, {})
    assert str(parcels[BRANCH].error).startswith("its records cannot be read")
    assert len(parcels[OTHER].records) == 1


def test_strange_names_are_counted_and_never_opened(central: Central) -> None:
    row = make_row()
    raw = _io.json_bytes({**row.to_json(), "schema": 1, "exported_at": "2026-11-22T03:00:00Z"})
    upper = f"{row.run_id.upper()}.json"
    for name in (upper, f"{row.run_id}.json\n", "..json", "x\x1b[31m.json", f"{row.run_id}.JSON", "-rf"):
        with contextlib.suppress(OSError):
            central.lay(name, raw)
    (central.runs() / ".partial.json.Xy12").write_bytes(raw)
    parcel = central.collect()[BRANCH]
    assert (parcel.records, parcel.refused) == ({}, {})
    assert upper in parcel.strangers
    assert not [name for name in parcel.strangers if name.startswith(".p")]


def test_a_branch_of_too_many_files_costs_little_and_keeps_nobody_from_his_own(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_runs_import, "FILES_LIMIT", 10)
    for number in range(11):
        (central.runs() / f"junk-{number}").write_bytes(b"")
    central.deliver(make_row(branch=OTHER), into=OTHER)
    parcels = central.collect()
    assert str(parcels[BRANCH].error) == "it has more than 10 files of records"
    assert len(parcels[OTHER].records) == 1


FIELDS = ("branch", "kind", "status", "evidence", "run_id", "id", "details", "artifacts", "started_at", "bytes", "host")
VALUES = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.text(max_size=20),
    some.sampled_from([BRANCH, OTHER, "log", "sync", "success", "pending", 2, [], {}, "2026-11-22T03:00:00Z"]),
)


@settings(max_examples=300, deadline=None)
@given(changes=some.dictionaries(some.sampled_from(FIELDS), VALUES, max_size=4))
def test_whatever_a_branch_signs_the_row_is_its_own_or_none(changes: dict[str, Any]) -> None:
    document = {**make_row(ago=timedelta(hours=1)).to_json(), **changes}
    try:
        row = _inbox.row_of(document, branch=BRANCH)
    except ValueError:
        return
    assert row.branch == BRANCH
    assert row.id == str(uuid.uuid5(uuid.UUID(row.run_id), BRANCH))
    assert row.kind is None or row.kind in ("full", "increment", "log", "verify", "restore", "retention")
    assert row.is_finished
    assert "imported" in row.details

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the rows of branches come into the table of central."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _runs_import
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence
from larapee_runner.demo.server import ThrowawayServer
from tests.runs.central import OTHER, Central
from tests.runs.machines import BRANCH, make_keys, make_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThrowawayServer]:
    with ThrowawayServer(tmp_path_factory.mktemp("central-table")) as running:
        yield running


def test_rows_come_in_once_and_a_surer_word_replaces_them(central: Central) -> None:
    row, other = make_row(), make_row(branch=OTHER, kind="full")
    lost = make_row(status="failed", error="lost", evidence=Evidence.INFERRED, duration_s=None)
    for each in (row, lost):
        central.deliver(each)
    central.deliver(other, into=OTHER)
    assert central.take() == {BRANCH: (2, {}), OTHER: (1, {})}
    assert central.take() == {BRANCH: (0, {}), OTHER: (0, {})}
    found = {each.run_id: each for each in central.machine.rows()}
    assert set(found) == {row.run_id, lost.run_id, other.run_id}
    assert found[row.run_id].details.pop("imported")["at"]
    assert found[row.run_id] == row
    central.deliver(dataclasses.replace(lost, status="success", error=None, evidence=Evidence.OBSERVED))
    assert central.take()[BRANCH] == (1, {})
    surer = central.machine.rows(run_id=lost.run_id)[0]
    assert (surer.status, surer.details["inference"]["error"]) == ("success", "lost")
    # An observed end never changes.
    central.deliver(dataclasses.replace(lost, evidence=Evidence.OBSERVED, error="another end"))
    assert central.take()[BRANCH] == (0, {})
    assert central.machine.rows(run_id=lost.run_id) == [surer]


def test_what_is_there_already_is_not_even_read(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    central.deliver(make_row())
    bad = central.deliver(make_row(), key=OTHER)
    assert central.take()[BRANCH][0] == 1
    monkeypatch.setattr(_runs_import, "_take", None)
    assert central.take()[BRANCH] == (0, {bad: central.collect()[BRANCH].refused_before[bad]})


def test_a_record_that_was_refused_is_read_again_when_it_changes_and_one_that_was_taken_in_is_not(
    central: Central,
) -> None:
    taken, refused = make_row(), make_row()
    central.deliver(taken)
    central.deliver(refused, kind="sync")
    assert central.take()[BRANCH][0] == 1
    central.deliver(refused)
    central.deliver(dataclasses.replace(taken, status="failed", error="another end"))
    assert list(central.collect()[BRANCH].records) == [f"{refused.run_id}.json"]
    assert central.take()[BRANCH] == (1, {})


def test_the_table_of_a_server_takes_them_as_well(central: Central, server: ThrowawayServer) -> None:
    on_server = dataclasses.replace(central, machine=dataclasses.replace(central.machine, url=_table(server, central)))
    row = make_row(details={"umlaut": "Käse 🧀", "deep": [[[1]]]}, error=None)
    lost = make_row(status="failed", error="lost", evidence=Evidence.INFERRED, duration_s=None)
    for each in (row, lost):
        on_server.deliver(each)
    poison = on_server.deliver(make_row(host="h" * 300))
    assert on_server.take()[BRANCH] == (2, {poison: "its host is too long"})
    on_server.deliver(dataclasses.replace(lost, evidence=Evidence.OBSERVED, error="Failed to dump."))
    assert on_server.take()[BRANCH][0] == 1
    assert on_server.machine.rows(run_id=lost.run_id)[0].error == "Failed to dump."
    assert on_server.machine.rows(run_id=row.run_id)[0].details["umlaut"] == "Käse 🧀"


def _table(server: ThrowawayServer, central: Central) -> str:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE IF NOT EXISTS runs")
    option_file = server.write_option_file(central.machine.top / "runs.cnf", user="root", password="")
    return f"mysql+pymysql://localhost/runs?read_default_file={option_file}"


def test_a_table_that_branch_and_central_share_has_the_row_already(central: Central) -> None:
    row = make_row()
    central.machine.put(row)
    central.deliver(row)
    assert central.take()[BRANCH] == (0, {})
    assert central.machine.rows() == [row]


def test_one_call_takes_so_many_and_the_next_goes_on(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_runs_import, "BRANCH_RECORDS", 3)
    for _ in range(5):
        central.deliver(make_row())
    assert central.collect()[BRANCH].waiting == 2
    assert [central.take()[BRANCH][0] for _ in range(3)] == [3, 2, 0]
    monkeypatch.setattr(_runs_import, "ALL_RECORDS", 1)
    for branch in (BRANCH, OTHER):
        central.deliver(make_row(branch=branch), into=branch)
    assert sum(taken for taken, _refused in central.take().values()) == 1
    assert sum(taken for taken, _refused in central.take().values()) == 1


def test_a_record_whose_signature_is_on_its_way_comes_with_the_next_pull(central: Central) -> None:
    row = make_row()
    name = central.deliver(row)
    signature = central.runs() / f"{name}.sig"
    kept = signature.read_bytes()
    signature.unlink()
    assert central.take()[BRANCH] == (0, {})
    signature.write_bytes(b"of an older state of it")
    assert central.take()[BRANCH][0] == 0
    signature.write_bytes(kept)
    assert central.take()[BRANCH] == (1, {})


def test_what_was_refused_is_judged_again_when_the_keys_change(tmp_path: Path, central: Central) -> None:
    keys = make_keys(tmp_path / "more", [BRANCH])
    late = dataclasses.replace(central, keys=keys)
    signers = keys / "allowed_signers"
    line = signers.read_text(encoding="utf-8")
    signers.write_text("# nobody is enrolled yet\n", encoding="utf-8")
    late.deliver(make_row())
    assert late.take()[BRANCH][0] == 0
    signers.write_text(line, encoding="utf-8")
    assert late.take()[BRANCH] == (1, {})


def test_a_damaged_note_only_costs_another_look(central: Central) -> None:
    central.deliver(make_row())
    central.take()
    (central.machine.state / "imported" / f"{BRANCH}.json").write_text('{"done": 1}', encoding="utf-8")
    assert len(central.collect()[BRANCH].records) == 1
    assert central.take()[BRANCH] == (0, {})


def test_notes_of_files_that_went_go_as_well(central: Central) -> None:
    name = central.deliver(make_row())
    central.take()
    for path in list(central.runs().iterdir()):
        path.unlink()
    other = central.deliver(make_row())
    central.take()
    noted = json.loads((central.machine.state / "imported" / f"{BRANCH}.json").read_text(encoding="utf-8"))
    assert (name in noted["done"], other in noted["done"]) == (False, True)


def play_role(central: Central, *arguments: str, **variables: Any) -> tuple[int, str]:
    options = {
        "larapee_backup_kind": "sync",
        "larapee_backup_branches": [BRANCH, OTHER],
        "larapee_backup_allowed_signers": str(central.keys / "allowed_signers"),
        "larapee_backup_central_path": str(central.machine.top / "central"),
        "larapee_backup_state_path": str(central.machine.state),
        **variables,
    }
    return central.machine.play(
        central.playbook("import_runs"), *arguments, groups={"central": {"central": {}}}, **options
    )


def test_the_role_imports_and_the_rows_of_the_pull_tell_of_it(central: Central) -> None:
    row = make_row(details={"secret_of_the_shop": "4711"})
    central.deliver(row)
    bad = central.deliver(make_row(), key=OTHER)
    code, output = play_role(central, "--check")
    assert (code, central.machine.rows(kind="log")) == (0, []), output
    code, output = play_role(central, "-vvv")
    assert code == 0, output
    assert "secret_of_the_shop" not in output
    (imported,) = central.machine.rows(kind="log")
    assert imported.run_id == row.run_id
    first, other = sorted(central.machine.rows(kind="sync"), key=lambda each: (each.check_mode, str(each.branch)))[:2]
    assert first.details["runs_import"]["imported"] == 1
    assert list(first.details["runs_import"]["refusals"]) == [bad]
    assert "runs_import" not in other.details


def test_an_import_that_cannot_be_done_stops_no_pull(central: Central) -> None:
    code, output = play_role(central, larapee_backup_allowed_signers="/nowhere")
    assert code == 0, output
    rows = central.machine.rows(kind="sync")
    assert [row.status for row in rows] == ["success", "success"]
    assert "Failed to read allowed signers" in rows[0].details["runs_import"]["error"]
    central.deliver(make_row())
    with contextlib.closing(sqlite3.connect(central.machine.top / "runs.sqlite")) as other:
        other.execute("DROP TABLE backup_runs")
        other.execute("CREATE VIEW backup_runs AS SELECT 1 AS one")
    _code, output = play_role(central, "-v")
    assert "No run record was imported; the next import brings them." in output
    assert "failed=0" in output

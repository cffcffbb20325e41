# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What central takes of what branches say of their runs: each branch's word on itself, and nothing more."""

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

from ansible_collections.larapee.backup.plugins.module_utils import _io, _runs_import, _signature
from ansible_collections.larapee.backup.plugins.module_utils._runs_import import ImportRequest, Parcel
from ansible_collections.larapee.backup.plugins.plugin_utils import _inbox
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence, RunRecord
from larapee_runner.demo.server import ThrowawayServer
from tests.runs.machines import BRANCH, Machine, machine, make_keys, make_row, now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OTHER = "branch-002"


@dataclasses.dataclass(frozen=True)
class Central:
    """Central with what was pulled of two branches, and the import as module and action do it together."""

    machine: Machine
    keys: Path

    @property
    def incoming(self) -> Path:
        return self.machine.top / "central" / "incoming"

    def runs(self, branch: str = BRANCH) -> Path:
        path = self.incoming / branch / "runs"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def deliver(self, row: RunRecord, *, into: str = BRANCH, key: str | None = None, **changes: Any) -> str:
        """Lay a record into what was pulled of a branch, signed with the key of a branch; returns its name."""
        exported_at = now().strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {**row.to_json(), "schema": 1, "exported_at": exported_at, **changes}
        return self.lay(f"{row.run_id}.json", _io.json_bytes(document), into=into, key=key)

    def lay(self, name: str, raw: bytes, *, into: str = BRANCH, key: str | None = None) -> str:
        (self.runs(into) / f"{name}.sig").write_bytes(_signature.sign(raw, key=str(self.keys / (key or into))))
        (self.runs(into) / name).write_bytes(raw)
        return name

    @property
    def request(self) -> ImportRequest:
        return ImportRequest(
            branches=(BRANCH, OTHER),
            central_path=str(self.machine.top / "central"),
            state_path=str(self.machine.state),
            allowed_signers=str(self.keys / "allowed_signers"),
        )

    def collect(self) -> dict[str, Parcel]:
        return _runs_import.collect(self.request)

    def take(self) -> dict[str, tuple[int, dict[str, str]]]:
        """Of each branch how many rows were new, and what was refused why."""
        parcels = self.collect()
        verdicts = _inbox.take_in(self.machine.url, {branch: parcel.records for branch, parcel in parcels.items()})
        refused = {branch: {**parcel.refused, **verdicts[branch].refused} for branch, parcel in parcels.items()}
        _runs_import.settle(self.request, {branch: parcel.stamps for branch, parcel in parcels.items()}, refused)
        return {
            branch: (verdicts[branch].imported, {**parcel.refused_before, **refused[branch]})
            for branch, parcel in parcels.items()
        }

    def why(self, name: str, branch: str = BRANCH) -> str:
        """Why a record was refused, now and at the next look; nothing of it is in the table."""
        first = self.take()[branch]
        assert first[0] == 0
        again = self.take()[branch]
        assert again == (0, first[1])
        return first[1][name]


@pytest.fixture
def central(tmp_path: Path, keys: Path) -> Central:
    return Central(machine(tmp_path / "central-host"), keys)


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


def test_a_table_that_branch_and_central_share_has_the_row_already(central: Central) -> None:
    row = make_row()
    central.machine.put(row)
    central.deliver(row)
    assert central.take()[BRANCH] == (0, {})
    assert central.machine.rows() == [row]


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
    playbook = central.machine.top / "import.yml"
    roles = [{"role": f"larapee.backup.{name}"} for name in ("guard", "import_runs")]
    close = {"ansible.builtin.import_role": {"name": "larapee.backup.guard", "tasks_from": "close"}}
    play = {"hosts": "central", "gather_facts": False, "roles": roles, "post_tasks": [close]}
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    options = {
        "larapee_backup_kind": "sync",
        "larapee_backup_branches": [BRANCH, OTHER],
        "larapee_backup_allowed_signers": str(central.keys / "allowed_signers"),
        "larapee_backup_central_path": str(central.machine.top / "central"),
        "larapee_backup_state_path": str(central.machine.state),
        **variables,
    }
    return central.machine.play(str(playbook), *arguments, groups={"central": {"central": {}}}, **options)


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

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a branch lays beside its artifacts for central: every finished row of its own, signed, once."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _quota, _runs_export
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._runs_export import ExportOutcome, ExportRequest
from ansible_collections.larapee.backup.plugins.plugin_utils import _outbox
from ansible_collections.larapee.backup.plugins.plugin_utils._outbox import Outbox
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import Evidence, RunRecord, dump_json
from tests.runs.machines import BRANCH, ROOT, Machine, make_row

if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS = ("run-record.schema.json", "runs.schema.json")


def export(branch: Machine, keys: Path, **changes: Any) -> ExportOutcome:
    """One export as the action and the module do it together."""
    outbox = Outbox(branch.settings, BRANCH, keep_days=7)
    request = ExportRequest(
        branch=BRANCH,
        local_path=str(branch.top / "local"),
        state_path=str(branch.state),
        run_id="3f0c7c0e-8f55-4a3c-9a0b-0e6f6f8d6f10",
        signing_key=str(keys / BRANCH),
        keep_days=7,
        records=dump_json([row.to_json() for row in outbox.waiting()]),
    )
    outcome = _runs_export.export_runs(dataclasses.replace(request, **changes))
    outbox.confirm(outcome.taken, present=outcome.present)
    return outcome


def there(branch: Machine) -> dict[str, dict[str, Any]]:
    directory = branch.top / "local" / "runs"
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")}


def is_signed(path: Path, keys: Path) -> bool:
    """By ssh-keygen alone, as an auditor would."""
    argv = ["ssh-keygen", "-Y", "verify", "-f", str(keys / "allowed_signers"), "-I", BRANCH, "-n", "larapee-backup"]
    with path.open("rb") as message:
        done = subprocess.run([*argv, "-s", f"{path}.sig"], stdin=message, capture_output=True, check=False)
    return done.returncode == 0


def test_every_finished_row_of_the_branch_lies_there_signed_and_no_other(branch: Machine, keys: Path) -> None:
    own = [make_row(), make_row(kind="full", status="failed", error="Failed to dump."), make_row(kind=None)]
    pending = make_row(status="pending", evidence=Evidence.PENDING, finished_at=None, duration_s=None)
    centrals = [make_row(kind=kind) for kind in ("sync", "offsite", "snapshot", "drill", "rotate")]
    branch.put(*own, pending, *centrals, make_row(branch="branch-002"), make_row(branch=None))
    assert export(branch, keys).written == 3
    found = there(branch)
    assert set(found) == {row.run_id for row in own}
    for row in own:
        document = found[row.run_id]
        assert RunRecord.from_json(document) == row
        assert document["schema"] == 1
        path = branch.top / "local" / "runs" / f"{row.run_id}.json"
        assert is_signed(path, keys)
        assert {stat.st_mode & 0o777 for stat in (path.stat(), path.with_suffix(".json.sig").stat())} == {0o600}


def test_a_record_is_what_the_schema_says(branch: Machine, keys: Path) -> None:
    branch.put(make_row(), make_row(kind="full", status="failed", error="Failed to dump."))
    export(branch, keys)
    schemas = {name: json.loads((ROOT / "docs/schemas" / name).read_text(encoding="utf-8")) for name in SCHEMAS}
    registry = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in schemas.items())
    checker = Draft202012Validator({"$ref": SCHEMAS[0]}, registry=registry)
    for document in there(branch).values():
        checker.validate(document)
        for wrong in ({"kind": "sync"}, {"branch": None}, {"evidence": 0}, {"schema": 2}, {"exported_at": None}):
            assert not checker.is_valid({**document, **wrong}), wrong


def test_what_lies_there_is_not_signed_again_and_a_surer_row_is(branch: Machine, keys: Path) -> None:
    lost = make_row(status="failed", error="lost", evidence=Evidence.INFERRED, duration_s=None)
    branch.put(lost, make_row())
    assert export(branch, keys).written == 2
    assert Outbox(branch.settings, BRANCH, keep_days=7).waiting() == []
    branch.put(dataclasses.replace(lost, status="success", error=None, evidence=Evidence.OBSERVED, duration_s=20.0))
    assert export(branch, keys).written == 1
    assert there(branch)[lost.run_id]["status"] == "success"
    # Not even when the note of what was handed over is lost.
    (branch.state / "exported" / f"{BRANCH}.json").unlink()
    assert export(branch, keys).written == 0


def test_a_place_that_lost_its_records_gets_them_again(branch: Machine, keys: Path) -> None:
    branch.put(*[make_row() for _ in range(3)])
    export(branch, keys)
    for path in (branch.top / "local" / "runs").iterdir():
        path.unlink()
    branch.put(make_row())
    assert export(branch, keys).written == 1
    assert export(branch, keys).written == 3


def test_a_week_is_kept_and_only_so_much_goes_at_once(
    branch: Machine, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outbox, "BATCH", 3)
    rows = [make_row(ago=timedelta(hours=hours)) for hours in range(1, 6)]
    branch.put(*rows, make_row(ago=timedelta(days=8)))
    assert export(branch, keys).written == 3
    assert set(there(branch)) == {row.run_id for row in rows[:3]}
    assert export(branch, keys).written == 2
    directory = branch.top / "local" / "runs"
    old = time.time() - 9 * 86400
    for suffix in (".json", ".json.sig"):
        os.utime(directory / f"{rows[4].run_id}{suffix}", (old, old))
    (directory / "of-somebody-else.json").write_text("{}", encoding="utf-8")
    os.utime(directory / "of-somebody-else.json", (old, old))
    (directory / f".{rows[3].run_id}.json.sig.4711.new").write_bytes(b"what a crash left")
    assert export(branch, keys, records="[]").removed == 1
    assert set(there(branch)) == {*(row.run_id for row in rows[:4]), "of-somebody-else"}
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []


def test_a_row_too_large_to_travel_goes_without_its_details(branch: Machine, keys: Path) -> None:
    row = make_row(details={"gaps": ["x" * 1000] * 1200})
    branch.put(row)
    export(branch, keys)
    assert there(branch)[row.run_id]["details"] == {"left_out": "too large to travel"}


@pytest.mark.parametrize(
    "change", [{"run_id": "../../etc/passwd"}, {"branch": "branch-002"}, {"evidence": 0}, {"run_id": None}]
)
def test_records_that_are_no_finished_runs_of_the_branch_are_refused(
    branch: Machine, keys: Path, change: dict[str, Any]
) -> None:
    records = json.dumps([{**make_row().to_json(), **change}])
    with pytest.raises(BackupError, match="cannot be used"):
        export(branch, keys, records=records)
    assert there(branch) == {}


def test_no_record_is_there_without_its_signature(branch: Machine, keys: Path) -> None:
    """A key that signs nothing leaves nothing."""
    branch.put(make_row())
    with pytest.raises(BackupError, match="Failed to read signing key"):
        export(branch, keys, signing_key=str(keys / "nobody"))
    assert there(branch) == {}


@pytest.mark.parametrize("planted", ["link", "file"])
def test_a_link_in_place_of_the_directory_is_not_followed(branch: Machine, keys: Path, planted: str) -> None:
    elsewhere = branch.top / "elsewhere"
    elsewhere.mkdir()
    (branch.top / "local").mkdir()
    runs = branch.top / "local" / "runs"
    if planted == "link":
        runs.symlink_to(elsewhere)
    else:
        runs.write_text("", encoding="utf-8")
    branch.put(make_row())
    with pytest.raises(BackupError, match=f"Failed to write run records into {runs}: Not a directory"):
        export(branch, keys)
    assert list(elsewhere.iterdir()) == []


def test_the_records_are_no_part_of_the_place(branch: Machine, keys: Path) -> None:
    """Neither catalogue, verification and retention, which read the catalogue, nor the quota count them."""
    branch.put(*[make_row() for _ in range(20)])
    export(branch, keys)
    local = branch.top / "local"
    catalogue = _catalog.read_catalogue(str(local))
    assert (catalogue.entries, catalogue.problems, catalogue.unmanaged) == ((), {}, ())
    assert _quota.used_bytes(str(local)) == (local / "runs").stat().st_size


def test_the_playbooks_lay_out_the_rows_of_the_runs_before(branch: Machine, keys: Path) -> None:
    """The failed one too, here of a retention without a place; the log of ansible shows nothing of the rows."""
    (branch.top / "local").mkdir()
    row = make_row(details={"secret_of_the_shop": "4711"})
    branch.put(row)
    options = {
        "larapee_backup_local_path": str(branch.top / "local"),
        "larapee_backup_state_path": str(branch.state),
        "larapee_backup_allowed_signers": str(keys / "allowed_signers"),
        "larapee_backup_signing_key": str(keys / BRANCH),
    }
    groups = {"branches": {BRANCH: {"larapee_backup_branch": BRANCH}}}
    for playbook in ("playbooks/retention.yml", "larapee.backup.verify"):
        _code, output = branch.play(playbook, "-vvv", groups=groups, **options)
        assert "Write the records of earlier runs" in output
        assert "secret_of_the_shop" not in output
    retention = branch.rows(kind="retention")[0]
    assert set(there(branch)) == {row.run_id, retention.run_id}
    # Also when it cannot be done, the run goes on; its row says why.
    _code, output = branch.play(
        "playbooks/verify.yml", groups=groups, **{**options, "larapee_backup_signing_key": "/nowhere"}
    )
    assert "Failed to read signing key" in branch.rows(kind="verify")[0].details["runs_export"]["error"]
    (branch.state / "exported").rename(branch.state / "kept")
    (branch.state / "exported").write_text("no directory", encoding="utf-8")
    _code, output = branch.play("playbooks/verify.yml", groups=groups, **options)
    assert "Failed to create directory" in branch.rows(kind="verify")[0].details["runs_export"]["error"]
    # A place that is no branch's has no key.
    del options["larapee_backup_signing_key"]
    _code, output = branch.play("playbooks/verify.yml", groups=groups, **options)
    assert "runs_export" not in branch.rows(kind="verify")[0].details


def test_a_preview_writes_nothing(branch: Machine, keys: Path) -> None:
    (branch.top / "local").mkdir()
    branch.put(make_row())
    _code, output = branch.play(
        "playbooks/verify.yml",
        "--check",
        "-v",
        groups={"branches": {BRANCH: {"larapee_backup_branch": BRANCH}}},
        larapee_backup_local_path=str(branch.top / "local"),
        larapee_backup_state_path=str(branch.state),
        larapee_backup_allowed_signers=str(keys / "allowed_signers"),
        larapee_backup_signing_key=str(keys / BRANCH),
    )
    assert '"written": 1' in output
    assert there(branch) == {}

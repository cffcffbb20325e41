# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification: what it says of a sound place, and of each way in which a place can be unsound."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _verify
from tests.database.test_dump import only

if TYPE_CHECKING:
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._verify import Check
    from tests.database.estate import Estate, FakeTools


@pytest.fixture
def artifact(estate: Estate) -> Path:
    manifest = estate.dump().manifest
    assert manifest is not None
    return estate.local / manifest.artifact


def manifest_path(artifact: Path) -> Path:
    return artifact.with_name(artifact.name + ".manifest.json")


def signature_path(artifact: Path) -> Path:
    return artifact.with_name(artifact.name + ".manifest.json.sig")


def result_of(artifact: Path) -> dict[str, dict[str, str]]:
    document = json.loads(artifact.with_name(artifact.name + ".verified.json").read_text())
    levels: dict[str, dict[str, str]] = document["levels"]
    return levels


def only_failure(estate: Estate) -> Check:
    (check,) = estate.verify().failures
    return check


def test_without_a_key_it_is_intact_and_no_more(estate: Estate, artifact: Path) -> None:
    outcome = estate.verify()
    assert [(check.level, check.status) for check in outcome.checks] == [
        ("intact", "OK"),
        ("opened", "n/a here"),
        ("proven", "n/a here"),
    ]
    assert set(result_of(artifact)) == {"intact"}
    assert result_of(artifact)["intact"]["status"] == "OK"


def test_with_a_key_it_opens_and_the_result_stays_when_the_key_is_gone(estate: Estate, artifact: Path) -> None:
    outcome = estate.verify(identity=estate.keys.identity)
    assert outcome.failures == []
    assert outcome.counts()["opened"]["OK"] == 1
    estate.verify()
    assert result_of(artifact)["opened"]["status"] == "OK"


def test_an_unencrypted_artifact_opens_without_a_key(estate: Estate) -> None:
    estate.dump(encrypt=False, recipients=())
    assert estate.verify().counts()["opened"]["OK"] == 1


def test_the_wrong_identity_fails(estate: Estate, artifact: Path) -> None:
    import subprocess

    other = subprocess.run(["age-keygen"], check=True, capture_output=True, text=True).stdout
    (check,) = estate.verify(identity=other).failures
    assert (check.level, check.status) == ("opened", "FAILED")
    assert "no identity matched" in check.reason


def test_check_mode_writes_no_result(estate: Estate, artifact: Path) -> None:
    before = estate.files()
    assert estate.verify(check_mode=True).failures == []
    assert estate.files() == before


def test_nothing_to_verify_is_a_failure(estate: Estate) -> None:
    estate.local.mkdir()
    assert "nothing to verify" in only_failure(estate).reason


def test_only_unmanaged_files_are_nothing_to_verify(estate: Estate) -> None:
    estate.local.mkdir()
    (estate.local / "db-20250101-2315.sql.gz").write_bytes(b"an older cron line's dump")
    outcome = estate.verify()
    assert outcome.unmanaged == ("db-20250101-2315.sql.gz",)
    assert "nothing to verify" in outcome.failures[0].reason


def test_truncated_artifact(estate: Estate, artifact: Path) -> None:
    os.truncate(artifact, artifact.stat().st_size - 1)
    check = only_failure(estate)
    assert (check.artifact, check.status) == (artifact.name, "FAILED")
    assert "bytes, its manifest says" in check.reason
    assert result_of(artifact)["intact"]["status"] == "FAILED"


def test_one_flipped_byte(estate: Estate, artifact: Path) -> None:
    raw = bytearray(artifact.read_bytes())
    raw[len(raw) // 2] ^= 1
    artifact.write_bytes(raw)
    assert "SHA-256" in only_failure(estate).reason


def test_edited_manifest(estate: Estate, artifact: Path) -> None:
    document = json.loads(manifest_path(artifact).read_text())
    document["created_at"] = "2026-01-01T00:00:00Z"
    manifest_path(artifact).write_text(json.dumps(document))
    assert "not signed by branch-001" in only_failure(estate).reason


def test_a_manifest_that_is_no_manifest(estate: Estate, artifact: Path) -> None:
    manifest_path(artifact).write_text("{}")
    checks = estate.verify().failures
    assert any(check.artifact == manifest_path(artifact).name and "schema" in check.reason for check in checks)


def test_removed_signature(estate: Estate, artifact: Path) -> None:
    signature_path(artifact).unlink()
    assert "signature is missing" in only_failure(estate).reason


def test_signature_of_another_branch(estate: Estate, artifact: Path) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _signature

    other = _signature.sign(manifest_path(artifact).read_bytes(), key=str(estate.keys.directory / "branch-002"))
    signature_path(artifact).write_bytes(other)
    assert "not signed by branch-001" in only_failure(estate).reason


def test_a_set_of_another_branch(estate: Estate) -> None:
    estate.dump(branch="branch-002", signing_key=str(estate.keys.directory / "branch-002"))
    assert "it belongs to branch-002, not to branch-001" in only_failure(estate).reason


def test_manifest_without_artifact(estate: Estate, artifact: Path) -> None:
    artifact.unlink()
    assert "only its manifest is there" in only_failure(estate).reason


def test_artifact_without_manifest(estate: Estate, artifact: Path) -> None:
    manifest_path(artifact).unlink()
    reasons = " ".join(check.reason for check in estate.verify().failures)
    assert "artifact without manifest" in reasons
    assert "nothing to verify" in reasons
    assert "number 1 of kind db_full is missing" in reasons


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_whole_set_that_vanished_is_noticed(estate: Estate, victim: int) -> None:
    """Also the newest: the branch remembers the last number that it gave."""
    names = [manifest.artifact for manifest in (estate.dump().manifest for _ in range(3)) if manifest]
    for path in estate.local.glob(names[victim] + "*"):
        path.unlink()
    if victim == 0:
        # The oldest is what retention takes; only the numbers after it must be there.
        assert estate.verify().failures == []
    else:
        assert f"number {victim + 1} of kind db_full is missing" in only_failure(estate).reason


def test_an_older_state_put_back_over_the_newest(estate: Estate, artifact: Path, tmp_path: Path) -> None:
    shutil.copytree(estate.local, tmp_path / "older")
    estate.dump()
    shutil.rmtree(estate.local)
    shutil.copytree(tmp_path / "older", estate.local)
    assert "number 2 of kind db_full is missing" in only_failure(estate).reason


def test_without_allowed_signers_it_is_not_run_and_not_green(estate: Estate, artifact: Path) -> None:
    (check,) = estate.verify(allowed_signers=str(estate.root / "nothing")).failures
    assert (check.level, check.status) == ("intact", "NOT RUN")


@pytest.mark.parametrize("tool", ["age", "ssh-keygen", "gzip"])
def test_a_missing_tool_is_not_run_and_not_green(
    estate: Estate, artifact: Path, fake_tools: FakeTools, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    only(fake_tools, monkeypatch, without={tool})
    statuses = {check.status for check in estate.verify(identity=estate.keys.identity).failures}
    assert statuses == {_verify.NOT_RUN}


def test_the_recovery_point_is_that_of_the_newest_intact_full(estate: Estate, artifact: Path) -> None:
    first = estate.verify().recovery_point
    second = estate.dump().manifest
    assert second is not None
    path = estate.local / second.artifact
    path.write_bytes(path.read_bytes()[:-1])
    assert estate.verify().recovery_point == first

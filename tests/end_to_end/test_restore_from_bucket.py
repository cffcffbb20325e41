# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is left but a bucket: the shop's database, uploads and config come back from it by the published playbook."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _offsite
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store
from tests.offsite.seaweed import ADMIN, Seaweed
from tests.offsite.test_identities import identity

from .branch import BRANCH, RESTORE
from .test_set_restore import back_up, copy, require_same_config, require_same_tree, select, sql, targets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .branch import Branch


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    server = Seaweed(tmp_path_factory.mktemp("seaweed"))
    yield server
    server.stop()


def credentials(path: Path, key: tuple[str, str]) -> str:
    path.write_text(f"[s3]\naccess_key = {key[0]}\nsecret_key = {key[1]}\n")
    path.chmod(0o600)
    return str(path)


def archive(branch: Branch, seaweed: Seaweed, bucket: str) -> None:
    """As central does it: what lies there goes to the archive; then central and the branch are lost."""
    central = branch.directory / "central"
    shutil.copytree(branch.local, central / "branches" / BRANCH, ignore=shutil.ignore_patterns("runs", "tip.*"))
    store = open_store(
        {
            **{"url": f"s3://{bucket}/estate", "endpoint": seaweed.endpoint, "region": "us-east-1"},
            **{"ca_file": str(seaweed.certificate), "allow_plain": False},
            "credentials_file": credentials(branch.directory / "writer.ini", ADMIN),
        }
    )
    request = _offsite.OffsiteRequest(
        branch=BRANCH,
        allowed_signers=str(branch.keys.allowed_signers),
        state_path=str(central / "state"),
        run_id=str(uuid.uuid4()),
        central_path=str(central),
        target="cold",
    )
    assert "error" not in _offsite.copy_offsite(store, request).report()
    (branch.directory / "writer.ini").unlink()
    shutil.rmtree(central)
    shutil.rmtree(branch.local)


def test_the_shop_comes_back_from_the_archive_alone(branch: Branch, seaweed: Seaweed) -> None:
    seaweed.bucket("cold", locked=True, days=90)
    back_up(branch, "full")
    sql(branch, "INSERT INTO receipts VALUES (4001, 'B01-20261122-4001', 'the last', X'01')")
    (branch.uploads / "late.jpg").write_bytes(b"late")
    back_up(branch, "log")
    sold = select(branch, branch.database)
    uploads = copy(branch.uploads, branch.directory / "aside" / "uploads")
    config = branch.directory / "aside" / "config"
    for path in branch.config:
        copy(path, config / str(path).lstrip("/"))
    archive(branch, seaweed, "cold")
    key = identity(seaweed, "restorer", "cold")
    options = {
        "larapee_backup_restore_source": "s3://cold/estate",
        "larapee_backup_s3_endpoint": seaweed.endpoint,
        "larapee_backup_s3_ca_file": str(seaweed.certificate),
        "larapee_backup_s3_credentials_file": credentials(branch.directory.parent / f"{branch.database}.ini", key),
    }
    code, previewed = branch.playbook(RESTORE, "--check", *targets(branch), "-e", json.dumps(options))
    assert code == 0, previewed.output
    fetched = branch.state / "fetched" / BRANCH
    there = sorted(path.name for path in fetched.iterdir())
    assert len([name for name in there if name.endswith(".manifest.json")]) == 5
    code, restored = branch.playbook(RESTORE, "-vvv", *targets(branch), "-e", json.dumps(options))
    assert code == 0, restored.output
    assert "0 artifacts of 0 bytes came" in restored.words, "the preview brought all of it"
    assert select(branch, branch.restored) == sold
    require_same_tree(uploads, branch.directory / "restored-uploads")
    require_same_config(branch, config)
    assert [(row.kind, row.status, row.check_mode) for row in branch.rows()[:2]] == [
        ("restore", "success", False),
        ("restore", "success", True),
    ]
    assert "X-Amz-Signature" not in previewed.output + restored.output
    for secret in (key[1], "X-Amz-Signature"):
        found = subprocess.run(["grep", "-rlaF", secret, str(branch.directory)], capture_output=True, text=True)
        assert found.stdout == "", "neither the restorer's key nor a link touches the disk of what is restored"


def test_a_key_that_the_storage_refuses_is_told_in_its_words(branch: Branch, seaweed: Seaweed) -> None:
    options = {
        "larapee_backup_restore_source": "s3://cold/estate",
        "larapee_backup_s3_endpoint": seaweed.endpoint,
        "larapee_backup_s3_ca_file": str(seaweed.certificate),
        "larapee_backup_s3_credentials_file": credentials(branch.directory / "wrong.ini", ("nobody", "knows")),
    }
    code, refused = branch.playbook(RESTORE, *targets(branch), "-e", json.dumps(options))
    assert code == 2
    assert "the storage refuses this identity" in refused.words
    assert "refuses this identity" in str(branch.row().error)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root on central may change every file there; whoever restores asks a list of keys of his own."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from ansible_collections.larapee.backup.plugins.module_utils import _signature, _verify

if TYPE_CHECKING:
    from pathlib import Path

    from tests.retention.branch import Branch


def failures(branch: Branch, allowed_signers: Path) -> list[str]:
    request = _verify.VerifyRequest(
        branch=branch.code,
        directory=str(branch.directory),
        allowed_signers=str(allowed_signers),
        state_path=str(branch.state),
        run_id="run",
    )
    outcome = _verify.verify_place(request, check_mode=True)
    return [check.artifact for check in outcome.failures if check.level == "intact"]


def test_what_he_forges_only_his_own_list_of_keys_accepts(shop: Branch, tmp_path: Path) -> None:
    of_the_restorer = tmp_path / "of-the-restorer"
    shutil.copy(shop.place.allowed_signers, of_the_restorer)
    assert failures(shop, of_the_restorer) == []
    key = tmp_path / "forger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    on_central = tmp_path / "on-central"
    public = (tmp_path / "forger.pub").read_text()
    on_central.write_text(of_the_restorer.read_text() + f'{shop.code} namespaces="larapee-backup" {public}')
    forged = shop.directory / shop.name(10, "db_full")
    manifest = forged.with_name(forged.name + ".manifest.json")
    raw = manifest.read_bytes().replace(b'"engine": "', b'"engine": "x')
    assert raw != manifest.read_bytes()
    manifest.write_bytes(raw)
    manifest.with_name(manifest.name + ".sig").write_bytes(_signature.sign(raw, key=str(key)))
    assert failures(shop, on_central) == []
    assert failures(shop, of_the_restorer) == [forged.name]


def test_what_he_takes_away_leaves_a_hole_that_is_named(shop: Branch, tmp_path: Path) -> None:
    allowed_signers = tmp_path / "of-the-restorer"
    shutil.copy(shop.place.allowed_signers, allowed_signers)
    for path in shop.directory.glob(shop.name(5, "db_full") + "*"):
        path.unlink()
    assert failures(shop, allowed_signers) == ["db_full 5"]

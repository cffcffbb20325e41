# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _intact
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import BRANCH, STORED, Place

FULL = "db-20261122-1432.sql.gz"


def check(place: Place, *, branch: str = BRANCH, allowed_signers: str | None = None) -> None:
    (entry,) = _catalog.read_catalogue(str(place.directory)).entries
    _intact.check_intact(entry, branch=branch, allowed_signers=allowed_signers or place.allowed_signers)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_what_is_untouched_is_intact(place: Place) -> None:
    place.put(FULL)
    check(place)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (flip, "its SHA-256 is not that of its manifest"),
        (lambda path: path.write_bytes(STORED[:-1]), "its manifest says"),
        (lambda path: path.write_bytes(STORED + b"x"), "its manifest says"),
        (Path.unlink, "the artifact is missing, only its manifest is there"),
        (link, "it is not a regular file"),
        (pipe, "it is not a regular file"),
        (lambda path: Path(f"{path}.manifest.json.sig").unlink(), "its signature is missing"),
        (lambda path: flip(Path(f"{path}.manifest.json.sig")), "not signed by branch-001"),
    ],
)
def test_damage_is_found_and_named(place: Place, damage: Callable[[Path], object], why: str) -> None:
    damage(place.put(FULL))
    with pytest.raises(_intact.NotIntactError, match=why):
        check(place)


def test_an_edited_manifest_is_not_intact_even_when_it_fits_the_bytes(place: Place) -> None:
    path = place.put(FULL)
    manifest = Path(f"{path}.manifest.json")
    manifest.write_bytes(manifest.read_bytes().replace(b'"version": "10', b'"version": "11'))
    with pytest.raises(_intact.NotIntactError, match="not signed by branch-001"):
        check(place)


def test_a_manifest_that_another_branch_signed_is_not_intact(place: Place) -> None:
    place.put(FULL, signer="branch-002")
    with pytest.raises(_intact.NotIntactError, match="not signed by branch-001"):
        check(place)


def test_another_branchs_artifact_is_not_ours(place: Place) -> None:
    place.put(FULL, branch="branch-002", signer="branch-002")
    check(place, branch="branch-002")
    with pytest.raises(_intact.NotIntactError, match="it belongs to branch-002, not to branch-001"):
        check(place)


def test_a_check_that_could_not_run_is_not_damage(place: Place) -> None:
    place.put(FULL)
    with pytest.raises(BackupError, match="Failed to read allowed signers") as caught:
        check(place, allowed_signers="/nonexistent")
    assert caught.value.reason == "no_allowed_signers"


UPLOADS = "public-uploads-20261122-1432.tar.zst"
INDEX = f"{UPLOADS}.index.zst"


def put_with_companion(place: Place) -> Path:
    facts = {"size": 5, "sha256": hashlib.sha256(b"index").hexdigest(), "plain_size": 1, "plain_sha256": "1" * 64}
    place.put(UPLOADS, companion=facts)
    (place.directory / INDEX).write_bytes(b"index")
    return place.directory / INDEX


def test_an_artifact_with_its_index_is_intact(place: Place) -> None:
    put_with_companion(place)
    check(place)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (flip, "its SHA-256 is not that of its manifest"),
        (lambda path: path.write_bytes(b"inde"), "it has 4 bytes, its manifest says 5"),
        (Path.unlink, "it cannot be read: No such file"),
        (link, "it is not a regular file"),
        (pipe, "it is not a regular file"),
    ],
)
def test_damage_to_its_index_is_found_and_named(place: Place, damage: Callable[[Path], object], why: str) -> None:
    damage(put_with_companion(place))
    with pytest.raises(_intact.NotIntactError, match=f"its index {INDEX}: {why}"):
        check(place)


def test_an_adopted_artifact_has_no_index_that_could_be_missing(place: Place) -> None:
    moment = {"moment": "2026-11-21T22:15:00Z", "at": "2026-11-22T14:32:00Z"}
    place.put(UPLOADS, sequence=0, adopted=moment, companion=None)
    check(place)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _open
from ansible_collections.larapee.backup.plugins.module_utils._digest import Ends
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._pipeline import Command
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils.places import PLAIN, STORED, Place

FULL = "db-20261122-1432.sql.gz"


def entry(place: Place) -> _catalog.Entry:
    (found,) = _catalog.read_catalogue(str(place.directory)).entries
    return found


def compressed(program: str) -> bytes:
    return subprocess.run([program, "-c"], input=PLAIN, capture_output=True, check=True).stdout


def put_encrypted(place: Place) -> str:
    """Place an encrypted full; return the identity that opens it."""
    identity = place.directory.parent / "identity"
    subprocess.run(["age-keygen", "-o", str(identity)], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True).stdout
    command = ["age", "-r", recipient.strip()]
    place.put(f"{FULL}.age", stored=subprocess.run(command, input=STORED, capture_output=True, check=True).stdout)
    return identity.read_text()


@pytest.mark.parametrize(("program", "name"), [("gzip", FULL), ("igzip", FULL), ("zstd", "db-20261122-1432.sql.zst")])
def test_what_any_compressor_wrote_opens_to_the_plain_bytes(place: Place, program: str, name: str) -> None:
    place.put(name, stored=compressed(program))
    ends = Ends()
    digest = _open.open_artifact(entry(place), identity=None, following=[ends])
    assert (digest.size, ends.tail) == (len(PLAIN), PLAIN)


def test_an_encrypted_artifact_opens_with_its_identity(place: Place) -> None:
    identity = put_encrypted(place)
    assert _open.open_artifact(entry(place), identity=identity).size == len(PLAIN)


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (None, "no_identity"),
        ("", "no_identity"),
        ("/home/restorer/larapee.agekey", "bad_identity"),
        ("AGE-SECRET-KEY-1" + "Q" * 58, "stage_failed"),
    ],
)
def test_without_the_right_identity_it_stays_closed(place: Place, identity: str | None, reason: str) -> None:
    put_encrypted(place)
    with pytest.raises(BackupError) as caught:
        _open.open_artifact(entry(place), identity=identity)
    assert caught.value.reason == reason
    assert "AGE-SECRET-KEY" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sha256": "0" * 64}, "it changed while it was read"),
        ({"size": 1}, "it changed while it was read"),
        ({"plain_sha256": "0" * 64}, "what came out is not what was backed up"),
        ({"plain_size": 1}, "what came out is not what was backed up"),
    ],
)
def test_other_bytes_than_the_manifests_are_refused(place: Place, changes: dict[str, object], why: str) -> None:
    place.put(FULL, **changes)  # type: ignore[arg-type]
    with pytest.raises(BackupError, match=why) as caught:
        _open.open_artifact(entry(place), identity=None)
    assert caught.value.reason == "not_intact"


def test_a_damaged_compression_is_refused(place: Place) -> None:
    place.put(FULL, stored=STORED[:-6])
    with pytest.raises(BackupError, match="Failed to open .*: gzip ended with status 1"):
        _open.open_artifact(entry(place), identity=None)


def test_the_failure_of_what_follows_is_told_as_such(place: Place) -> None:
    place.put(FULL)
    loader = Command("the database client", ("/bin/sh", "-c", "cat >/dev/null; echo 'ERROR 1044: denied' >&2; exit 1"))
    with pytest.raises(BackupError, match=r"Failed to load .*the database client ended with status 1 \(ERROR 1044"):
        _open.open_artifact(entry(place), identity=None, following=[loader])


def test_a_loader_that_stops_early_is_no_success(place: Place) -> None:
    plain = PLAIN * 100_000
    stored = subprocess.run(["gzip", "-1c"], input=plain, capture_output=True, check=True).stdout
    place.put(FULL, stored=stored)
    with pytest.raises(BackupError):
        _open.open_artifact(entry(place), identity=None, following=[Ends(), Command("client", ("/bin/true",))])


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.symlink_to("/etc/passwd")])
def test_an_artifact_that_went_away_meanwhile_is_said(place: Place, make: object) -> None:
    path = place.put(FULL)
    found = entry(place)
    path.unlink()
    make(Path(path))  # type: ignore[operator]
    with pytest.raises(BackupError, match="Failed to read") as caught:
        _open.open_artifact(found, identity=None)
    assert caught.value.reason == "unreadable"

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

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


def test_an_identity_is_proven_by_the_beginning_alone(place: Place) -> None:
    identity = put_encrypted(place)
    shown = subprocess.run(["age-keygen", "-y"], input=identity.encode(), capture_output=True, check=True).stdout
    seal = ["age", "-r", shown.decode().strip()]
    path = Path(entry(place).path)
    sealed = subprocess.run(seal, input=os.urandom(4 * 1024 * 1024), capture_output=True, check=True).stdout
    found = entry(place)
    # What comes later is not even looked at; and nothing at all may be in it.
    path.write_bytes(sealed[: 1024 * 1024] + bytes(1024))
    _open.prove_identity(found, identity)
    path.write_bytes(subprocess.run(seal, input=b"", capture_output=True, check=True).stdout)
    _open.prove_identity(found, identity)


@pytest.mark.parametrize(
    ("identity", "reason", "words"),
    [
        (None, "no_identity", "no age identity was given"),
        ("AGE-SECRET-KEY-1" + "Q" * 58, "stage_failed", "Nothing was changed."),
    ],
)
def test_an_identity_that_does_not_open_is_told_as_the_restore_would(
    place: Place, identity: str | None, reason: str, words: str
) -> None:
    put_encrypted(place)
    with pytest.raises(BackupError) as caught:
        _open.prove_identity(entry(place), identity)
    assert caught.value.reason == reason
    assert words in str(caught.value)


def test_a_foreign_identity_opens_nothing(place: Place) -> None:
    put_encrypted(place)
    other = subprocess.run(["age-keygen"], capture_output=True, check=True, text=True).stdout
    with pytest.raises(BackupError, match=r"no identity matched.*Nothing was changed\."):
        _open.prove_identity(entry(place), other)


def test_what_is_not_encrypted_needs_no_identity(place: Place) -> None:
    place.put(FULL, stored=compressed("gzip"))
    _open.prove_identity(entry(place), None)


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


UPLOADS = "public-uploads-20261122-1432.tar.zst"


def zstd(plain: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=plain, capture_output=True, check=True).stdout


def put_with_companion(place: Place, *, plain: bytes = PLAIN, **changes: object) -> Path:
    """Place an artifact of files whose companion holds ``PLAIN`` and is said to hold *plain*; return its path."""
    stored = zstd(PLAIN)
    facts = {
        "size": len(stored),
        "sha256": hashlib.sha256(stored).hexdigest(),
        "plain_size": len(plain),
        "plain_sha256": hashlib.sha256(plain).hexdigest(),
        **changes,
    }
    place.put(UPLOADS, stored=zstd(b"tar"), companion=facts)
    path = place.directory / f"{UPLOADS}.index.zst"
    path.write_bytes(stored)
    return path


def test_a_companion_opens_to_its_own_facts_and_not_to_its_artifacts(place: Place) -> None:
    put_with_companion(place)
    ends = Ends()
    digest = _open.open_companion(entry(place), identity=None, following=[ends])
    assert (digest.size, digest.sha256, ends.tail) == (len(PLAIN), hashlib.sha256(PLAIN).hexdigest(), PLAIN)


def test_an_encrypted_companion_needs_its_identity(place: Place) -> None:
    identity = place.directory.parent / "identity"
    subprocess.run(["age-keygen", "-o", str(identity)], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True).stdout
    command = ["age", "-r", recipient.strip()]
    stored = subprocess.run(command, input=zstd(PLAIN), capture_output=True, check=True).stdout
    facts = {
        "size": len(stored),
        "sha256": hashlib.sha256(stored).hexdigest(),
        "plain_size": len(PLAIN),
        "plain_sha256": hashlib.sha256(PLAIN).hexdigest(),
    }
    place.put(f"{UPLOADS}.age", companion=facts)
    (place.directory / f"{UPLOADS}.age.index.zst.age").write_bytes(stored)
    assert _open.open_companion(entry(place), identity=identity.read_text()).size == len(PLAIN)
    with pytest.raises(BackupError) as caught:
        _open.open_companion(entry(place), identity=None)
    assert caught.value.reason == "no_identity"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"sha256": "0" * 64}, "index.zst: it changed while it was read"),
        ({"size": 1}, "index.zst: it changed while it was read"),
        ({"plain": b"other"}, "index.zst: what came out is not what was backed up"),
    ],
)
def test_another_companion_than_the_manifests_is_refused(place: Place, changes: dict[str, Any], why: str) -> None:
    put_with_companion(place, **changes)
    with pytest.raises(BackupError, match=why) as caught:
        _open.open_companion(entry(place), identity=None)
    assert caught.value.reason == "not_intact"


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.symlink_to("/etc/passwd")])
def test_a_companion_that_is_gone_is_said(place: Place, make: object) -> None:
    path = put_with_companion(place)
    path.unlink()
    make(path)  # type: ignore[operator]
    with pytest.raises(BackupError, match=r"Failed to read .*index\.zst") as caught:
        _open.open_companion(entry(place), identity=None)
    assert caught.value.reason == "unreadable"


def test_an_adopted_artifact_has_no_index_to_open(place: Place) -> None:
    moment = {"moment": "2026-11-21T22:15:00Z", "at": "2026-11-22T14:32:00Z"}
    place.put(UPLOADS, sequence=0, adopted=moment, companion=None)
    with pytest.raises(BackupError, match="it has none") as caught:
        _open.open_companion(entry(place), identity=None)
    assert caught.value.reason == "no_index"

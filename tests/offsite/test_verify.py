# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verification finds in real buckets: of versions, of bytes, of locks and of numbers."""

from __future__ import annotations

import datetime as dt
import io
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _offsite_verify
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES, Central, tree
from tests.offsite.test_copy import copied, entries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store, Version
    from tests.offsite.seaweed import Seaweed
    from tests.retention.branch import Branch

CODE = CODES[0]


def verified(
    central: Central, store: Store, target: str = "hot", *, days: float = 0, check_mode: bool = False, **changes: Any
) -> dict[str, Any]:
    """The report of a verification, *days* from now."""
    request = _offsite_verify.OffsiteVerifyRequest(**central.common(CODE, target=target, **changes))
    found: dict[str, Any] = central.at(
        _clock.now() + dt.timedelta(days=days),
        lambda: _offsite_verify.verify_offsite(store, request, check_mode=check_mode),
    )
    return found


def version_of(store: Store, name: str) -> Version:
    """The newest version of *name*."""
    return next(each for each in store.list(f"{CODE}/{name}") if each.key == f"{CODE}/{name}")


def fulls(branch: Branch) -> list[str]:
    """The names of the fulls of the database, the oldest first."""
    return sorted(path.name for path in branch.directory.glob("db-*.sql.gz.age"))


def read(report: dict[str, Any]) -> int:
    found: int = report["details"]["read"]["bytes"]
    return found


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of what was read, in order."""
    from ansible_collections.larapee.backup.plugins.module_utils._store._s3 import S3Store

    keys: list[str] = []
    known = S3Store.open

    def noted(store: S3Store, version: Version) -> Any:
        keys.append(version.key.split("/")[1])
        return known(store, version)

    monkeypatch.setattr(S3Store, "open", noted)
    return keys


def test_what_central_stored_is_not_read_on_the_first_night_and_each_byte_within_the_days(
    central: Central, bucket: str, opened: Callable[..., Store], reading: list[str]
) -> None:
    branch = central.branch(CODE, runs=2)
    branch.run("log")
    store = opened(f"s3://{bucket}/estate")
    point = copied(central, store).recovery_point
    del reading[:]
    report = verified(central, store, read_days=5)
    assert "error" not in report, report
    assert (report["recovery_point"], report["details"]["place"], report["details"]["intact"]) == (point, "hot", 8)
    assert read(report) == 0
    assert all(".manifest.json" in name for name in reading)
    del reading[:]
    artifacts = {each.name for each in entries(branch)}
    for day in range(1, 6):
        report = verified(central, store, days=day, read_days=5)
        assert "error" not in report, report
    assert artifacts <= set(reading)
    assert not any(".manifest.json" in name for name in reading)
    # On no night all of it.
    assert len(reading) < 2 * len(artifacts)


def test_what_central_does_not_remember_the_server_vouches_for_or_it_is_read(
    central: Central, bucket: str, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    branch = central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    (central.state / "offsite" / f"hot-{CODE}.json").unlink()
    report = verified(central, store, read_days=5)
    assert "error" not in report, report
    # This server makes a checksum of what it takes, and keeps it.
    assert read(report) == 0
    (central.state / "offsite" / "hot" / CODE / ".versions.json").unlink()
    monkeypatch.setattr(type(store), "attested", lambda _store, _version: None)
    report = verified(central, store, read_days=5)
    assert "error" not in report, report
    assert read(report) >= sum(each.manifest.size for each in entries(branch))


def test_check_mode_finds_the_same_and_remembers_nothing(
    central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    before = tree(central.state)
    preview = verified(central, store, check_mode=True)
    assert tree(central.state) == before
    report = verified(central, store)
    assert preview["recovery_point"] == report["recovery_point"] is not None


def test_a_version_that_is_gone_and_one_that_was_put_before_it(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    branch = central.branch(CODE, runs=2)
    older, newer = fulls(branch)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    assert "error" not in verified(central, store)
    client = seaweed.client()
    # A version over it hides nothing: the one that was proven is still there.
    client.put_object(Bucket=bucket, Key=f"{CODE}/{older}", Body=b"junk")
    forged = store.list(f"{CODE}/{newer}.manifest.json")[0]
    client.put_object(Bucket=bucket, Key=forged.key, Body=b"{}")
    assert "error" not in verified(central, store)
    gone = [each for each in store.list(f"{CODE}/{older}") if each.key.endswith(".age") and each.size > 4]
    store.delete(gone[0])
    report = verified(central, store)
    assert report["details"]["reason"] == "not_verified"
    assert [each["artifact"] for each in report["details"]["failures"]] == [older]
    assert f"the bytes of {older} are not those of its manifest" in report["error"]


def test_other_bytes_of_the_same_length_are_found_when_they_are_read(
    central: Central, tmp_path: Path, opened: Callable[..., Store]
) -> None:
    """A disk that rots keeps names and sizes."""
    branch = central.branch(CODE, runs=1)
    (name,) = fulls(branch)
    store = opened(str(tmp_path / "hot"))
    copied(central, store)
    assert "error" not in verified(central, store, read_days=3)
    path = tmp_path / "hot" / CODE / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(raw))
    nights = [verified(central, store, days=day, read_days=3) for day in (1, 2, 3, 4, 5)]
    found = [[each["artifact"] for each in night["details"].get("failures", ())] for night in nights]
    first = found.index([name])
    assert first < 3
    assert found[first:] == [[name]] * (5 - first), "what was found once is found each night"
    assert nights[-1]["recovery_point"] is None
    path.chmod(0o600)
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))
    assert "error" not in verified(central, store, days=6, read_days=3)


def test_a_manifest_that_was_removed_shows_in_the_numbers(
    central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=3)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    assert "error" not in verified(central, store)
    store.delete(version_of(store, f"{fulls(branch)[1]}.manifest.json"))
    report = verified(central, store)
    assert "number 2 of kind db_full is missing" in report["error"]


def test_a_manifest_that_the_branch_did_not_sign_is_a_failure(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    branch = central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    (name,) = fulls(branch)
    ours = version_of(store, f"{name}.manifest.json")
    with store.open(ours) as stream:
        forged = stream.read() + b" "
    seaweed.client().put_object(Bucket=bucket, Key=ours.key, Body=forged)
    assert "error" not in verified(central, store)
    store.delete(ours)
    report = verified(central, store)
    assert f"{name}.manifest.json" in {each["artifact"] for each in report["details"]["failures"]}


def test_increments_without_their_full_are_a_failure(
    central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{bucket}")
    copied(central, store)
    increments = {each.name for each in entries(branch) if each.manifest.kind == "db_increment"}
    assert increments
    store.delete(version_of(store, f"{fulls(branch)[0]}.manifest.json"))
    report = verified(central, store)
    assert increments <= {each["artifact"] for each in report["details"]["failures"]}


def test_the_archive_is_verified_with_its_locks_and_what_is_in_its_bundles(
    central: Central, locked: str, opened: Callable[..., Store], reading: list[str]
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{locked}")
    sent = copied(central, store, "cold")
    del reading[:]
    report = verified(central, store, "cold", read_days=5)
    assert "error" not in report, report
    assert report["details"]["intact"] == len(entries(branch))
    assert report["recovery_point"] == sent.recovery_point
    until = dt.datetime.fromisoformat(report["details"]["locked_until"])
    assert dt.timedelta(days=89) < until - _clock.now() < dt.timedelta(days=91)
    (bundle,) = (each["name"] for each in sent.sent if each["name"].startswith("increments-"))
    assert bundle in reading
    del reading[:]
    assert "error" not in verified(central, store, "cold", read_days=5)
    assert reading == []


def bundle_of(store: Store) -> tuple[str, dict[str, bytes]]:
    """The name of the one bundle, and what is in it."""
    version = next(each for each in store.list(f"{CODE}/") if each.key.endswith(".tar"))
    with store.open(version) as stream, tarfile.open(fileobj=io.BytesIO(stream.read())) as tar:
        members = {each.name: tar.extractfile(each) for each in tar}
        return version.key.split("/")[1], {name: file.read() for name, file in members.items() if file is not None}


def packed(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def test_a_lesser_bundle_that_was_put_over_another_hides_nothing(
    central: Central, locked: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{locked}")
    copied(central, store, "cold")
    bundle, members = bundle_of(store)
    first = min(members).split(".manifest")[0]
    lesser = {name: content for name, content in members.items() if name.startswith(first)}
    assert 0 < len(lesser) < len(members)
    seaweed.client().put_object(Bucket=locked, Key=f"{CODE}/{bundle}", Body=packed(lesser))
    report = verified(central, store, "cold")
    assert "error" not in report, report
    assert report["details"]["intact"] == len(entries(branch))


def test_what_the_branch_did_not_sign_counts_for_nothing_in_a_bundle(
    central: Central, locked: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{locked}")
    copied(central, store, "cold")
    _bundle, members = bundle_of(store)
    name = min(members).split(".manifest")[0]
    forged = {each: content for each, content in members.items() if each.startswith(name)}
    forged[f"{name}.manifest.json"] += b" "
    seaweed.client().put_object(Bucket=locked, Key=f"{CODE}/increments-20990101-0000.tar", Body=packed(forged))
    report = verified(central, store, "cold")
    assert "increments-20990101-0000.tar" in {each["artifact"] for each in report["details"]["failures"]}
    assert report["details"]["intact"] == len(entries(branch))


def test_a_bundle_that_rots_loses_what_rotted_alone(
    central: Central, tmp_path: Path, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(str(tmp_path / "cold"))
    copied(central, store, "cold", unlocked=True)
    assert "error" not in verified(central, store, "cold", unlocked=True, read_days=3)
    bundle, members = bundle_of(store)
    name = next(each for each in sorted(members) if each + ".manifest.json" in members)
    path = tmp_path / "cold" / CODE / bundle
    raw = bytearray(path.read_bytes())
    raw[raw.index(members[name]) + len(members[name]) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(bytes(raw))
    for day in (3, 6):
        report = verified(central, store, "cold", days=day, unlocked=True, read_days=3)
        failures = {each["artifact"]: each["reason"] for each in report["details"]["failures"]}
        assert failures[name] == "the bytes in its bundle are not those of its manifest"
        assert report["details"]["intact"] == len(entries(branch)) - 1


def test_bytes_of_the_same_length_put_over_an_artifact_are_not_taken_for_it(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    """Also when central has forgotten what it stored."""
    branch = central.branch(CODE, runs=1)
    (name,) = fulls(branch)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    ours = version_of(store, name)
    seaweed.client().put_object(Bucket=bucket, Key=ours.key, Body=b"x" * ours.size)
    (central.state / "offsite" / f"hot-{CODE}.json").unlink()
    assert "error" not in verified(central, store)
    store.delete(ours)
    report = verified(central, store)
    assert [each["artifact"] for each in report["details"]["failures"]] == [name]
    assert "not those of its manifest" in report["error"]


def test_a_bucket_that_keeps_no_versions_any_more_is_not_trusted(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    seaweed.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(BackupError, match="keeps no versions"):
        verified(central, store)


@pytest.mark.parametrize("name", ["../../../escaped.manifest.json", "x/../../y.manifest.json", "a\nb.manifest.json"])
def test_names_that_are_no_artifacts_are_left_alone(
    central: Central, locked: str, opened: Callable[..., Store], seaweed: Seaweed, name: str
) -> None:
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    store = opened(f"s3://{locked}")
    copied(central, store, "cold")
    client = seaweed.client()
    client.put_object(Bucket=locked, Key=f"{CODE}/odd/{name.split('/')[-1]}", Body=b"{}")
    client.put_object(Bucket=locked, Key=f"{CODE}/increments-20990101-0000.tar", Body=packed({name: b"{}", "y": b""}))
    report = verified(central, store, "cold")
    assert [each["artifact"] for each in report["details"]["failures"]] == ["increments-20990101-0000.tar"]
    assert not list(central.path.parent.rglob("escaped*"))


def test_nothing_there_is_a_failure(central: Central, bucket: str, opened: Callable[..., Store]) -> None:
    central.branch(CODE, runs=1)
    report = verified(central, opened(f"s3://{bucket}"))
    assert "there is nothing to verify" in report["error"]

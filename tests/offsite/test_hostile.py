# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a hostile reader made of the places offsite: each of these once passed as good, or stopped everything."""

from __future__ import annotations

import datetime as dt
import io
import tarfile
import tracemalloc
import uuid
from typing import IO, TYPE_CHECKING, cast

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _bundle, _clock
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES, Central
from tests.offsite.test_copy import copied, entries
from tests.offsite.test_prune import numbers, pruned
from tests.offsite.test_verify import bundle_of, fulls, packed, verified
from tests.retention.branch import Branch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ansible_collections.larapee.backup.plugins.module_utils._store._base import Store
    from tests.offsite.seaweed import Seaweed

CODE = CODES[0]
BUNDLE = f"{CODE}/increments-20990101-0000.tar"


@pytest.fixture
def central(central: Central) -> Central:
    """Sets are aged by the real clock, which the storage has too."""
    central.now = _clock.now().replace(microsecond=0)
    return central


def private(directory: Path) -> None:
    for path in directory.iterdir():
        path.chmod(0o600)


def test_a_rebuilt_branch_that_counts_from_one_is_sent_all_the_same(
    central: Central, bucket: str, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    assert numbers(pruned(central, store)) == [(1, 5), (2, 5)]
    rebuilt = Branch(central.path, central.keys, code=CODE, directory=branch.directory)
    rebuilt.encrypted = True
    rebuilt.state = central.path.parent / "shops" / "rebuilt"
    rebuilt.now = central.now - dt.timedelta(minutes=30)
    rebuilt.run("full", epoch=str(uuid.uuid4()))
    private(branch.directory)
    new = {each.name for each in entries(branch) if each.manifest.created_at > central.now - dt.timedelta(hours=1)}
    assert len(new) == 3
    assert {each["name"] for each in copied(central, store).sent} == new


@pytest.mark.parametrize("what", ["database", "newest"])
def test_what_was_there_last_night_and_is_gone_is_a_failure_until_it_is_sent_again(
    central: Central, bucket: str, opened: Callable[..., Store], what: str
) -> None:
    branch = central.branch(CODE, runs=3)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    assert "error" not in verified(central, store)
    newest = max(each.manifest.set_number for each in entries(branch))
    gone = {
        each.name
        for each in entries(branch)
        if (each.manifest.kind == "db_full" if what == "database" else each.manifest.set_number == newest)
    }
    for version in store.list(f"{CODE}/"):
        if any(version.key.startswith(f"{CODE}/{name}") for name in gone):
            store.delete(version)
    for _night in range(2):
        assert gone <= {each["artifact"] for each in verified(central, store)["details"]["failures"]}
    copied(central, store)
    assert "error" not in verified(central, store)


def test_what_a_revoked_key_signed_is_good_no_more_and_replaces_nothing(
    central: Central, bucket: str, opened: Callable[..., Store], tmp_path: Path
) -> None:
    branch = central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    assert "error" not in verified(central, store)
    other = tmp_path / "signers"
    key = (central.keys / f"{CODES[1]}.pub").read_text().strip()
    other.write_text(f'{CODE} namespaces="larapee-backup" {key}\n')
    assert numbers(pruned(central, store, allowed_signers=str(other))) == []
    report = verified(central, store, allowed_signers=str(other))
    assert (report["details"]["intact"], report["recovery_point"]) == (0, None)
    assert len(report["details"]["failures"]) >= len(entries(branch))
    assert "error" not in verified(central, store)


def test_a_successor_that_rotted_in_a_directory_replaces_nothing(
    central: Central, tmp_path: Path, opened: Callable[..., Store]
) -> None:
    branch = central.branch(CODE, runs=5)
    store = opened(str(tmp_path / "hot"))
    copied(central, store)
    central.now += dt.timedelta(days=1)
    assert "error" not in verified(central, store)
    path = tmp_path / "hot" / CODE / fulls(branch)[-1]
    path.chmod(0o600)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))
    later = _clock.now() + dt.timedelta(days=1)
    outcome = central.at(later, lambda: pruned(central, store))
    assert all(replacement != 5 for _number, replacement in numbers(outcome))


def test_a_tar_in_the_hot_place_brings_nothing_back(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    branch = central.branch(CODE, runs=5)
    hot = opened(f"s3://{bucket}")
    copied(central, hot)
    oldest = fulls(branch)[0]
    assert pruned(central, hot).drops
    seaweed.client().put_object(Bucket=bucket, Key=BUNDLE, Body=packed(files_of(branch, oldest)))
    again = pruned(central, hot)
    assert (again.changed, again.drops) == (False, [])


def test_an_object_that_nobody_can_read_stops_nothing(
    central: Central, locked: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    """Encrypted with a key that the thief of the writer's key keeps, and locked by the bucket itself."""
    branch = central.branch(CODE, runs=1)
    store = opened(f"s3://{locked}")
    copied(central, store, "cold")
    with_key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    seaweed.client().put_object(Bucket=locked, Key=BUNDLE, Body=b"junk", **with_key)
    branch.run("log")
    private(branch.directory)
    assert copied(central, store, "cold").sent
    report = verified(central, store, "cold")
    assert [each["artifact"] for each in report["details"]["failures"]] == [BUNDLE.split("/")[1]]
    assert report["details"]["intact"] == len(entries(branch))


def test_what_nobody_can_read_over_an_artifact_hides_nothing_when_central_has_forgotten(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    branch = central.branch(CODE, runs=1)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    (full,) = (each for each in entries(branch) if each.manifest.kind == "db_full")
    with_key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    seaweed.client().put_object(Bucket=bucket, Key=f"{CODE}/{full.name}", Body=b"x" * full.manifest.size, **with_key)
    (central.state / "offsite" / f"hot-{CODE}.json").unlink()
    again = copied(central, store)
    assert (again.sent, again.left_out) == ([], {})


def test_what_only_a_lesser_bundle_holds_is_not_taken_for_lost(
    central: Central, locked: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    """An increment that was not archived yet: the branch signed it, and the thief of the writer's key has a copy."""
    branch = central.branch(CODE, runs=1)
    branch.run("log")
    private(branch.directory)
    store = opened(f"s3://{locked}")
    copied(central, store, "cold")
    bundle, _members = bundle_of(store)
    before = {each.name for each in entries(branch)}
    branch.now += dt.timedelta(minutes=5)
    branch.run("log")
    private(branch.directory)
    new = next(each for each in entries(branch) if each.name not in before)
    lesser = packed(files_of(branch, new.name))
    seaweed.client().put_object(Bucket=locked, Key=f"{CODE}/{bundle}", Body=lesser)
    for _night in range(2):
        report = verified(central, store, "cold")
        assert "error" not in report, report


def files_of(branch: Branch, name: str) -> dict[str, bytes]:
    """Of one artifact, its manifest last."""
    found = {path.name: path.read_bytes() for path in branch.directory.glob(f"{name}*")}
    companions = {path.name: path.read_bytes() for path in branch.directory.glob(f"{name.removesuffix('.age')}*.age")}
    return {
        **companions,
        **{each: found[each] for each in (name, f"{name}.manifest.json.sig", f"{name}.manifest.json")},
    }


def test_a_bucket_that_keeps_no_versions_any_more_is_not_pruned(
    central: Central, bucket: str, opened: Callable[..., Store], seaweed: Seaweed
) -> None:
    central.branch(CODE, runs=5)
    store = opened(f"s3://{bucket}")
    copied(central, store)
    seaweed.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    before = list(store.list(f"{CODE}/"))
    with pytest.raises(BackupError, match="keeps no versions"):
        pruned(central, store)
    assert list(store.list(f"{CODE}/")) == before


def header(name: str, size: int, kind: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def sparse() -> bytes:
    """Two blocks that stand for four exbibytes of zeros."""
    raw = bytearray(header("x", 0, tarfile.GNUTYPE_SPARSE))
    raw[386:483] = bytes(97)
    raw[483:495] = tarfile.itn(2**62, 12, tarfile.GNU_FORMAT)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(raw))[0]
    return bytes(raw) + bytes(1024)


def nested() -> bytes:
    """Each header says that the next one has a long name."""
    one = header("././@LongLink", 2, tarfile.GNUTYPE_LONGNAME) + b"a\0" + bytes(510)
    return one * 2000 + header("x", 0, tarfile.REGTYPE) + bytes(1024)


def nested_extensions() -> bytes:
    one = header("x", 10, tarfile.XHDTYPE) + b"10 path=a\n" + bytes(502)
    return one * 5000 + header("x", 0, tarfile.REGTYPE) + bytes(1024)


def sparse_by_extension() -> bytes:
    """The same in the form of today, which a plain member bears."""
    records = b"".join(
        b"%d %s\n" % (len(text) + 4, text)
        for text in (b"GNU.sparse.numblocks=0", b"GNU.sparse.map=0,0", b"GNU.sparse.size=4611686018427387904")
    )
    padded = records + bytes(-len(records) % 512)
    return header("x", len(records), tarfile.XHDTYPE) + padded + header("x", 0, tarfile.REGTYPE) + bytes(1024)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "made", [sparse, sparse_by_extension, nested, nested_extensions], ids=lambda each: each.__name__
)
def test_a_tar_that_is_made_to_harm_its_reader_holds_nothing(made: Callable[[], bytes]) -> None:
    members, _sha256 = _bundle.read(io.BytesIO(made()))
    assert members == {}


class Zeros:
    """*head*, and then so many bytes that were never in memory."""

    def __init__(self, head: bytes, size: int) -> None:
        self._head, self._left = head, size

    def read(self, size: int = -1) -> bytes:
        block, self._head = self._head[:size], self._head[size:]
        more = min(self._left, size - len(block))
        self._left -= more
        return block + bytes(more)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE], ids=["long name", "extension"])
def test_a_header_that_says_it_is_huge_is_not_read_into_memory(kind: bytes) -> None:
    size = 64 * 1024 * 1024
    stream = cast("IO[bytes]", Zeros(header("x", size, kind), size + 1024))
    tracemalloc.start()
    try:
        assert _bundle.read(stream)[0] == {}
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("field", ["sha256", "proven_at", "locked_until"])
def test_a_damaged_memory_heals(central: Central, locked: str, opened: Callable[..., Store], field: str) -> None:
    central.branch(CODE, runs=1)
    store = opened(f"s3://{locked}")
    copied(central, store, "cold")
    assert "error" not in verified(central, store, "cold")
    damaged = 0
    for path in (central.state / "offsite").rglob("*.json"):
        damaged += path.read_text().count(f'"{field}": "')
        path.write_text(path.read_text().replace(f'"{field}": "', f'"{field}": "x'))
    assert damaged
    assert "error" not in verified(central, store, "cold")

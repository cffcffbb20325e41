# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of uploads and config: the companion, the chain, the recovery point, and what opens."""

from __future__ import annotations

import os
import tarfile
import tracemalloc
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._verify import (
    FAILED,
    NOT_HERE,
    NOT_RUN,
    OK,
    VerifyOutcome,
    VerifyRequest,
    verify_place,
)
from tests.files.restoring import BRANCH, Restoring, member, restorers_keys, restoring, tar, true_index

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("restorers_keys", "restoring")

ARCHIVE = tar(
    member("./"),
    member("./receipt.txt", b"12.50"),
    member("./empty/"),
    member("./link", type=tarfile.SYMTYPE, linkname="receipt.txt"),
    member("./same", type=tarfile.LNKTYPE, linkname="./receipt.txt"),
)
# Without its end mark.
CUT = ARCHIVE[: -(-len(ARCHIVE.rstrip(b"\0")) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE]
INCREMENT = tar(member("./", names=["Nreceipt.txt", "Ynew"]), member("./new", b"new"))


def verify(restoring: Restoring, *, identity: bool = True, check_mode: bool = False) -> VerifyOutcome:
    request = VerifyRequest(
        branch=BRANCH,
        directory=str(restoring.place),
        allowed_signers=str(restoring.keys.allowed_signers),
        state_path=str(restoring.state),
        run_id=str(uuid.uuid4()),
        identity=restoring.keys.identity if identity else None,
    )
    return verify_place(request, check_mode=check_mode)


def levels(outcome: VerifyOutcome, name: str) -> list[str]:
    return [check.status for check in outcome.checks if check.artifact == name]


def reasons(outcome: VerifyOutcome, level: str = "intact") -> dict[str, str]:
    return {check.artifact: check.reason for check in outcome.failures if check.level == level}


@pytest.mark.parametrize("encrypt", [True, False])
def test_a_chain_and_a_snapshot_are_intact_and_open(restoring: Restoring, encrypt: bool) -> None:
    names = [
        restoring.full(ARCHIVE, encrypt=encrypt),
        restoring.increment(INCREMENT, encrypt=encrypt, deleted=["same"]),
        restoring.config(tar(member("etc/app/.env", b"KEY=1")), encrypt=encrypt),
    ]
    outcome = verify(restoring)
    assert outcome.failures == []
    assert [levels(outcome, name) for name in names] == [[OK, OK, NOT_HERE]] * 3
    assert levels(verify(restoring, identity=False), names[0]) == [OK, NOT_HERE if encrypt else OK, NOT_HERE]


def damage_index(index: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [{**line, **(changes if line["path"] == "receipt.txt" else {})} for line in index]


@pytest.mark.parametrize(
    "change",
    [
        lambda index: damage_index(index, sha256="0" * 64),
        lambda index: damage_index(index, size=4),
        lambda index: damage_index(index, path="receipt.tx"),
        lambda index: damage_index(index, type="symlink"),
        lambda index: damage_index(index, mode=0o777),
        lambda index: index[:-1],
        lambda index: [*index, {**index[1], "path": "another"}],
        lambda index: [index[1], index[0], *index[2:]],
        lambda index: [*index, {"path": "gone", "type": "deleted"}],
    ],
    ids=["content", "size", "name", "type", "mode", "fewer", "more", "order", "deletions"],
)
def test_an_index_that_contradicts_the_archive_does_not_open(
    restoring: Restoring, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> None:
    name = restoring.full(ARCHIVE, index=change(true_index(ARCHIVE)), entries=5)
    outcome = verify(restoring)
    assert levels(outcome, name) == [OK, FAILED, NOT_HERE]
    assert "the archive and its index contradict each other" in reasons(outcome, "opened")[name]


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (CUT, "it ends before its end mark"),
        (ARCHIVE[:512] + b"\1" + ARCHIVE[513:], "the checksum of a header is wrong"),
        (tar(member("../etc/passwd", b"x")), "its name holds '..'"),
        (tar(member("pipe", type=tarfile.FIFOTYPE)), "it is a FIFO"),
    ],
    ids=["cut", "header", "outside", "pipe"],
)
def test_an_archive_that_no_restore_would_accept_does_not_open(restoring: Restoring, archive: bytes, why: str) -> None:
    index = [{"path": "x", "type": "file", "mode": 0, "uid": 0, "gid": 0, "mtime_ns": 0}]
    name = restoring.full(archive, index=true_index(ARCHIVE) if b"receipt" in archive else index, entries=5)
    outcome = verify(restoring)
    assert levels(outcome, name) == [OK, FAILED, NOT_HERE]
    assert why in reasons(outcome, "opened")[name]


def test_a_lost_or_changed_companion_is_damage_to_its_artifact(restoring: Restoring) -> None:
    lost, changed = restoring.full(ARCHIVE), restoring.full(ARCHIVE)
    for name, action in ((lost, os.unlink), (changed, lambda path: path.write_bytes(bytes(path.stat().st_size)))):
        action(restoring.place / f"{name}.index.zst.age")
    outcome = verify(restoring)
    assert reasons(outcome).keys() == {lost, changed}
    assert f"its index {lost}.index.zst.age: it cannot be read: No such file" in reasons(outcome)[lost]
    assert f"its index {changed}.index.zst.age: its SHA-256 is not that" in reasons(outcome)[changed]
    assert levels(outcome, lost) == [FAILED, NOT_RUN, NOT_HERE]
    assert outcome.recovery_point is None


def test_increments_that_no_restore_can_use_fail_by_name(restoring: Restoring) -> None:
    full = restoring.full(ARCHIVE)
    first, second, third = (restoring.increment(INCREMENT, deleted=["same"]) for _number in range(3))
    restoring.manifest(second)
    for suffix in ("", ".manifest.json", ".manifest.json.sig", ".index.zst.age"):
        (restoring.place / f"{second}{suffix}").unlink()
    outcome = verify(restoring)
    assert reasons(outcome) == {
        "files_increment 2": "number 2 of kind files_increment is missing: its manifest was removed",
        third: f"the artifact before it, {second}, is gone",
    }
    assert levels(outcome, third) == [FAILED, NOT_RUN, NOT_HERE]
    assert [levels(outcome, name)[0] for name in (full, first)] == [OK, OK]
    assert outcome.recovery_point == restoring.manifest(first)["created_at"]


def test_an_increment_after_a_damaged_one_is_intact_and_counts_for_nothing(restoring: Restoring) -> None:
    full = restoring.full(ARCHIVE)
    damaged, after = (restoring.increment(INCREMENT, deleted=["same"]) for _number in range(2))
    (restoring.place / damaged).write_bytes(bytes((restoring.place / damaged).stat().st_size))
    outcome = verify(restoring)
    assert reasons(outcome).keys() == {damaged}
    assert levels(outcome, after)[0] == OK
    assert outcome.recovery_point == restoring.manifest(full)["created_at"]


def test_the_recovery_point_is_the_least_of_what_the_branch_has(restoring: Restoring) -> None:
    config = restoring.config(tar(member("etc/app/.env", b"KEY=1")))
    assert verify(restoring).recovery_point == restoring.manifest(config)["created_at"]
    full = restoring.full(ARCHIVE)
    assert verify(restoring).recovery_point == restoring.manifest(config)["created_at"]
    newer = restoring.config(tar(member("etc/app/.env", b"KEY=2")))
    assert verify(restoring).recovery_point == restoring.manifest(full)["created_at"]
    increment = restoring.increment(INCREMENT, deleted=["same"])
    assert verify(restoring).recovery_point == restoring.manifest(newer)["created_at"]
    (restoring.place / newer).write_bytes(b"damaged")
    assert verify(restoring).recovery_point == restoring.manifest(config)["created_at"]
    (restoring.place / config).write_bytes(b"damaged")
    outcome = verify(restoring)
    assert outcome.recovery_point is None, "without config there is no set to go back to"
    assert levels(outcome, increment)[0] == OK


def test_adopted_archives_have_no_number_and_no_index_and_their_own_moments(restoring: Restoring) -> None:
    at = "2026-11-22T14:32:00Z"
    moments = ["2026-11-20T22:15:00Z", "2026-11-19T22:15:00Z"]
    names = [
        restoring.full(ARCHIVE, encrypt=False, sequence=0, adopted={"moment": moment, "at": at}, companion=None)
        for moment in moments
    ]
    outcome = verify(restoring)
    assert outcome.failures == []
    assert [levels(outcome, name) for name in names] == [[OK, OK, NOT_HERE]] * 2
    assert outcome.recovery_point == moments[0], "the newer of the two, whichever was adopted first"
    own = restoring.full(ARCHIVE, sequence=1)
    outcome = verify(restoring)
    assert outcome.failures == []
    assert outcome.recovery_point == restoring.manifest(own)["created_at"]


def test_an_adopted_archive_without_its_end_does_not_open(restoring: Restoring) -> None:
    moment = {"moment": "2026-11-20T22:15:00Z", "at": "2026-11-22T14:32:00Z"}
    name = restoring.full(CUT, encrypt=False, sequence=0, adopted=moment, companion=None, entries=5, index=[])
    assert "it ends before its end mark" in reasons(verify(restoring), "opened")[name]


def test_nothing_of_the_index_stays_behind(restoring: Restoring) -> None:
    restoring.full(ARCHIVE)
    assert verify(restoring).failures == []
    assert verify(restoring, check_mode=True).failures == []
    assert b"receipt" not in b"".join(path.read_bytes() for path in restoring.state.rglob("*") if path.is_file())


def test_memory_does_not_grow_with_the_archive(restoring: Restoring) -> None:
    restoring.full(tar(*(member(f"./{number:06d}", b"x" * 700) for number in range(10_000))))
    tracemalloc.start()
    try:
        assert verify(restoring).failures == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 1024 * 1024

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which chain a restore of files takes up to which point, what it passes over, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _names
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.files.restoring import BRANCH, member, restorers_keys, restoring, tar

if TYPE_CHECKING:
    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

SIX = {"entries": 2, "bytes": 6}


@pytest.fixture
def chains(restoring: Restoring) -> list[str]:
    """Two chains of a full and two increments; the file ``state`` says which artifact was the last: 1 to 6."""
    names = []
    for number in (1, 4):
        names.append(restoring.full(tar(member("./"), member("state", b"state%d" % number))))
        for later in (number + 1, number + 2):
            names.append(restoring.increment(tar(member("state", b"state%d" % later)), tree=SIX))
    return names


def state_after(restoring: Restoring, **changes: Any) -> tuple[str, list[str]]:
    """What the file says after a restore, and its warnings."""
    outcome = restoring.restore(**{"confirm": BRANCH, **changes})
    return (restoring.target / "state").read_text(), outcome.warnings


def refused(restoring: Restoring, *words: str, reason: str, **changes: Any) -> None:
    with pytest.raises(BackupError) as caught:
        restoring.restore(**changes)
    for each in words:
        assert each in str(caught.value)
    assert caught.value.reason == reason
    assert not restoring.target.exists()


def flip(restoring: Restoring, name: str) -> None:
    path = restoring.place / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def lose(restoring: Restoring, name: str) -> None:
    for suffix in ("", _names.MANIFEST_SUFFIX, _names.SIGNATURE_SUFFIX):
        (restoring.place / (name + suffix)).unlink()
    (restoring.place / _names.companion_name(name)).unlink()


@pytest.mark.parametrize(
    ("to", "state"),
    [
        ("latest", 6),
        ("2026-11-22T14:06:10Z", 6),
        ("2026-11-22T14:06:09Z", 5),
        ("2026-11-22T14:03:59Z", 3),
        ("2026-11-22T14:01:10Z", 1),
        ("2030-01-01T00:00:00Z", 6),
        ("set:6", 6),
        ("set:4", 4),
        ("set:3", 3),
        ("set:1", 1),
    ],
)
def test_each_point(restoring: Restoring, chains: list[str], to: str, state: int) -> None:
    assert state_after(restoring, to=to) == (f"state{state}", [])


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("2026-11-22T14:01:09Z", "The nearest that can be had is 2026-11-22T14:01:10Z (set 1)"),
        ("set:0", "The nearest that can be had is 2026-11-22T14:01:10Z (set 1)"),
        ("set:7", "Give set:6"),
        ("yesterday", "latest, of a time in UTC"),
        ("gtid:0-1-5", "latest, of a time in UTC"),
    ],
)
def test_a_point_that_is_not_there(restoring: Restoring, chains: list[str], to: str, words: str) -> None:
    refused(restoring, words, reason="target_out_of_reach", to=to)


@pytest.mark.parametrize(("damaged", "state"), [(5, 5), (4, 4), (3, 3)])
def test_the_longest_whole_part_is_taken_and_the_loss_is_said(
    restoring: Restoring, chains: list[str], damaged: int, state: int
) -> None:
    flip(restoring, chains[damaged])
    found, [warning] = state_after(restoring)
    assert found == f"state{state}"
    assert f"{chains[damaged]}: its SHA-256 is not that of its manifest" in warning
    assert f"Everything after 2026-11-22T14:0{state}:10Z (UTC) is not in them" in warning
    assert all(later in warning for later in chains[damaged:])


def test_an_older_chain_is_cut_where_it_is_damaged_too(restoring: Restoring, chains: list[str]) -> None:
    flip(restoring, chains[3])
    flip(restoring, chains[1])
    assert state_after(restoring)[0] == "state1"


def test_nothing_whole_is_refused(restoring: Restoring, chains: list[str]) -> None:
    flip(restoring, chains[0])
    flip(restoring, chains[3])
    refused(restoring, "nothing is whole", chains[0], chains[3], reason="not_intact")


@pytest.mark.parametrize("to", ["2026-11-22T14:05:30Z", "set:5"])
def test_a_point_whose_chain_is_damaged_is_refused_with_the_nearest(
    restoring: Restoring, chains: list[str], to: str
) -> None:
    flip(restoring, chains[4])
    refused(
        restoring,
        "cannot be had whole",
        chains[4],
        "The nearest that can be had is 2026-11-22T14:04:10Z (set 4)",
        reason="not_intact",
        to=to,
    )
    assert state_after(restoring, to="2026-11-22T14:04:10Z") == ("state4", [])


def test_an_increment_whose_base_is_gone_is_never_used(restoring: Restoring, chains: list[str]) -> None:
    lose(restoring, chains[3])
    found, [warning] = state_after(restoring)
    assert found == "state3"
    assert f"{chains[4]}: its base {chains[3]} is gone" in warning
    with pytest.raises(BackupError, match="is gone") as caught:
        restoring.restore(to="set:5", confirm=BRANCH)
    assert caught.value.reason == "not_intact"
    assert state_after(restoring, to="set:3") == ("state3", [])


def test_an_increment_before_which_one_is_missing_is_never_used(restoring: Restoring, chains: list[str]) -> None:
    lose(restoring, chains[4])
    found, [warning] = state_after(restoring)
    assert found == "state4"
    assert f"{chains[5]}: the artifact before it, {chains[4]}, is gone" in warning


def test_only_increments_left(restoring: Restoring, chains: list[str]) -> None:
    lose(restoring, chains[0])
    lose(restoring, chains[3])
    with pytest.raises(BackupError) as caught:
        restoring.restore()
    assert chains[1] in str(caught.value)
    assert "is gone" in str(caught.value)
    assert caught.value.reason == "not_intact"


def test_truncated(restoring: Restoring, chains: list[str]) -> None:
    path = restoring.place / chains[5]
    path.write_bytes(path.read_bytes()[:-1])
    found, [warning] = state_after(restoring)
    assert found == "state5"
    assert "its manifest says" in warning


def test_unsigned(restoring: Restoring, chains: list[str]) -> None:
    (restoring.place / (chains[5] + _names.SIGNATURE_SUFFIX)).unlink()
    found, [warning] = state_after(restoring)
    assert found == "state5"
    assert "its signature is missing" in warning


def test_signed_by_another_branch(restoring: Restoring, chains: list[str]) -> None:
    restoring.sign(chains[5], restoring.manifest(chains[5]), signer="branch-002")
    found, [warning] = state_after(restoring)
    assert found == "state5"
    assert "not signed by branch-001" in warning


def test_a_forged_increment_does_not_displace_the_true_one(restoring: Restoring, chains: list[str]) -> None:
    """It names the same one before it, and was given the lower number."""
    document = {**restoring.manifest(chains[5]), "artifact": chains[5].replace("1406", "1459"), "sequence": 3}
    (restoring.place / document["artifact"]).write_bytes((restoring.place / chains[5]).read_bytes())
    (restoring.place / (document["artifact"] + _names.MANIFEST_SUFFIX)).write_text(json.dumps(document))
    found, [warning] = state_after(restoring)
    assert found == "state6"
    assert document["artifact"] in warning


def test_another_branch_is_refused(restoring: Restoring, chains: list[str]) -> None:
    refused(restoring, "holds those of branch-001, not of branch-002", reason="wrong_branch", branch="branch-002")


def test_nothing_of_the_kind(restoring: Restoring, chains: list[str]) -> None:
    refused(restoring, "has none", reason="nothing_to_restore", content="config")


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (None, "no_identity"),
        ("nonsense", "bad_identity"),
        ("AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ", "stage_failed"),
    ],
)
def test_wrong_identity(restoring: Restoring, chains: list[str], identity: str | None, reason: str) -> None:
    refused(restoring, "Failed to", reason=reason, identity=identity)


def test_plain_bytes_that_are_not_those_of_the_manifest(restoring: Restoring) -> None:
    restoring.full(tar(member("./")), plain_sha256="0" * 64)
    refused(restoring, "what came out is not what was backed up", reason="not_intact")


@pytest.mark.parametrize("damage", ["lost", "changed"])
def test_a_companion_that_cannot_be_used_is_said_and_costs_no_file(
    restoring: Restoring, chains: list[str], damage: str
) -> None:
    path = restoring.place / _names.companion_name(chains[5])
    path.unlink() if damage == "lost" else path.write_bytes(b"\0" + path.read_bytes()[1:])
    found, [warning] = state_after(restoring)
    assert found == "state6"
    assert "were not compared with their index" in warning
    assert chains[5] in warning


def test_a_newer_one_that_this_host_made_and_that_is_not_here(restoring: Restoring, chains: list[str]) -> None:
    from ansible_collections.larapee.backup.plugins.module_utils import _sequence

    _sequence.remember(str(restoring.state), branch=BRANCH, kind="files_increment", number=9)
    _found, [warning] = state_after(restoring)
    assert "this host made a files_increment number 9, the highest here is 4" in warning


def test_the_newest_config(restoring: Restoring) -> None:
    restoring.config(tar(member("var/www/.env", b"1")))
    newest = restoring.config(tar(member("var/www/.env", b"2")))
    assert restoring.restore(content="config").chain[0].name == newest
    assert (restoring.target / "var" / "www" / ".env").read_bytes() == b"2"
    flip(restoring, newest)
    [warning] = restoring.restore(content="config", confirm=BRANCH).warnings
    assert newest in warning
    assert (restoring.target / "var" / "www" / ".env").read_bytes() == b"1"


def test_adopted_ones_are_older_than_all_own_ones(restoring: Restoring) -> None:
    adopted = {"moment": "2026-11-20T23:15:02Z", "at": "2026-11-22T12:00:00Z"}
    old = restoring.full(
        tar(member("./"), member("state", b"old")), sequence=0, set=None, companion=None, adopted=adopted
    )
    new = restoring.full(tar(member("./"), member("state", b"new")), sequence=1)
    assert restoring.restore().chain[0].name == new
    outcome = restoring.restore(to="2026-11-21T00:00:00Z", confirm=BRANCH)
    assert outcome.chain[0].name == old
    assert outcome.plan["recovery_point"] == "2026-11-20T23:15:02Z"
    assert (restoring.target / "state").read_bytes() == b"old"


@pytest.mark.parametrize("word", ["unreadable", "vanished"])
def test_what_the_artifact_lacks_is_said(restoring: Restoring, word: str) -> None:
    problems = {"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 0, word: 2}
    name = restoring.full(tar(member("./"), member("./a", b"1")), problems=problems)
    (warning,) = restoring.restore().warnings
    assert f"2 paths were {word} when {name} was made" in warning

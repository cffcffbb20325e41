# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that two share although each must have its own, and private keys where none may lie."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _preflight_search
from ansible_collections.larapee.backup.plugins.module_utils._preflight import examine
from ansible_collections.larapee.backup.plugins.module_utils._preflight_keys import private_blob, public_blob
from ansible_collections.larapee.backup.plugins.module_utils._preflight_request import PreflightRequest

IDENTITY = "AGE-SECRET-KEY-1" + "Q" * 58
RECIPIENTS = ("age1" + "q" * 58, "age1" + "p" * 58)
BRANCH = PreflightRequest(side="branch", branch="branch-001", recipients=RECIPIENTS)
CENTRAL = PreflightRequest(side="central", branches=({"code": "branch-001"}, {"code": "branch-002"}))
SHARED = [("shared_keys", "REFUSED")]
FOUND = [("identities", "REFUSED")]


def key(path: Path, *, kind: str = "ed25519", passphrase: str = "", comment: str = "x") -> str:
    argv = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", str(path)]
    subprocess.run(argv, check=True)
    return Path(f"{path}.pub").read_text().strip()


def found(request: PreflightRequest) -> list[tuple[str, str]]:
    return [(finding.check, finding.state) for finding in examine(request).findings]


@pytest.mark.parametrize("name", ["signing_key", "host_key", "pull_key", "acknowledge_key"])
def test_two_branches_with_one_key(tmp_path: Path, name: str) -> None:
    first, second = key(tmp_path / "1"), key(tmp_path / "2")
    of_their_own = ({"code": "branch-001", name: first}, {"code": "branch-002", name: second})
    assert found(dataclasses.replace(CENTRAL, branches=of_their_own)) == []
    renamed = first.rsplit(" ", 1)[0] + " somebody@else"
    shared = ({"code": "branch-001", name: first}, {"code": "branch-002", name: renamed}, {"code": "branch-003"})
    assert found(dataclasses.replace(CENTRAL, branches=shared)) == SHARED
    assert found(dataclasses.replace(BRANCH, branches=shared)) == SHARED


def test_two_branches_with_one_server_id() -> None:
    def branches(*numbers: str) -> tuple[dict[str, str], ...]:
        return tuple({"code": f"branch-{index}", "server_id": number} for index, number in enumerate(numbers))

    assert found(dataclasses.replace(CENTRAL, branches=branches("1", "2", "", ""))) == []
    assert found(dataclasses.replace(CENTRAL, branches=branches("1", "2", "1"))) == SHARED


def test_two_branches_with_one_line_in_the_files_of_central(tmp_path: Path) -> None:
    first, second = key(tmp_path / "1"), key(tmp_path / "2")
    signers, hosts = tmp_path / "allowed_signers", tmp_path / "known_hosts"
    request = dataclasses.replace(CENTRAL, allowed_signers=str(signers), known_hosts=str(hosts))
    signers.write_text(
        f'branch-001 namespaces="larapee-backup",valid-before="20260101" {first}\n'
        f'branch-001 namespaces="larapee-backup" {first}\n# a comment\nbranch-002 {second}\n'
    )
    hosts.write_text(f"branch-001,10.0.0.1 {first}\n\n[branch-002]:2222 {second}\n@revoked branch-002 {first}\n")
    assert found(request) == []
    hosts.write_text(f"branch-001 {first}\nbranch-002 {first}\n")
    assert found(request) == SHARED
    hosts.write_text("")
    signers.write_text(f"branch-001,branch-002 {first}\n")
    assert found(request) == SHARED
    hosts.unlink()
    assert found(request) == [*SHARED, ("shared_keys", "NOT RUN")]


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_two_branches_with_one_private_key_on_central(tmp_path: Path, kind: str) -> None:
    pull, acknowledge = tmp_path / "pull_key", tmp_path / "acknowledge_key"
    pull.mkdir()
    acknowledge.mkdir()
    request = dataclasses.replace(CENTRAL, key_directories=(str(pull), str(acknowledge)))
    key(pull / "branch-001", kind=kind)
    key(pull / "branch-002")
    key(acknowledge / "branch-001")
    assert found(request) == []
    # What pulls must not acknowledge: sshd takes the first line of a key, and its forced command.
    (acknowledge / "branch-002").write_bytes((pull / "branch-001").read_bytes())
    assert found(request) == SHARED


@pytest.mark.parametrize(("kind", "passphrase"), [("ed25519", ""), ("ed25519", "secret"), ("rsa", ""), ("ecdsa", "")])
def test_a_private_key_is_told_from_its_public_half(tmp_path: Path, kind: str, passphrase: str) -> None:
    public = key(tmp_path / "key", kind=kind, passphrase=passphrase)
    assert private_blob((tmp_path / "key").read_bytes()) == public_blob(public) == public.split()[1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n-----END",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\n-----END",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA/////w==\n-----END",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n=\n-----END",
    ],
)
def test_what_is_no_private_key_is_none(content: bytes) -> None:
    assert private_blob(content) is None


def test_an_identity_anywhere_below_a_searched_path(tmp_path: Path) -> None:
    request = dataclasses.replace(BRANCH, search_paths=(str(tmp_path), str(tmp_path / "missing")))
    deep = tmp_path / "app/storage/.old"
    deep.mkdir(parents=True)
    (deep / "notes.txt").write_text("AGE-SECRET-KEY-1 is how they begin; the public one is age1qqqq\n")
    assert found(request) == []
    (deep / "id").write_text(f"# created: 2026-11-22\n# public key: age1q\n{IDENTITY}\n")
    assert found(request) == FOUND
    assert str(deep / "id") in str(examine(request).failure())
    assert IDENTITY not in str(examine(request))
    assert found(dataclasses.replace(CENTRAL, search_paths=(str(tmp_path),))) == FOUND
    assert found(dataclasses.replace(request, search_paths=(str(deep / "id"),))) == FOUND
    # Where restores are made an identity may lie for that time.
    assert found(dataclasses.replace(CENTRAL, side="staging", search_paths=(str(tmp_path),))) == []


def test_an_identity_of_the_stock_tool_is_found(tmp_path: Path) -> None:
    subprocess.run(["age-keygen", "-o", str(tmp_path / "id")], check=True, capture_output=True)
    assert found(dataclasses.replace(BRANCH, search_paths=(str(tmp_path),))) == FOUND


def test_the_private_half_of_an_ssh_recipient(tmp_path: Path) -> None:
    recipient = key(tmp_path / "signing_key")
    request = dataclasses.replace(BRANCH, search_paths=(str(tmp_path),))
    assert found(request) == []
    assert found(dataclasses.replace(request, recipients=(*RECIPIENTS, recipient))) == FOUND


def test_the_search_follows_nothing_and_waits_for_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "id").write_text(IDENTITY)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside / "id")
    (inside / "directory").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    os.mkfifo(inside / "pipe")
    (inside / "large").write_text(IDENTITY + "x" * _preflight_search.LARGEST_FILE)
    request = dataclasses.replace(BRANCH, search_paths=(str(inside),))
    assert found(request) == []
    # A configured path that is itself a link is what it leads to.
    assert found(dataclasses.replace(request, search_paths=(str(inside / "directory"),))) == FOUND


def test_a_search_without_an_end_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    request = dataclasses.replace(BRANCH, search_paths=(str(tmp_path),), search_seconds=-1)
    assert found(request) == [("identities", "NOT RUN")]
    assert found(dataclasses.replace(request, search_seconds=60)) == []


def test_what_cannot_be_read_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "id").write_text(IDENTITY)
    # A regular file that gives an error also to root.
    request = dataclasses.replace(BRANCH, search_paths=("/proc/self/mem", str(tmp_path)))
    assert found(request) == [*FOUND, ("identities", "NOT RUN")]


def test_a_hostile_name_stays_on_its_line(tmp_path: Path) -> None:
    (tmp_path / "a\nFailed to \udcff").write_text(IDENTITY)
    (finding,) = examine(dataclasses.replace(BRANCH, search_paths=(str(tmp_path),))).findings
    assert finding.message.isprintable()

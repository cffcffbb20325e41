# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore of files gives exactly the tree that was archived, also over increments; judged by stock tools."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.files.restoring import member, picture, restorers_keys, restoring, stock_tar, tar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

LATIN = b"latin-\xe9".decode("utf-8", "surrogateescape")
ODD = ("new\nline", 'quo"te', "emoji 😀", "-dash", "x" * 255, "back\\slash", " space ", LATIN)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A tree with all that a restore could lose."""
    top = tmp_path / "shop"
    (top / "products" / "42").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "products" / "42" / "photo.jpg").write_bytes(os.urandom(300_000))
    (top / "products" / "none.jpg").write_bytes(b"")
    for name in ODD:
        (top / name).write_text(name, errors="surrogateescape")
    os.link(top / "products" / "none.jpg", top / "hard")
    os.symlink("products/42", top / "inward")
    os.symlink("nowhere", top / "products" / "dangling")
    with open(top / "sparse", "wb") as handle:
        handle.truncate(5_000_000)
        handle.seek(2_000_000)
        handle.write(b"island")
    os.setxattr(top / "-dash", "user.larapee=", b"\0\n=")
    (top / "tool").write_bytes(b"#!/bin/sh\n")
    os.chown(top / "tool", 1234, 4321)
    (top / "tool").chmod(0o6755)
    (top / "empty").chmod(0o1777)
    os.utime(top / "tool", ns=(0, -1_750_000_000))
    os.utime(top / "inward", ns=(0, 1_600_000_000_123_456_789), follow_symlinks=False)
    for number, path in enumerate((top / "products" / "42", top / "products", top / "empty", top)):
        os.utime(path, ns=(0, 1_500_000_000_000_000_001 + number))
    return top


@pytest.mark.parametrize("encrypt", [True, False])
def test_the_restored_tree_is_equal(restoring: Restoring, shop: Path, encrypt: bool) -> None:
    name = restoring.full(stock_tar(shop, "--sparse"), encrypt=encrypt)
    outcome = restoring.restore()
    assert picture(restoring.target) == picture(shop)
    subprocess.run(["diff", "-r", "--no-dereference", str(shop), str(restoring.target)], check=True)
    assert (restoring.target / "sparse").stat().st_blocks <= 16
    assert outcome.warnings == []
    assert outcome.plan["artifacts"] == [name]
    assert restoring.beside() == {"place", "state", "shop", "target"}


@pytest.mark.parametrize("form", ["gnu", "ustar", "posix"])
def test_an_adopted_archive_of_the_older_cron_line_is_restored(restoring: Restoring, shop: Path, form: str) -> None:
    deep = shop / "/".join(["d" * 90] * 2)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"deep")
    os.removexattr(shop / "-dash", "user.larapee=")
    if form == "ustar":
        (shop / ("x" * 255)).unlink()
    for path in [shop, *shop.rglob("*")]:
        os.utime(path, (1_500_000_000, 1_500_000_000), follow_symlinks=False)
    archive = subprocess.run(
        ["tar", f"--format={form}", "-C", str(shop), "-c", "."], check=True, capture_output=True
    ).stdout
    moment = "2026-11-20T23:15:02Z"
    restoring.full(
        archive, encrypt=False, sequence=0, set=None, companion=None, adopted={"moment": moment, "at": moment}
    )
    outcome = restoring.restore()
    assert picture(restoring.target) == picture(shop)
    assert outcome.plan["recovery_point"] == moment
    assert "older cron line" in outcome.warnings[0]


def increments(restoring: Restoring) -> None:
    """A full and two increments in which everything changes its kind."""
    restoring.full(
        tar(
            member("./", mtime=10),
            member("a/", mtime=11),
            member("a/kept", b"kept", mtime=12),
            member("a/old", b"old", mtime=13),
            member("b", b"was a file", mtime=14),
            member("c/", mtime=15),
            member("c/deep/", mtime=16),
            member("c/deep/x", b"x", mtime=17),
            member("hard1", b"linked", mtime=18),
            member("hard2", type=tarfile.LNKTYPE, linkname="hard1", mtime=18),
            member("untouched/", mtime=19),
            member("untouched/changed", b"1", mtime=20),
        )
    )
    restoring.increment(
        tar(
            member("./", mtime=30, names=["Da", "Db", "Yc", "Yhard1", "Nhard2", "Duntouched"]),
            member("a/", mtime=31, names=["Nkept", "Ynew"]),
            member("a/new", b"new", mtime=32),
            member("b/", mtime=33, names=["Yinside"]),
            member("b/inside", b"inside", mtime=34),
            member("c", b"was a directory", mtime=35),
            member("hard1", b"no longer linked", mtime=36),
            member("untouched/changed", b"22", mtime=37),
        ),
        deleted=["a/old", "c/deep", "c/deep/x"],
        tree={"entries": 11, "bytes": 0},
    )
    restoring.increment(
        tar(
            member("./", mtime=40, names=["Da", "Yb", "Dc", "Nhard1", "Nhard2", "Duntouched"]),
            member("b", type=tarfile.SYMTYPE, linkname="a", mtime=41),
            member("c/", mtime=42, names=[]),
        ),
        deleted=["b/inside"],
        tree={"entries": 10, "bytes": 0},
    )


def shape(directory: Path) -> dict[str, tuple[str, int]]:
    """Content and time in seconds of each entry."""
    found = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else "" if path.is_dir() else path.read_text()
        found[str(path.relative_to(directory))] = (content, int(status.st_mtime))
    return found


def test_increments_are_applied_in_order(restoring: Restoring) -> None:
    increments(restoring)
    outcome = restoring.restore()
    assert shape(restoring.target) == {
        ".": ("", 40),
        "a": ("", 31),
        "a/kept": ("kept", 12),
        "a/new": ("new", 32),
        "b": ("a", 41),
        "c": ("", 42),
        "hard1": ("no longer linked", 36),
        "hard2": ("linked", 18),
        "untouched": ("", 19),
        "untouched/changed": ("22", 37),
    }
    assert len(outcome.chain) == 3
    assert (restoring.target / "hard2").stat().st_nlink == 1


def test_a_point_in_between(restoring: Restoring) -> None:
    increments(restoring)
    for to in ("2026-11-22T14:02:59Z", "set:2"):
        outcome = restoring.restore(to=to, target=str(restoring.root / to.replace(":", "")))
        assert outcome.plan["set"] == 2
        found = shape(restoring.root / to.replace(":", ""))
        assert found["b/inside"] == ("inside", 34)
        assert found["c"] == ("was a directory", 35)
        assert "a/old" not in found


def test_a_tree_deeper_than_the_limit_of_open_files(restoring: Restoring) -> None:
    names = ["d/" * depth for depth in range(1, 1501)]
    restoring.full(tar(member("./"), *(member(name, mtime=number) for number, name in enumerate(names))))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, before[1]))
    try:
        restoring.restore()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    found = subprocess.run(
        ["find", str(restoring.target), "-mindepth", "1", "-printf", "%d %Ts\n"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert found.splitlines() == [f"{number + 1} {number}" for number in range(1500)]
    subprocess.run(["rm", "-r", str(restoring.target)], check=True)


def acl(user: int) -> bytes:
    """An access list in the kernel's form: a named *user* may read and search."""
    everybody = 2**32 - 1
    rows = ((1, 7, everybody), (2, 5, user), (4, 5, everybody), (16, 5, everybody), (32, 0, everybody))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


def test_access_lists_come_back_and_are_not_handed_down(restoring: Restoring) -> None:
    """What an increment puts into a directory with a default list has only what its own member says."""
    shop = restoring.root / "shop"
    shop.mkdir()
    (shop / "shared").mkdir()
    (shop / "shared" / "old").write_bytes(b"old")
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        os.setxattr(shop / "shared", name, acl(1234))
    os.setxattr(shop / "shared" / "old", "system.posix_acl_access", acl(77))
    archive = tar(
        member("./"),
        member("shared/", xattrs={f"system.posix_acl_{kind}": acl(1234) for kind in ("access", "default")}),
        member("shared/old", b"old", xattrs={"system.posix_acl_access": acl(77)}),
    )
    restoring.full(archive)
    restoring.increment(
        tar(member("shared/new", b"new", mode=0o600), member("shared/sub/", mode=0o700)),
        tree={"entries": 5, "bytes": 6},
    )
    restoring.restore()
    found = restoring.target / "shared"
    for path in (".", "old"):
        assert attributes(found / path) == attributes(shop / "shared" / path)
    assert attributes(found / "new") == attributes(found / "sub") == {}
    assert (found / "new").stat().st_mode & 0o7777 == 0o600


def attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def test_labels_and_capabilities_do_not_come_out_of_an_archive(restoring: Restoring) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 2**21, 0, 0, 0)
    odd = {"security.capability": capability, "trusted.larapee": b"1", "user.larapee": b"2"}
    restoring.full(tar(member("./"), member("file", b"1", mode=0o755, xattrs=odd)))
    restoring.restore()
    assert attributes(restoring.target / "file") == {"user.larapee": b"2"}

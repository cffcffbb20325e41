# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that want out of the directory they are restored into: signed as they should be, and refused by name."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.files.restoring import member, restorers_keys, restoring, tar, true_index

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

TOP = member("./")
VICTIM = b"what stood there"


@pytest.fixture
def victim(restoring: Restoring) -> Path:
    """A directory beside the target with a file that no restore may touch."""
    directory = restoring.root / "victim"
    directory.mkdir()
    (directory / "file").write_bytes(VICTIM)
    return directory


def refused(restoring: Restoring, words: str, *, reason: str = "bad_member", **changes: Any) -> str:
    """The restore fails with *words*, and neither the target nor anything beside it changed."""
    before = {path: path.lstat().st_mtime_ns for path in restoring.root.rglob("*") if "state" not in path.parts}
    with pytest.raises(BackupError) as caught:
        restoring.restore(**changes)
    assert words in str(caught.value)
    assert caught.value.reason == reason
    after = {path: path.lstat().st_mtime_ns for path in restoring.root.rglob("*") if "state" not in path.parts}
    assert after == before
    return str(caught.value)


def raw_member(name: bytes, **attributes: Any) -> bytes:
    """One member under a name that tarfile would have tidied."""
    info, content = member("x", attributes.pop("content", b""), **attributes)
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    block[:100] = name.ljust(100, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + content + bytes(-len(content) % 512)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (b"/etc/cron.d/x", "'/etc/cron.d/x': its name is an absolute path"),
        (b"../victim/file", "'../victim/file': its name holds '..'"),
        (b"a/../../victim/file", "its name holds '..'"),
        (b"./../victim/file", "its name holds '..'"),
        (b"", "'': its name is empty"),
        (b"a//b", "is not in its plain form"),
        (b"a/./b", "is not in its plain form"),
        (b"file/", "is not in its plain form"),
        (b".", "the top is a file"),
    ],
)
def test_a_name_that_is_no_plain_path_below_the_top(
    restoring: Restoring, victim: Path, name: bytes, words: str
) -> None:
    archive = tar(TOP, member("a/"))[:1024] + raw_member(name, type=tarfile.CONTTYPE) + bytes(1024)
    restoring.full(archive, index=[], companion=None, adopted=ADOPTED, sequence=0)
    refused(restoring, words)
    assert (victim / "file").read_bytes() == VICTIM


ADOPTED = {"moment": "2026-11-20T23:15:02Z", "at": "2026-11-22T12:00:00Z"}


@pytest.mark.parametrize("where", ["../victim", "{root}/victim"])
def test_a_member_below_a_link_that_leads_out(restoring: Restoring, victim: Path, where: str) -> None:
    link = member("out", type=tarfile.SYMTYPE, linkname=where.format(root=restoring.root))
    restoring.full(tar(TOP, link, member("out/file", b"evil")))
    refused(restoring, "'out/file': it lies below what is not a directory", outward_links="keep")
    assert (victim / "file").read_bytes() == VICTIM


def test_a_link_of_a_full_under_a_member_of_an_increment(restoring: Restoring, victim: Path) -> None:
    restoring.full(tar(TOP, member("out", type=tarfile.SYMTYPE, linkname="../victim")))
    restoring.increment(tar(member("out/file", b"evil")), tree={"entries": 3, "bytes": 0})
    refused(restoring, "'out/file': it lies below what is not a directory", outward_links="keep")
    assert (victim / "file").read_bytes() == VICTIM


def test_a_directory_in_place_of_a_link_does_not_reach_through_it(restoring: Restoring, victim: Path) -> None:
    """The attributes of a directory member, and what its list of names does not hold, stay off what a link leads to."""
    restoring.full(tar(TOP, member("out", type=tarfile.SYMTYPE, linkname="../victim")))
    restoring.increment(tar(member("out/", names=[], mode=0o777)), tree={"entries": 2, "bytes": 0})
    mode = victim.stat().st_mode
    restoring.restore()
    assert not (restoring.target / "out").is_symlink()
    assert list((restoring.target / "out").iterdir()) == []
    assert (victim / "file").read_bytes() == VICTIM
    assert victim.stat().st_mode == mode


@pytest.mark.parametrize("name", ["../victim/file", "/etc/passwd", "a/../../victim/file", "missing", "later", "a"])
def test_a_hard_link_to_what_was_not_there_before_it(restoring: Restoring, victim: Path, name: str) -> None:
    link = member("link", type=tarfile.LNKTYPE, linkname=name)
    restoring.full(tar(TOP, member("a/"), link, member("later", b"1")))
    message = refused(restoring, f"'link': it is a hard link to '{name}'")
    assert "below the top" in message or "no file that was there before it" in message
    assert (victim / "file").stat().st_nlink == 1


def test_a_hard_link_through_a_symbolic_one(restoring: Restoring, victim: Path) -> None:
    out = member("out", type=tarfile.SYMTYPE, linkname="../victim")
    restoring.full(tar(TOP, out, member("link", type=tarfile.LNKTYPE, linkname="out/file")))
    refused(restoring, "'link': it is a hard link to 'out/file'", outward_links="keep")
    assert (victim / "file").stat().st_nlink == 1


def test_another_name_of_a_link_is_a_link_too(restoring: Restoring, victim: Path) -> None:
    out = member("out", type=tarfile.SYMTYPE, linkname="../victim/file")
    restoring.full(tar(TOP, out, member("same", type=tarfile.LNKTYPE, linkname="out")))
    restoring.restore(outward_links="keep")
    assert os.readlink(restoring.target / "same") == "../victim/file"
    assert (victim / "file").stat().st_nlink == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.CHRTYPE, "a character device"),
        (tarfile.BLKTYPE, "a block device"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (b"D", "own old format"),
        (b"Z", "unknown type"),
    ],
)
def test_what_is_neither_file_directory_nor_link(restoring: Restoring, kind: bytes, words: str) -> None:
    restoring.full(
        tar(TOP, member("odd", type=kind, devmajor=1, devminor=3)),
        index=[],
        companion=None,
        adopted=ADOPTED,
        sequence=0,
    )
    assert words in refused(restoring, "the member 'odd'")


def test_a_member_whose_directory_is_not_there(restoring: Restoring) -> None:
    restoring.full(tar(TOP, member("a/x", b"1")))
    refused(restoring, "'a/x': it lies below what is not a directory")


def test_a_name_twice_in_a_full(restoring: Restoring) -> None:
    restoring.full(tar(TOP, member("a", b"1"), member("b", b"2"), member("a", b"3")))
    refused(restoring, "'a': it is there twice")


def test_a_directory_twice_in_a_full(restoring: Restoring) -> None:
    restoring.full(tar(TOP, member("a/"), member("a/x", b"1"), member("a/")))
    refused(restoring, "'a': it is there twice")


@pytest.mark.parametrize("second", [member("a", b"3"), member("a", type=tarfile.SYMTYPE, linkname="..")])
def test_a_name_twice_in_an_increment(restoring: Restoring, second: tuple[tarfile.TarInfo, bytes]) -> None:
    restoring.full(tar(TOP, member("a", b"0"), member("b", b"0")))
    restoring.increment(tar(member("a", b"1"), member("b", b"2"), second))
    refused(restoring, "'a': it comes after 'b'")


@pytest.mark.parametrize(
    ("names", "words"),
    [(["Na/b"], "'a/b'"), (["D.."], "'..'"), (["N."], "'.'"), (["Rold"], "Rold"), (["N"], "'N'")],
)
def test_a_list_of_names_that_leads_elsewhere(restoring: Restoring, victim: Path, names: list[str], words: str) -> None:
    restoring.full(tar(TOP, member("a", b"0")))
    restoring.increment(tar(member("./", names=names)))
    message = refused(restoring, "list of names")
    assert words in message
    assert (victim / "file").exists()


def test_a_list_of_names_without_end(restoring: Restoring) -> None:
    top = member("./")
    top[0].pax_headers["GNU.dumpdir"] = "Na\0"
    restoring.full(tar(TOP, member("a", b"0")))
    restoring.increment(tar(top))
    refused(restoring, "its list of names has no end")


@pytest.mark.parametrize(
    ("path", "target", "outward"),
    [
        ("link", "..", True),
        ("link", "../victim", True),
        ("link", "/etc/passwd", True),
        ("link", "{target}-other/x", True),
        ("link", "{target}/a", False),
        ("link", "{target}/../victim", True),
        ("a/link", "../..", True),
        ("a/link", "../b", False),
        ("a/link", "..", False),
        ("a/link", "b/../../..", True),
        ("a/link", "b/..", True),
        ("a/link", "./b//c", False),
        ("link", "...", False),
    ],
)
def test_a_link_that_leads_out(restoring: Restoring, path: str, target: str, outward: bool) -> None:
    target = target.format(target=restoring.target)
    restoring.full(tar(TOP, member("a/"), member(path, type=tarfile.SYMTYPE, linkname=target)))
    if outward:
        message = refused(restoring, f"{path} -> {target}", reason="outward_links")
        assert "outward_links: keep" in message
    restoring.restore(**({"outward_links": "keep"} if outward else {}))
    assert os.readlink(restoring.target / path) == target


def test_two_links_that_lead_out_together(restoring: Restoring) -> None:
    """Each alone stays inside by its text: s is the top, and s/.. the directory above it."""
    up = member("a/b/s", type=tarfile.SYMTYPE, linkname="../..")
    out = member("a/b/t", type=tarfile.SYMTYPE, linkname="s/..")
    restoring.full(tar(TOP, member("a/"), member("a/b/"), up, out))
    refused(restoring, "a/b/t -> s/..", reason="outward_links")


def test_a_link_that_led_out_and_is_gone_by_then_is_no_matter(restoring: Restoring) -> None:
    restoring.full(tar(TOP, member("out", type=tarfile.SYMTYPE, linkname="/etc")))
    restoring.increment(tar(member("./", names=[])), deleted=["out"], tree={"entries": 1, "bytes": 0})
    restoring.restore()
    assert list(restoring.target.iterdir()) == []


def test_links_of_config_lead_anywhere_and_are_not_followed(restoring: Restoring, victim: Path) -> None:
    link = member("etc/nginx/sites-enabled/shop", type=tarfile.SYMTYPE, linkname="/etc/nginx/sites-available/shop")
    restoring.config(tar(link, member("var/www/.env", b"KEY=1", mode=0o600)))
    restoring.restore(content="config")
    assert os.readlink(restoring.target / "etc/nginx/sites-enabled/shop") == "/etc/nginx/sites-available/shop"
    assert (restoring.target / "var/www/.env").read_bytes() == b"KEY=1"
    assert restoring.target.stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "0" * 64}, "content of the member a"),
        ({"size": 2}, "size of the member a"),
        ({"mode": 0o777}, "mode of the member a"),
        ({"path": "b"}, "path of the member a"),
        ({"type": "directory"}, "type of the member a"),
        ({"mtime_ns": 5}, "mtime_ns of the member a"),
        ({"uid": 5}, "uid of the member a"),
    ],
)
def test_an_archive_that_is_not_what_its_index_says(restoring: Restoring, change: dict[str, Any], words: str) -> None:
    archive = tar(TOP, member("a", b"1"))
    lines = true_index(archive)
    restoring.full(archive, index=[lines[0], {**lines[1], **change}], entries=2)
    refused(restoring, words, reason="index_mismatch")


def test_an_archive_with_a_member_that_its_index_does_not_have(restoring: Restoring) -> None:
    archive = tar(TOP, member("a", b"1"), member("b", b"1"))
    restoring.full(archive, index=true_index(archive)[:2], entries=3)
    refused(restoring, "contradict each other", reason="index_mismatch")


def test_an_archive_without_a_member_that_its_index_has(restoring: Restoring) -> None:
    archive = tar(TOP, member("a", b"1"))
    restoring.full(archive, index=[*true_index(archive), {"path": "b", "type": "directory"}], entries=2)
    refused(restoring, "number of members", reason="index_mismatch")


def test_fewer_entries_in_the_tree_than_the_manifest_says(restoring: Restoring) -> None:
    restoring.full(tar(TOP, member("a", b"1")), tree={"entries": 3, "bytes": 1})
    refused(restoring, "the tree has 2 entries, its manifest says 3", reason="index_mismatch")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: raw[:1536], "ends before its end mark"),
        (lambda raw: raw[:1536] + bytes(512), "ends before its end mark"),
        (lambda raw: raw[:700] + b"\7" + raw[701:], "the checksum of a header is wrong"),
        (lambda raw: raw + raw, "bytes after its end"),
        (lambda raw: raw[:1536] + bytes(512) + raw[1536:], "after a block of zeros"),
    ],
)
def test_an_archive_that_is_no_whole_tar(restoring: Restoring, damage: Any, words: str) -> None:
    archive = tar(TOP, member("a", b"1"), member("b", b"2"))
    restoring.full(damage(archive), index=true_index(archive), entries=3)
    refused(restoring, words)


@pytest.mark.parametrize(
    "numbers",
    [
        b"1\n0\n2\n",
        b"1\n0\n5\n",
        b"1\n4\n4\n",
        b"2\n0\n2\n1\n2\n",
        b"1\n0\n9\n",
        b"x\n",
        b"1\n-1\n4\n",
        b"1\n0\n",
        b"9" * 600,
    ],
)
def test_a_map_of_holes_that_lies(restoring: Restoring, numbers: bytes) -> None:
    info, content = member("sparse", numbers.ljust(-(-len(numbers) // 512) * 512, b"\0") + b"data")
    info.pax_headers.update(
        {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": "sparse",
            "GNU.sparse.realsize": "6",
        }
    )
    restoring.full(tar(TOP, (info, content)), index=[], companion=None, adopted=ADOPTED, sequence=0)
    refused(restoring, "the member 'sparse': its map of holes")

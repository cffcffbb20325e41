# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/restore-files-with-stock-tools.md, executed as it stands, with nothing in PATH but the tools that it names."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import DOCS, blocks, code, table
from tests.files.shop_files import BRANCH, ShopFiles

if TYPE_CHECKING:
    from pathlib import Path

    from tests.database.estate import Keys

PAGE = DOCS / "restore-files-with-stock-tools.md"
TOOLS = ("bash", "cat", "ls", "mkdir", "sed", "sort", "tr", "ssh-keygen", "sha256sum", "age", "zstd", "tar")


class Person:
    """Somebody who follows the page, on a machine that has the stock tools only."""

    def __init__(self, shop: ShopFiles, directory: Path) -> None:
        self.shop = shop
        self.place = directory / "a copy"
        self.target = directory / "the target"
        self.tools = directory / "tools"
        self.tools.mkdir()
        for name in TOOLS:
            found = shutil.which(name, path="/usr/bin:/bin")
            assert found, f"{name} is not installed"
            (self.tools / name).symlink_to(found)

    def follows(self, full: str) -> subprocess.CompletedProcess[str]:
        """The page from top to bottom in one shell; only what is assigned in its first block is replaced."""
        shutil.copytree(self.shop.local, self.place, dirs_exist_ok=True)
        first, *rest = [block.text for block in blocks(PAGE, "bash")]
        mine = {
            "PLACE": f"'{self.place}'",
            "FULL": full,
            "BRANCH": BRANCH,
            "ALLOWED_SIGNERS": self.shop.keys.allowed_signers,
            "IDENTITY": self.shop.keys.directory / "identity-2",
            "TARGET": f"'{self.target}'",
        }
        assert re.findall(r"^(\w+)=\S+$", first, re.M) == list(mine), "the first block is not these assignments"
        head = "".join(f"{name}={value}\n" for name, value in mine.items())
        return subprocess.run(
            [self.tools / "bash", "--norc", "-s"],
            input=head + "".join(rest),
            env={"PATH": str(self.tools), "HOME": "/nonexistent", "LANG": "C.UTF-8"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=60,
        )

    def is_stopped(self, full: str, *words: str) -> None:
        done = self.follows(full)
        stops = [line for line in done.stderr.splitlines() if line.startswith("STOP: ")]
        assert (done.returncode, len(stops)) == (1, 1), done.stdout + done.stderr
        for word in words:
            assert word in done.stderr


@pytest.fixture
def shop(tmp_path: Path, keys: Keys) -> ShopFiles:
    """Uploads with a full and two increments: files that come, change, go, and one that becomes a directory."""
    shop = ShopFiles(tmp_path, keys)
    slips = shop.uploads / "slips"
    slips.mkdir(parents=True)
    for name in ("a.jpg", "b 'quoted' \"twice\".jpg", "-rf", "naïve 🧾\n.jpg"):
        (slips / name).write_bytes(name.encode() * 1000)
    os.link(slips / "a.jpg", shop.uploads / "same.jpg")
    (shop.uploads / "link").symlink_to("slips/a.jpg")
    shop.full()
    (slips / "a.jpg").write_bytes(b"changed")
    (slips / "-rf").unlink()
    shop.increment()
    (slips / "-rf").mkdir()
    (slips / "-rf" / "new.jpg").write_bytes(b"new")
    (shop.uploads / "same.jpg").unlink()
    slips.chmod(0o750)
    os.utime(slips, ns=(0, 1_700_000_000_123_456_789))
    shop.increment()
    return shop


@pytest.fixture
def person(shop: ShopFiles, tmp_path: Path) -> Person:
    directory = tmp_path / "person"
    directory.mkdir()
    return Person(shop, directory)


def listing(tree: Path) -> bytes:
    """Names, types, modes, owners, times and link targets, by find; directories' sizes are the filesystem's."""
    pattern = "%P\\0%y\\0%m\\0%U:%G\\0%T@\\0%l\\0%n\\n"
    done = subprocess.run(["find", str(tree), "-mindepth", "1", "-printf", pattern], check=True, capture_output=True)
    return b"\n".join(sorted(done.stdout.split(b"\n")))


def test_a_full_and_its_increments_give_the_tree(person: Person) -> None:
    done = person.follows(person.shop.chain()[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    compared = ["diff", "--recursive", "--no-dereference", str(person.shop.uploads), str(person.target)]
    assert subprocess.run(compared, capture_output=True).stdout == b""
    assert listing(person.target) == listing(person.shop.uploads)


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """A POSIX ACL as the kernel takes it, of tags, permissions and numbers of users."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_access_lists_come_back_and_the_page_says_who_gets_one_more(person: Person) -> None:
    nobody, uploads = 2**32 - 1, person.shop.uploads
    owner, group, mask, other = (0x01, 7, nobody), (0x04, 5, nobody), (0x10, 7, nobody), (0x20, 0, nobody)
    directory = uploads / "shared"
    directory.mkdir()
    for name in ("a full", "an increment"):
        for each, mode in (("bare", 0o640), ("listed", 0o640), ("private", 0o600)):
            (directory / f"{each} in {name}").write_text(each)
            (directory / f"{each} in {name}").chmod(mode)
        listed = access_list(owner, (0x02, 6, 4321), group, mask, other)
        os.setxattr(directory / f"listed in {name}", "system.posix_acl_access", listed)
        if name == "a full":
            default = access_list(owner, (0x02, 7, 1234), group, mask, other)
            os.setxattr(directory, "system.posix_acl_default", default)
            person.shop.full()
            os.removexattr(directory, "system.posix_acl_default")
    os.setxattr(directory, "system.posix_acl_default", default)
    person.shop.increment()
    assert person.follows(person.shop.chain()[0]).returncode == 0
    assert listing(person.target) == listing(uploads)
    restored = person.target / "shared"
    assert os.getxattr(restored, "system.posix_acl_default") == default
    for path in directory.iterdir():
        before, after = access_of(path), access_of(restored / path.name)
        if path.name.startswith("listed"):
            assert after == before != b"", path.name
        elif after:
            # As the page says to undo it: what is left is the mode that was archived.
            os.removexattr(restored / path.name, "system.posix_acl_access")
    assert listing(person.target) == listing(uploads)
    assert "admits those whom the default ACL\nnames, as far as the file's group bits go" in PAGE.read_text()


def access_of(path: Path) -> bytes:
    name = "system.posix_acl_access"
    return os.getxattr(path, name) if name in os.listxattr(path) else b""


def test_without_the_last_increment_it_is_the_moment_before(person: Person) -> None:
    full, _first, last = person.shop.chain()
    for path in person.shop.local.glob(f"{last}*"):
        path.unlink()
    assert person.follows(full).returncode == 0
    assert not (person.target / "slips" / "-rf").exists()
    assert (person.target / "same.jpg").exists()


def test_a_missing_increment_ends_the_restore_before_it(person: Person) -> None:
    full, first, last = person.shop.chain()
    for path in person.shop.local.glob(f"{first}*"):
        path.unlink()
    done = person.follows(full)
    assert done.returncode == 0
    assert f"BROKEN: {last} does not follow {full}" in done.stdout
    assert (person.target / "slips" / "-rf").is_file()


def test_config_comes_back_by_the_same_page(person: Person, tmp_path: Path) -> None:
    env = tmp_path / "app" / ".env"
    env.parent.mkdir()
    env.write_text("APP_KEY=base64:x\n")
    env.chmod(0o640)
    manifest = person.shop.config(env).manifest
    assert manifest is not None
    assert person.follows(manifest.artifact).returncode == 0
    restored = person.target / str(env).lstrip("/")
    assert (restored.read_text(), restored.stat().st_mode & 0o777) == ("APP_KEY=base64:x\n", 0o640)


def test_a_manifest_of_another_branch_stops_it(person: Person) -> None:
    full = person.shop.chain()[0]
    path = person.shop.local / f"{full}.manifest.json"
    path.write_text(path.read_text().replace('"branch": "branch-001"', '"branch": "branch-002"'))
    person.is_stopped(full, "incorrect signature", f"{full} is not signed by {BRANCH}")


def test_a_damaged_increment_stops_it_before_anything_is_extracted(person: Person) -> None:
    full, _first, last = person.shop.chain()
    path = person.shop.local / last
    stored = bytearray(path.read_bytes())
    stored[-1] ^= 1
    path.write_bytes(stored)
    person.is_stopped(full, f"{last} is not the one that was signed")
    assert not person.target.exists()


def test_a_missing_manifest_stops_it(person: Person) -> None:
    person.is_stopped("public-uploads-20260101-0000.tar.zst.age", "is missing")


def test_a_target_that_holds_something_stops_it(person: Person) -> None:
    person.target.mkdir()
    (person.target / "live").touch()
    person.is_stopped(person.shop.chain()[0], "is not empty")
    assert [path.name for path in person.target.iterdir()] == ["live"]


def test_what_the_page_explains_is_what_its_commands_say() -> None:
    commands = "".join(block.text for block in blocks(PAGE, "bash"))
    told = [code(row[0])[-1] for row in table(PAGE, "| it says")]
    said = [word for word in told if word not in ("Ignoring unknown extended header keyword",)]
    assert [word for word in said if word not in commands] == []

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the archiver made comes back exactly, from a full and its increments: by this project, and by stock tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _sequence
from ansible_collections.larapee.backup.plugins.module_utils._archive import ArchiveRequest, archive_files
from tests.files.restoring import picture, restorers_keys, restoring

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")


class Branch:
    """The branch's uploads, archived by the project itself into the place of *restoring*."""

    def __init__(self, restoring: Restoring) -> None:
        self.restoring = restoring
        self.uploads = restoring.root / "uploads"
        self.uploads.mkdir()
        self.artifacts: list[str] = []

    def archive(self, *, increment: bool, run_id: str = "", always: bool = False) -> None:
        outcome = archive_files(
            ArchiveRequest(
                branch="branch-001",
                content="uploads",
                paths=(str(self.uploads),),
                increment=increment,
                always=always,
                local_path=str(self.restoring.place),
                state_path=str(self.restoring.state),
                run_id=run_id or str(uuid.uuid4()),
                signing_key=str(self.restoring.keys.signing_key),
                recipients=self.restoring.keys.recipients,
                reserve_bytes=0,
            )
        )
        assert outcome.manifest is not None
        assert outcome.manifest.kind == ("files_increment" if increment else "files_full")
        self.artifacts.append(outcome.manifest.artifact)

    def restore_with_stock_tools(self, target: Path) -> None:
        """As docs/ tell a person without this project."""
        target.mkdir()
        for artifact in self.artifacts:
            subprocess.run(
                [
                    "bash",
                    "-o",
                    "pipefail",
                    "-c",
                    'age -d -i "$1" "$2" | zstd -d | tar --extract --listed-incremental=/dev/null --xattrs '
                    '--xattrs-include="*" --numeric-owner -C "$3"',
                    "restore",
                    str(self.restoring.keys.directory / "identity-1"),
                    str(self.restoring.place / artifact),
                    str(target),
                ],
                check=True,
            )


@pytest.fixture
def branch(restoring: Restoring) -> Branch:
    return Branch(restoring)


def fill(top: Path) -> None:
    (top / "products" / "42").mkdir(parents=True)
    (top / "products" / "42" / "photo.jpg").write_bytes(os.urandom(1_500_000))
    (top / "receipts").mkdir()
    for number in range(50):
        (top / "receipts" / f"B01-{number:04d}.pdf").write_bytes(b"%PDF" + bytes([number]) * number)
    (top / "empty").mkdir(mode=0o700)
    (top / "becomes a directory").write_bytes(b"file")
    (top / "becomes a file").mkdir()
    (top / "becomes a file" / "inside").write_bytes(b"inside")
    (top / "new\nline").write_bytes(b"1")
    (top / ("é" * 127)).write_bytes(b"254 bytes")
    os.link(top / "new\nline", top / "products" / "same")
    os.symlink("products/42", top / "inward")
    with open(top / "sparse", "wb") as handle:
        handle.truncate(3_000_000)
        handle.seek(1_000_000)
        handle.write(b"island")
    os.setxattr(top / "receipts", "user.note", b"kept\0")
    os.chown(top / "receipts", 1234, 4321)
    (top / "receipts").chmod(0o2750)
    os.utime(top / "empty", ns=(0, -5_250_000_000))


def change_nothing_but_content(top: Path) -> None:
    (top / "receipts" / "B01-0007.pdf").write_bytes(b"rewritten")
    os.utime(top / "new\nline", ns=(0, 999))


def change_kinds(top: Path) -> None:
    (top / "becomes a directory").unlink()
    (top / "becomes a directory").mkdir()
    (top / "becomes a directory" / "deep").mkdir()
    (top / "becomes a directory" / "deep" / "file").write_bytes(b"deep")
    shutil.rmtree(top / "becomes a file")
    (top / "becomes a file").write_bytes(b"file")
    (top / "inward").unlink()
    os.symlink("receipts", top / "inward")


def change_kinds_back(top: Path) -> None:
    shutil.rmtree(top / "becomes a directory")
    (top / "becomes a directory").write_bytes(b"file again")
    (top / "becomes a file").unlink()
    (top / "becomes a file").mkdir()
    (top / "inward").unlink()
    (top / "inward").mkdir()


def remove_and_add(top: Path) -> None:
    for number in range(0, 50, 2):
        (top / "receipts" / f"B01-{number:04d}.pdf").unlink()
    shutil.rmtree(top / "products" / "42")
    (top / "products" / "43" / "a").mkdir(parents=True)
    (top / "products" / "43" / "a" / "b").write_bytes(b"b")


def unlink_and_relink(top: Path) -> None:
    (top / "products" / "same").unlink()
    os.link(top / "new\nline", top / "zz")
    os.link(top / "new\nline", top / "aa")


def rename_a_directory(top: Path) -> None:
    (top / "receipts").rename(top / "quittungen")


def change_attributes(top: Path) -> None:
    (top / "empty").chmod(0o1777)
    os.removexattr(top / "receipts", "user.note") if (top / "receipts").exists() else None
    os.chown(top / "sparse", 77, 78)
    (top / "sparse").chmod(0o4711)
    os.utime(top, ns=(0, 1_234_567_891_234_567_891))


def empty_everything(top: Path) -> None:
    for path in top.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


CHANGES: list[list[Callable[[Path], None]]] = [
    [],
    [change_nothing_but_content],
    [change_kinds, change_kinds_back],
    [remove_and_add, unlink_and_relink],
    [rename_a_directory, change_attributes],
    [change_attributes, remove_and_add, change_kinds],
    [empty_everything, fill],
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda steps: "-".join(step.__name__ for step in steps) or "full")
def test_full_and_increments_give_exactly_the_tree(branch: Branch, changes: list[Callable[[Path], None]]) -> None:
    fill(branch.uploads)
    branch.archive(increment=False)
    for change in changes:
        change(branch.uploads)
        branch.archive(increment=True)
    restoring = branch.restoring
    outcome = restoring.restore()
    assert picture(restoring.target) == picture(branch.uploads)
    assert outcome.warnings == []
    assert [entry.name for entry in outcome.chain] == branch.artifacts
    if (branch.uploads / "sparse").exists():
        assert (restoring.target / "sparse").stat().st_blocks == (branch.uploads / "sparse").stat().st_blocks
    by_hand = restoring.root / "by-hand"
    branch.restore_with_stock_tools(by_hand)
    # GNU tar gives extended attributes, and takes none away from a directory that is there.
    stock = [line for line in picture(by_hand).split("\n") if "user.note" not in line]
    assert stock == [line for line in picture(restoring.target).split("\n") if "user.note" not in line]


def test_links_that_are_one_file_are_one_file_again(branch: Branch) -> None:
    fill(branch.uploads)
    branch.archive(increment=False)
    unlink_and_relink(branch.uploads)
    branch.archive(increment=True)
    branch.restoring.restore()
    target = branch.restoring.target
    assert len({(target / name).stat().st_ino for name in ("new\nline", "zz", "aa")}) == 1


@pytest.mark.parametrize("changes_after", [True, False])
def test_a_set_that_another_run_overlapped_comes_back_with_all_that_came_before(
    restoring: Restoring, changes_after: bool
) -> None:
    """A run gets its number with its first artifact, the dump: another one may archive the uploads in between."""
    branch = Branch(restoring)
    (branch.uploads / "first").write_bytes(b"1")
    branch.archive(increment=False)
    run = str(uuid.uuid4())
    number = _sequence.set_number(
        _catalog.read_catalogue(str(restoring.place)),
        str(restoring.state),
        branch="branch-001",
        run_id=run,
        allowed_signers=str(restoring.keys.allowed_signers),
    )
    (branch.uploads / "slip").write_bytes(b"2")
    branch.archive(increment=True)
    if changes_after:
        (branch.uploads / "third").write_bytes(b"3")
    branch.archive(increment=True, run_id=run, always=True)
    expected = picture(branch.uploads)
    (branch.uploads / "later").write_bytes(b"4")
    branch.archive(increment=True)
    outcome = restoring.restore(to=f"set:{number}")
    assert picture(restoring.target) == expected
    assert outcome.plan["newest"] >= outcome.plan["recovery_point"]


@pytest.mark.usefixtures("settled")
def test_a_name_that_moves_takes_the_other_names_of_its_file_along(branch: Branch) -> None:
    for name in ("d1", "d2", "d5/deep"):
        (branch.uploads / name).mkdir(parents=True)
    (branch.uploads / "d1" / "A").write_bytes(b"one inode")
    for name in ("d2/B", "d5/deep/C"):
        os.link(branch.uploads / "d1" / "A", branch.uploads / name)
    (branch.uploads / "d2" / "alone").write_bytes(b"x")
    branch.archive(increment=False)
    for before, after in (("d1", "d3"), ("d3", "d4")):
        (branch.uploads / before).rename(branch.uploads / after)
        branch.archive(increment=True)
        by_hand = branch.restoring.root / f"by-hand-{after}"
        branch.restore_with_stock_tools(by_hand)
        branch.restoring.target = branch.restoring.root / f"restored-{after}"
        branch.restoring.restore()
        for target in (by_hand, branch.restoring.target):
            assert len({(target / name).stat().st_ino for name in (f"{after}/A", "d2/B", "d5/deep/C")}) == 1
            assert picture(target) == picture(branch.uploads)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some files only: their newest version up to the point, beside what else is in the target."""

from __future__ import annotations

import os
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _dirfd
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.files.restoring import BRANCH, member, picture, restorers_keys, restoring, tar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")


@pytest.fixture
def shop(restoring: Restoring) -> Restoring:
    restoring.full(
        tar(
            member("./"),
            member("a/", mode=0o750, mtime=50),
            member("a/first", b"1", mtime=5),
            member("a/gone", b"gone"),
            member("a/linked", b"linked"),
            member("b/"),
            member("b/also", type=tarfile.LNKTYPE, linkname="a/linked"),
            member("b/deep/"),
            member("b/deep/file", b"deep"),
            member("c", b"c"),
        )
    )
    restoring.increment(
        tar(member("a/", names=["Yfirst", "Nlinked"], mode=0o750, mtime=51), member("a/first", b"2", mtime=6)),
        deleted=["a/gone"],
        tree={"entries": 9, "bytes": 0},
    )
    return restoring


@pytest.fixture
def live(shop: Restoring) -> Path:
    shop.target.mkdir()
    (shop.target / "live").write_bytes(b"live")
    (shop.target / "b").mkdir(mode=0o700)
    (shop.target / "b" / "own").write_bytes(b"own")
    return shop.target


def tree(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def refused(shop: Restoring, *words: str, reason: str, **changes: Any) -> None:
    before = picture(shop.target) if shop.target.exists() else None
    with pytest.raises(BackupError) as caught:
        shop.restore(**changes)
    for each in words:
        assert each in str(caught.value)
    assert caught.value.reason == reason
    assert (picture(shop.target) if shop.target.exists() else None) == before
    assert shop.beside() - {"target", "state"} == {"place"}


def test_the_newest_version_of_a_file(shop: Restoring, live: Path) -> None:
    outcome = shop.restore(paths=("a/first",))
    assert tree(live) == {"live": "live", "b/own": "own", "a/first": "2"}
    assert (live / "a" / "first").stat().st_mtime == 6
    assert (live / "a").stat().st_mode & 0o7777 == 0o750
    assert (live / "a").stat().st_mtime == 51
    assert len(outcome.chain) == 2
    assert shop.beside() == {"place", "state", "target"}


def test_the_version_of_an_earlier_point(shop: Restoring, live: Path) -> None:
    shop.restore(paths=("a/first", "a/gone"), to="set:1")
    assert tree(live) == {"live": "live", "b/own": "own", "a/first": "1", "a/gone": "gone"}


def test_a_directory_with_all_below_it(shop: Restoring, live: Path) -> None:
    shop.restore(paths=("./b/deep/", "a", "a/first"))
    assert tree(live) == {"live": "live", "b/own": "own", "b/deep/file": "deep", "a/first": "2", "a/linked": "linked"}
    assert (live / "b").stat().st_mode & 0o7777 == 0o700


def test_a_hard_link_whose_content_has_another_name(shop: Restoring, live: Path) -> None:
    shop.restore(paths=("b/also",))
    assert tree(live) == {"live": "live", "b/own": "own", "b/also": "linked"}
    assert (live / "b" / "also").stat().st_nlink == 1


def test_into_a_target_that_does_not_exist(shop: Restoring) -> None:
    shop.restore(paths=("a/first",))
    assert tree(shop.target) == {"a/first": "2"}


def test_what_a_hard_link_needed_does_not_come_along(shop: Restoring) -> None:
    shop.restore(paths=("b/also",))
    assert tree(shop.target) == {"b/also": "linked"}
    assert not (shop.target / "a").exists()


def test_what_is_there_is_not_written_over(shop: Restoring, live: Path) -> None:
    (live / "c").write_bytes(b"mine")
    refused(shop, "there already is c", f"confirm to {BRANCH}", reason="not_empty", paths=("c", "a/first"))
    refused(shop, "there already is c", reason="not_empty", paths=("c",), check_mode=True)


@pytest.mark.parametrize("exchange", [True, False])
def test_what_a_confirmed_restore_replaces_is_kept_beside(
    shop: Restoring, live: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:
        without_flags(monkeypatch)
    (live / "c").mkdir()
    (live / "c" / "inside").write_bytes(b"mine")
    plan = shop.restore(paths=("c", "a/first"), confirm=BRANCH).plan
    [kept] = plan["kept"]
    assert os.path.basename(kept).startswith("c.before-restore-")
    assert tree(live) == {
        "live": "live",
        "b/own": "own",
        "a/first": "2",
        "c": "c",
        f"{os.path.basename(kept)}/inside": "mine",
    }
    assert plan["replaces"] == ["c"]


def without_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(_dirfd, "_rename", refuse)


def test_a_file_whose_name_has_no_room_for_more(shop: Restoring, live: Path) -> None:
    name = "é" * 127
    shop.full(tar(member("./"), member(name, b"new")))
    (live / name).write_bytes(b"old")
    [kept] = shop.restore(paths=(name,), confirm=BRANCH).plan["kept"]
    assert (live / name).read_bytes() == b"new"
    assert sorted(path.read_bytes() for path in live.iterdir() if path.is_file()) == [b"live", b"new", b"old"]


@pytest.mark.parametrize("exchange", [True, False])
def test_all_or_nothing(shop: Restoring, live: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        without_flags(monkeypatch)
    (live / "c").write_bytes(b"mine")
    monkeypatch.setattr(_dirfd, "sync_filesystem", lambda _descriptor: syncs.append(1) or fail(len(syncs)))
    syncs: list[int] = []

    def fail(number: int) -> None:
        if number == 2:
            raise OSError(5, "Input/output error")

    refused(shop, "What was there is there still", reason="restore_failed", paths=("a", "b/deep", "c"), confirm=BRANCH)


def test_a_path_that_was_deleted_by_then(shop: Restoring, live: Path) -> None:
    refused(
        shop,
        "a/gone (there last at 2026-11-22T14:01:10Z)",
        "nowhere (in none of the artifacts",
        reason="path_not_found",
        paths=("a/gone", "c", "nowhere"),
    )


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../c", "a//b", ""])
def test_a_path_that_is_not_plain(shop: Restoring, live: Path, path: str) -> None:
    refused(shop, "it must be plain", reason="bad_path", paths=(path,))


def test_everything_is_not_a_path(shop: Restoring, live: Path) -> None:
    refused(shop, "Leave paths away", reason="bad_path", paths=("./",))


def test_a_link_in_the_target_is_not_followed(shop: Restoring, live: Path) -> None:
    elsewhere = shop.root / "place"
    (live / "a").symlink_to(elsewhere)
    before = sorted(os.listdir(elsewhere))
    with pytest.raises(BackupError, match="something that is not a directory") as caught:
        shop.restore(paths=("a/first",))
    assert caught.value.reason == "bad_target"
    assert sorted(os.listdir(elsewhere)) == before


def test_config_by_the_path_that_it_had(shop: Restoring, live: Path) -> None:
    shop.config(tar(member("etc/nginx/nginx.conf", b"nginx"), member("var/www/.env", b"KEY=1", mode=0o600)))
    shop.restore(content="config", paths=("/var/www/.env",))
    assert tree(live) == {"live": "live", "b/own": "own", "var/www/.env": "KEY=1"}


def test_a_directory_that_became_a_file_on_the_way(shop: Restoring, live: Path) -> None:
    shop.increment(
        tar(member("./", names=["Ya", "Db", "Nc"]), member("a", b"now a file")),
        deleted=["a/first", "a/linked"],
        tree={"entries": 7, "bytes": 0},
    )
    refused(shop, "a/first (there last at 2026-11-22T14:02:10Z)", reason="path_not_found", paths=("a/first",))
    shop.restore(paths=("a",))
    assert (live / "a").read_bytes() == b"now a file"

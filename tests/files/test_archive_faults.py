# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that change, vanish, are swapped or cannot be read while they are archived."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.files.meddling import after_listing, after_read, unreadable_sector
from tests.files.shop_files import ShopFiles, made
from tests.files.tree import build_sparse, differences, picture, write

if TYPE_CHECKING:
    from pathlib import Path

MEBIBYTE = 1024 * 1024
# Root without the rights that let it read what is not its own.
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")

pytestmark = pytest.mark.usefixtures("settled")


def append(path: Path, content: bytes = b"more") -> None:
    with open(path, "ab") as handle:
        handle.write(content)


def taken_again(shop: ShopFiles, name: bytes) -> None:
    """The next increment has *name*, and the chain restores the uploads as they are."""
    assert name in shop.paths(shop.increment().artifact)
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}


def test_a_small_file_that_changes_once_is_read_again(shop: ShopFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop.uploads / "order.csv"
    path.write_bytes(b"first")
    after_read(monkeypatch, path, lambda: path.write_bytes(b"second, longer"))
    outcome = shop.archive()
    assert outcome.counts["changed"] == 0
    assert (shop.restore_by_stock_tools() / "order.csv").read_bytes() == b"second, longer"


def test_a_small_file_that_keeps_changing_is_named(shop: ShopFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop.uploads / "till.log"
    path.write_bytes(b"line\n")
    write(shop.uploads, b"z", b"after it")
    after_read(monkeypatch, path, lambda: append(path), times=20)
    outcome = shop.archive()
    name = made(outcome).artifact
    assert outcome.problems["changed"] == ["till.log (it was written to while it was read)"]
    assert any("till.log" in warning for warning in outcome.warnings)
    outcome.require_readable()
    line = next(line for line in shop.index(name) if line["path"] == "till.log")
    assert line["torn"] is True
    assert {"path": "till.log", "type": "problem", "what": "changed"}.items() <= shop.index(name)[-2].items()
    restored = shop.restore_by_stock_tools()
    assert (restored / "till.log").read_bytes().startswith(b"line\nmore")
    assert (restored / "z").read_bytes() == b"after it"
    monkeypatch.undo()
    taken_again(shop, b"till.log")


@pytest.mark.parametrize("sparse", [False, True], ids=["plain", "sparse"])
@pytest.mark.parametrize("act", ["grow", "truncate"])
def test_a_large_file_that_changes_has_the_announced_size(
    shop: ShopFiles, monkeypatch: pytest.MonkeyPatch, act: str, sparse: bool
) -> None:
    path = shop.uploads / "video.mp4"
    size = 3 * MEBIBYTE + 5
    if sparse:
        build_sparse(path, size)
    else:
        path.write_bytes(os.urandom(size))
    write(shop.uploads, b"z", b"after it")
    after_read(monkeypatch, path, (lambda: append(path)) if act == "grow" else (lambda: os.truncate(path, 1000)))
    outcome = shop.archive()
    assert made(outcome).document["problems"]["changed"] == 1
    restored = shop.restore_by_stock_tools()
    assert (restored / "video.mp4").stat().st_size == size
    assert (restored / "z").read_bytes() == b"after it"
    taken_again(shop, b"video.mp4")


def test_a_file_that_is_always_written_to_breaks_nothing(shop: ShopFiles) -> None:
    path = shop.uploads / "app.log"
    path.write_bytes(b"x" * 5 * MEBIBYTE)
    write(shop.uploads, b"z", b"after it")
    writer = subprocess.Popen(["sh", "-c", f"while :; do echo line >> '{path}'; done"])
    try:
        for increment in (False, True, True):
            shop.archive(increment=increment)
            assert (shop.restore_by_stock_tools() / "z").read_bytes() == b"after it"
    finally:
        writer.kill()
        writer.wait()
    taken_again(shop, b"app.log")
    assert shop.verify().failures == []


def test_what_vanishes_is_named_and_is_no_failure(shop: ShopFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (b"a/first", b"at the look", b"directory/x", b"file", b"z"):
        write(shop.uploads, name, b"x")
    after_listing(monkeypatch, shop.uploads, (shop.uploads / "at the look").unlink)
    after_read(monkeypatch, shop.uploads / "a" / "first", lambda: vanish(shop.uploads))
    outcome = shop.archive()
    manifest = made(outcome)
    assert {each.partition(" (")[0] for each in outcome.problems["vanished"]} == {"at the look", "directory", "file"}
    assert shop.paths(manifest.artifact) == [b".", b"a", b"a/first", b"z"]
    assert manifest.document["tree"]["entries"] == 4
    outcome.require_readable()
    monkeypatch.undo()
    shop.increment()
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}


def vanish(uploads: Path) -> None:
    shutil.rmtree(uploads / "directory")
    (uploads / "file").unlink()


@pytest.mark.parametrize("into", ["link", "fifo", "directory"])
def test_what_is_swapped_is_never_followed(shop: ShopFiles, monkeypatch: pytest.MonkeyPatch, into: str) -> None:
    """Between the look and the reading, whoever may write to the uploads puts something else into a file's place."""
    secret = shop.root / "secret"
    write(secret, b"shadow", b"root:secret")
    for name in (b"a", b"directory/shadow", b"shadow"):
        write(shop.uploads, name, b"x")
    after_read(monkeypatch, shop.uploads / "a", lambda: swap(shop.uploads, secret, into))
    outcome = shop.archive()
    name = made(outcome).artifact
    assert b"root:secret" not in shop.plain(name)
    assert shop.paths(name) == [b".", b"a"]
    assert outcome.counts["vanished"] == 2
    monkeypatch.undo()
    shop.increment()
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}


def swap(uploads: Path, secret: Path, into: str) -> None:
    shutil.rmtree(uploads / "directory")
    (uploads / "shadow").unlink()
    for name, target in (("directory", secret), ("shadow", secret / "shadow")):
        if into == "link":
            (uploads / name).symlink_to(target)
        elif into == "fifo" or name == "directory":
            os.mkfifo(uploads / name)
        else:
            (uploads / name).mkdir()


def test_a_link_that_becomes_a_file_is_taken_next_time(shop: ShopFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    write(shop.uploads, b"a", b"x")
    (shop.uploads / "link").symlink_to("a")
    after_read(monkeypatch, shop.uploads / "a", lambda: replace_link(shop.uploads / "link"))
    assert shop.archive().counts["vanished"] == 1
    monkeypatch.undo()
    taken_again(shop, b"link")


def replace_link(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"a file now")


def test_what_cannot_be_read_is_named_and_the_rest_is_kept(shop: ShopFiles) -> None:
    uploads = shop.uploads
    for name in (b"a", b"private", b"closed/x", b"not searchable/x"):
        write(uploads, name, b"x")
    for name, mode in (("private", 0o600), ("closed", 0o700), ("not searchable", 0o744)):
        (uploads / name).chmod(mode)
        os.chown(uploads / name, 1234, 1234)
    said = shop.run(*ORDINARY)
    assert said["reason"] == "unreadable_files"
    for name in ("private", "closed", "not searchable"):
        assert f"{name} (Permission denied)" in said["message"]
    assert said["message"].startswith("Failed to read 3 of the uploads: ")
    assert f"{said['artifact']} was made without them; give the account" in said["message"]
    name = str(said["artifact"])
    assert shop.paths(name) == [b".", b"a"]
    assert shop.verify().failures == []
    for each in ("private", "closed", "not searchable"):
        os.chown(uploads / each, 0, 0)
    shop.increment()
    assert differences(picture(uploads), picture(shop.restore_by_stock_tools())) == {}


def test_a_directory_that_cannot_be_read_does_not_count_as_emptied(shop: ShopFiles) -> None:
    for name in (b"a", b"closed/below/x", b"closed/y", b"later"):
        write(shop.uploads, name, b"x")
    before = picture(shop.uploads)
    shop.full()
    os.chown(shop.uploads / "closed", 1234, 1234)
    (shop.uploads / "closed").chmod(0o700)
    write(shop.uploads, b"later", b"changed")
    said = shop.run(*ORDINARY, increment=True)
    assert said["reason"] == "unreadable_files"
    assert shop.paths(str(said["artifact"]), "deleted") == []
    restored = picture(shop.restore_by_stock_tools())
    assert restored.keys() == before.keys()
    assert shop.run(*ORDINARY, increment=True)["reason"] == "unreadable_files"
    assert picture(shop.restore_by_stock_tools()).keys() == before.keys()
    os.chown(shop.uploads / "closed", 0, 0)
    shop.increment()
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}


def test_what_could_not_be_read_is_tried_again_though_it_did_not_change(
    shop: ShopFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that errs, a mount that hangs: nothing about the file itself tells the next run."""
    for name, size in ((b"small", 10), (b"large", 2 * MEBIBYTE), (b"z", 3)):
        write(shop.uploads, name, b"x" * size)
    unreadable_sector(monkeypatch, shop.uploads / "small")
    outcome = shop.archive()
    monkeypatch.undo()
    assert outcome.problems["unreadable"] == ["small (Input/output error)"]
    assert shop.paths(made(outcome).artifact) == [b".", b"large", b"z"]
    unreadable_sector(monkeypatch, shop.uploads / "large", after=2)
    outcome = shop.archive()
    monkeypatch.undo()
    assert outcome.problems["unreadable"] == ["large (Input/output error)"]
    with pytest.raises(BackupError, match="large"):
        outcome.require_readable()
    taken_again(shop, b"large")


def test_more_unreadable_paths_than_are_held_make_the_next_run_a_full(
    shop: ShopFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ansible_collections.larapee.backup.plugins.module_utils._snapshot.RETAKEN_LIMIT", 3)
    for number in range(30):
        path = os.fsdecode(write(shop.uploads, b"%02d" % number, b"x"))
        if number < 25:
            os.chown(path, 1234, 1234)
            os.chmod(path, 0o600)
    monkeypatch.setattr(os, "open", refusing(os.open))
    outcome = shop.archive()
    monkeypatch.undo()
    assert len(outcome.problems["unreadable"]) == 20
    with pytest.raises(BackupError, match="and 5 more"):
        outcome.require_readable()
    assert any("the next run takes everything again" in warning for warning in outcome.warnings)
    assert shop.increment().kind == "files_full"


def refusing(real):  # type: ignore[no-untyped-def]
    def open_or_refuse(path, flags, *arguments, **options):  # type: ignore[no-untyped-def]
        if isinstance(path, bytes) and path.isdigit() and int(path) < 25:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *arguments, **options)

    return open_or_refuse


def test_a_tree_deeper_than_the_limit_of_open_files(shop: ShopFiles) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    path = os.fsencode(shop.uploads) + b"/d" * 600
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, limit[1]))
    try:
        subprocess.run(["mkdir", "-p", path], check=True)
        manifest = shop.full()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        # pytest itself could not remove it.
        subprocess.run(["rm", "-r", str(shop.uploads)], check=True)
    assert manifest.document["problems"]["unreadable"] == 0
    assert shop.paths(manifest.artifact)[-1] == b"/".join([b"d"] * 600)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fulls and increments of uploads and config, restored by GNU tar and compared entry by entry."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _current, _manifest
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.files.shop_files import BRANCH, ShopFiles, made
from tests.files.tree import ODD_NAMES, add_unarchivable, build_nasty_tree, build_sparse, differences, picture, write

if TYPE_CHECKING:
    from pathlib import Path


def assert_restored(shop: ShopFiles) -> None:
    expected = picture(shop.uploads)
    assert differences(expected, picture(shop.restore_by_stock_tools())) == {}
    assert len(expected) > 1


def test_a_full_of_everything_odd_is_restored_by_stock_tools(shop: ShopFiles) -> None:
    build_nasty_tree(shop.uploads)
    manifest = shop.full()
    assert_restored(shop)
    tree = picture(shop.uploads)
    regular = {twins[0]: size for twins, size in sizes(shop.uploads).items()}
    assert manifest.document["entries"] == manifest.document["tree"]["entries"] == len(tree)
    assert manifest.document["tree"]["bytes"] >= sum(regular.values())
    assert shop.verify().failures == []


def test_a_full_that_one_identity_opens_warns_of_it_and_an_increment_does_not(shop: ShopFiles) -> None:
    (shop.uploads / "a.jpg").write_bytes(b"a")
    alone = shop.keys.recipients[:1]
    full, increment = shop.archive(recipients=alone), shop.archive(increment=True, recipients=alone)
    assert [any("one recipient" in line for line in each.warnings) for each in (full, increment)] == [True, False]


def sizes(root: Path) -> dict[tuple[bytes, ...], int]:
    top = os.fsencode(root)
    return {
        each.twins: os.lstat(os.path.join(top, path)).st_size
        for path, each in picture(root).items()
        if each.kind == 0o100000
    }


def test_python_reads_every_member_and_its_bytes(shop: ShopFiles) -> None:
    build_nasty_tree(shop.uploads)
    name = shop.full().artifact
    expected = picture(shop.uploads)
    with tarfile.open(fileobj=io.BytesIO(shop.plain(name))) as archive:
        members = {os.fsencode(member.name): member for member in archive.getmembers()}
        assert members.keys() == expected.keys()
        for path, member in members.items():
            if member.isreg():
                handle = archive.extractfile(member)
                assert handle is not None
                assert hashlib.sha256(handle.read()).hexdigest() == expected[path].content, path


def test_the_index_says_what_the_archive_holds(shop: ShopFiles) -> None:
    build_nasty_tree(shop.uploads)
    name = shop.full().artifact
    expected = picture(shop.uploads)
    lines = shop.index(name)
    assert lines[-1] == {"type": "end", "entries": len(expected), "deletions": 0}
    top = os.fsencode(shop.uploads)
    for line in lines[:-1]:
        path = os.fsencode(line["path"])
        entry = expected.pop(path)
        assert (line["mode"], line["uid"], line["gid"]) == (entry.mode, *entry.owner), path
        assert line["mtime_ns"] == entry.mtime_ns
        if line["type"] == "file":
            assert (line["sha256"], line["size"]) == (entry.content, os.lstat(os.path.join(top, path)).st_size)
        elif line["type"] == "symlink":
            assert line["target"] == entry.content
        elif line["type"] == "hardlink":
            assert os.fsencode(line["target"]) in entry.twins
    assert expected == {}


def test_members_come_depth_first_in_bytewise_order(shop: ShopFiles) -> None:
    for name in (b"a/x", b"a-b", b"a.c/y", b"B", b"\xc3\xa9", b"\xff", b"\xf0\x9f\x98\x80", b"\xee\x80\x80"):
        write(shop.uploads, name, b"")
    paths = shop.paths(shop.full().artifact)
    assert paths == sorted(paths, key=lambda path: () if path == b"." else tuple(path.split(b"/")))
    assert paths[0] == b"."


@pytest.mark.usefixtures("settled")
def test_increments_restore_exactly_what_was_there_each_time(shop: ShopFiles) -> None:
    build_nasty_tree(shop.uploads)
    shop.full()
    uploads = shop.uploads

    (uploads / "nothing").write_bytes(b"something now")
    (uploads / "empty" / "new one").write_bytes(b"x")
    shutil.rmtree(uploads / "deep")
    (uploads / "odd" / "-rf").unlink()
    first = shop.increment()
    assert first.document["deletions"] == 39
    assert_restored(shop)

    (uploads / "large").rename(uploads / "odd" / "larger")
    os.chown(uploads / "holes", 7, 7)
    os.setxattr(uploads / "with attributes", "user.caption", b"another")
    (uploads / "third of three").unlink()
    (uploads / "links" / "file").unlink()
    (uploads / "links" / "file").symlink_to("elsewhere")
    second = shop.increment()
    assert second.document["base"] == shop.chain()[0]
    assert second.document["previous"] == first.artifact
    assert_restored(shop)

    os.link(uploads / "block", uploads / "links" / "block")
    build_sparse(uploads / "only hole", 1024 * 1024)
    shop.increment()
    assert_restored(shop)
    assert shop.verify().failures == []


@pytest.mark.usefixtures("settled")
def test_what_is_of_another_type_now_is_replaced(shop: ShopFiles) -> None:
    uploads = shop.uploads
    write(uploads, b"file to directory", b"x")
    write(uploads, b"directory to file/below/deeper", b"x")
    write(uploads, b"directory to link/below", b"x")
    (uploads / "link to directory").symlink_to("nowhere")
    write(uploads, b"file to fifo", b"x")
    shop.full()
    for name in ("file to directory", "link to directory", "file to fifo"):
        (uploads / name).unlink()
    for name in ("directory to file", "directory to link"):
        shutil.rmtree(uploads / name)
    write(uploads, b"file to directory/below", b"y")
    write(uploads, b"link to directory/below", b"y")
    write(uploads, b"directory to file", b"y")
    (uploads / "directory to link").symlink_to("nowhere")
    os.mkfifo(uploads / "file to fifo")
    manifest = shop.increment()
    assert set(shop.paths(manifest.artifact, "deleted")) == {
        b"directory to file/below",
        b"directory to file/below/deeper",
        b"directory to link/below",
        b"file to fifo",
    }
    assert_restored(shop)

    for name in ("file to directory", "link to directory"):
        shutil.rmtree(uploads / name)
        write(uploads, name.encode(), b"back")
    for name in ("directory to file", "directory to link"):
        (uploads / name).unlink()
        write(uploads, name.encode() + b"/below", b"back")
    shop.increment()
    assert_restored(shop)


@pytest.mark.usefixtures("settled")
def test_an_increment_holds_only_what_changed(shop: ShopFiles) -> None:
    for number in range(40):
        write(shop.uploads, b"%d/%d" % (number // 10, number), os.urandom(1000))
    shop.full()
    write(shop.uploads, b"2/25", b"changed")
    write(shop.uploads, b"3/new", b"new")
    (shop.uploads / "0" / "5").unlink()
    manifest = shop.increment()
    assert shop.paths(manifest.artifact) == [b"0", b"2", b"2/25", b"3", b"3/new"]
    assert shop.paths(manifest.artifact, "deleted") == [b"0/5"]
    assert manifest.document["tree"] == {"entries": 45, "bytes": 38 * 1000 + len("changed") + len("new")}
    assert_restored(shop)


def test_the_nameless_change_of_the_same_moment_is_taken_again(shop: ShopFiles) -> None:
    """The clock of a filesystem stands still for milliseconds, so that a change can leave no trace in times."""
    write(shop.uploads, b"a", b"1")
    full = shop.full()
    assert shop.paths(full.artifact) == [b".", b"a"]
    assert b"a" in shop.paths(shop.increment().artifact)


@pytest.mark.usefixtures("settled")
def test_unchanged_uploads_make_no_artifact_but_advance_the_tip(shop: ShopFiles) -> None:
    build_nasty_tree(shop.uploads)
    full = shop.full()
    current = shop.remembered / "current.json"
    current.write_text(current.read_text().replace(_manifest.format_time(full.created_at), "2020-01-01T00:00:00Z"))
    before = shop.stored()
    outcome = shop.archive(increment=True)
    assert outcome.unchanged
    assert outcome.manifest is None
    assert shop.stored() == before
    known = _current.read(str(shop.state), BRANCH)["uploads"]
    assert known["artifact"] == full.artifact
    assert known["current_at"] >= _manifest.format_time(full.created_at)


@pytest.mark.usefixtures("settled")
def test_check_mode_says_what_would_be_made_and_writes_nothing(shop: ShopFiles) -> None:
    write(shop.uploads, b"d/a", b"12345")
    preview = shop.archive(check_mode=True, increment=True)
    assert not shop.local.exists()
    assert not shop.state.exists()
    assert preview.plan["kind"] == "files_full"
    assert preview.plan["why"] == "the place has no backup of the uploads yet"
    assert (preview.plan["entries"], preview.plan["bytes"]) == (3, 5)
    shop.full()
    write(shop.uploads, b"d/b", b"123")
    state = sorted(shop.state.rglob("*"))
    before = shop.stored()
    preview = shop.archive(check_mode=True, increment=True)
    assert (preview.plan["kind"], preview.plan["why"]) == ("files_increment", None)
    assert (preview.plan["entries"], preview.plan["bytes"], preview.plan["deletions"]) == (2, 3, 0)
    assert (sorted(shop.state.rglob("*")), shop.stored()) == (state, before)
    shop.increment()
    preview = shop.archive(check_mode=True, increment=True)
    assert preview.unchanged
    assert preview.plan["kind"] is None


@pytest.mark.usefixtures("settled")
def test_config_is_archived_by_its_paths_and_only_when_it_changed(shop: ShopFiles, tmp_path: Path) -> None:
    host = tmp_path / "host"
    environment = host / "var" / ".env"
    write(host, b"releases/7/.env", b"APP_KEY=1\n")
    write(host, b"etc/nginx/sites/shop", b"server {}\n")
    write(host, b"etc/unrelated", b"x")
    environment.parent.mkdir()
    environment.symlink_to("../releases/7/.env")
    paths = (environment, host / "etc/nginx", host / "etc/nginx/sites")
    first = made(shop.config(*paths))
    top = os.fsencode(host).lstrip(b"/") + b"/"
    expected = [b"etc/nginx", b"etc/nginx/sites", b"etc/nginx/sites/shop", b"releases/7/.env", b"var/.env"]
    assert shop.paths(first.artifact) == [top + each for each in expected]
    assert shop.config(*paths, increment=True).unchanged
    write(host, b"etc/nginx/sites/shop", b"server { }\n")
    second = made(shop.config(*paths, increment=True))
    assert second.document["previous"] == first.artifact
    assert shop.paths(second.artifact) == [top + each for each in expected]
    (host / "etc/nginx/sites/shop").unlink()
    assert not shop.config(*paths, increment=True).unchanged
    target = shop.restore_by_stock_tools([second.artifact])
    assert (target / environment.relative_to("/")).is_symlink()
    assert (target / (host / "releases/7/.env").relative_to("/")).read_bytes() == b"APP_KEY=1\n"
    assert shop.verify().failures == []


def test_a_config_path_below_one_that_is_a_link_comes_with_what_the_link_leads_to(
    shop: ShopFiles, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    write(host, b"opt/nginx/nginx.conf", b"http {}\n")
    (host / "etc").mkdir()
    (host / "etc/nginx").symlink_to("../opt/nginx")
    manifest = made(shop.config(host / "etc/nginx", host / "etc/nginx/nginx.conf"))
    top = os.fsencode(host).lstrip(b"/") + b"/"
    expected = [b"etc/nginx", b"opt/nginx", b"opt/nginx/nginx.conf"]
    assert shop.paths(manifest.artifact) == [top + each for each in expected]


def test_all_artifacts_of_one_run_bear_one_set_number(shop: ShopFiles, tmp_path: Path) -> None:
    environment = tmp_path / ".env"
    environment.write_text("x")
    run = "0b8f3f4e-6f2b-4f43-9d5c-0d5f5a1f2a11"
    assert shop.full(run_id=run).set_number == made(shop.config(environment, run_id=run)).set_number == 1
    assert shop.increment().set_number == 2


def test_without_encryption_the_index_is_not_encrypted_either(shop: ShopFiles) -> None:
    write(shop.uploads, b"a", b"1")
    name = shop.full(encrypt=False, recipients=()).artifact
    assert {f"{name}.index.zst", f"{name}.manifest.json", name} < shop.stored()
    assert shop.verify().failures == []


def test_holes_are_neither_stored_nor_filled(shop: ShopFiles) -> None:
    build_sparse(shop.uploads / "disk image", 300 * 1024 * 1024)
    manifest = shop.full()
    assert manifest.plain_size < 1024 * 1024
    assert manifest.document["tree"]["bytes"] == 300 * 1024 * 1024
    assert (shop.restore_by_stock_tools() / "disk image").stat().st_blocks * 512 < 1024 * 1024
    assert_restored(shop)


def test_names_of_files_travel_only_encrypted(shop: ShopFiles) -> None:
    write(shop.uploads, b"IMG_secretname.jpg", b"secret content")
    manifest = shop.full()
    for path in shop.local.iterdir():
        assert b"secret" not in path.read_bytes(), path.name
    assert "secret" not in json.dumps(manifest.document)


def test_only_the_newest_snapshot_of_a_family_is_kept(shop: ShopFiles, tmp_path: Path) -> None:
    environment = tmp_path / ".env"
    environment.write_text("x")
    config = made(shop.config(environment)).artifact
    write(shop.uploads, b"a", b"1")
    shop.full()
    newest = shop.increment().artifact
    kept = {path.name for path in shop.remembered.iterdir() if path.suffix == ".snapshot"}
    assert kept == {f"{config}.snapshot", f"{newest}.snapshot"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in shop.remembered.iterdir())


@pytest.mark.parametrize("name", ODD_NAMES, ids=range(len(ODD_NAMES)))
def test_problems_with_odd_names_are_said_in_one_line(shop: ShopFiles, name: bytes) -> None:
    os.mkfifo(os.fsencode(shop.uploads) + b"/" + name)
    outcome = shop.archive()
    assert outcome.counts["skipped"] == 1
    assert all(warning.isprintable() for warning in outcome.warnings)
    problem = next(line for line in shop.index(made(outcome).artifact) if line["type"] == "problem")
    assert os.fsencode(problem["path"]) == name


def test_sockets_fifos_and_devices_are_named_and_left_out(shop: ShopFiles) -> None:
    names = add_unarchivable(shop.uploads)
    write(shop.uploads, b"a", b"1")
    outcome = shop.archive()
    manifest = made(outcome)
    assert manifest.document["problems"] == {"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 3}
    assert {each.partition(" (")[0] for each in outcome.problems["skipped"]} == names
    assert shop.paths(manifest.artifact) == [b".", b"a"]
    outcome.require_readable()


def test_the_module_arguments_of_both_contents_are_judged(shop: ShopFiles, tmp_path: Path) -> None:
    for changes in ({"paths": ()}, {"paths": ("relative",)}, {"paths": (str(tmp_path / "a"), str(tmp_path / "b"))}):
        with pytest.raises(BackupError) as caught:
            shop.archive(**changes)
        assert caught.value.reason == "bad_paths"

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hard links over increments, what looking after them costs, and symbolic links that lead out of the backup."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._walk import Walk
from tests.files.restoring import restorers_keys, restoring
from tests.files.shop_files import ShopFiles, made
from tests.files.tree import differences, picture, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.files.restoring import Restoring

__all__ = ("restorers_keys", "restoring")

pytestmark = pytest.mark.usefixtures("settled")


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[Walk]:
    """Every walk over a tree from now on."""
    begun: list[Walk] = []
    events = Walk.events

    def counted(walk: Walk) -> Any:
        begun.append(walk)
        return events(walk)

    monkeypatch.setattr(Walk, "events", counted)
    return begun


def link(shop: ShopFiles) -> None:
    """One file under two names, in directories of their own."""
    write(shop.uploads, b"d1/A", b"one inode")
    (shop.uploads / "d2").mkdir()
    os.link(shop.uploads / "d1" / "A", shop.uploads / "d2" / "B")


def outward(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if "lead out of" in warning]


def test_an_increment_takes_all_names_of_a_file_or_none(shop: ShopFiles) -> None:
    link(shop)
    write(shop.uploads, b"d2/alone", b"x")
    shop.full()
    (shop.uploads / "d1").rename(shop.uploads / "d3")
    preview = shop.archive(check_mode=True, increment=True)
    manifest = shop.increment()
    assert shop.paths(manifest.artifact) == [b".", b"d2", b"d2/B", b"d3", b"d3/A"]
    assert shop.paths(manifest.artifact, "hardlink") == [b"d3/A"]
    assert preview.plan["entries"] == manifest.document["entries"]
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}
    assert shop.archive(increment=True).unchanged


def test_a_name_that_moves_takes_the_other_names_of_its_file_along(restoring: Restoring) -> None:
    """In the restores of this project and of stock tools, also by an increment upon such an increment."""
    shop = ShopFiles(restoring.root, restoring.keys)
    shop.local, shop.state = restoring.place, restoring.state
    link(shop)
    write(shop.uploads, b"d5/deep/alone", b"x")
    os.link(shop.uploads / "d1" / "A", shop.uploads / "d5" / "deep" / "C")
    shop.full()
    for before, after in (("d1", "d3"), ("d3", "d4")):
        (shop.uploads / before).rename(shop.uploads / after)
        shop.increment()
        restoring.target = restoring.root / f"restored to {after}"
        restoring.restore()
        for target in (shop.restore_by_stock_tools(), restoring.target):
            assert len({(target / name).stat().st_ino for name in (f"{after}/A", "d2/B", "d5/deep/C")}) == 1
            assert differences(picture(shop.uploads), picture(target)) == {}


def test_a_tree_without_hard_links_is_walked_once(shop: ShopFiles, walks: list[Walk]) -> None:
    write(shop.uploads, b"d1/A", b"x")
    shop.full()
    (shop.uploads / "d1").rename(shop.uploads / "d3")
    shop.increment()
    assert len(walks) == 2
    os.link(shop.uploads / "d3" / "A", shop.uploads / "B")
    shop.increment()
    assert len(walks) == 3
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}
    (shop.uploads / "d3").rename(shop.uploads / "d4")
    shop.increment()
    assert len(walks) == 5


def test_a_snapshot_that_does_not_count_links_may_have_some(shop: ShopFiles) -> None:
    link(shop)
    path = shop.remembered / f"{shop.full().artifact}.snapshot"
    raw = path.read_bytes()
    header = json.loads(raw[:1024])
    assert header.pop("links") == 2
    path.write_bytes(json.dumps(header).encode().ljust(1023) + raw[1023:])
    (shop.uploads / "d1").rename(shop.uploads / "d3")
    assert b"d2/B" in shop.paths(shop.increment().artifact)


def test_links_out_of_the_uploads_are_counted_and_named(shop: ShopFiles) -> None:
    write(shop.uploads, b"d/e/file", b"x")
    links = {
        "d/e/far": "../../../elsewhere",
        "d/e/odd\n\u001b": "/etc",
        "d/beside": "../../uploads-old/x",
        "up": "..",
        "in": "d/e/file",
        "d/e/top": "../..",
        "d/e/round": "../../../uploads/d",
        "whole": str(shop.uploads / "d"),
        "nowhere": "d/nowhere",
    }
    for name, target in links.items():
        (shop.uploads / name).symlink_to(target)
    (warning,) = outward(shop.archive().warnings)
    assert warning.startswith(
        "4 symbolic links lead out of the uploads (d/beside, d/e/far, d/e/odd\\n\\x1b, up): what they lead to is not "
        "in this backup; "
    )
    assert warning.isprintable()
    write(shop.uploads, b"new", b"x")
    assert outward(shop.archive(increment=True).warnings) == []
    (shop.uploads / "again").symlink_to("/etc")
    (warning,) = outward(shop.archive(increment=True).warnings)
    assert warning.startswith("1 symbolic links lead out of the uploads (again): ")


def test_of_many_links_twenty_are_named(shop: ShopFiles) -> None:
    for number in range(23):
        (shop.uploads / f"{number:02}").symlink_to("/etc")
    (warning,) = outward(shop.archive().warnings)
    assert "23 symbolic links" in warning
    assert "18, 19 and 3 more): " in warning


def test_links_out_of_the_config_are_those_to_what_no_path_holds(shop: ShopFiles, tmp_path: Path) -> None:
    host = tmp_path / "host"
    write(host, b"shared/.env", b"APP_KEY=1\n")
    write(host, b"releases/7/x", b"x")
    write(host, b"etc/nginx/sites-available/shop", b"server {}\n")
    write(host, b"etc/nginx-old/shop", b"server {}\n")
    (host / "current").symlink_to("releases/7")
    (host / "releases/7/.env").symlink_to("../../shared/.env")
    enabled = host / "etc/nginx/sites-enabled"
    enabled.mkdir()
    (enabled / "shop").symlink_to("../sites-available/shop")
    (enabled / "env").symlink_to(host / "shared/.env")
    paths = (host / "current/.env", host / "etc/nginx")
    assert outward(shop.config(*paths).warnings) == []
    (enabled / "old").symlink_to("../../nginx-old/shop")
    (host / "etc/nginx/modules").symlink_to("/usr/lib/nginx/modules")
    outcome = shop.config(*paths)
    (warning,) = outward(outcome.warnings)
    top = str(host).lstrip("/")
    named = f"{top}/etc/nginx/modules, {top}/etc/nginx/sites-enabled/old"
    assert warning.startswith(f"2 symbolic links lead out of the config ({named}): what they lead to is not in ")
    assert "larapee_backup_config_paths" in warning
    assert made(outcome).document["problems"] == {"changed": 0, "vanished": 0, "unreadable": 0, "skipped": 0}

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._selection import Selection

if TYPE_CHECKING:
    from pathlib import Path


def test_a_path_takes_what_is_below_it_and_what_leads_to_it() -> None:
    selection = Selection(["a/b"], absolute=False)
    assert [selection.takes(parts) for parts in ((), (b"a",), (b"a", b"b"), (b"a", b"b", b"c"))] == [True] * 4
    assert [selection.takes(parts) for parts in ((b"b",), (b"a", b"bb"), (b"a", b"c"))] == [False] * 3


def test_paths_below_others_are_said_already() -> None:
    assert Selection(["a/b/", "./a", "a", "ab"], absolute=False).wanted == [(b"a",), (b"ab",)]


def test_only_config_is_named_by_absolute_paths() -> None:
    assert Selection(["/etc/nginx"], absolute=True).wanted == [(b"etc", b"nginx")]
    with pytest.raises(BackupError, match="must be plain"):
        Selection(["/etc/nginx"], absolute=False)


def test_what_is_needed_for_a_link_is_asked_for_once() -> None:
    selection = Selection(["link"], absolute=False)
    assert not selection.takes((b"content",))
    assert selection.needs((b"content",))
    assert selection.needs((b"content",))
    assert selection.grow()
    assert selection.takes((b"content",))
    assert selection.unwanted() == [(b"content",)]
    assert not selection.needs((b"content",))
    assert not selection.grow()
    assert not selection.needs((b"link", b"below"))


def test_what_is_missing_is_named_with_when_it_was_there_last(tmp_path: Path) -> None:
    selection = Selection(["a/b", "c"], absolute=False)
    top = os.open(tmp_path, os.O_RDONLY)
    try:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b").write_bytes(b"")
        selection.look(top, when="monday")
        (tmp_path / "a" / "b").unlink()
        selection.look(top, when="tuesday")
        with pytest.raises(BackupError, match=r"a/b \(there last at monday\); c \(in none") as caught:
            selection.require_all()
        assert caught.value.reason == "path_not_found"
        (tmp_path / "c").symlink_to("nowhere")
        (tmp_path / "a" / "b").mkdir()
        selection.look(top, when="wednesday")
        selection.require_all()
    finally:
        os.close(top)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils._member_names import (
    DEEPEST,
    MemberError,
    leads_out,
    printable,
    split_dumpdir,
    split_path,
)

STEPS = st.lists(st.sampled_from(["..", ".", "", "a", "b", "s"]), min_size=1, max_size=6).map("/".join)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (b".", ()),
        (b"./", ()),
        (b"./a", (b"a",)),
        (b"a/b/", (b"a", b"b")),
        (b"...", (b"...",)),
        (b"..a/-b", (b"..a", b"-b")),
        (b"a\n/\xff", (b"a\n", b"\xff")),
    ],
)
def test_plain_names(name: bytes, parts: tuple[bytes, ...]) -> None:
    assert split_path(name, directory=True) == parts


@pytest.mark.parametrize("name", [b"", b"/", b"//a", b"..", b"a/..", b"./..", b"././a", b"a\0b", b".//a", b"./."])
def test_names_that_are_refused(name: bytes) -> None:
    with pytest.raises(MemberError):
        split_path(name, directory=True)


def test_a_path_deeper_than_programs_reach_is_refused() -> None:
    assert len(split_path(b"/".join([b"d"] * DEEPEST))) == DEEPEST
    with pytest.raises(MemberError, match="deeper"):
        split_path(b"/".join([b"d"] * (DEEPEST + 1)))


@given(st.binary(max_size=200))
def test_a_name_is_split_into_its_parts_or_refused(name: bytes) -> None:
    try:
        parts = split_path(name)
    except MemberError:
        return
    assert b"/".join(parts) in (name, name[2:], b"")
    assert not any(b"/" in part or part in (b"", b".", b"..") for part in parts)


@given(st.binary(max_size=60))
def test_a_list_of_names_is_taken_or_refused(raw: bytes) -> None:
    try:
        names = split_dumpdir(b"d", raw)
    except MemberError:
        return
    assert not any(b"/" in name or len(name) < 2 for name in names)


@given(st.binary(max_size=400))
def test_any_name_can_be_shown(name: bytes) -> None:
    assert printable(name).isprintable()


@given(target=STEPS, other=STEPS, depth=st.integers(1, 3))
def test_links_that_stay_inside_stay_inside_whatever_they_meet(target: str, other: str, depth: int) -> None:
    """What the kernel makes of two links that were let through, one of which may lead over the other."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name).resolve() / "top"
        home = top.joinpath(*"abc"[: depth - 1])
        for directory in (home, home / "a", home / "a" / "b", top / "b"):
            directory.mkdir(parents=True, exist_ok=True)
        links = {home / "s": other, home / "t": target}
        for link, text in links.items():
            parts = tuple(os.fsencode(part) for part in link.relative_to(top).parts)
            if not leads_out(parts, text.encode(), top=os.fsencode(top)):
                link.symlink_to(text or ".")
        for link in links:
            where = reached(link)
            assert where is None or where.is_relative_to(top)


def reached(path: Path) -> Path | None:
    """Where the kernel comes to, None for a loop or a dead end."""
    try:
        descriptor = os.open(path, os.O_PATH)
    except OSError:
        return None
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    finally:
        os.close(descriptor)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks over random trees, compared with their snapshots: what changed, what is gone, and nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.larapee.backup.plugins.module_utils import _walk
from ansible_collections.larapee.backup.plugins.module_utils._compare import Comparison
from ansible_collections.larapee.backup.plugins.module_utils._problems import Problems
from ansible_collections.larapee.backup.plugins.module_utils._snapshot import Snapshot, SnapshotWriter
from ansible_collections.larapee.backup.plugins.module_utils._walk import Directory, Root, Walk

SHA = "0" * 64
# Names that sort differently as bytes, as text and as paths.
PARTS = st.sampled_from([b"a", b"a-", b"a.b", b"B", b"\xff", "\ue000".encode(), "\U0001f600".encode(), b"a\nb", b"b"])
TREES = st.dictionaries(st.lists(PARTS, min_size=1, max_size=4).map(b"/".join), st.binary(max_size=3), max_size=12)


class Seen(NamedTuple):
    taken: list[bytes]
    gone: list[bytes]
    dumpdirs: dict[bytes, bytes]


def walk(root: Path, state: Path, *, before: str | None, after: str) -> Seen:
    seen = Seen([], [], {})
    snapshot = Snapshot(str(state), before, sha256=SHA) if before else None
    comparison = Comparison(snapshot, gone=seen.gone.append) if snapshot else None
    with SnapshotWriter(str(state), content="uploads") as writer:
        roots = [Root(name=b".", directory=os.fsencode(root), leaf=b".")]
        for event in Walk(roots, problems=Problems(), comparison=comparison, writer=writer).events():
            if not isinstance(event, Directory) or event.take:
                seen.taken.append(event.path)
            if isinstance(event, Directory) and event.take:
                seen.dumpdirs[event.path] = bytes(event.dumpdir)
        writer.save(after, sha256=SHA)
    if snapshot:
        with snapshot:
            pass
    return seen


def build(root: Path, tree: dict[bytes, bytes]) -> None:
    """Files of *tree*; one whose name a directory has already, or that lies below a file, is left out."""
    for path, content in sorted(tree.items()):
        whole = os.path.join(os.fsencode(root), path)
        try:
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            with open(whole, "wb") as handle:
                handle.write(content)
        except OSError:
            continue


def listing(root: Path) -> dict[bytes, os.stat_result]:
    top = os.fsencode(root)
    found = {b".": os.lstat(top)}
    for directory, directories, files in os.walk(top):
        for name in directories + files:
            found[os.path.relpath(os.path.join(directory, name), top)] = os.lstat(os.path.join(directory, name))
    return found


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "RACY_NS", 0)


@pytest.mark.usefixtures("settled")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=TREES, new=TREES, removed=st.sets(PARTS))
def test_what_changed_and_what_is_gone(old: dict[bytes, bytes], new: dict[bytes, bytes], removed: set[bytes]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root, state = Path(directory) / "uploads", Path(directory) / "state"
        root.mkdir()
        state.mkdir()
        build(root, old)
        full = walk(root, state, before=None, after="1")
        before = listing(root)
        assert full.taken == sorted(before, key=lambda path: () if path == b"." else tuple(path.split(b"/")))
        assert walk(root, state, before="1", after="2") == Seen([], [], {})
        for name in removed:
            path = os.path.join(os.fsencode(root), name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)
        build(root, new)
        after = listing(root)
        seen = walk(root, state, before="2", after="3")
        assert set(seen.gone) == before.keys() - after.keys()
        assert len(seen.gone) == len(set(seen.gone))
        changed = {path for path in after if path not in before or differs(before[path], after[path])}
        assert changed <= set(seen.taken)
        # A directory is taken, too, when a file in it is.
        assert set(seen.taken) - changed <= {os.path.dirname(path) or b"." for path in changed}
        for path, dumpdir in seen.dumpdirs.items():
            assert names_in(dumpdir) == names_below(after, path)
        assert walk(root, state, before="3", after="4") == Seen([], [], {})


def differs(one: os.stat_result, other: os.stat_result) -> bool:
    return _walk.signature_of(one) != _walk.signature_of(other)


def names_in(dumpdir: bytes) -> dict[bytes, bool]:
    """Names, and whether they are directories."""
    assert dumpdir.endswith(b"\0")
    return {each[1:]: each[:1] == b"D" for each in dumpdir.split(b"\0") if each}


def names_below(tree: dict[bytes, os.stat_result], path: bytes) -> dict[bytes, bool]:
    return {
        os.path.basename(each): status.st_mode & 0o170000 == 0o040000
        for each, status in tree.items()
        if each != b"." and (os.path.dirname(each) or b".") == path
    }


def test_roots_of_any_order_are_compared_with_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "RACY_NS", 0)
    build(tmp_path, {b"etc/nginx/a": b"1", b"etc-x": b"2", b"etc/app.conf": b"3"})
    names = [b"etc-x", b"etc/nginx", b"etc/app.conf"]
    roots = [
        Root(name=name, directory=os.path.dirname(os.fsencode(tmp_path) + b"/" + name), leaf=os.path.basename(name))
        for name in names
    ]
    with SnapshotWriter(str(tmp_path), content="config") as writer:
        taken = [event.path for event in Walk(roots, problems=Problems(), writer=writer).events()]
        assert taken == [b"etc/app.conf", b"etc/nginx", b"etc/nginx/a", b"etc-x"]
        assert writer.save("1", sha256=SHA)
    gone: list[bytes] = []
    with Snapshot(str(tmp_path), "1", sha256=SHA) as snapshot:
        comparison = Comparison(snapshot, gone=gone.append)
        events = list(Walk(roots[:2], problems=Problems(), comparison=comparison).events())
    assert [event.path for event in events if not isinstance(event, Directory) or event.take] == []
    assert gone == [b"etc/app.conf"]


@pytest.mark.parametrize(("changed_ago_s", "taken_again"), [(0.0, True), (1.9, True), (5.0, False), (-3600.0, False)])
def test_what_changed_just_before_is_taken_again(tmp_path: Path, changed_ago_s: float, taken_again: bool) -> None:
    """And not what has a time far ahead of the clock: it would be taken again until the clock gets there."""
    walk_of = Walk([], problems=Problems())
    moment = walk_of._start - int(changed_ago_s * 1e9)
    assert walk_of._is_racy(moment) is taken_again

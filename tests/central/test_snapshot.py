# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nightly snapshot of one branch: what it holds, how it shares its bytes, and when an older one may go."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import (
    _catalog,
    _clone,
    _estate,
    _lease,
    _lock,
    _prune,
    _signature,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES, Central, defects, tree

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIRST = CODES[0]


def free_bytes(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


def mode(path: Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_a_snapshot_is_a_whole_place_of_its_own(central: Central) -> None:
    branch = central.branch(runs=2)
    (branch.directory / "tip.json").write_text("{}")
    outcome = central.snapshot()
    assert central.snapshots() == ["20260305-0100"]
    made = central.newest()
    assert defects(made, central.keys, central.state) == []
    names = {path.name for path in branch.directory.iterdir()} | {"snapshot.json"}
    assert {path.name for path in made.iterdir()} == names
    assert {mode(path) for path in made.iterdir()} == {0o400}
    assert (mode(made), {os.lstat(path).st_uid for path in (made, *made.iterdir())}) == (0o500, {0})
    document = json.loads((made / "snapshot.json").read_text())
    assert (document["branch"], document["number"], document["left_out"]) == (FIRST, 1, {})
    entries = _catalog.read_catalogue(str(branch.directory)).entries
    facts = [{"name": e.name, "size": e.manifest.size, "sha256": e.manifest.sha256} for e in entries]
    assert document["artifacts"] == facts
    assert document["recovery_point"] == outcome.recovery_point == "2026-03-04T23:00:00Z"
    report = outcome.report()
    (artifact,) = report["artifacts"]
    assert artifact["name"] == f"{FIRST}/20260305-0100"
    assert artifact["sha256"] == hashlib.sha256((made / "snapshot.json").read_bytes()).hexdigest()
    assert "error" not in report


def test_a_second_snapshot_in_one_minute_has_a_name_of_its_own(central: Central) -> None:
    central.branch()
    assert [central.snapshot().name for _turn in range(2)] == ["20260305-0100", "20260305-0100-00"]
    with pytest.raises(BackupError, match="every name of this minute is taken"):
        central.snapshot()


def test_links_share_what_only_root_can_write(central: Central) -> None:
    branch = central.branch()
    others = branch.directory / branch.name(1, "config")
    others.chmod(0o620)
    outcome = central.snapshot(method="auto")
    made = central.newest()
    assert outcome.methods == {"link": 10, "copy": 1}
    dump = branch.name(1, "db_full")
    assert (made / dump).samefile(branch.directory / dump)
    assert not (made / others.name).samefile(others)
    assert mode(branch.directory / dump) == 0o400
    with pytest.raises(BackupError, match="others could write to the file") as caught:
        central.snapshot(method="link", hours=1)
    assert caught.value.reason == "cannot_share"
    central.snapshot(hours=1)
    assert [name for name in central.snapshots() if name.startswith(".")] == []


def test_a_copy_shares_nothing(central: Central) -> None:
    branch = central.branch()
    assert central.snapshot(method="copy").methods == {"copy": 11}
    made = central.newest()
    assert {os.lstat(path).st_nlink for path in made.iterdir()} == {1}
    branch.damage(1)
    assert defects(made, central.keys, central.state) == []


def test_reflinks_are_refused_where_the_filesystem_cannot(central: Central) -> None:
    central.branch()
    with pytest.raises(BackupError, match="Set larapee_backup_snapshot_method to auto") as caught:
        central.snapshot(method="reflink")
    assert caught.value.reason == "cannot_share"


def test_reflinks_share_blocks_and_no_damage(reflinking: Central) -> None:
    branch = reflinking.branch()
    assert reflinking.snapshot().methods == {"reflink": 11}
    made = reflinking.newest()
    dump = branch.name(1, "db_full")
    assert not (made / dump).samefile(branch.directory / dump)
    assert {mode(path) for path in made.iterdir()} == {0o400}
    branch.damage(1)
    assert defects(made, reflinking.keys, reflinking.state) == []


def test_what_is_damaged_is_left_out_and_no_older_snapshot_goes(central: Central) -> None:
    branch = central.branch(runs=2)
    central.snapshot(keep_days=1)
    branch.damage(2)
    damaged = branch.name(2, "db_full")
    outcome = central.snapshot(keep_days=1, hours=47)
    assert list(outcome.left_out) == [damaged]
    assert [each.reason for each in outcome.failures] == ["left_out"]
    assert "its SHA-256 is not that of its manifest" in outcome.report()["error"]
    assert outcome.recovery_point == "2026-03-03T23:00:00Z"
    assert damaged not in {path.name for path in central.newest().iterdir()}
    assert len(central.snapshots()) == 2
    branch.damage(2)
    assert central.snapshot(keep_days=1, hours=47).removed == ["20260305-0100", "20260307-0000"]


def test_bytes_that_were_read_a_short_while_ago_are_not_read_again(central: Central) -> None:
    branch = central.branch()
    central.snapshot()
    branch.damage(1)
    path = branch.directory / branch.name(1, "db_full")
    status = path.stat()
    assert central.snapshot(hours=1).left_out == {path.name: "its SHA-256 is not that of its manifest"}
    branch.damage(1)
    assert central.snapshot(hours=1).left_out == {}
    known = path.stat()
    branch.damage(1)
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert central.snapshot(hours=25).left_out == {}
    assert list(central.snapshot(hours=2).left_out) == [path.name]
    assert status.st_size == path.stat().st_size


def test_a_judged_signature_is_judged_again_when_anything_about_it_changes(
    central: Central, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    branch = central.branch(runs=2)
    asked: list[str] = []
    verify = _signature.verify

    def counted(*signed: bytes, principal: str, allowed_signers: str, at: dt.datetime) -> None:
        asked.append(principal)
        verify(*signed, principal=principal, allowed_signers=allowed_signers, at=at)

    monkeypatch.setattr(_signature, "verify", counted)
    central.snapshot()
    assert len(asked) == 6
    central.snapshot(hours=1)
    assert len(asked) == 6
    signature = branch.directory / f"{branch.name(1, 'config')}.manifest.json.sig"
    signature.write_bytes((branch.directory / f"{branch.name(2, 'config')}.manifest.json.sig").read_bytes())
    assert list(central.snapshot(hours=1).left_out) == [branch.name(1, "config")]
    assert len(asked) == 7
    # Somebody else was enrolled: nothing that concerns this branch.
    more = tmp_path / "more"
    more.write_text((central.keys / "allowed_signers").read_text() + "branch-999 ssh-ed25519 AAAA\n")
    central.snapshot(hours=1, allowed_signers=str(more))
    assert len(asked) == 8
    strangers = tmp_path / "strangers"
    lines = (central.keys / "allowed_signers").read_text().splitlines()
    strangers.write_text(f"{FIRST} {lines[1].split(maxsplit=1)[1]}\n")
    with pytest.raises(BackupError) as caught:
        central.snapshot(hours=1, allowed_signers=str(strangers))
    assert caught.value.reason == "nothing_intact"


def test_a_place_that_is_missing_or_empty_is_an_error(central: Central) -> None:
    with pytest.raises(BackupError, match="which has never delivered") as caught:
        central.snapshot()
    assert caught.value.reason == "no_place"
    (central.path / "branches" / FIRST).mkdir()
    with pytest.raises(BackupError, match="nothing in .* is intact") as caught:
        central.snapshot()
    assert caught.value.reason == "nothing_intact"
    with pytest.raises(BackupError, match="allowed signers"):
        central.snapshot(allowed_signers="/nonexistent")
    with pytest.raises(BackupError, match="one is the least"):
        central.snapshot(keep_days=0)
    with (
        _lock.hold(str(central.state), f"snapshot-{FIRST}", run_id="other"),
        pytest.raises(BackupError, match="process .* of run other"),
    ):
        central.snapshot()


def test_check_mode_tells_and_changes_nothing(central: Central) -> None:
    central.branch()
    assert central.snapshot(check_mode=True).name is None
    assert not central.state.exists()
    for _night in range(2):
        central.snapshot(hours=20)
    before = tree(central.path), tree(central.state)
    preview = central.snapshot(keep_days=1, hours=20, check_mode=True)
    assert (preview.name, preview.removed, preview.report()["artifacts"]) == (None, ["20260305-2100"], [])
    assert (tree(central.path), tree(central.state)) == before
    (central.path / "branches" / FIRST / "db-20260305-0059.sql.gz.manifest.json.sig").write_bytes(b"")
    assert central.snapshot(keep_days=1, check_mode=True).removed == []


def test_snapshots_go_by_age_and_never_while_they_are_read(central: Central) -> None:
    central.branch()
    for _night in range(4):
        central.snapshot(keep_days=2, hours=24)
    assert central.snapshots() == [f"2026030{day}-0100" for day in (7, 8, 9)]
    oldest = str(central.path / "snapshots" / FIRST / "20260307-0100")
    with _lease.hold(_catalog.read_catalogue(oldest).entries[:1]):
        assert central.snapshot(keep_days=2, hours=24, method="copy").removed == []
    # A clock that jumps a year ahead ages nothing.
    assert central.snapshot(keep_days=2, hours=24 * 365).removed == ["20260307-0100"]
    assert len(central.snapshots()) == 4


def test_what_only_looks_like_a_snapshot_is_left_alone_and_told(central: Central) -> None:
    central.branch()
    central.snapshot()
    strange = central.path / "snapshots" / FIRST / "20250101-0000"
    strange.mkdir()
    outcome = central.snapshot(hours=24)
    assert [each.reason for each in outcome.failures] == ["bad_snapshot"]
    assert "20250101-0000: its snapshot.json is unusable" in outcome.report()["error"]
    assert strange.exists()


def test_what_is_just_being_adopted_is_no_fault(central: Central, monkeypatch: pytest.MonkeyPatch) -> None:
    branch = central.branch()
    name = branch.name(1, "config")
    signature = branch.directory / f"{name}.manifest.json.sig"
    stray = branch.directory / "db-20260305-0059.sql.gz.manifest.json.sig"
    stray.write_bytes(signature.read_bytes())
    monkeypatch.setattr("time.sleep", lambda _seconds: stray.unlink(missing_ok=True))
    assert central.snapshot().left_out == {}
    stray.write_bytes(signature.read_bytes())
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    assert list(central.snapshot(hours=1).left_out) == [stray.name]


@pytest.mark.parametrize("moment", ["read", "cloned"])
def test_a_snapshot_that_meets_retention_is_whole(
    central: Central, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    shop = central.branch(runs=5)
    pruned = []

    def prune() -> None:
        if not pruned:
            pruned.append(True)
            request = {"directory": str(shop.directory), "keep_days": 3}
            _prune.prune_place(_prune.PruneRequest(**central.common(FIRST, **request)))

    read, clone = _estate.read_place, _clone.clone

    def then_pruned(directory: str) -> _catalog.Catalogue:
        found = read(directory)
        prune()
        return found

    def before_pruned(source: str, target: str, methods: Sequence[str]) -> str:
        prune()
        return clone(source, target, methods)

    monkeypatch.setattr(_estate, "read_place", then_pruned if moment == "read" else read)
    monkeypatch.setattr(_clone, "clone", before_pruned if moment == "cloned" else clone)
    outcome = central.snapshot()
    assert pruned
    # What is being taken stays for another night; what went before is not taken.
    assert shop.sets() == ([3, 4, 5] if moment == "read" else [1, 2, 3, 4, 5])
    assert len(outcome.taken) == (9 if moment == "read" else 15)
    assert outcome.left_out == {}
    assert defects(central.newest(), central.keys, central.state) == []


def test_a_full_disk_leaves_no_rubbish_and_room_makes_it_good(tmp_path: Path, keys: Path) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "none", str(root)], check=True)
    try:
        central = Central(root, keys)
        branch = central.branch(runs=4)
        filler = root / "filler"
        filler.write_bytes(b"x" * (free_bytes(root) - 20 * 4096))
        before = free_bytes(root)
        with pytest.raises(BackupError, match="No space left on device. Check the free space") as caught:
            central.snapshot(method="copy")
        assert caught.value.reason == "snapshot_failed"
        assert central.snapshots() == []
        # The proofs and the empty directory stay.
        assert before - free_bytes(root) <= 4 * 4096
        assert branch.verify() == []
        filler.unlink()
        central.snapshot(method="copy")
        assert defects(central.newest(), keys, central.state) == []
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_the_immutable_flag_holds_root_off_and_cleaning_clears_it(central: Central) -> None:
    branch = central.branch()
    central.snapshot(immutable=True, keep_days=1, method="copy")
    first = central.newest()
    assert all(_clone.is_immutable(str(path)) for path in (first, *first.iterdir()))
    with pytest.raises(PermissionError):
        (first / "snapshot.json").unlink()
    with pytest.raises(PermissionError):
        (first / branch.name(1, "config")).write_bytes(b"changed")
    central.snapshot(immutable=True, keep_days=1, method="link", hours=20)
    second = central.newest()
    assert _clone.is_immutable(str(second))
    # Retention at central must still be able to remove what it shares.
    assert not _clone.is_immutable(str(branch.directory / branch.name(1, "config")))
    with pytest.raises(PermissionError):
        (second / branch.name(1, "config")).unlink()
    outcome = central.snapshot(keep_days=1, hours=40)
    assert (outcome.removed, outcome.failures) == ([first.name, second.name], [])
    assert len(central.snapshots()) == 1


def test_without_the_capability_the_error_names_it(central: Central, tmp_path: Path) -> None:
    central.branch()
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\nfrom tests.central.central import Central\n"
        "outcome = Central(Path(sys.argv[1]), Path(sys.argv[2])).snapshot(immutable=True)\nprint(outcome.report())\n"
    )
    root = os.getcwd()
    done = subprocess.run(
        ["setpriv", "--bounding-set=-linux_immutable", sys.executable, str(program), str(tmp_path), str(central.keys)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, os.path.join(root, "collection")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Give the unit the capability CAP_LINUX_IMMUTABLE" in done.stdout
    assert "'reason': 'not_immutable'" in done.stdout
    assert defects(central.newest(), central.keys, central.state) == []

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What befalls central in the middle of a pull, and what it must not believe afterwards."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _ledger, _quarantine, _rsync, _verify
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import defects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pull.shop import Shop

ROOT = Path(__file__).resolve().parents[2]


def processes_of(shop: Shop) -> list[str]:
    """The commands that have the directory of this test among their arguments, sshd's own aside."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(str(shop.root).encode() in word for word in words) and not words[0].endswith(b"sshd"):
            found.append(b" ".join(words).decode())
    return [each for each in found if re.search(r"\b(rsync|ssh)\b", each) and "--server" not in each]


def start(shop: Shop) -> subprocess.Popen[bytes]:
    """A pull in a process of its own, slow enough to be killed."""
    program = (
        "import sys, json\n"
        "from ansible_collections.larapee.backup.plugins.module_utils import _pull, _rsync\n"
        "facts, way = json.loads(sys.argv[1]), json.loads(sys.argv[2])\n"
        "_pull.pull(_pull.PullRequest(way=_rsync.Way(**way), **facts))\n"
    )
    facts = {
        "central_path": str(shop.central),
        "allowed_signers": str(shop.keys / "allowed_signers"),
        "state_path": str(shop.state),
        "run_id": str(uuid.uuid4()),
        "reserve": 0,
        "bandwidth": 500,
    }
    way = vars(shop.way())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "collection"), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", program, json.dumps(facts), json.dumps(way)], env=environment)


def wait_until(condition: Any, *, seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_central_killed_in_the_middle_of_a_pull(shop: Shop) -> None:
    large = shop.local / "db-20200101-0000.sql.gz.age"
    with large.open("wb") as handle:
        handle.truncate(64 << 20)
    process = start(shop)
    wait_until(lambda: any(path.name.startswith(".db-") for path in shop.incoming.rglob("*")))
    assert processes_of(shop)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not processes_of(shop))
    assert shop.adopted() == []
    large.unlink()
    report = shop.pull()
    assert "error" not in report, report
    assert shop.adopted() == shop.made()
    assert defects(shop.place, shop.keys, shop.state, shop.code) == []


@pytest.fixture
def small(shop: Shop) -> Iterator[Shop]:
    """Central on a disk of two mebibytes."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=0711", "tmpfs", str(shop.central)], check=True)
    shop.make_central()
    yield shop
    subprocess.run(["umount", str(shop.central)], check=True)


@pytest.mark.parametrize("left", [0, 4096, 16384, 65536])
def test_centrals_disk_fills(small: Shop, left: int) -> None:
    """At whatever point: each artifact is adopted wholly, or not at all, and the row says why."""
    filler = small.central / "filler"
    with filler.open("wb") as handle:
        free = os.statvfs(small.central)
        handle.write(bytes(max(0, free.f_bavail * free.f_frsize - left)))
    report = small.pull()
    assert report["details"]["reason"] in ("disk_full", "not_reached", "not_taken_in", "not_all_read"), report
    for name in small.adopted():
        assert (small.place / name).read_bytes() == (small.local / name).read_bytes()
    filler.unlink()
    report = small.pull()
    assert "error" not in report, report
    assert small.adopted() == small.made()
    assert defects(small.place, small.keys, small.state, small.code) == []


def test_what_an_earlier_version_remembered_costs_another_look_and_nothing_else(shop: Shop) -> None:
    shop.pull()
    memory = shop.state / "pulled" / f"{shop.code}-all.json"
    document = json.loads(memory.read_text())
    document["schema"] = 1
    del document["standing"]["damaged"]
    memory.write_text(json.dumps(document))
    report = shop.pull()
    assert "error" not in report, report


def test_a_key_that_is_no_longer_valid_signs_nothing(shop: Shop) -> None:
    signers = shop.root / "allowed_signers"
    line = (shop.keys / "allowed_signers").read_text().splitlines()[0]
    ended = dt.datetime.now(dt.UTC) - dt.timedelta(hours=2)
    signers.write_text(line.replace("namespaces=", f'valid-before="{ended:%Y%m%d%H%M%S}Z",namespaces=') + "\n")
    report = shop.pull(allowed_signers=str(signers))
    assert report["details"]["reason"] == "refused"
    assert shop.adopted() == []
    assert f"not signed by {shop.code}" in report["error"]
    report = shop.pull()
    assert shop.adopted() == shop.made()


def test_what_verification_found_damaged_is_not_acknowledged(shop: Shop) -> None:
    shop.pull()
    name = next(each for each in shop.made() if each.startswith("db-"))
    with (shop.place / name).open("r+b") as handle:
        handle.write(b"rotten")
    request = _verify.VerifyRequest(
        branch=shop.code,
        directory=str(shop.place),
        allowed_signers=str(shop.keys / "allowed_signers"),
        state_path=str(shop.state),
        run_id=str(uuid.uuid4()),
    )
    _verify.verify_place(request)
    shop.pull()
    assert name not in json.loads(shop.acknowledged.read_text())["artifacts"]


def test_a_rebuilt_branch_that_counts_from_one_again_is_not_taken_for_its_own_past(shop: Shop) -> None:
    _ledger.write_ledger(
        str(shop.place), _ledger.Ledger(branch=shop.code, pruned={"db_full": ((1, 400),), "config": ((1, 400),)})
    )
    report = shop.pull()
    assert shop.adopted() == shop.made(), report


def test_a_late_full_of_a_rebuilt_branch_is_adopted(new_shop: Shop) -> None:
    """Large fulls come hourly, after smaller ones that were made later."""
    shop = new_shop
    shop.branch.run("full")
    late = {path: path.read_bytes() for path in shop.local.iterdir() if path.name.startswith("db-")}
    shop.branch.pass_hours(0.1)
    shop.branch.run("full")
    shop.tip()
    for path in late:
        path.unlink()
    _ledger.write_ledger(str(shop.place), _ledger.Ledger(branch=shop.code, pruned={"db_full": ((1, 400),)}))
    shop.open().pull()
    for path, content in late.items():
        path.write_bytes(content)
    shop.pull()
    assert shop.adopted() == shop.made()


def test_what_retention_removed_does_not_come_back(new_shop: Shop) -> None:
    shop = new_shop
    shop.branch.pass_hours(-72)
    shop.branch.run("full")
    (name,) = (each for each in shop.made() if each.startswith("config-"))
    shop.branch.pass_hours(72)
    shop.branch.run("full")
    shop.tip()
    shop.open().pull()
    number = json.loads((shop.place / f"{name}.manifest.json").read_text())["sequence"]
    for path in shop.place.glob(f"{name}*"):
        path.unlink()
    _ledger.write_ledger(str(shop.place), _ledger.Ledger(branch=shop.code, pruned={"config": ((number, number),)}))
    (shop.state / "pulled" / f"{shop.code}-all.json").unlink()
    report = shop.pull()
    assert "error" not in report, report
    assert shop.adopted() == [each for each in shop.made() if each != name]
    assert report["details"]["pruned_before"] == 1


def test_the_other_kind_of_pull_knows_the_newest_tip_too(shop: Shop) -> None:
    shop.pull(scope="all")
    old = {name: (shop.local / name).read_bytes() for name in ("tip.json", "tip.json.sig")}
    time.sleep(1.1)
    shop.tip()
    shop.pull(scope="log")
    newest = (shop.place / "tip.json").read_bytes()
    for name, content in old.items():
        (shop.local / name).write_bytes(content)
        # To rsync a file of the same size and second is the same file.
        os.utime(shop.local / name, (time.time() + 2, time.time() + 2))
    report = shop.pull(scope="all")
    assert report["details"]["tip"] == "it is older than the one that central has"
    assert (shop.place / "tip.json").read_bytes() == newest


def test_sums_that_a_killed_run_did_not_write_are_written(shop: Shop) -> None:
    shop.pull()
    (shop.place / "SHA256SUMS").unlink()
    shop.pull()
    assert defects(shop.place, shop.keys, shop.state, shop.code) == []


def test_what_was_refused_for_a_part_is_judged_again_when_the_part_is_another(shop: Shop) -> None:
    index = next(shop.local.glob("public-uploads-*.index.zst.age"))
    name = index.name.removesuffix(".index.zst.age")
    right = index.read_bytes()
    index.write_bytes(bytes(len(right)))
    assert name in shop.pull()["details"]["refused"]
    index.write_bytes(right)
    # To rsync a file of the same size and second is the same file.
    os.utime(index, (time.time() + 2, time.time() + 2))
    assert "error" not in shop.pull()
    assert name in shop.adopted()


def test_the_quarantine_is_bounded(shop: Shop) -> None:
    quarantine = shop.central / "quarantine" / shop.code
    for number in range(_quarantine.MOST_ENTRIES):
        (quarantine / f"20261122T000000Z-{number}").mkdir()
    name = next(each for each in shop.made() if each.startswith("config-"))
    (shop.local / f"{name}.manifest.json.sig").write_text("no signature")
    report = shop.pull()
    assert name in report["details"]["refused"]
    assert len(list(quarantine.iterdir())) == _quarantine.MOST_ENTRIES


def test_what_is_too_large_is_kept_aside_without_its_bytes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quarantine, "MOST_BYTES", 8000)
    name = next(each for each in shop.made() if each.startswith("config-"))
    (shop.local / name).write_bytes(bytes(9000))
    shop.pull()
    (kept,) = (shop.central / "quarantine" / shop.code).iterdir()
    assert sorted(path.name for path in kept.iterdir()) == [
        f"{name}.manifest.json",
        f"{name}.manifest.json.sig",
        "reason.json",
    ]


def test_a_quarantine_that_cannot_be_written_keeps_nothing_from_being_adopted(shop: Shop) -> None:
    name = next(each for each in shop.made() if each.startswith("config-"))
    (shop.local / f"{name}.manifest.json.sig").write_text("no signature")
    quarantine = shop.central / "quarantine" / shop.code
    quarantine.rmdir()
    quarantine.write_text("in the way")
    report = shop.pull()
    assert shop.adopted() == [each for each in shop.made() if each != name]
    assert "no copy could be kept" in report["details"]["refused"][name]


@pytest.mark.parametrize(
    ("code", "reason"), [(0, None), (24, None), (23, "not_all_read"), (30, "not_reached"), (12, "not_reached")]
)
def test_each_end_of_rsync_is_judged(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, code: int, reason: str | None
) -> None:
    fake = shop.root / "bin" / "rsync"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "rsync: [sender] open /x failed: Permission denied (13)" >&2\nexit {code}\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    arguments = {"deadline": 10.0, "reserve": 0, "max_size": 0, "bandwidth": 0}
    if reason is None:
        _rsync.fetch(shop.way(), str(shop.incoming), **arguments)
        return
    with pytest.raises(BackupError) as caught:
        _rsync.fetch(shop.way(), str(shop.incoming), **arguments)
    assert caught.value.reason == reason

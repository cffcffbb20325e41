# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pull over real SSH: what is adopted, what is not, and that nothing which happens to a branch harms what was."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from tests.central.central import CODES, defects, tree

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pull.shop import Shop


def test_a_set_is_adopted_as_roots_own_and_acknowledged(shop: Shop) -> None:
    report = shop.pull()
    assert "error" not in report, report
    assert shop.adopted() == shop.made()
    assert len(report["artifacts"]) == 3
    assert report["recovery_point"] is not None
    assert defects(shop.place, shop.keys, shop.state, shop.code) == []
    for path in shop.place.iterdir():
        status = path.lstat()
        assert (status.st_uid, status.st_mode & 0o777, status.st_nlink) == (0, 0o600, 1), path
    told = json.loads(shop.acknowledged.read_text())
    assert sorted(told["artifacts"]) == shop.made()


def test_nothing_new_costs_no_signature_and_no_reading(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shop.pull()
    before = tree(shop.place)

    def never(*_arguments: object, **_names: object) -> None:
        pytest.fail("an artifact was looked at again")

    monkeypatch.setattr("ansible_collections.larapee.backup.plugins.module_utils._incoming.Adopter", never)
    monkeypatch.setattr("ansible_collections.larapee.backup.plugins.module_utils._rsync.acknowledge", never)
    again = shop.pull()
    assert again["artifacts"] == []
    assert again["recovery_point"] == first["recovery_point"]
    assert tree(shop.place) == before


def test_a_lost_memory_costs_another_look_and_nothing_else(shop: Shop) -> None:
    shop.pull()
    before = tree(shop.place)
    shutil.rmtree(shop.state / "pulled")
    report = shop.pull()
    assert "error" not in report
    assert shop.adopted() == shop.made()
    assert {name: facts for name, facts in tree(shop.place).items() if name.startswith("db-")} == {
        name: facts for name, facts in before.items() if name.startswith("db-")
    }


def test_increments_follow(shop: Shop) -> None:
    shop.pull()
    shop.branch.run("log")
    shop.tip()
    report = shop.pull(scope="log")
    assert "error" not in report
    assert len(report["artifacts"]) == 2
    assert shop.adopted() == shop.made()
    assert defects(shop.place, shop.keys, shop.state, shop.code) == []


def test_a_preview_changes_nothing(shop: Shop) -> None:
    report = shop.pull(check_mode=True)
    assert report["artifacts"] == []
    assert list(shop.incoming.iterdir()) == []
    assert shop.adopted() == []
    assert not shop.acknowledged.exists()


@pytest.mark.parametrize("missing", ["", ".manifest.json.sig"])
def test_what_lacks_a_part_waits(shop: Shop, missing: str) -> None:
    name = next(each for each in shop.made() if each.startswith("db-"))
    part = shop.local / (name + missing)
    kept = part.read_bytes()
    part.unlink()
    report = shop.pull()
    assert name in report["details"]["waiting"]
    assert "error" not in report
    assert name not in shop.adopted()
    part.write_bytes(kept)
    assert "error" not in shop.pull()
    assert name in shop.adopted()


@pytest.mark.parametrize("damage", ["flipped", "longer", "unsigned", "other branch", "edited"])
def test_what_is_wrong_is_refused_and_kept_aside(shop: Shop, damage: str) -> None:
    name = next(each for each in shop.made() if each.startswith("db-"))
    path = shop.local / name
    manifest = shop.local / f"{name}.manifest.json"
    if damage == "flipped":
        content = bytearray(path.read_bytes())
        content[0] ^= 1
        path.write_bytes(content)
    elif damage == "longer":
        path.write_bytes(path.read_bytes() + b"x")
    elif damage == "unsigned":
        (shop.local / f"{name}.manifest.json.sig").write_text("no signature")
    elif damage == "other branch":
        document = manifest.read_text().replace(CODES[0], CODES[1])
        manifest.write_text(document)
        sign(shop.keys / CODES[1], manifest)
    else:
        manifest.write_text(manifest.read_text().replace('"size"', '"size" '))
    report = shop.pull()
    assert report["details"]["reason"] == "refused", report
    assert name in report["details"]["refused"]
    assert name not in shop.adopted()
    (kept,) = (shop.central / "quarantine" / shop.code).iterdir()
    assert json.loads((kept / "reason.json").read_text())["artifact"] == name
    assert (kept / f"{name}.manifest.json").read_bytes() == manifest.read_bytes()
    again = shop.pull()
    assert "error" not in again
    assert name in again["details"]["refused"]


def sign(key: Path, manifest: Path) -> None:
    manifest.with_name(manifest.name + ".sig").unlink()
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "larapee-backup", "-f", str(key), str(manifest)],
        check=True,
        capture_output=True,
    )


def test_a_ransomed_branch_cannot_harm_what_was_adopted(shop: Shop) -> None:
    shop.pull()
    before = tree(shop.place)
    for path in shop.local.iterdir():
        if path.is_file():
            path.write_bytes(os.urandom(100))
    report = shop.pull()
    assert {name: facts for name, facts in tree(shop.place).items() if name} == {
        name: facts for name, facts in before.items() if name
    }
    assert report["details"]["reason"] in ("refused", "not_delivered")
    for path in shop.local.iterdir():
        if path.is_file():
            path.unlink()
    shop.pull()
    assert [path.name for path in shop.incoming.iterdir() if path.is_file()] == []
    assert sorted(tree(shop.place)) == sorted(before)
    assert defects(shop.place, shop.keys, shop.state, shop.code) == []


def test_another_artifact_under_a_name_that_was_adopted_is_refused(shop: Shop) -> None:
    shop.pull()
    before = tree(shop.place)
    name = next(each for each in shop.made() if each.startswith("config-"))
    manifest = shop.local / f"{name}.manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema"', '"note": "new", "schema"', 1))
    sign(shop.keys / shop.code, manifest)
    report = shop.pull()
    assert "another artifact of this name was adopted before" in report["error"]
    assert tree(shop.place) == before


def test_an_older_state_under_a_new_name_is_refused(shop: Shop) -> None:
    """Rightly signed by the branch, as a thief of its key would: a number that is held already."""
    shop.pull()
    name = next(each for each in shop.made() if each.startswith("config-"))
    forged = name.replace("config-2", "config-3")
    manifest = shop.local / f"{name}.manifest.json"
    new = shop.local / f"{forged}.manifest.json"
    shutil.copy(shop.local / name, shop.local / forged)
    for companion in shop.local.glob(f"{name}.index*"):
        shutil.copy(companion, shop.local / companion.name.replace(name, forged))
    new.write_text(manifest.read_text().replace(name, forged))
    shutil.copy(manifest, new.with_name(new.name + ".sig"))
    sign(shop.keys / shop.code, new)
    report = shop.pull()
    assert f"is {name} already" in report["error"]
    assert forged not in shop.adopted()


def test_an_older_tip_is_not_taken(shop: Shop) -> None:
    old = {name: (shop.local / name).read_bytes() for name in ("tip.json", "tip.json.sig")}
    time.sleep(1.1)
    shop.tip()
    shop.pull()
    newest = (shop.place / "tip.json").read_bytes()
    for name, content in old.items():
        (shop.local / name).write_bytes(content)
        # To rsync a file of the same size and second is the same file.
        os.utime(shop.local / name, (time.time() + 2, time.time() + 2))
    report = shop.pull()
    assert report["details"]["tip"] == "it is older than the one that central has"
    assert (shop.place / "tip.json").read_bytes() == newest


@pytest.mark.parametrize(
    "name",
    [
        "db-20261122-0300.sql.gz.age\n.manifest.json",
        "-rf",
        "x" * 250,
        "db-'; touch x;'.sql.gz",
        "../db-x",
        "a b \U0001f600",
    ],
)
def test_odd_names_come_nowhere(shop: Shop, name: str) -> None:
    expected = shop.made()
    (shop.local / name.replace("/", "_")).write_text("{}")
    report = shop.pull()
    assert shop.adopted() == expected, report
    assert sorted(path.name for path in shop.central.iterdir()) == ["branches", "incoming", "quarantine"]


@pytest.mark.parametrize("kind", ["symlink", "symlink to its like", "fifo", "directory"])
def test_what_the_pulling_account_could_plant_is_never_followed(shop: Shop, kind: str) -> None:
    """As if a fault in rsync had given the branch that account: root must not be led astray."""
    secret = shop.root / "secret"
    secret.write_text("of root alone")
    shop.pull()
    shop.close()
    name = next(each for each in shop.made() if each.startswith("db-"))
    shutil.rmtree(shop.state / "pulled")
    for path in shop.place.iterdir():
        path.unlink()
    target = shop.incoming / name
    like = shutil.copy(target, shop.root / "like")
    target.unlink()
    if kind.startswith("symlink"):
        target.symlink_to(secret if kind == "symlink" else like)
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.mkdir()
    report = shop.pull()
    assert name in report["details"]["refused"]
    assert not any(b"of root alone" in path.read_bytes() for path in shop.place.iterdir())


def test_a_wrong_host_key_is_no_branch(shop: Shop) -> None:
    other = shop.root / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    public = other.with_suffix(".pub").read_text().split()[:2]
    (shop.ssh / "known_hosts").write_text(f"[127.0.0.1]:{shop.port} {' '.join(public)}\n")
    report = shop.pull()
    assert report["details"]["reason"] == "not_reached"
    assert "Host key verification failed" in report["error"]
    assert list(shop.incoming.iterdir()) == []


def test_a_key_that_the_branch_does_not_know_is_said(shop: Shop) -> None:
    (shop.root / f"sshd-{shop.code}" / "authorized_keys").write_text("")
    report = shop.pull()
    assert "Permission denied" in report["error"]


def test_the_key_opens_nothing_but_the_backups(shop: Shop) -> None:
    argv = ["ssh", *shop.way().ssh("pull_key")[1:], "127.0.0.1"]
    for command in ("id", "rsync --server -logDtpre.iLsfxC . /etc", "rsync --server --sender -r . /../etc"):
        done = subprocess.run([*argv, command], capture_output=True, text=True)
        assert done.returncode != 0, command
        assert "uid=" not in done.stdout


def test_a_silent_branch_costs_its_timeout(shop: Shop) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        way = shop.way(port=mute.getsockname()[1], connect_timeout=2)
        began = time.monotonic()
        report = shop.pull(way=way)
    assert report["details"]["reason"] == "not_reached"
    assert time.monotonic() - began < 10


def test_a_branch_that_drips_is_given_up_and_gone_on_with(shop: Shop) -> None:
    large = shop.local / "db-20200101-0000.sql.gz.age"
    with large.open("wb") as handle:
        handle.truncate(64 << 20)
    began = time.monotonic()
    report = shop.pull(deadline=4.0, bandwidth=100)
    assert time.monotonic() - began < 15
    assert report["details"]["reason"] == "too_slow"


def test_a_disk_with_its_reserve_only_takes_nothing(shop: Shop) -> None:
    report = shop.pull(reserve=1 << 60)
    assert report["details"]["reason"] == "disk_full"
    assert list(shop.incoming.iterdir()) == []


def test_a_dead_branch_is_said(shop: Shop) -> None:
    shop.pull()
    shop.close()
    report = shop.pull(max_age=0)
    assert "Failed to pull from" in report["error"]
    assert "Failed to hear from" in report["error"]
    assert report["recovery_point"] is not None


def test_two_pulls_at_once(shop: Shop) -> None:
    results: list[object] = []

    def one(scope: str) -> None:
        try:
            results.append(shop.pull(scope=scope))
        except BackupError as exc:
            results.append(exc.reason)

    threads = [threading.Thread(target=one, args=(scope,)) for scope in ("log", "all")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(each, dict) and "error" not in each for each in results), results
    assert shop.adopted() == shop.made()
    assert defects(shop.place, shop.keys, shop.state, shop.code) == []


def test_what_a_killed_adoption_left_is_cleared(shop: Shop) -> None:
    staging = shop.place / ".adopting-all"
    staging.mkdir()
    (staging / "half").write_text("x")
    name = next(each for each in shop.made() if each.startswith("db-"))
    (shop.place / name).write_text("an artifact that never got its manifest")
    assert "error" not in shop.pull()
    assert not staging.exists()
    assert (shop.place / name).read_bytes() == (shop.local / name).read_bytes()

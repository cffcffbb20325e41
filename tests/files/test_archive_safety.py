# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive refuses, what it does when the host fails it, and when an increment becomes a full."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _clock, _lock
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._lineage import Lineage
from ansible_collections.larapee.backup.plugins.module_utils._publish import Reservation
from tests.database.estate import FakeTools
from tests.files.shop_files import BRANCH, ShopFiles, made
from tests.files.tree import differences, picture, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MEBIBYTE = 1024 * 1024

pytestmark = pytest.mark.usefixtures("settled")


@pytest.mark.parametrize("what", ["missing", "file"])
def test_uploads_that_are_no_directory_are_a_failure(shop: ShopFiles, what: str) -> None:
    shop.uploads.rmdir()
    if what == "file":
        shop.uploads.write_bytes(b"x")
    with pytest.raises(BackupError, match=r"^Failed to archive /.*: .*\. Set larapee_backup_uploads_path") as caught:
        shop.archive()
    assert caught.value.reason == "source_missing"
    assert shop.stored() == set()


@pytest.mark.parametrize("what", ["missing", "dangling"])
def test_a_config_path_that_is_not_there_is_a_failure(shop: ShopFiles, what: str) -> None:
    environment = shop.root / ".env"
    if what == "dangling":
        environment.symlink_to("nowhere")
    (shop.root / "nginx.conf").write_bytes(b"x")
    with pytest.raises(BackupError, match="No such file.*Set larapee_backup_config_paths") as caught:
        shop.config(shop.root / "nginx.conf", environment)
    assert caught.value.reason == "source_missing"


@pytest.mark.parametrize("call", ["stat", "listdir"])
def test_uploads_that_go_while_they_are_archived_are_not_an_empty_tree(
    shop: ShopFiles, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write(shop.uploads, b"a", b"x")
    shop.full()
    before = shop.stored()
    real = getattr(os, call)

    def failing(path: Any, **options: Any) -> Any:
        if path == b"." or isinstance(path, int):
            raise PermissionError(13, "Permission denied")
        return real(path, **options)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(BackupError, match="Failed to read .*uploads") as caught:
        shop.archive(increment=True)
    assert caught.value.reason == "source_unreadable"
    assert shop.stored() == before


@pytest.mark.parametrize("where", ["inside", "itself", "by a link", "by a mount", "state"])
def test_a_place_within_the_uploads_is_refused(shop: ShopFiles, where: str) -> None:
    inside = shop.uploads / "backups"
    inside.mkdir()
    if where == "state":
        shop.state = inside
    elif where == "itself":
        shop.local = shop.uploads
    elif where == "inside":
        shop.local = inside / "not yet there"
    else:
        shop.local = shop.root / "elsewhere"
        if where == "by a link":
            shop.local.symlink_to(inside)
        else:
            shop.local.mkdir()
            subprocess.run(["mount", "--bind", str(shop.uploads), str(shop.local)], check=True)
    try:
        with pytest.raises(BackupError, match="lies in it") as caught:
            shop.archive()
    finally:
        if where == "by a mount":
            subprocess.run(["umount", str(shop.local)], check=True)
    assert caught.value.reason == "source_holds_place"
    with pytest.raises(BackupError, match="lies in it"):
        shop.config(shop.root, local_path=str(shop.root / "local"))


def test_empty_uploads_are_a_success_and_said_when_they_were_not_empty(shop: ShopFiles) -> None:
    outcome = shop.archive()
    assert made(outcome).document["tree"] == {"entries": 1, "bytes": 0}
    assert outcome.warnings == []
    write(shop.uploads, b"a/b", b"x")
    shop.increment()
    shutil.rmtree(shop.uploads / "a")
    outcome = shop.archive(increment=True)
    assert made(outcome).document["deletions"] == 2
    assert any("is empty; it had 2 entries" in warning for warning in outcome.warnings)
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}


def remove_snapshot(shop: ShopFiles, newest: str) -> None:
    (shop.remembered / f"{newest}.snapshot").unlink()


def flip(shop: ShopFiles, newest: str) -> None:
    path = shop.remembered / f"{newest}.snapshot"
    raw = bytearray(path.read_bytes())
    raw[-9] ^= 1
    path.write_bytes(raw)


def cut(shop: ShopFiles, newest: str) -> None:
    os.truncate(shop.remembered / f"{newest}.snapshot", 1100)


def cut_header(shop: ShopFiles, newest: str) -> None:
    os.truncate(shop.remembered / f"{newest}.snapshot", 100)


def snapshot_of_another(shop: ShopFiles, newest: str) -> None:
    path = shop.remembered / f"{newest}.snapshot"
    header = json.loads(path.read_bytes()[:1024])
    raw = json.dumps({**header, "sha256": "0" * 64}).encode().ljust(1023) + b"\n" + path.read_bytes()[1024:]
    path.write_bytes(raw)


def remove_artifact(shop: ShopFiles, newest: str) -> None:
    (shop.local / newest).unlink()


def cut_base(shop: ShopFiles, newest: str) -> None:
    os.truncate(shop.local / shop.chain()[0], 10)


def remove_base(shop: ShopFiles, newest: str) -> None:
    for path in shop.local.glob(f"{shop.chain()[0]}*"):
        path.unlink()


def remove_middle(shop: ShopFiles, newest: str) -> None:
    for path in shop.local.glob(f"{shop.chain()[1]}*"):
        path.unlink()


def remove_newest(shop: ShopFiles, newest: str) -> None:
    """As when the place was put back to an older state: the state remembers what the place does not hold."""
    for path in shop.local.glob(f"{newest}*"):
        path.unlink()


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (remove_snapshot, "the snapshot of .* is missing"),
        (flip, "the snapshot of .* is damaged"),
        (cut, "the snapshot of .* is damaged"),
        (cut_header, "the snapshot of .* is damaged"),
        (snapshot_of_another, "is that of another artifact"),
        (remove_artifact, "cannot be read: No such file"),
        (cut_base, "has 10 bytes"),
        (remove_middle, "does not join its chain"),
        (remove_newest, "the snapshot of .* is missing"),
    ],
)
def test_an_increment_that_has_nothing_to_stand_on_becomes_a_full(
    shop: ShopFiles, fault: Callable[[ShopFiles, str], None], why: str
) -> None:
    write(shop.uploads, b"a", b"1")
    shop.full()
    for name in (b"b", b"c"):
        write(shop.uploads, name, b"2")
        newest = shop.increment().artifact
    fault(shop, newest)
    write(shop.uploads, b"d", b"3")
    preview = shop.archive(increment=True, check_mode=True)
    assert preview.plan["kind"] == "files_full"
    outcome = shop.archive(increment=True)
    assert made(outcome).kind == "files_full"
    assert re.search(why, outcome.plan["why"])
    assert any(outcome.plan["why"] in warning for warning in outcome.warnings)
    restored = shop.restore_by_stock_tools([made(outcome).artifact])
    assert differences(picture(shop.uploads), picture(restored)) == {}
    write(shop.uploads, b"e", b"4")
    assert shop.increment().kind == "files_increment"


def test_without_its_base_an_increment_is_never_made(shop: ShopFiles) -> None:
    write(shop.uploads, b"a", b"1")
    shop.full()
    write(shop.uploads, b"b", b"1")
    newest = shop.increment().artifact
    remove_base(shop, newest)
    write(shop.uploads, b"c", b"1")
    assert shop.increment().kind == "files_full"


def test_a_new_epoch_of_the_database_begins_with_a_full(shop: ShopFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    write(shop.uploads, b"a", b"1")
    first = shop.full()
    epoch = "7d1e1de0-9b35-4a65-8c0c-1f6a5e2b3c4d"
    monkeypatch.setattr(Lineage, "_find_epoch", lambda _self: epoch)
    outcome = shop.archive(increment=True)
    assert made(outcome).kind == "files_full"
    assert outcome.plan["why"] == "the database has begun a new epoch"
    assert made(outcome).epoch == epoch != first.epoch


def test_a_clock_set_back_is_said_and_nothing_is_missed(shop: ShopFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    write(shop.uploads, b"a", b"1")
    full = shop.full()
    year_ago = full.created_at - dt.timedelta(days=365)
    monkeypatch.setattr(_clock, "now", lambda: year_ago)
    write(shop.uploads, b"a", b"2")
    os.utime(shop.uploads / "a", (year_ago.timestamp(), year_ago.timestamp()))
    increment = shop.increment(allowed_signers=None)
    assert b"a" in shop.paths(increment.artifact)
    assert increment.artifact == f"public-uploads-{year_ago:%Y%m%d-%H%M}.incr.tar.zst.age"
    write(shop.uploads, b"a", b"3")
    outcome = shop.archive(allowed_signers=None)
    assert any("The clock says" in warning for warning in outcome.warnings)
    assert made(outcome).sequence == 2
    assert shop.chain() == [made(outcome).artifact]


def test_two_runs_at_once(shop: ShopFiles) -> None:
    write(shop.uploads, b"a", b"1")
    for name in (f"files-{BRANCH}-uploads", f"restore-{BRANCH}"):
        with _lock.hold(str(shop.state), name, run_id="other"), pytest.raises(BackupError) as caught:
            shop.archive()
        assert caught.value.reason == "lock_held"
    environment = shop.root / ".env"
    environment.write_text("x")
    with _lock.hold(str(shop.state), f"files-{BRANCH}-uploads", run_id="other"):
        made(shop.config(environment))
    assert [name for name in shop.stored() if name.startswith("public-uploads")] == []


@pytest.fixture
def small_disk(shop: ShopFiles, request: pytest.FixtureRequest) -> Iterator[ShopFiles]:
    directory: Path = shop.root / request.param
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(directory)], check=True)
    try:
        yield shop
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.parametrize("small_disk", ["local", "state"], indirect=True)
def test_a_disk_that_fills_leaves_nothing(small_disk: ShopFiles) -> None:
    shop = small_disk
    if shop.local.exists():
        write(shop.uploads, b"a", os.urandom(4 * MEBIBYTE))
    else:
        for number in range(8000):
            write(shop.uploads, b"%d/%s%d" % (number // 1000, b"n" * 200, number), b"")
    with pytest.raises(BackupError, match="No space left on device|bytes are free") as caught:
        shop.archive(reserve_bytes=0)
    assert caught.value.reason == "disk_full"
    assert shop.stored() == set()
    assert not list((shop.state / "files" / BRANCH).iterdir())


@pytest.mark.parametrize("small_disk", ["local"], indirect=True)
def test_the_reserve_and_the_size_of_the_last_full_are_checked_before(small_disk: ShopFiles) -> None:
    shop = small_disk
    write(shop.uploads, b"a", os.urandom(600_000))
    with pytest.raises(BackupError, match="are needed") as caught:
        shop.archive(reserve_bytes=2 * MEBIBYTE)
    assert caught.value.reason == "disk_full"
    shop.full(reserve_bytes=0)
    with pytest.raises(BackupError, match="are needed"):
        shop.archive(reserve_bytes=0, check_mode=True)


def test_the_quota_is_kept(shop: ShopFiles) -> None:
    write(shop.uploads, b"a", os.urandom(40 * MEBIBYTE))
    with pytest.raises(BackupError, match="quota") as caught:
        shop.archive(quota_bytes=20 * MEBIBYTE)
    assert caught.value.reason == "quota_reached"
    assert shop.stored() == set()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["terminated", "killed"])
def test_an_interrupted_run_leaves_nothing_that_counts(
    shop: ShopFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    write(shop.uploads, b"a", os.urandom(3 * MEBIBYTE))
    with monkeypatch.context() as patched:
        tools = FakeTools(tmp_path / "bin", patched)
        tools.script("zstd", "exec sleep 600")
        process = shop.start()
        wait_for(lambda: any(name.endswith(".part") for name in shop.stored()))
        time.sleep(0.2)
        process.send_signal(number)
        said = process.communicate(timeout=30)[0]
    if number == signal.SIGTERM:
        assert json.loads(said)["reason"] == "interrupted"
        assert shop.stored() == set()
        assert [path.name for path in shop.remembered.iterdir()] == []
    outcome = shop.archive()
    made(outcome)
    assert any("Removed what an interrupted run left" in warning for warning in outcome.warnings) == (
        number == signal.SIGKILL
    )
    assert not [name for name in (*shop.stored(), *os.listdir(shop.remembered)) if name.startswith(".")]
    assert shop.verify().failures == []


def test_a_run_killed_between_snapshot_and_publishing_is_followed_by_a_right_increment(
    shop: ShopFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop.uploads, b"a", b"1")
    full = shop.full()
    write(shop.uploads, b"b", b"2")
    with monkeypatch.context() as patched:
        patched.setattr(Reservation, "publish", power_cut)
        with pytest.raises(KeyboardInterrupt):
            shop.archive(increment=True)
    write(shop.uploads, b"c", b"3")
    increment = shop.increment()
    assert increment.document["previous"] == full.artifact
    assert {b"b", b"c"} < set(shop.paths(increment.artifact))
    assert differences(picture(shop.uploads), picture(shop.restore_by_stock_tools())) == {}


def power_cut(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


def test_a_stage_that_fails_leaves_nothing(shop: ShopFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(shop.uploads, b"a", os.urandom(3 * MEBIBYTE))
    FakeTools(tmp_path / "bin", monkeypatch).script("age", 'case "$*" in *--version*) echo 1;; *) exit 3;; esac')
    with pytest.raises(BackupError, match="age ended with status 3"):
        shop.archive()
    assert shop.stored() == set()


def test_a_snapshot_that_was_saved_says_what_the_manifest_says(shop: ShopFiles) -> None:
    write(shop.uploads, b"a", b"1")
    manifest = shop.full()
    header = json.loads((shop.remembered / f"{manifest.artifact}.snapshot").read_bytes()[:1024])
    assert (header["artifact"], header["sha256"]) == (manifest.artifact, manifest.sha256)

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime as dt
import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.larapee.backup.plugins.module_utils import _catalog, _publish
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.tests.unit.plugins.module_utils import crashes

COLLECTION_ROOT = Path(_publish.__file__).resolve().parents[5]
MOMENT = crashes.MOMENT
MANIFEST, SIGNATURE = ".manifest.json", ".manifest.json.sig"


def reserve(directory: Path, *, now: dt.datetime = MOMENT, **changes: object) -> _publish.Reservation:
    options = {"kind": "db_full", "compression": "gzip", "encrypted": True, "run_id": "r", **changes}
    return _publish.reserve(str(directory), now=now, **options)  # type: ignore[arg-type]


def write_part(reservation: _publish.Reservation, content: bytes = b"ciphertext") -> None:
    with os.fdopen(reservation.open_part(), "wb") as handle:
        handle.write(content)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def crash(mode: str, root: Path) -> list[Path]:
    """Return the directories that the crashes left, one each."""
    done = subprocess.run(
        [sys.executable, crashes.__file__, mode, str(root)],
        env={**os.environ, "PYTHONPATH": str(COLLECTION_ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


def assert_complete_or_nothing(directory: Path, content: dict[str, bytes] | None = None) -> bool:
    """After a sweep: all files of the artifact or none, nothing hidden of ours, and every foreign file as it was."""
    found = {path.name: path.read_bytes() for path in directory.iterdir()}
    foreign = {name: found.pop(name) for name in crashes.FOREIGN}
    assert foreign == crashes.FOREIGN
    assert found in ({}, content or crashes.CONTENT), directory.name
    return bool(found)


def test_a_crash_at_any_change_leaves_the_complete_artifact_or_what_the_next_run_removes(tmp_path: Path) -> None:
    complete = []
    directories = crash("publish", tmp_path)
    assert len(directories) > 20
    for directory in directories:
        existed = crashes.NAME + MANIFEST in names(directory)
        before = _catalog.read_catalogue(str(directory))
        assert set(before.problems) <= {crashes.NAME + MANIFEST}, "what a crash left is not to look like damage"
        removed = _publish.sweep(str(directory), kind="db_full")
        assert assert_complete_or_nothing(directory) == existed, directory.name
        assert removed == [] or not existed
        complete.append(existed)
    assert complete == sorted(complete), "once there, an artifact stays"
    assert set(complete) == {True, False}


def test_a_crash_at_any_change_leaves_the_companion_with_its_artifact_or_neither(tmp_path: Path) -> None:
    directories = crash("companion", tmp_path)
    assert len(directories) > 24
    complete = []
    for directory in directories:
        existed = crashes.UPLOADS + MANIFEST in names(directory)
        assert set(_catalog.read_catalogue(str(directory)).problems) <= {crashes.UPLOADS + MANIFEST}
        removed = _publish.sweep(str(directory), kind="files_full")
        assert assert_complete_or_nothing(directory, crashes.UPLOADS_CONTENT) == existed, directory.name
        assert removed == [] or not existed
        complete.append(existed)
    assert set(complete) == {True, False}


def test_a_crash_at_any_change_of_an_adoption_leaves_the_old_file_alone(tmp_path: Path) -> None:
    directories = crash("adopt", tmp_path)
    assert len(directories) > 12
    adopted = {f"{crashes.CRON_DUMP}{MANIFEST}": b"{}\n", f"{crashes.CRON_DUMP}{SIGNATURE}": b"signature\n"}
    complete = []
    for number, directory in enumerate(directories):
        existed = crashes.CRON_DUMP + MANIFEST in names(directory)
        assert set(_catalog.read_catalogue(str(directory)).problems) <= {crashes.CRON_DUMP + MANIFEST}
        if number % 2:
            _publish.sweep_beside(str(directory))
        else:
            _publish.sweep(str(directory), kind="db_full")
        assert assert_complete_or_nothing(directory, adopted) == existed, directory.name
        assert existed or _catalog.read_catalogue(str(directory)).unmanaged == (crashes.CRON_DUMP,)
        complete.append(existed)
    assert complete == sorted(complete)
    assert set(complete) == {True, False}


def test_a_sweep_beside_leaves_what_a_backup_does_or_left_alone(tmp_path: Path) -> None:
    for directory in crash("publish", tmp_path):
        before = names(directory)
        _publish.sweep_beside(str(directory))
        if crashes.NAME + MANIFEST not in before:
            assert names(directory) == before, "its own kind's next run removes it"
        assert {name for name in before if not name.startswith(".")} <= names(directory)
    with reserve(tmp_path) as at_work:
        write_part(at_work)
        before = names(tmp_path)
        _publish.sweep_beside(str(tmp_path))
        assert names(tmp_path) == before


def test_a_sweep_that_dies_is_finished_by_the_next(tmp_path: Path) -> None:
    directories = crash("sweep", tmp_path)
    assert len(directories) > 30
    for directory in directories:
        existed = crashes.NAME + MANIFEST in names(directory)
        _publish.sweep(str(directory), kind="db_full")
        assert assert_complete_or_nothing(directory) == existed, directory.name


def test_a_published_artifact_is_private_and_leaves_nothing_else(tmp_path: Path) -> None:
    with reserve(tmp_path) as reservation:
        write_part(reservation)
        reservation.publish(manifest=b"{}", signature=b"s")
    name = "db-20260101-0000.sql.gz.age"
    assert names(tmp_path) == {name, name + MANIFEST, name + SIGNATURE}
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_nlink == 1


def test_the_signature_comes_before_the_manifest_and_the_bytes_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    link = os.link

    def recorded(source: str, target: str) -> None:
        link(source, target)
        order.append(os.path.basename(target))

    monkeypatch.setattr(os, "link", recorded)
    with reserve(tmp_path) as reservation:
        write_part(reservation)
        reservation.publish(manifest=b"{}", signature=b"s")
    name = reservation.name
    assert order == [name, name + SIGNATURE, name + MANIFEST]


@pytest.mark.parametrize(("encrypted", "ending"), [(True, ".age"), (False, "")])
def test_the_companion_comes_after_the_bytes_and_before_the_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool, ending: str
) -> None:
    order: list[str] = []
    link = os.link

    def recorded(source: str, target: str) -> None:
        link(source, target)
        order.append(os.path.basename(target))

    monkeypatch.setattr(os, "link", recorded)
    with reserve(tmp_path, kind="files_full", compression="zstd", encrypted=encrypted) as reservation:
        write_part(reservation)
        with os.fdopen(reservation.open_companion(), "wb") as handle:
            handle.write(b"index")
        reservation.publish(manifest=b"{}", signature=b"s")
    name = f"public-uploads-20260101-0000.tar.zst{ending}"
    assert order == [name, f"{name}.index.zst{ending}", name + SIGNATURE, name + MANIFEST]
    assert names(tmp_path) == set(order)
    assert (tmp_path / order[1]).read_bytes() == b"index"
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("suffix", [".index.zst.age", SIGNATURE])
def test_a_foreign_companion_is_neither_overwritten_nor_removed(tmp_path: Path, suffix: str) -> None:
    with reserve(tmp_path, kind="files_full", compression="zstd") as reservation:
        write_part(reservation)
        os.close(reservation.open_companion())
        (tmp_path / (reservation.name + suffix)).write_bytes(b"foreign")
        with pytest.raises(BackupError, match="Failed to publish"):
            reservation.publish(manifest=b"{}", signature=b"s")
    assert names(tmp_path) == {reservation.name + suffix}
    assert (tmp_path / (reservation.name + suffix)).read_bytes() == b"foreign"


def test_a_companion_that_is_there_takes_the_name(tmp_path: Path) -> None:
    (tmp_path / "public-uploads-20260101-0000.tar.zst.age.index.zst.age").write_bytes(b"x")
    with reserve(tmp_path, kind="files_full", compression="zstd") as reservation:
        assert reservation.name == "public-uploads-20260101-0000-41.tar.zst.age"


def test_what_was_not_published_is_discarded(tmp_path: Path) -> None:
    with reserve(tmp_path) as reservation:
        write_part(reservation)
        os.close(reservation.open_companion())
    assert names(tmp_path) == set()


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/etc/passwd")])
def test_a_sweep_neither_waits_for_nor_removes_an_intent_that_is_no_file(tmp_path: Path, make: object) -> None:
    name = "db-20260101-0000.sql.gz"
    make(tmp_path / f".{name}.intent")  # type: ignore[operator]
    (tmp_path / f".{name}.part").write_bytes(b"x")
    before = names(tmp_path)
    assert _publish.sweep(str(tmp_path), kind="db_full") == []
    assert names(tmp_path) == before


def test_a_second_artifact_of_the_minute_gets_seconds(tmp_path: Path) -> None:
    with reserve(tmp_path) as first, reserve(tmp_path) as second, reserve(tmp_path) as third:
        assert [first.name, second.name, third.name] == [
            "db-20260101-0000.sql.gz.age",
            "db-20260101-0000-41.sql.gz.age",
            "db-20260101-0000-42.sql.gz.age",
        ]


@pytest.mark.parametrize("taken", ["db-20260101-0000.sql.gz", "db-20260101-0000.sql.zst.age"])
@pytest.mark.parametrize("suffix", ["", MANIFEST, SIGNATURE])
def test_a_name_of_the_same_minute_is_taken_whatever_the_compression(tmp_path: Path, taken: str, suffix: str) -> None:
    (tmp_path / (taken + suffix)).write_bytes(b"")
    with reserve(tmp_path) as reservation:
        assert reservation.name == "db-20260101-0000-41.sql.gz.age"


def test_a_dangling_link_takes_a_name_too(tmp_path: Path) -> None:
    (tmp_path / "db-20260101-0000.sql.gz.age").symlink_to("gone")
    with reserve(tmp_path) as reservation:
        assert reservation.name == "db-20260101-0000-41.sql.gz.age"


def test_a_minute_has_an_end(tmp_path: Path) -> None:
    for text in ("", *(f"-{second:02d}" for second in range(60))):
        (tmp_path / f"db-20260101-0000{text}.sql.gz").write_bytes(b"")
    with pytest.raises(BackupError, match="every name of this minute is taken") as caught:
        reserve(tmp_path)
    assert caught.value.reason == "name_taken"


def test_reservations_of_many_processes_never_share_a_name(tmp_path: Path) -> None:
    program = (
        "import datetime, sys\n"
        "from ansible_collections.larapee.backup.plugins.module_utils import _publish\n"
        f"now = datetime.datetime.fromisoformat({MOMENT.isoformat()!r})\n"
        "sys.stdin.readline()\n"
        "made = [_publish.reserve(sys.argv[1], kind='db_full', compression='zstd', encrypted=True, now=now, run_id='r')"
        " for _ in range(12)]\n"
        "print(*(each.name for each in made), flush=True)\n"
        "sys.stdin.readline()\n"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(COLLECTION_ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _number in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    made = []
    for child in children:
        assert child.stdout is not None
        made += child.stdout.readline().split()
    for child in children:
        child.communicate("end\n")
    assert len(made) == 48
    assert len(set(made)) == 48


def test_a_foreign_file_that_took_the_name_meanwhile_is_neither_overwritten_nor_removed(tmp_path: Path) -> None:
    with reserve(tmp_path, encrypted=False) as reservation:
        write_part(reservation)
        (tmp_path / reservation.name).write_bytes(b"the cron line's dump")
        with pytest.raises(BackupError, match="Failed to publish"):
            reservation.publish(manifest=b"{}", signature=b"s")
    assert names(tmp_path) == {reservation.name}
    assert (tmp_path / reservation.name).read_bytes() == b"the cron line's dump"


@pytest.mark.parametrize("suffix", [SIGNATURE, MANIFEST])
def test_a_foreign_file_beside_the_name_is_neither_overwritten_nor_removed(tmp_path: Path, suffix: str) -> None:
    with reserve(tmp_path) as reservation:
        write_part(reservation)
        (tmp_path / (reservation.name + suffix)).write_bytes(b"foreign")
        with pytest.raises(BackupError, match="Failed to publish"):
            reservation.publish(manifest=b"{}", signature=b"s")
    assert names(tmp_path) == {reservation.name + suffix}
    assert (tmp_path / (reservation.name + suffix)).read_bytes() == b"foreign"


def test_a_foreign_file_that_took_the_name_of_a_crashed_run_survives_the_sweep(tmp_path: Path) -> None:
    reservation = reserve(tmp_path, encrypted=False)
    write_part(reservation)
    os.close(reservation._descriptor)
    (tmp_path / reservation.name).write_bytes(b"the cron line's dump")
    assert _publish.sweep(str(tmp_path), kind="db_full") == [reservation.name]
    assert names(tmp_path) == {reservation.name}


def test_a_sweep_leaves_a_run_at_work_and_other_kinds_alone(tmp_path: Path) -> None:
    with reserve(tmp_path) as at_work:
        write_part(at_work)
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
        other = reserve(tmp_path, kind="config", compression="zstd")
        os.close(other._descriptor)
        before = names(tmp_path)
        assert _publish.sweep(str(tmp_path), kind="db_full") == []
        assert names(tmp_path) == before
    assert _publish.sweep(str(tmp_path), kind="config") == [other.name]


def test_the_intent_is_locked_while_the_run_is_at_work(tmp_path: Path) -> None:
    with (
        reserve(tmp_path) as reservation,
        open(tmp_path / f".{reservation.name}.intent", "rb") as intent,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(intent, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_full_disk_at_the_reservation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackupError, match="No space left") as caught:
        reserve(tmp_path)
    assert caught.value.reason == "disk_full"
    assert names(tmp_path) == set()


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="Failed to write into"):
        reserve(tmp_path / "gone")

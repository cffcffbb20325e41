# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes and sweeps in processes that die before each of their changes to the filesystem.

A program of its own, because forking is safe only where no other thread runs: ``crashes.py publish|sweep DIRECTORY``
makes one directory a crash and prints their paths. ``companion`` publishes an artifact that has one, ``adopt`` adopts
the file of an older cron line.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ansible_collections.larapee.backup.plugins.module_utils import _publish

MOMENT = dt.datetime(2026, 1, 1, 0, 0, 41, tzinfo=dt.timezone.utc)
NAME = "db-20260101-0000-41.sql.gz.age"
CRON_DUMP = "db-20260101-0000.sql.gz"
CONTENT = {NAME: b"ciphertext", f"{NAME}.manifest.json": b"{}\n", f"{NAME}.manifest.json.sig": b"signature\n"}
UPLOADS = "public-uploads-20260101-0000.tar.zst.age"
UPLOADS_CONTENT = {
    UPLOADS: b"ciphertext",
    f"{UPLOADS}.index.zst.age": b"index",
    f"{UPLOADS}.manifest.json": b"{}\n",
    f"{UPLOADS}.manifest.json.sig": b"signature\n",
}
FOREIGN = {CRON_DUMP: b"an older cron line's dump", ".db-20260101-0000.sql.gz.swp": b"an editor's file", "notes": b"!"}
NAMING = ("link", "unlink")
CHANGES = (*NAMING, "open", "write", "fsync")
DIED = 77


def publish(directory: Path) -> None:
    reservation = _publish.reserve(
        str(directory), kind="db_full", compression="gzip", encrypted=True, now=MOMENT, run_id="r"
    )
    with reservation:
        descriptor = reservation.open_part()
        os.write(descriptor, CONTENT[NAME])
        os.close(descriptor)
        reservation.publish(manifest=CONTENT[f"{NAME}.manifest.json"], signature=CONTENT[f"{NAME}.manifest.json.sig"])


def publish_with_companion(directory: Path) -> None:
    reservation = _publish.reserve(
        str(directory), kind="files_full", compression="zstd", encrypted=True, now=MOMENT, run_id="r"
    )
    with reservation:
        for opened, name in (
            (reservation.open_part, UPLOADS),
            (reservation.open_companion, f"{UPLOADS}.index.zst.age"),
        ):
            descriptor = opened()
            os.write(descriptor, UPLOADS_CONTENT[name])
            os.close(descriptor)
        reservation.publish(
            manifest=UPLOADS_CONTENT[f"{UPLOADS}.manifest.json"],
            signature=UPLOADS_CONTENT[f"{UPLOADS}.manifest.json.sig"],
        )


def adopt(directory: Path) -> None:
    with _publish.reserve_beside(str(directory), CRON_DUMP, run_id="r") as reservation:
        reservation.publish_beside(manifest=b"{}\n", signature=b"signature\n")


def sweep(directory: Path) -> None:
    _publish.sweep(str(directory), kind="db_full")


def die_before(number: int, changes: tuple[str, ...]) -> None:
    """Make this process die when it is about to make the change *number* (of those named)."""
    counter = itertools.count(1)

    def mortal(call: Callable[..., object]) -> Callable[..., object]:
        def changed(*arguments: object, **options: object) -> object:
            if next(counter) == number:
                os._exit(DIED)
            return call(*arguments, **options)

        return changed

    # The process dies here, not the machine: what reaches the disk makes no difference, and waiting for it takes long.
    os.fsync = lambda _descriptor: None
    for name in changes:
        setattr(os, name, mortal(getattr(os, name)))


def dies(work: Callable[[Path], None], directory: Path, *, number: int, changes: tuple[str, ...]) -> bool:
    """Do *work* in a child that dies at its change *number*; False when it had fewer changes than that."""
    child = os.fork()
    if child == 0:
        die_before(number, changes)
        work(directory)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, DIED):
        raise SystemExit(f"{directory}: the child ended with {status}")
    return status == DIED


def crash_publishing(root: Path, *, changes: tuple[str, ...], work: Callable[[Path], None] = publish) -> list[Path]:
    """One directory for each change at which publishing can die, and a last one where it did not."""
    directories = []
    for number in itertools.count(1):
        directory = root / f"{number:02d}"
        directory.mkdir()
        for name, content in FOREIGN.items():
            (directory / name).write_bytes(content)
        directories.append(directory)
        if not dies(work, directory, number=number, changes=changes):
            break
    return directories


def crash_sweeping(root: Path) -> list[Path]:
    """For each crash of publishing, one directory for each change at which the sweep after it can die."""
    directories = []
    for crashed in crash_publishing(root, changes=NAMING):
        for number in itertools.count(1):
            directory = root / f"{crashed.name}-{number:02d}"
            directory.mkdir()
            for path in crashed.iterdir():
                os.link(path, directory / path.name)
            directories.append(directory)
            if not dies(sweep, directory, number=number, changes=NAMING):
                break
    return directories


if __name__ == "__main__":
    mode, place = sys.argv[1], Path(sys.argv[2])
    if mode == "sweep":
        made = crash_sweeping(place)
    else:
        work = {"publish": publish, "companion": publish_with_companion, "adopt": adopt}[mode]
        made = crash_publishing(place, changes=CHANGES, work=work)
    sys.stdout.write("".join(f"{path}\n" for path in made))

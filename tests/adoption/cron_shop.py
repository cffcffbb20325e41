# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's two cron lines as they stand in pos-backup-plan.md, run for real against a server and a directory."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
import subprocess
import time
import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._adopt import AdoptOutcome, AdoptRequest, adopt_place
from ansible_collections.larapee.backup.plugins.module_utils._file_restore import (
    FileRestoreOutcome,
    FileRestoreRequest,
    restore_files,
)
from tests.database.estate import BRANCH, DATABASE, sql

if TYPE_CHECKING:
    from pathlib import Path

    from larapee_runner.demo.server import ThrowawayServer
    from tests.database.estate import Estate

ZONE = "Asia/Jakarta"
# The percent signs are escaped in a crontab only.
DUMP_LINE = (
    "mysqldump --single-transaction --quick --lock-tables=false larapos | gzip > {local}/db-$(date +%Y%m%d-%H%M).sql.gz"
)
UPLOADS_LINE = "tar -C {uploads} -c . | zstd -T0 -19 -o {local}/public-uploads-$(date +%Y%m%d-%H%M).tar.zst"


class CronShop:
    """One shop; ``begun`` is by artifact when its cron line was started, in UTC."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.local = estate.local
        self.local.mkdir(mode=0o700)
        self.uploads = estate.root / "public"
        self.uploads.mkdir()
        self.target = estate.root / "restored"
        self.begun: dict[str, str] = {}
        # Root's own option file is what such lines rely on.
        (estate.root / ".my.cnf").write_text(f"[client]\nuser=root\nsocket={estate.source.socket}\n")

    def dump(self, *, hours_ago: int = 3, line: str = DUMP_LINE) -> Path:
        return self._run(line.format(local=self.local), hours_ago=hours_ago)

    def archive(self, *, hours_ago: int = 3) -> Path:
        return self._run(UPLOADS_LINE.format(uploads=self.uploads, local=self.local), hours_ago=hours_ago)

    def _run(self, line: str, *, hours_ago: int) -> Path:
        """Run *line* as cron does, on a host in ZONE, *hours_ago*: for its name and for the file's time."""
        moment = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours_ago)
        before = set(self.local.iterdir())
        shown = f'date() {{ command date --date=@{int(moment.timestamp())} "$@"; }}; export -f date; '
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.estate.root),
            "TZ": ZONE,
            "USER": "root",
        }
        subprocess.run(["/bin/bash", "-c", shown + line], env=environment, check=True, capture_output=True)
        (path,) = set(self.local.iterdir()) - before
        os.utime(path, (moment.timestamp() + 1, moment.timestamp() + 1))
        self.begun[path.name] = moment.strftime("%Y-%m-%dT%H:%M:00Z")
        return path

    def adopt(self, *, check_mode: bool = False, **changes: Any) -> AdoptOutcome:
        request = AdoptRequest(
            branch=BRANCH,
            local_path=str(self.local),
            state_path=str(self.estate.state),
            run_id=str(uuid.uuid4()),
            signing_key=str(self.estate.keys.signing_key),
            allowed_signers=str(self.estate.keys.allowed_signers),
            database=DATABASE,
            time_zone=ZONE,
        )
        return adopt_place(dataclasses.replace(request, **changes), check_mode=check_mode)

    def restore_uploads(self, **changes: Any) -> FileRestoreOutcome:
        request = FileRestoreRequest(
            branch=BRANCH,
            content="uploads",
            source=str(self.local),
            allowed_signers=str(self.estate.keys.allowed_signers),
            target=str(self.target),
            state_path=str(self.estate.state),
            run_id=str(uuid.uuid4()),
        )
        return restore_files(dataclasses.replace(request, **changes))

    def contents(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.local.iterdir()}


def picture_without_programs(server: ThrowawayServer) -> str:
    """What the plan's line dumps of a database, in an order of its own, and its character set."""
    argv = ["/usr/bin/mariadb-dump", "--no-defaults", f"--socket={server.socket}", "--user=root", "--triggers"]
    argv += ["--hex-blob", "--skip-dump-date", "--skip-comments", "--order-by-primary", DATABASE]
    character_set = sql(
        server,
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA "
        f"WHERE SCHEMA_NAME = '{DATABASE}'",
    )
    return character_set + subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def later(path: Path) -> None:
    """Give *path* the time of now, as a line at work does."""
    now = time.time()
    os.utime(path, (now, now))

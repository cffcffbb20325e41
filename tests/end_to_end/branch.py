# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch with a real database, and the ways in which people and timers start its runs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ansible_collections.larapee.backup.plugins.module_utils._verify import VerifyOutcome, VerifyRequest, verify_place
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord, load_settings, open_store

if TYPE_CHECKING:
    from larapee_runner.demo.server import ThrowawayServer

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "branch-001"
FULL, VERIFY, RESTORE = (f"larapee.backup.{name}" for name in ("branch_backup", "verify", "restore"))
TIMEOUT_S = 90


@dataclass(frozen=True)
class Keys:
    """The branch's signing key, what trusts it, and the restorer's two identities with their public keys."""

    signing_key: Path
    allowed_signers: Path
    identity: Path
    recipients: tuple[str, ...]

    @classmethod
    def make(cls, directory: Path) -> Keys:
        signing_key = directory / "signing_key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(signing_key)], check=True)
        public = signing_key.with_suffix(".pub").read_text(encoding="ascii")
        allowed_signers = directory / "allowed_signers"
        allowed_signers.write_text(f'{BRANCH} namespaces="larapee-backup" {public}', encoding="ascii")
        identities = [directory / f"identity-{number}" for number in (1, 2)]
        recipients = []
        for identity in identities:
            subprocess.run(["age-keygen", "-o", str(identity)], check=True, capture_output=True)
            identity.chmod(0o600)
            shown = subprocess.run(["age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True)
            recipients.append(shown.stdout.strip())
        return cls(signing_key, allowed_signers, identities[0], tuple(recipients))


@dataclass
class Started:
    """A process of ours, with its output in a file: what outlives it must not keep a pipe open."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def words(self) -> str:
        """The output without its line breaks, which ansible puts anywhere."""
        return " ".join(self.output.split())

    def wait(self) -> int:
        return self.process.wait(timeout=TIMEOUT_S)


@dataclass
class Branch:
    directory: Path
    server: ThrowawayServer
    database: str
    keys: Keys
    operator: str
    log_reader: str
    passwords: dict[str, str]
    environ: dict[str, str]
    _started: list[Started] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def restored(self) -> str:
        return f"{self.database}_restored"

    @property
    def local(self) -> Path:
        return self.directory / "local"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def table(self) -> Path:
        return self.directory / "table"

    @property
    def uploads(self) -> Path:
        return self.directory / "app" / "storage" / "app" / "public"

    @property
    def config(self) -> list[Path]:
        return [self.directory / "app" / ".env", self.directory / "etc" / "nginx"]

    @property
    def inventory(self) -> Path:
        return self.directory / "hosts.yml"

    @property
    def operator_file(self) -> Path:
        return self.directory / "operator.cnf"

    @property
    def binlog_file(self) -> Path:
        return self.directory / "binlog.cnf"

    @property
    def restorer_file(self) -> Path:
        return self.directory / "restorer.cnf"

    def write_inventory(self, **more: object) -> None:
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "larapee_backup_branch": BRANCH,
            "larapee_backup_db_name": self.database,
            "larapee_backup_db_option_file": str(self.operator_file),
            "larapee_backup_binlog_option_file": str(self.binlog_file),
            "larapee_backup_uploads_path": str(self.uploads),
            "larapee_backup_config_paths": [str(path) for path in self.config],
            "larapee_backup_age_recipients": list(self.keys.recipients),
            "larapee_backup_signing_key": str(self.keys.signing_key),
            "larapee_backup_allowed_signers": str(self.keys.allowed_signers),
            "larapee_backup_local_path": str(self.local),
            "larapee_backup_state_path": str(self.state),
            "larapee_backup_restore_source": str(self.local),
            "larapee_backup_restore_db_name": self.restored,
            "larapee_backup_restore_db_option_file": str(self.restorer_file),
            "larapee_backup_restore_age_identity": str(self.keys.identity),
            **more,
        }
        self.inventory.write_text(yaml.safe_dump({"branches": {"hosts": {BRANCH: host}}}), encoding="utf-8")

    def write_files(self) -> None:
        """What an application stores beside its database: more than the pipes of an archiver hold, and odd things."""
        photos = self.uploads / "receipts" / "2026"
        photos.mkdir(parents=True)
        for number in range(8):
            (photos / f"photo {number}.jpg").write_bytes(os.urandom(400_000))
        (photos / "-newest.jpg").symlink_to("photo 7.jpg")
        (self.uploads / "naïve \n.txt").write_bytes(b"")
        (self.uploads / "empty").mkdir(mode=0o750)
        env, nginx = self.config
        env.write_text(f"APP_KEY=Key{os.urandom(16).hex()}\n", encoding="ascii")
        env.chmod(0o600)
        (nginx / "sites").mkdir(parents=True)
        (nginx / "sites" / "pos.conf").write_text("server { listen 443 ssl; }\n", encoding="ascii")

    def start(self, *argv: str, environ: dict[str, str] | None = None, cwd: Path = ROOT) -> Started:
        log = self.directory / f"output-{next(self._numbers)}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                argv,
                cwd=cwd,
                env={**self.environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        started = Started(process, log)
        self._started.append(started)
        return started

    def start_playbook(self, playbook: str, *arguments: str, **more: Any) -> Started:
        return self.start("ansible-playbook", "-i", str(self.inventory), *arguments, playbook, **more)

    def start_run(self, playbook: str, *arguments: str, **more: Any) -> Started:
        """By the wrapper."""
        return self.start(*COMMAND, "run", "-i", str(self.inventory), *arguments, playbook, **more)

    def playbook(self, playbook: str, *arguments: str, **more: Any) -> tuple[int, Started]:
        started = self.start_playbook(playbook, *arguments, **more)
        return started.wait(), started

    def run(self, playbook: str, *arguments: str, **more: Any) -> tuple[int, Started]:
        started = self.start_run(playbook, *arguments, **more)
        return started.wait(), started

    def command(self, *arguments: str, **more: Any) -> tuple[int, Started]:
        started = self.start(*COMMAND, *arguments, **more)
        return started.wait(), started

    def end(self) -> None:
        for started in self._started:
            started.process.kill()
            started.process.wait()

    def rows(self) -> list[RunRecord]:
        """All rows of the table, the newest first."""
        store = open_store(load_settings(self.environ).runs_url)
        try:
            return store.query()
        finally:
            store.close()

    def row(self) -> RunRecord:
        """The one row; a second one, or none, is what these tests are about."""
        rows = self.rows()
        assert len(rows) == 1, rows
        return rows[0]

    def journal(self) -> list[str]:
        return sorted(str(path.relative_to(self.state)) for path in self.state.glob("journal*/*"))

    def verify(self) -> VerifyOutcome:
        """Intact and opened, by the restorer's own eyes."""
        request = VerifyRequest(
            branch=BRANCH,
            directory=str(self.local),
            allowed_signers=str(self.keys.allowed_signers),
            state_path=str(self.state),
            run_id="00000000-0000-4000-8000-000000000000",
            identity=self.keys.identity.read_text(encoding="ascii"),
        )
        return verify_place(request, check_mode=True)

    def place(self) -> set[str]:
        """What lies at the place besides the results of verifications."""
        if not self.local.exists():
            return set()
        return {path.name for path in self.local.iterdir() if not path.name.endswith(".verified.json")}

    def receipts(self, database: str) -> list[tuple[Any, ...]]:
        """What a shop would ask for first after a restore."""
        with self.server.connect(database=database) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT COUNT(*), MAX(number), MD5(GROUP_CONCAT(MD5(CONCAT(note, image)) ORDER BY id)) FROM receipts"
            )
            return list(cursor.fetchall())

    def connections(self) -> list[tuple[Any, ...]]:
        """What the accounts that back up have open at the server: a client that lives shows here too."""
        users = [self.operator, self.log_reader]
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id, info FROM information_schema.processlist WHERE user IN (%s, %s)", users)
            return list(cursor.fetchall())


COMMAND = (sys.executable, "-m", "larapee_runner")

__all__ = ("BRANCH", "COMMAND", "FULL", "RESTORE", "ROOT", "VERIFY", "Branch", "Keys", "Started")

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A branch: its keys, its three accounts made by the project's own code, and the library's entry points."""

from __future__ import annotations

import dataclasses
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils._account import (
    AccountOutcome,
    AccountRequest,
    settle_account,
)
from ansible_collections.larapee.backup.plugins.module_utils._dump import DumpOutcome, dump_database
from ansible_collections.larapee.backup.plugins.module_utils._request import DumpRequest
from ansible_collections.larapee.backup.plugins.module_utils._restore import (
    RestoreOutcome,
    RestoreRequest,
    restore_database,
)
from ansible_collections.larapee.backup.plugins.module_utils._seal import SealOutcome, seal_binlogs
from ansible_collections.larapee.backup.plugins.module_utils._seal_pack import SealRequest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engines.servers import Server

BRANCH = "branch-001"
PASSWORDS = {"operator": 'back"up \\ #1', "binlog": "ľog'1", "restorer": "restore'it"}


@dataclasses.dataclass(frozen=True)
class Keys:
    """An age identity with its recipient, the branch's signing key and its allowed signers."""

    directory: Path
    recipient: str

    @property
    def identity(self) -> str:
        return (self.directory / "identity").read_text(encoding="utf-8")


def make_keys(directory: Path) -> Keys:
    made = subprocess.run(["age-keygen", "-o", str(directory / "identity")], check=True, capture_output=True, text=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / BRANCH)], check=True)
    public = (directory / f"{BRANCH}.pub").read_text(encoding="utf-8")
    (directory / "allowed_signers").write_text(f'{BRANCH} namespaces="larapee-backup" {public}', encoding="utf-8")
    return Keys(directory=directory, recipient=made.stderr.split()[-1])


class Branch:
    """What a branch backs up from *source*, and how *target* is filled; each by an account of its own."""

    def __init__(self, *, source: Server, target: Server, keys: Keys, root: Path, database: str) -> None:
        self.source, self.target = source, target
        self.keys, self.root, self.database = keys, root, database
        self.local = root / "local"

    def account(self, role: str, *, check_mode: bool = False, **changes: Any) -> AccountOutcome:
        """Settle the account of *role* where it works, as the administrator."""
        server = self.target if role == "restorer" else self.source
        admin = server.option_file(self.root / "admin.cnf", user="root")
        password_file = self.root / f"{role}.password"
        password_file.touch(mode=0o600)
        password_file.write_text(f"{PASSWORDS[role]}\n", encoding="utf-8")
        request = AccountRequest(
            option_file=str(admin),
            role=role,
            name=f"larapee-{role}",
            database=None if role == "binlog" else self.database,
            password_file=str(password_file),
        )
        return settle_account(dataclasses.replace(request, **changes), check_mode=check_mode)

    def option_file(self, role: str) -> str:
        server = self.target if role == "restorer" else self.source
        return str(server.option_file(self.root / f"{role}.cnf", user=f"larapee-{role}", password=PASSWORDS[role]))

    def making(self) -> dict[str, Any]:
        return {
            "branch": BRANCH,
            "local_path": str(self.local),
            "state_path": str(self.root / "state"),
            "run_id": str(uuid.uuid4()),
            "signing_key": str(self.keys.directory / BRANCH),
            "recipients": (self.keys.recipient,),
        }

    def dump(self, **changes: Any) -> DumpOutcome:
        request = DumpRequest(database=self.database, option_file=self.option_file("operator"), **self.making())
        return dump_database(dataclasses.replace(request, **changes))

    def seal(self, **changes: Any) -> SealOutcome:
        request = SealRequest(
            database=self.database,
            option_file=self.option_file("binlog"),
            dump_option_file=self.option_file("operator"),
            **self.making(),
        )
        outcome = seal_binlogs(dataclasses.replace(request, **changes))
        assert outcome.manifest is not None, outcome
        return outcome

    def restore(self, **changes: Any) -> RestoreOutcome:
        request = RestoreRequest(
            branch=BRANCH,
            source=str(self.local),
            allowed_signers=str(self.keys.directory / "allowed_signers"),
            option_file=self.option_file("restorer"),
            database=self.database,
            state_path=str(self.root / "state"),
            run_id=str(uuid.uuid4()),
            identity=self.keys.identity,
        )
        return restore_database(dataclasses.replace(request, **changes))


__all__ = ("BRANCH", "PASSWORDS", "Branch", "Keys", "make_keys")

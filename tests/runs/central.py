# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Central in the tests: what was pulled of two branches, and how it is taken in."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from ansible_collections.larapee.backup.plugins.module_utils import _io, _runs_import, _signature
from ansible_collections.larapee.backup.plugins.module_utils._runs_import import ImportRequest, Parcel
from ansible_collections.larapee.backup.plugins.plugin_utils import _inbox
from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord
from tests.runs.machines import BRANCH, Machine, now

if TYPE_CHECKING:
    from pathlib import Path

OTHER = "branch-002"


@dataclasses.dataclass(frozen=True)
class Central:
    """Central with what was pulled of two branches, and the import as module and action do it together."""

    machine: Machine
    keys: Path

    @property
    def incoming(self) -> Path:
        return self.machine.top / "central" / "incoming"

    def runs(self, branch: str = BRANCH) -> Path:
        path = self.incoming / branch / "runs"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def deliver(self, row: RunRecord, *, into: str = BRANCH, key: str | None = None, **changes: Any) -> str:
        """Lay a record into what was pulled of a branch, signed with the key of a branch; returns its name."""
        exported_at = now().strftime("%Y-%m-%dT%H:%M:%SZ")
        document = {**row.to_json(), "schema": 1, "exported_at": exported_at, **changes}
        return self.lay(f"{row.run_id}.json", _io.json_bytes(document), into=into, key=key)

    def lay(self, name: str, raw: bytes, *, into: str = BRANCH, key: str | None = None) -> str:
        (self.runs(into) / f"{name}.sig").write_bytes(_signature.sign(raw, key=str(self.keys / (key or into))))
        (self.runs(into) / name).write_bytes(raw)
        return name

    @property
    def request(self) -> ImportRequest:
        return ImportRequest(
            branches=(BRANCH, OTHER),
            central_path=str(self.machine.top / "central"),
            state_path=str(self.machine.state),
            allowed_signers=str(self.keys / "allowed_signers"),
        )

    def collect(self) -> dict[str, Parcel]:
        return _runs_import.collect(self.request)

    def take(self) -> dict[str, tuple[int, dict[str, str]]]:
        """Of each branch how many rows were new, and what was refused why."""
        parcels = self.collect()
        verdicts = _inbox.take_in(self.machine.url, {branch: parcel.records for branch, parcel in parcels.items()})
        refused = {branch: {**parcel.refused, **verdicts[branch].refused} for branch, parcel in parcels.items()}
        _runs_import.settle(
            self.request,
            {branch: parcel.stamps for branch, parcel in parcels.items()},
            refused,
            {branch: parcel.final for branch, parcel in parcels.items()},
        )
        return {
            branch: (verdicts[branch].imported, {**parcel.refused_before, **refused[branch]})
            for branch, parcel in parcels.items()
        }

    def why(self, name: str, branch: str = BRANCH) -> str:
        """Why a record was refused, now and at the next look; nothing of it is in the table."""
        first = self.take()[branch]
        assert first[0] == 0
        again = self.take()[branch]
        assert again == (0, first[1])
        return first[1][name]

    def playbook(self, *roles: str) -> str:
        """A guarded play on central of *roles*; the pull, which tells of each branch, is none of them."""
        guard = "larapee.backup.guard"
        told = {
            "ansible.builtin.include_role": {"name": guard, "tasks_from": "report"},
            "vars": {"larapee_backup_reports": {BRANCH: {}, OTHER: {}}},
        }
        play = {
            "hosts": "central",
            "gather_facts": False,
            "roles": [{"role": each} for each in (guard, *(f"larapee.backup.{name}" for name in roles))],
            "tasks": [told],
            "post_tasks": [{"ansible.builtin.import_role": {"name": guard, "tasks_from": "close"}}],
        }
        path = self.machine.top / "play.yml"
        path.write_text(json.dumps([play]), encoding="utf-8")
        return str(path)

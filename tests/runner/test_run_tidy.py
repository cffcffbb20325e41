# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that earlier runs left may stop a run."""

from __future__ import annotations

import json
import os
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from larapee_runner.recorder import Journal, Recorder, RunRecord, load_settings
from larapee_runner.run import Request, Run

if TYPE_CHECKING:
    from .conftest import Project

pytestmark = pytest.mark.xdist_group("runner")

EARLIER = "5b0c7d9e-3c39-4a7c-9a55-0d2f4f6f7a12"


def test_damage_in_the_journal_stops_no_run(project: Project) -> None:
    journal = Journal(project.state)
    journal.write([RunRecord.pending(run_id=EARLIER, playbook="play.yml", launcher="cli")])
    document = json.loads(journal.path(EARLIER).read_bytes())
    journal.path(EARLIER).write_text(json.dumps({**document, "lock": ""}))
    os.mkfifo(journal.directory / "pipe.json")
    playbook = project.playbook("- ansible.builtin.debug: {msg: done}")
    ended = project.command("run", playbook, environ=project.environ(LC_ALL="C"))
    assert ended.code == 0, ended.stderr
    assert sorted(row.status for row in ended.rows) == ["failed", "success"]
    assert len(list(journal.directory.glob("*.damaged"))) == 2


def test_an_error_while_tidying_stops_no_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Recorder, *_arguments: object) -> None:
        raise ValueError("a defect")

    warnings: list[str] = []
    settings = load_settings({"LARAPEE_BACKUP_STATE_DIR": str(project.state)})
    monkeypatch.setattr(Recorder, "reconcile", broken)
    run = Run(Request("play.yml"), settings, reporter=SimpleNamespace(warn=warnings.append))  # type: ignore[arg-type]
    run._tidy()
    assert warnings == ["Earlier runs could not be settled: ValueError: a defect"]

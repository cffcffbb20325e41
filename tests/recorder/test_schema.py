# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published schema of `larapee-backup runs --json`, against rows as real runs leave them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from .conftest import CLOSE, DUMP, GUARD, ROOT

if TYPE_CHECKING:
    from .conftest import Stage


@pytest.fixture
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "docs" / "schemas" / "runs.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def document(stage: Stage) -> dict[str, Any]:
    rows = [row.to_json() for row in stage.rows()]
    parsed: dict[str, Any] = json.loads(json.dumps({"schema": 1, "runs": rows}))
    return parsed


def test_rows_of_real_runs_fit(stage: Stage, validator: jsonschema.Draft202012Validator) -> None:
    sha256 = "0f" * 32
    assert stage.play(stage.playbook(GUARD + DUMP.replace("sha256: 0f", f'sha256: "{sha256}"') + CLOSE))[0] == 0
    assert stage.play(stage.playbook(GUARD))[0] == 0
    playbook = stage.playbook("\n- name: Break\n  ansible.builtin.fail:\n    msg: Broken.\n")
    assert stage.play(playbook)[0] == 2
    found = document(stage)
    assert [run["status"] for run in found["runs"]] == ["failed", "failed", "success"]
    validator.validate(found)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "done"},
        {"kind": "everything"},
        {"evidence": 3},
        {"started_at": "2026-11-22 03:00:07"},
        {"error": "two\nlines"},
        {"status": "failed", "error": None},
        {"status": "pending"},
        {"artifacts": [{"name": "db.sql.gz"}]},
        {"id": "17"},
    ],
)
def test_schema_is_not_a_formality(
    stage: Stage, validator: jsonschema.Draft202012Validator, change: dict[str, Any]
) -> None:
    stage.recorder.record([_ended(stage)])
    found = document(stage)
    validator.validate(found)
    found["runs"][0].update(change)
    assert not validator.is_valid(found)


def _ended(stage: Stage) -> Any:
    from ansible_collections.larapee.backup.plugins.plugin_utils._recorder import RunRecord

    pending = RunRecord.pending(
        run_id="0c8f8a3a-3a1e-4a44-9d0c-6c5b8cf0a001", playbook=str(stage.directory), launcher="cli"
    )
    return pending.ended("success")

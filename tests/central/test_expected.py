# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What central expects of itself: every job that it starts by a timer, told from the others by what its rows say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from ansible_collections.larapee.backup.plugins.plugin_utils import _absence

if TYPE_CHECKING:
    from ansible_collections.larapee.backup.plugins.plugin_utils._absence import Expectation

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = ROOT / "collection/ansible_collections/larapee/backup"
BOTH = {"larapee_backup_offsite_hot_url": "s3://hot/x", "larapee_backup_offsite_cold_url": "/mnt/nas/cold"}


def templated(directory: Path, text: dict[str, Any], *, files: list[Path], **variables: Any) -> dict[str, Any]:
    """What Ansible makes of *text* with the variables of *files* and *variables*."""
    task = {
        "name": "Template it",
        "ansible.builtin.copy": {
            "content": "{{ wanted | to_json }}",
            "dest": str(directory / "out.json"),
            "mode": "0600",
        },
        "vars": {"wanted": text},
    }
    play = {
        "name": "Template",
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "vars_files": [str(path) for path in files],
        "tasks": [task],
    }
    (directory / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    program = str(Path(sys.prefix) / "bin" / "ansible-playbook")
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"}
    argv = [program, "-i", "localhost,", "-c", "local", "-e", json.dumps(variables), str(directory / "play.yml")]
    done = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads((directory / "out.json").read_text(encoding="utf-8"))
    return document


def of_central(directory: Path, settings: dict[str, str]) -> dict[str, Any]:
    role = COLLECTION / "roles/central"
    text = {"jobs": "{{ _central_jobs }}", "expected": "{{ _central_expected }}"}
    files = [role / "defaults/main.yml", role / "vars/main.yml"]
    return templated(directory, text, files=files, larapee_backup_central_settings=settings)


def expectations(found: dict[str, Any]) -> dict[str, Expectation]:
    read = _absence.expectations(found["expected"], branch="branch-001", zone="UTC", at_central=True)
    return {each.job.name: each for each in read}


@pytest.mark.parametrize("settings", [{}, BOTH])
def test_every_job_of_the_schedule_is_expected_when_it_starts(tmp_path: Path, settings: dict[str, str]) -> None:
    found = of_central(tmp_path, settings)
    expected = expectations(found)
    when = {job["name"]: float(job["every"]) if "every" in job else job["at"] for job in found["jobs"]}
    assert len(when) == (10 if settings else 5)
    assert when == {
        name: each.every.total_seconds() if each.every else f"{each.at:%H:%M}" for name, each in expected.items()
    }


def test_the_rows_of_each_job_say_from_their_start_which_it_is(tmp_path: Path) -> None:
    """As its playbook has it, with the words that its timer adds; a role's default where that adds none."""
    found = of_central(tmp_path, BOTH)
    expected = expectations(found)
    assert len(expected) == len(found["jobs"]) == 10
    for scheduled in found["jobs"]:
        path = COLLECTION / f"playbooks/{scheduled['playbook'].rpartition('.')[2]}.yml"
        (play,) = yaml.safe_load(path.read_text(encoding="utf-8"))
        roles = [each["role"].rpartition(".")[2] for each in play["roles"]]
        files = [path for role in roles if (path := COLLECTION / f"roles/{role}/defaults/main.yml").exists()]
        words = tmp_path / "words.yml"
        words.write_text(json.dumps(scheduled.get("extra_vars", {})), encoding="utf-8")
        text = {"kind": play["vars"]["larapee_backup_kind"], **play["vars"].get("larapee_backup_job", {})}
        told = templated(tmp_path, text, files=[*files, words])
        job = expected[scheduled["name"]].job
        assert told["kind"] == job.kind
        assert job.place in (None, told.get("place")), scheduled["name"]
        assert job.scope in (None, told.get("scope")), scheduled["name"]

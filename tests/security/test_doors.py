# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody on central chooses what he calls its public keys; no branch opens another door for that."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml

TOP = Path(__file__).resolve().parents[2]
ROLES = TOP / "collection/ansible_collections/larapee/backup/roles"
WORDS = 'restrict,command="/usr/bin/rrsync -ro /var/backups/larapee/local"'
GOOD = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGood"
OWN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEvil"
CHOSEN = (
    f"{GOOD}\n{OWN}",
    f"{GOOD}\r\n{OWN}",
    f"{GOOD} comment\n\n  {OWN}\n",
    f"{GOOD}\x0b{OWN}",
    f"{GOOD}\u2028{OWN}",
    f"\n{GOOD} {OWN}",
)


@pytest.mark.parametrize("chosen", CHOSEN)
def test_the_role_writes_one_door_a_key(chosen: str) -> None:
    tasks = yaml.safe_load((ROLES / "branch/tasks/doors.yml").read_text())
    (task,) = [task for task in tasks if "ansible.builtin.lineinfile" in task]
    known = {"item": {"words": WORDS, "key": chosen}}
    render = jinja2.Environment().from_string  # noqa: S701 - a line of a file is no page
    known["__branch_door_key"] = render(task["vars"]["__branch_door_key"]).render(known)
    assert render(task["ansible.builtin.lineinfile"]["line"]).render(known) == f"{WORDS} {GOOD}"


@pytest.mark.parametrize("chosen", CHOSEN)
def test_enrolment_writes_one_door_a_key(chosen: str) -> None:
    tasks = yaml.safe_load((ROLES / "enrol/tasks/central.yml").read_text())
    (task,) = [task for task in tasks if "ansible.builtin.lineinfile" in task]
    told = {"branch-001": {"pull": {"current": chosen}}}
    known = {
        "__enrol_keys": {"keys": told},
        "larapee_backup_branch": "branch-001",
        "item": {"key": "pull", "value": WORDS},
    }
    render = jinja2.Environment().from_string  # noqa: S701 - a line of a file is no page
    known["__enrol_public"] = render(task["vars"]["__enrol_public"]).render(known)
    assert render(task["ansible.builtin.lineinfile"]["line"]).render(known) == f"{WORDS} {GOOD}"

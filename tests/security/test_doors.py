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


def words_of(lines: list[str]) -> list[str]:
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("chosen", CHOSEN)
def test_the_role_writes_one_door_a_key(chosen: str) -> None:
    environment = jinja2.Environment(  # noqa: S701 - a file of keys is no page
        loader=jinja2.FileSystemLoader(ROLES / "branch/templates"), trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["comment"] = lambda text: f"# {text}"
    doors = [{"words": WORDS, "key": chosen}, {"words": WORDS, "key": ""}]
    text = environment.get_template("authorized_keys.j2").render(_branch_doors=doors, ansible_managed="made by a role")
    assert words_of(text.splitlines()) == [f"{WORDS} {GOOD}"]


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

# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a timer's service may do on its host, as its unit says; roles/schedule writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pytest

TOP = Path(__file__).resolve().parents[2]
TEMPLATES = TOP / "collection/ansible_collections/larapee/backup/roles/schedule/templates"
OF_A_BRANCH: dict[str, Any] = {
    "name": "log",
    "playbook": "larapee.backup.branch_backup",
    "capabilities": ["CAP_DAC_READ_SEARCH"],
    "writable_paths": ["/var/lib/larapee-backup", "/var/backups/larapee/local"],
}
OF_CENTRAL: dict[str, Any] = {"name": "pull", "playbook": "larapee.backup.central_pull", "account": "root"}


def unit(item: dict[str, Any]) -> dict[str, list[str]]:
    """Each setting of the service with its values, in their order."""
    environment = jinja2.Environment(  # noqa: S701 - a unit is no page
        loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["comment"] = lambda text: f"# {text}"
    text = environment.get_template("service.j2").render(
        item=item,
        ansible_managed="made by a role",
        larapee_backup_schedule_command="/opt/larapee-backup/current/bin/larapee-backup",
        larapee_backup_schedule_inventory="/etc/larapee-backup/inventory.yml",
    )
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, separator, value = line.partition("=")
        if separator and not line.startswith(("#", "[")):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("item", [OF_A_BRANCH, OF_CENTRAL], ids=["branch", "central"])
def test_a_unit_gains_nothing_and_writes_where_it_is_told_only(item: dict[str, Any]) -> None:
    settings = unit(item)
    assert settings["NoNewPrivileges"] == settings["RestrictSUIDSGID"] == settings["PrivateTmp"] == ["true"]
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["ReadWritePaths"] == [" ".join(item.get("writable_paths", []))]
    assert settings["UMask"] == ["0077"]
    assert settings["SystemCallFilter"] == ["@system-service", "~open_by_handle_at"]


def test_a_branchs_unit_may_read_the_shop_and_neither_roots_keys_nor_the_hosts() -> None:
    settings = unit(OF_A_BRANCH)
    assert settings["User"] == ["larapee-backup"]
    assert settings["CapabilityBoundingSet"] == settings["AmbientCapabilities"] == ["CAP_DAC_READ_SEARCH"]
    hidden = {path.lstrip("-") for path in settings["InaccessiblePaths"][0].split()}
    host_keys = {f"/etc/ssh/ssh_host_{kind}_key" for kind in ("rsa", "ecdsa", "ed25519")}
    assert hidden == {"/root/.ssh", "/etc/shadow", "/etc/gshadow"} | host_keys


def test_a_unit_without_capabilities_has_none() -> None:
    settings = unit({**OF_A_BRANCH, "capabilities": []})
    assert settings["CapabilityBoundingSet"] == [""]
    assert "AmbientCapabilities" not in settings

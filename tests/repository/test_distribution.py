# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection builds, installs into an empty path and works from there; the checkout's own entry points parse."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PLAYBOOKS = (
    "adopt",
    "branch_backup",
    "branch_prepare",
    "central_prepare",
    "central_pull",
    "enrol",
    "key_drill",
    "offsite",
    "offsite_prepare",
    "open",
    "restore",
    "restore_clear",
    "restore_watch",
    "restore_drill",
    "restore_rollback",
    "retention",
    "retention_central",
    "retention_offsite",
    "rotate_keys",
    "snapshot",
    "staging_prepare",
    "verify",
    "verify_central",
    "verify_offsite",
)
MODULES = (
    "adopt",
    "canary",
    "catalog_info",
    "config_compare",
    "db_account",
    "db_aside",
    "db_binlog",
    "db_dump",
    "db_log_info",
    "db_login",
    "db_restore",
    "drill_app",
    "drill_choice",
    "drill_report",
    "drill_server",
    "fetch",
    "fetch_door",
    "fetch_key",
    "fetch_ssh",
    "file_archive",
    "file_kept",
    "file_references",
    "file_restore",
    "key_drill",
    "latch",
    "log_watch",
    "missed_runs",
    "offsite",
    "offsite_links",
    "offsite_prepare",
    "preflight",
    "prune",
    "prune_estate",
    "prune_offsite",
    "pull",
    "pull_keys",
    "restore_step",
    "runs_export",
    "runs_import",
    "shop_check",
    "signer",
    "signing_key",
    "snapshot",
    "store_key",
    "tip",
    "verify",
    "verify_estate",
    "verify_offsite",
)


def _run(argv: list[str], *, cwd: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_collection_works_when_installed_alone(
    tmp_path: Path, collection: Path, files: list[Path], environment: dict[str, str]
) -> None:
    installed = tmp_path / "collections"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    _run(
        ["ansible-galaxy", "collection", "build", "--output-path", str(tmp_path), str(collection)],
        cwd=elsewhere,
        environment=environment,
    )
    (archive,) = tmp_path.glob("larapee-backup-*.tar.gz")
    _run(
        ["ansible-galaxy", "collection", "install", "--offline", "-p", str(installed), str(archive)],
        cwd=elsewhere,
        environment=environment,
    )

    root = installed / "ansible_collections/larapee/backup"
    there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    expected = {str(path.relative_to(collection)) for path in files if path.is_relative_to(collection)}
    assert there - {"MANIFEST.json", "FILES.json"} == expected - {"galaxy.yml"}

    alone = environment | {
        "ANSIBLE_COLLECTIONS_PATH": str(installed),
        "ANSIBLE_CALLBACKS_ENABLED": "larapee.backup.backup_runs",
    }
    for name in PLAYBOOKS:
        argv = ["ansible-playbook", "-i", "branch-001,", f"larapee.backup.{name}", "--syntax-check"]
        assert str(root / f"playbooks/{name}.yml") in _run(argv, cwd=elsewhere, environment=alone)
    modules = json.loads(_run(["ansible-doc", "--json", "--list", "larapee.backup"], cwd=elsewhere, environment=alone))
    assert sorted(modules) == [f"larapee.backup.{name}" for name in MODULES]


def test_the_entry_points_of_the_checkout_parse(top: Path, environment: dict[str, str]) -> None:
    found = sorted(path.stem for path in (top / "playbooks").glob("*.yml"))
    assert found == sorted(PLAYBOOKS)
    here = environment | {"ANSIBLE_CONFIG": str(top / "ansible.cfg")}
    _run(
        ["ansible-playbook", "--syntax-check", *[f"playbooks/{name}.yml" for name in found]], cwd=top, environment=here
    )


def test_the_example_inventory_has_the_groups_that_roles_rely_on(top: Path, environment: dict[str, str]) -> None:
    here = environment | {"ANSIBLE_CONFIG": str(top / "ansible.cfg")}
    inventory = json.loads(_run(["ansible-inventory", "--list"], cwd=top, environment=here))
    assert inventory["branches"]["hosts"] == ["branch-001"]
    assert {"branches", "central", "staging"} <= set(inventory["all"]["children"])


def test_the_template_of_an_estate_is_whole(top: Path, environment: dict[str, str]) -> None:
    here = environment | {"ANSIBLE_CONFIG": str(top / "ansible.cfg")}
    template = str(top / "inventories/production")
    inventory = json.loads(_run(["ansible-inventory", "-i", template, "--list"], cwd=top, environment=here))
    hosts = {group: set(inventory[group]["hosts"]) for group in ("branches", "central", "staging")}
    assert hosts["branches"] == {"branch-001", "branch-002"}
    assert len(hosts["central"]) == 1
    assert not hosts["staging"] & (hosts["branches"] | hosts["central"])
    known = inventory["_meta"]["hostvars"]
    assert all("larapee_backup_branch" in known[host] for host in hosts["branches"])
    secret = ("password", "secret", "token", "identity")
    assert [name for each in known.values() for name in each if any(word in name for word in secret)] == []

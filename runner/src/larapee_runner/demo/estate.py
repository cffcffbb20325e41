# Copyright (c) 2026, LaraPee contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's keys, inventories and configuration: what the roles would have put on a branch and at the restorer."""

from __future__ import annotations

import os
import subprocess  # noqa: S404  # age-keygen and ssh-keygen; every argv is a list of our own
from typing import TYPE_CHECKING, Any

import yaml

from .errors import DemoError
from .programs import find_program

if TYPE_CHECKING:
    from pathlib import Path

    from .application import Application
    from .workplace import Workplace

BRANCH = "branch-001"
DATABASE = "larapos"
RETENTION_DAYS = 7
# What a fingerprint asks the shop, so that a restore can be held against the answers.
RECEIPT_QUERY = "SELECT invoice_number FROM orders ORDER BY id DESC LIMIT 1"
BUSINESS_QUERIES = {
    "sales by day": "SELECT business_day, SUM(orders), SUM(gross) FROM daily_sales GROUP BY business_day ORDER BY 1",
}


def _run(arguments: list[str], *, what: str) -> str:
    done = subprocess.run(  # noqa: S603
        arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        cause = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        msg = f"Failed to make {what}: {cause}. Check that the directory can be written."
        raise DemoError(msg)
    return done.stdout


def _make_age_identity(path: Path) -> str:
    """Write a private key and return the public one."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    _run([find_program("age-keygen", package="age"), "-o", str(path)], what="age identity")
    public = _run([find_program("age-keygen", package="age"), "-y", str(path)], what="age recipient")
    return public.strip()


def make_keys(workplace: Workplace) -> list[str]:
    """The branch signs with its own key; two recipients can open: the restorer, and a spare one in the safe."""
    recipients = [
        _make_age_identity(workplace.restorer / "identity.txt"),
        _make_age_identity(workplace.restorer / "safe" / "identity.txt"),
    ]
    key = workplace.branch / "signing_key"
    generator = find_program("ssh-keygen", package="openssh-client")
    _run([generator, "-q", "-t", "ed25519", "-N", "", "-C", BRANCH, "-f", str(key)], what="signing key")
    kind, public, *_comment = key.with_suffix(".pub").read_text(encoding="utf-8").split()
    # The restorer's own copy: whoever can change the branch's files must not be able to enrol another key.
    signers = f'{BRANCH} namespaces="larapee-backup" {kind} {public}\n'
    for directory in (workplace.branch, workplace.restorer):
        (directory / "allowed_signers").write_text(signers, encoding="utf-8")
    return recipients


def _write_yaml(path: Path, document: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _inventory(variables: dict[str, Any]) -> dict[str, Any]:
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "larapee_backup_branch": BRANCH,
    }
    return {"branches": {"hosts": {BRANCH: {}}, "vars": {**common, **variables}}}


def write_configuration(
    workplace: Workplace,
    *,
    application: Application,
    recipients: list[str],
    operator: Path,
    log_reader: Path,
    restorer: Path,
) -> None:
    """One inventory for the branch, one for the restorer, and the file in which the recorder finds the runs table."""
    _write_yaml(
        workplace.config,
        {"runs_url": f"sqlite:///{workplace.state / 'runs.sqlite'}", "state_path": str(workplace.state)},
    )
    _write_yaml(
        workplace.inventory,
        _inventory(
            {
                "larapee_backup_db_name": DATABASE,
                "larapee_backup_db_option_file": str(operator),
                "larapee_backup_binlog_option_file": str(log_reader),
                "larapee_backup_receipt_query": RECEIPT_QUERY,
                "larapee_backup_business_queries": BUSINESS_QUERIES,
                "larapee_backup_app_path": str(application.root),
                "larapee_backup_uploads_path": str(application.uploads.directory),
                "larapee_backup_config_paths": [str(path) for path in application.config_paths],
                "larapee_backup_local_path": str(workplace.backups),
                "larapee_backup_retention_days": RETENTION_DAYS,
                "larapee_backup_state_path": str(workplace.state),
                "larapee_backup_age_recipients": recipients,
                "larapee_backup_signing_key": str(workplace.branch / "signing_key"),
                "larapee_backup_allowed_signers": str(workplace.branch / "allowed_signers"),
            }
        ),
    )
    _write_yaml(
        workplace.restorer_inventory,
        _inventory(
            {
                "larapee_backup_restore_source": str(workplace.backups),
                "larapee_backup_restore_age_identity": str(workplace.restorer / "identity.txt"),
                "larapee_backup_restore_db_option_file": str(restorer),
                "larapee_backup_restore_db_name": DATABASE,
                "larapee_backup_restore_uploads_path": str(workplace.restored_uploads),
                "larapee_backup_restore_config_path": str(workplace.restored_config),
                "larapee_backup_state_path": str(workplace.state),
                "larapee_backup_allowed_signers": str(workplace.restorer / "allowed_signers"),
            }
        ),
    )
    os.chmod(workplace.config, 0o600)


__all__ = ("BRANCH", "DATABASE", "RETENTION_DAYS", "make_keys", "write_configuration")

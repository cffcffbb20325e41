#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Refuse contradictions before anything changes
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Compares what is configured with itself and with this host, and fails with everything that it found at once.
  - A check that could not run is NOT RUN, which fails as well unless O(allow) names it. What is not configured is not
    looked at.
  - It changes nothing, with and without check mode. No secret is in its result.
attributes:
  check_mode:
    support: full
    description: It changes nothing anyway.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
options:
  side:
    description: What this host is.
    type: str
    choices:
      - branch
      - central
      - staging
    required: true
    version_added: 0.1.0
  branch:
    description: The code of this branch.
    type: str
    default: ""
    version_added: 0.1.0
  branches:
    description: Every branch of the estate.
    type: list
    elements: dict
    default: []
    version_added: 0.1.0
    suboptions:
      code:
        description: Its code.
        type: str
        required: true
      signing_key:
        description: The public half of the key that signs its manifests.
        type: str
      host_key:
        description: Its public SSH host key.
        type: str
      pull_key:
        description: The public half of the key with which central pulls from it.
        type: str
      acknowledge_key:
        description: The public half of the key with which central acknowledges.
        type: str
      server_id:
        description: The C(server_id) of its database server.
        type: str
  log_interval:
    description: Seconds between two seals of the binary log.
    type: int
    version_added: 0.1.0
  pull_interval:
    description: Seconds between two pulls of what these made.
    type: int
    version_added: 0.1.0
  rpo:
    description: Seconds of transactions that may be lost.
    type: int
    default: 900
    version_added: 0.1.0
  retention_days:
    description: Days that sets stay on this host.
    type: int
    version_added: 0.1.0
  verify_interval:
    description: Seconds between two verifications.
    type: int
    default: 86400
    version_added: 0.1.0
  drill_interval:
    description: Seconds between two restore drills.
    type: int
    default: 604800
    version_added: 0.1.0
  encryption:
    description: Whether artifacts are encrypted.
    type: bool
    default: true
    version_added: 0.1.0
  age_recipients:
    description: Public keys that artifacts are encrypted to.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  search_paths:
    description: Files and directories that are searched for private identities. Those that do not exist are left out.
    type: list
    elements: path
    default: []
    version_added: 0.1.0
  search_seconds:
    description: How long that search may take. One that did not come to its end is NOT RUN.
    type: int
    default: 60
    version_added: 0.1.0
  env_file:
    description: The application's C(.env).
    type: path
    version_added: 0.1.0
  operator_option_file:
    description: The option file of the account that takes backups.
    type: path
    version_added: 0.1.0
  binlog_option_file:
    description: The option file of the account that reads the binary log.
    type: path
    version_added: 0.1.0
  restore_option_file:
    description: The option file of the account that restores.
    type: path
    version_added: 0.1.0
  private_files:
    description: Other files that only their owner may use, such as keys.
    type: list
    elements: path
    default: []
    version_added: 0.1.0
  owners:
    description: Accounts that private files and their directories may belong to.
    type: list
    elements: str
    default:
      - root
      - larapee-backup
    version_added: 0.1.0
  s3_endpoints:
    description: Addresses of the object storages that this host uses.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  cold_lock_days:
    description: Days that an object in the cold bucket is locked.
    type: int
    version_added: 0.1.0
  runs_url:
    description: Where runs are recorded.
    type: str
    default: ""
    version_added: 0.1.0
  live_restore_target:
    description: Whether this host is to be restored to and is a branch in service.
    type: bool
    default: false
    version_added: 0.1.0
  restore_confirm:
    description: The code of the branch, typed by a person who wants to replace it.
    type: str
    default: ""
    version_added: 0.1.0
  central_path:
    description: Where central keeps the branches' artifacts.
    type: path
    version_added: 0.1.0
  reserve_bytes:
    description: Bytes that stay free on that filesystem.
    type: int
    default: 0
    version_added: 0.1.0
  allowed_signers:
    description: The C(allowed_signers) file of this host.
    type: path
    version_added: 0.1.0
  known_hosts:
    description: The C(known_hosts) file with which central pulls.
    type: path
    version_added: 0.1.0
  key_directories:
    description: Directories of private SSH keys, one file a branch.
    type: list
    elements: path
    default: []
    version_added: 0.1.0
  allow:
    description:
      - Checks that are known not to be able to run here. For V(binlog_account), V(runs_tls) and V(s3_tls) it allows
        what they refuse, too.
    type: list
    elements: str
    default: []
    choices:
      - accounts
      - binlog_account
      - branch_codes
      - cold_lock
      - filesystem
      - identities
      - objectives
      - option_files
      - recipients
      - restore_target
      - retention
      - runs_tls
      - s3_tls
      - shared_keys
    version_added: 0.1.0
  unprepared:
    description: The host is about to be prepared, so that what the preparation makes may be missing.
    type: bool
    default: false
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Refuse a schedule that cannot meet its objective
  larapee.backup.preflight:
    side: central
    branches:
      - code: branch-001
      - code: branch-002
    log_interval: 300
    pull_interval: 300
    retention_days: 30
"""

RETURN = r"""
checks:
  description: Each check with the worst that it found - C(OK), C(WARNING), C(NOT RUN) or C(REFUSED).
  type: dict
  returned: always
findings:
  description: Everything that was found, with C(check), C(state), C(message) and C(allowed).
  type: list
  elements: dict
  returned: always
"""

import dataclasses
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils._preflight import CHECKS, examine
from ansible_collections.larapee.backup.plugins.module_utils._preflight_request import PreflightRequest


def main() -> None:
    paths = {"type": "list", "elements": "path", "default": []}
    texts = {"type": "list", "elements": "str", "default": []}
    # Public halves only: their names make Ansible suspect secrets.
    public = {"type": "str", "no_log": False}
    of_a_branch = {
        "code": {"type": "str", "required": True},
        **dict.fromkeys(("signing_key", "host_key", "pull_key", "acknowledge_key"), public),
        "server_id": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "side": {"type": "str", "choices": ["branch", "central", "staging"], "required": True},
            "branch": {"type": "str", "default": ""},
            "branches": {"type": "list", "elements": "dict", "default": [], "options": of_a_branch},
            "log_interval": {"type": "int"},
            "pull_interval": {"type": "int"},
            "rpo": {"type": "int", "default": 900},
            "retention_days": {"type": "int"},
            "verify_interval": {"type": "int", "default": 86400},
            "drill_interval": {"type": "int", "default": 604800},
            "encryption": {"type": "bool", "default": True},
            "age_recipients": texts,
            "search_paths": paths,
            "search_seconds": {"type": "int", "default": 60},
            "env_file": {"type": "path"},
            "operator_option_file": {"type": "path"},
            "binlog_option_file": {"type": "path"},
            "restore_option_file": {"type": "path"},
            "private_files": paths,
            "owners": {**texts, "default": ["root", "larapee-backup"]},
            "s3_endpoints": texts,
            "cold_lock_days": {"type": "int"},
            "runs_url": {"type": "str", "default": ""},
            "live_restore_target": {"type": "bool", "default": False},
            "restore_confirm": {"type": "str", "default": ""},
            "central_path": {"type": "path"},
            "reserve_bytes": {"type": "int", "default": 0},
            "allowed_signers": {"type": "path"},
            "known_hosts": {"type": "path"},
            "key_directories": {**paths, "no_log": False},
            "allow": {**texts, "choices": sorted(CHECKS)},
            "unprepared": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = {"recipients" if name == "age_recipients" else name: value for name, value in module.params.items()}
    values: dict[str, t.Any] = {
        name: frozenset(value) if name == "allow" else tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if value is not None
    }
    outcome = examine(PreflightRequest(**values))
    result = {
        "changed": False,
        "checks": outcome.states(),
        "findings": [dataclasses.asdict(finding) for finding in outcome.findings],
    }
    failure = outcome.failure()
    if failure is not None:
        module.fail_json(msg=str(failure), reason=failure.reason, **result)
    for finding in outcome.findings:
        module.warn(f"preflight {finding.check}, {finding.state}: {finding.message}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pull
short_description: Bring the backups of many branches to central, and adopt what is whole
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Mirrors each branch into C(incoming/<branch>/) by rsync over SSH, as an account that owns nothing else, with one key
    and one pinned host key for each branch. A branch that does not answer costs one timeout and keeps no other waiting.
  - Adopts what is complete, intact and signed by that branch into C(branches/<branch>/), as copies of root's that are
    never overwritten and stay whatever the branch deletes. What misses a part waits for the next pull. What is wrong is
    refused, and copied to C(quarantine/<branch>/).
  - Tells the branch by another key what central holds now.
  - A branch that has not said for O(max_age) where it stands is an error of its own; see RV(reports).
attributes:
  check_mode:
    support: full
    description: Asks each branch whether it can be reached, and transfers, adopts and acknowledges nothing.
  diff_mode:
    support: none
    description: The reports name what there is.
  idempotent:
    support: full
    description: What was adopted is not looked at again.
extends_documentation_fragment:
  - larapee.backup.run
options:
  branches:
    description: The branches, and how each is reached.
    type: list
    elements: dict
    required: true
    version_added: 0.1.0
    suboptions:
      branch:
        description: Its code.
        type: str
        required: true
      host:
        description: Its address or name, as it is pinned in C(known_hosts).
        type: str
        required: true
      port:
        description: The port of its sshd.
        type: int
        default: 22
      user:
        description: The account that the doors for central are of.
        type: str
        default: larapee-backup
  central_path:
    description: Central's directory.
    type: path
    default: /srv/backups/larapee
    version_added: 0.1.0
  allowed_signers:
    description: The C(allowed_signers) file (see ssh-keygen) at central, with each branch's code as principal.
    type: path
    required: true
    version_added: 0.1.0
  ssh_directory:
    description: Where C(known_hosts), C(pull_key/<branch>) and C(acknowledge_key/<branch>) are.
    type: path
    default: /etc/larapee-backup/ssh
    version_added: 0.1.0
  account:
    description: Who runs rsync and ssh when the module is root.
    type: str
    default: larapee-pull
    version_added: 0.1.0
  scope:
    description: V(log) leaves files over 64 MiB to V(all), so that a large full never holds up the logs after it.
    type: str
    choices: [log, all]
    default: all
    version_added: 0.1.0
  width:
    description: How many branches are pulled from at once.
    type: int
    default: 8
    version_added: 0.1.0
  deadline:
    description: Seconds that one branch may take. What came by then is kept.
    type: int
    default: 3000
    version_added: 0.1.0
  connect_timeout:
    description: Seconds to wait for a connection.
    type: int
    default: 15
    version_added: 0.1.0
  silence_timeout:
    description: Seconds after which a branch that sends nothing is given up.
    type: int
    default: 60
    version_added: 0.1.0
  bandwidth:
    description: KiB a second and branch; 0 is no limit.
    type: int
    default: 0
    version_added: 0.1.0
  reserve_bytes:
    description: Bytes that stay free on central's disk.
    type: int
    default: 1073741824
    version_added: 0.1.0
  max_age:
    description: Seconds within which each branch has to have said where it stands.
    type: int
    default: 900
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Pull from two branches
  larapee.backup.pull:
    branches:
      - branch: branch-001
        host: 192.0.2.11
      - branch: branch-002
        host: branch-002.example.com
        port: 2222
    allowed_signers: /etc/larapee-backup/allowed_signers
"""

RETURN = r"""
reports:
  description:
    - By branch, what the recorder notes - C(artifacts) (those adopted now), C(recovery_point) (what central can
      restore), C(details), and C(error) where a person has to act.
  type: dict
  returned: always
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._estate import Report, each_branch
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._pull import PullRequest, pull
from ansible_collections.larapee.backup.plugins.module_utils._rsync import Way

_BRANCH = {
    "branch": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "user": {"type": "str", "default": "larapee-backup"},
}


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            "branches": {"type": "list", "elements": "dict", "required": True, "options": _BRANCH},
            "central_path": {"type": "path", "default": "/srv/backups/larapee"},
            "allowed_signers": {"type": "path", "required": True},
            "ssh_directory": {"type": "path", "default": "/etc/larapee-backup/ssh"},
            "account": {"type": "str", "default": "larapee-pull"},
            "scope": {"type": "str", "choices": ["log", "all"], "default": "all"},
            "width": {"type": "int", "default": 8},
            "deadline": {"type": "int", "default": 3000},
            "connect_timeout": {"type": "int", "default": 15},
            "silence_timeout": {"type": "int", "default": 60},
            "bandwidth": {"type": "int", "default": 0},
            "reserve_bytes": {"type": "int", "default": 1073741824},
            "max_age": {"type": "int", "default": 900},
        }
    )
    options = module.params
    branches = {each["branch"]: each for each in options["branches"]}

    def work(branch: str) -> Report:
        found = branches[branch]
        way = Way(
            branch=branch,
            host=found["host"],
            port=found["port"],
            user=found["user"],
            ssh_directory=options["ssh_directory"],
            account=options["account"],
            connect_timeout=options["connect_timeout"],
            silence_timeout=options["silence_timeout"],
        )
        request = PullRequest(
            way=way,
            central_path=options["central_path"],
            allowed_signers=options["allowed_signers"],
            state_path=options["state_path"],
            run_id=options["run_id"],
            scope=options["scope"],
            deadline=options["deadline"],
            reserve=options["reserve_bytes"],
            max_age=options["max_age"],
            bandwidth=options["bandwidth"],
        )
        return pull(request, check_mode=module.check_mode)

    try:
        with interruptible():
            reports = each_branch(work, branches, width=max(1, options["width"]))
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=any(each["artifacts"] for each in reports.values()), reports=reports)


if __name__ == "__main__":
    main()

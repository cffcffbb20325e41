#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fetch_ssh
short_description: Bring a branch's artifacts from central to this host, over SSH
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Fetches by rsync, with the key that M(larapee.backup.fetch_key) made and M(larapee.backup.fetch_door) let in, and
    fills a directory that then is a place like any other.
  - The manifests come first. Of the rest that comes which the wanted point needs, and which a manifest speaks of that
    the branch signed.
  - A broken connection is gone on with in the middle of a file, by this call and by the next. What is there already is
    not brought again. Nothing is decrypted.
attributes:
  check_mode:
    support: full
    description: Says how much would be brought at most, by the list that central gives.
  diff_mode:
    support: none
    description: It brings files that are encrypted.
  idempotent:
    support: full
    description: What is there is not brought again.
extends_documentation_fragment:
  - larapee.backup.run
options:
  branch:
    description: The branch whose artifacts they are.
    type: str
    required: true
    version_added: 0.1.0
  url:
    description:
      - Where from, as this host sees it, C(ssh://[user@]host[:port]/path); the user is root where none is named.
      - The path is the branch's directory at central, or the one that holds the branches'.
    type: str
    required: true
    version_added: 0.1.0
  host_keys:
    description: Kind and key of each host key that central may show.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  key_directory:
    description: Where M(larapee.backup.fetch_key) made the key.
    type: path
    default: /run/larapee-backup-fetch
    version_added: 0.1.0
  to:
    description: V(latest), or the point that is to be restored.
    type: str
    default: latest
    version_added: 0.1.0
  fulls:
    description: How many fulls before that point come, with all that follows the oldest of them.
    type: int
    default: 3
    version_added: 0.1.0
  bandwidth:
    description: The most that the transfer takes, in KiB a second. V(0) is no limit.
    type: int
    default: 0
    version_added: 0.1.0
  directory:
    description: The directory to fill. It is made if it is missing, mode 0700.
    type: path
    required: true
    version_added: 0.1.0
  allowed_signers:
    description: The restorer's own copy of the C(allowed_signers) file.
    type: path
    required: true
    version_added: 0.1.0
  reserve_bytes:
    description: How much of the directory's filesystem stays free.
    type: int
    default: 1073741824
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Bring the branch's backups here
  larapee.backup.fetch_ssh:
    branch: branch-001
    url: ssh://central.example.com/srv/backups/larapee/branches
    host_keys: "{{ door.host_keys }}"
    directory: /var/lib/larapee-backup/fetched/branch-001
    allowed_signers: /etc/larapee-backup/allowed_signers
"""

RETURN = r"""
taken:
  description: The artifacts that were brought now.
  type: list
  elements: str
  returned: success
present:
  description: Those that were here before.
  type: list
  elements: str
  returned: success
refused:
  description: What cannot be used, and why.
  type: dict
  returned: success
bytes:
  description: How much was brought; in check mode, how much it would be at most.
  type: int
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(not_fetched), V(nothing_to_fetch), V(disk_full).
  type: str
  returned: failure
"""

from ansible_collections.larapee.backup.plugins.module_utils import _fetch_key, _fetch_ssh
from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            "branch": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "host_keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "key_directory": {"type": "path", "default": "/run/larapee-backup-fetch", "no_log": False},
            "to": {"type": "str", "default": "latest"},
            "fulls": {"type": "int", "default": 3},
            "bandwidth": {"type": "int", "default": 0},
            "directory": {"type": "path", "required": True},
            "allowed_signers": {"type": "path", "required": True},
            "reserve_bytes": {"type": "int", "default": 1073741824},
        }
    )
    options = module.params
    names = (
        "branch",
        "directory",
        "allowed_signers",
        "state_path",
        "run_id",
        "reserve_bytes",
        "to",
        "fulls",
        "bandwidth",
    )
    request = _fetch_ssh.SshRequest(**{name: options[name] for name in names})
    try:
        with interruptible():
            address = _fetch_ssh.parse(options["url"], branch=request.branch)
            way = _fetch_key.way(address, branch=request.branch, key_directory=options["key_directory"])
            _fetch_key.pin(way, options["host_keys"])
            if module.check_mode:
                size = sum(_fetch_ssh.wanted(way, options["url"], request).values())
                module.exit_json(changed=True, taken=[], present=[], refused={}, bytes=size)
            outcome = _fetch_ssh.fetch(way, options["url"], request)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(
        changed=bool(outcome.taken),
        taken=outcome.taken,
        present=outcome.present,
        refused=outcome.refused,
        bytes=outcome.bytes,
    )


if __name__ == "__main__":
    main()

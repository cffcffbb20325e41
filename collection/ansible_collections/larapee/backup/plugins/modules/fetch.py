#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fetch
short_description: Bring a branch's artifacts from a bucket to this host, by links
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Follows links that M(larapee.backup.offsite_links) made, and fills a directory that then is a place like any other.
    It needs no key, and Python's standard library alone.
  - Of each manifest the newest version is taken whose signature verifies, of each artifact the one whose bytes are
    those of the manifest. The archive's tars of increments are unpacked as they come.
  - What is there already is not brought again, so that it may be started again at any time. Nothing is decrypted.
attributes:
  check_mode:
    support: full
    description: Says how much would be brought at most.
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
    description: The place that the links lead to, for messages.
    type: str
    required: true
    version_added: 0.1.0
  links:
    description: Of each version its C(key), C(version), C(size) in bytes and C(link), as JSON.
    type: json
    required: true
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
  ca:
    description: The certificates to trust, as text, where the system trusts none that signed the server's.
    type: str
    version_added: 0.1.0
  allow_plain:
    description: Accept links without TLS.
    type: bool
    default: false
    version_added: 0.1.0
  reserve_bytes:
    description: How much of the directory's filesystem stays free.
    type: int
    default: 1073741824
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Bring what the links lead to
  larapee.backup.fetch:
    branch: branch-001
    url: s3://larapee-cold/estate
    links: "{{ links.links | to_json }}"
    directory: /var/lib/larapee-backup/fetched/branch-001
    allowed_signers: /etc/larapee-backup/allowed_signers
  no_log: true
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
  description: Why it failed, as a stable word, such as V(nothing_to_fetch), V(link_refused), V(disk_full).
  type: str
  returned: failure
"""

import json

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._fetch import FetchRequest, fetch
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._store._base import Version
from ansible_collections.larapee.backup.plugins.module_utils._store._linked import LinkedSource


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            "branch": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            # One secret, not thousands that each line of output would be searched for.
            "links": {"type": "json", "required": True, "no_log": True},
            "directory": {"type": "path", "required": True},
            "allowed_signers": {"type": "path", "required": True},
            "ca": {"type": "str"},
            "allow_plain": {"type": "bool", "default": False},
            "reserve_bytes": {"type": "int", "default": 1073741824},
        }
    )
    options = module.params
    links = {Version(each["key"], each["version"], each["size"]): each["link"] for each in json.loads(options["links"])}
    if module.check_mode:
        module.exit_json(changed=True, taken=[], present=[], refused={}, bytes=sum(each.size for each in links))
    try:
        with interruptible():
            outcome = fetch(
                LinkedSource(options["url"], links, ca=options["ca"], allow_plain=options["allow_plain"]),
                FetchRequest(
                    branch=options["branch"],
                    directory=options["directory"],
                    allowed_signers=options["allowed_signers"],
                    state_path=options["state_path"],
                    run_id=options["run_id"],
                    reserve_bytes=options["reserve_bytes"],
                ),
            )
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

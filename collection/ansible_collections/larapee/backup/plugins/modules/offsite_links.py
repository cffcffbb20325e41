#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: offsite_links
short_description: Make links to what a bucket has of a branch
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Lists what the bucket has of the branch that a restore may need, and makes a link to each version of it. Whoever has
    a link reads that one version, as long as the link is valid, and needs no key.
  - Runs where the restorer's key is, so that the key is never on the host that is restored; M(larapee.backup.fetch)
    follows the links there.
attributes:
  check_mode:
    support: full
    description: The same.
  diff_mode:
    support: none
    description: It changes nothing.
  idempotent:
    support: full
    description: It changes nothing.
extends_documentation_fragment:
  - larapee.backup.store
  - larapee.backup.store.server
options:
  branch:
    description: The branch whose artifacts are wanted.
    type: str
    required: true
    version_added: 0.1.0
  to:
    description:
      - The point that is to be restored. For V(latest) and for a time in UTC such as V(2026-11-22T14:32:10Z) only what
        is needed for it is linked; for any other point all there is.
    type: str
    default: latest
    version_added: 0.1.0
  fulls:
    description:
      - How many of the newest fulls before that point are linked, with all that follows the oldest of them. One is
        enough as long as it is intact.
    type: int
    default: 3
    version_added: 0.1.0
  valid_seconds:
    description: For how long the links are valid, at most 604800.
    type: int
    default: 21600
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Make links to what the newest restore needs
  larapee.backup.offsite_links:
    branch: branch-001
    url: s3://larapee-cold/estate
    endpoint: https://s3.example.com
    credentials_file: /home/restorer/s3.ini
  delegate_to: localhost
  no_log: true
  register: links
"""

RETURN = r"""
links:
  description:
    - Of each version its C(key) (below the prefix of O(url)), C(version), C(size) in bytes and C(link). Keep it from
      logs - whoever has a link can read.
  type: list
  elements: dict
  returned: success
bytes:
  description: How much all of it is.
  type: int
  returned: success
reason:
  description: Why it failed, as a stable word, such as V(store_refused), V(bad_credentials).
  type: str
  returned: failure
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.larapee.backup.plugins.module_utils import _fetch_choice, _names
from ansible_collections.larapee.backup.plugins.module_utils._argspec import fail
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._store._open import open_store, store_spec
from ansible_collections.larapee.backup.plugins.module_utils._store._s3 import S3Store


def make_links(options: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    branch = options["branch"]
    if not _names.is_branch_code(branch):
        raise BackupError(f"Failed to use the branch {branch!r}: not a branch's code.", reason="bad_branch")
    store = open_store(options)
    if not isinstance(store, S3Store):
        raise BackupError(
            f"Failed to make links to {options['url']}: it is a directory. Name it as the restore's source itself.",
            reason="bad_store",
        )
    prefix = f"{branch}/"
    versions = store.list(prefix)
    names = {each.key[len(prefix) :] for each in versions}
    wanted = _fetch_choice.choose(names, to=options["to"], fulls=options["fulls"])
    return [
        {
            "key": each.key,
            "version": each.version,
            "size": each.size,
            "link": store.link(each, valid_seconds=options["valid_seconds"]),
        }
        for each in versions
        if each.key[len(prefix) :] in wanted
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **store_spec(),
            "branch": {"type": "str", "required": True},
            "to": {"type": "str", "default": "latest"},
            "fulls": {"type": "int", "default": 3},
            "valid_seconds": {"type": "int", "default": 21600},
        },
        supports_check_mode=True,
    )
    try:
        with interruptible():
            links = make_links(module.params)
    except BackupError as exc:
        fail(module, exc)
    module.exit_json(changed=False, links=links, bytes=sum(each["size"] for each in links))


if __name__ == "__main__":
    main()

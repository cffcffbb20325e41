#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_archive
short_description: Archive uploads or config, in full or what changed
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Writes a tar of the uploads or of config paths and publishes it as a compressed, encrypted, signed artifact with a
    manifest, and with an encrypted index of its members, their hashes, what was deleted and what went wrong.
  - Content, modes, owners, times, hard and symbolic links, holes, access lists and any name are kept. Sockets, FIFOs
    and devices are not archived, and are named.
  - An increment holds what changed since the artifact before it, and which names are gone; stock GNU tar applies both.
    It becomes a full by itself when the artifact before it, or what this host remembers of it, is not there.
  - Files that change or vanish while they are read are named in warnings. When something cannot be read, what could be
    is published, and the module fails and names the rest.
attributes:
  check_mode:
    support: full
    description: Looks at the whole tree without reading its files, and returns what would be made and why.
  diff_mode:
    support: none
    description: The names of changed files lie only in the encrypted index.
  idempotent:
    support: partial
    description: An increment of what did not change makes nothing. Each full is a new one.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
  - larapee.backup.making
options:
  content:
    description: What the paths are; it gives the artifact its name and kind.
    type: str
    choices: [uploads, config]
    required: true
    version_added: 0.1.0
  paths:
    description:
      - Absolute paths. One directory for V(uploads), whose own path is not in the archive. Files and directories for
        V(config), which are archived by their paths; where one is a symbolic link, what it leads to is archived too.
    type: list
    elements: path
    required: true
    version_added: 0.1.0
  increment:
    description:
      - Only what changed since the newest artifact of the uploads. All of the config, if anything in it changed.
    type: bool
    default: false
    version_added: 0.1.0
  always:
    description:
      - Publish an increment also when nothing changed, so that a set has its own artifact and does not depend on what
        other runs made meanwhile.
    type: bool
    default: false
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Take a full of the uploads
  larapee.backup.file_archive:
    branch: branch-001
    content: uploads
    paths: [/var/www/storage/app/public]
    signing_key: /etc/larapee-backup/signing_key
    age_recipients:
      - age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq

- name: Archive the config if it changed
  larapee.backup.file_archive:
    branch: branch-001
    content: config
    paths: [/var/www/.env, /etc/nginx]
    increment: true
    signing_key: /etc/larapee-backup/signing_key
    age_recipients:
      - age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq
"""

RETURN = r"""
artifact:
  description: Name of the new artifact; null in check mode, and when nothing changed.
  type: str
  returned: always, once the checks before it have passed
plan:
  description:
    - What was, or would be, made - C(kind) (null when nothing changed), C(why) it is no increment though one was asked
      for, C(entries) and C(bytes) to read, C(deletions), C(newest) artifact before it.
  type: dict
  returned: always, once the checks before it have passed
problems:
  description:
    - The first 20 paths of each kind of problem - C(changed) while read, C(vanished), C(unreadable), C(skipped). All of
      them are in the index.
  type: dict
  returned: always, once the checks before it have passed
report:
  description:
    - What the recorder notes of this run - C(artifacts) (name, size in bytes, sha256), C(recovery_point) (UTC),
      C(details).
  type: dict
  returned: always, once the checks before it have passed
reason:
  description: Why it failed, as a stable word, such as V(unreadable_files), V(source_missing), V(disk_full).
  type: str
  returned: failure
"""

from ansible_collections.larapee.backup.plugins.module_utils._archive import ArchiveRequest, archive_files
from ansible_collections.larapee.backup.plugins.module_utils._archive_report import report_of_archive
from ansible_collections.larapee.backup.plugins.module_utils._argspec import (
    create_module,
    fail,
    making_options,
    making_spec,
    place_spec,
    run_spec,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    module = create_module(
        {
            **place_spec(),
            **run_spec(),
            **making_spec(),
            "content": {"type": "str", "choices": ["uploads", "config"], "required": True},
            "paths": {"type": "list", "elements": "path", "required": True},
            "increment": {"type": "bool", "default": False},
            "always": {"type": "bool", "default": False},
        }
    )
    options = module.params
    result: dict[str, object] = {}
    try:
        with interruptible():
            outcome = archive_files(
                ArchiveRequest(
                    **making_options(options),
                    content=options["content"],
                    paths=tuple(options["paths"]),
                    increment=options["increment"],
                    always=options["always"],
                ),
                check_mode=module.check_mode,
            )
        for warning in outcome.warnings:
            module.warn(warning)
        result = {
            "changed": not outcome.unchanged,
            "artifact": outcome.manifest.artifact if outcome.manifest else None,
            "plan": outcome.plan,
            "problems": outcome.problems,
            "report": report_of_archive(outcome),
        }
        outcome.require_readable()
    except BackupError as exc:
        exc.facts.update(result)
        fail(module, exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_restore
short_description: Restore uploads or config into an empty or confirmed directory
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Chooses the newest intact full of a branch's files and the increments that follow it, puts them together in a
    directory beside the target, compares every file with the encrypted index, and then lets the two
    change places.
  - Refuses another branch's set, unsigned or changed artifacts, members that would leave the target, and a target
    that is not empty unless O(confirm) names the branch.
  - A failed or killed restore leaves the target as it was. What was replaced is kept beside it, with the name
    C(<target>.before-restore-YYYYmmdd-HHMMSS).
attributes:
  check_mode:
    support: full
    description: Returns the plan - which artifacts, up to which moment, what they replace.
  diff_mode:
    support: none
    description: The plan says what is replaced.
  idempotent:
    support: none
    description: A second run finds the target not empty and refuses.
extends_documentation_fragment:
  - larapee.backup.run
  - larapee.backup.reading
options:
  branch:
    description: The branch whose files are restored.
    type: str
    required: true
    version_added: 0.1.0
  content:
    description: Which files.
    type: str
    required: true
    choices:
      - uploads
      - config
    version_added: 0.1.0
  source:
    description: A directory on the target host that holds the artifacts.
    type: str
    required: true
    version_added: 0.1.0
  target:
    description:
      - The directory to fill. It may be missing, but not the directory that it lies in.
      - A mount point must be empty, and is filled in several steps; anything else changes in one.
    type: path
    required: true
    version_added: 0.1.0
  to:
    description:
      - V(latest), a time in UTC such as V(2026-11-22T14:32:10Z) for the newest state that is not after it, or
        V(set:100) for that of a set.
      - For V(latest), what is damaged is passed over, with a warning that says what is lost by that; for anything
        else it is refused, with the nearest that can be had.
    type: str
    default: latest
    version_added: 0.1.0
  paths:
    description:
      - Only these files, or directories with all below them, put into the target beside what else is there. Below
        the directory of the uploads; for config as they were on the branch.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  outward_links:
    description:
      - Whether symbolic links that lead out of the target are restored as they are (V(keep)) or refused, with
        everything else (V(refuse)). They are never followed here, but a web server may follow them.
      - Without it they are refused for uploads and kept for config.
    type: str
    choices:
      - refuse
      - keep
    version_added: 0.1.0
  live_db_option_file:
    description:
      - The client option file by which this host backs the branch up; where it is missing, nothing is backed up.
    type: path
    version_added: 0.1.0
  live_path:
    description:
      - The uploads that this host archives. A restore of all of them sets the latch, and nothing of the branch is
        backed up until P(larapee.backup.latch#module) is released.
    type: path
    version_added: 0.1.0
  confirm:
    description: The branch's code, typed by a person, to replace what is there.
    type: str
    default: ''
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Bring the shop's uploads back
  larapee.backup.file_restore:
    branch: branch-001
    content: uploads
    source: /var/backups/larapee/local
    allowed_signers: /etc/larapee-backup/allowed_signers
    age_identity_file: /home/restorer/larapee.agekey
    target: /var/www/storage/app/public

- name: Bring one receipt back as it was in set 100
  larapee.backup.file_restore:
    branch: branch-001
    content: uploads
    source: /var/backups/larapee/local
    allowed_signers: /etc/larapee-backup/allowed_signers
    age_identity_file: /home/restorer/larapee.agekey
    target: /var/www/storage/app/public
    to: set:100
    paths:
      - receipts/B01-20261122-0412.pdf
"""

RETURN = r"""
plan:
  description:
    - What was, or would be, restored - artifacts, set, recovery_point (UTC), entries, bytes, paths, target, what it
      replaces, whether it holds_backups here until the shop is open, what is lost; after a restore also where what was
      replaced is kept.
  type: dict
  returned: success
seconds:
  description: Seconds by step - choose, open, examine, sync, place.
  type: dict
  returned: success
report:
  description: What the recorder notes of this run.
  type: dict
  returned: success
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, fail, reading_spec, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._file_restore import (
    KEEP,
    REFUSE,
    FileRestoreRequest,
    report_of_file_restore,
    restore_files,
)
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    module = create_module(
        {
            **run_spec(),
            **reading_spec(),
            "branch": {"type": "str", "required": True},
            "content": {"type": "str", "required": True, "choices": ["uploads", "config"]},
            "source": {"type": "str", "required": True},
            "target": {"type": "path", "required": True},
            "to": {"type": "str", "default": "latest"},
            "paths": {"type": "list", "elements": "str", "default": []},
            "outward_links": {"type": "str", "choices": [REFUSE, KEEP]},
            "live_db_option_file": {"type": "path"},
            "live_path": {"type": "path"},
            "confirm": {"type": "str", "default": ""},
        }
    )
    options = module.params
    try:
        with interruptible():
            outcome = restore_files(
                FileRestoreRequest(
                    branch=options["branch"],
                    content=options["content"],
                    source=options["source"],
                    allowed_signers=options["allowed_signers"],
                    target=options["target"],
                    state_path=options["state_path"],
                    run_id=options["run_id"],
                    to=options["to"],
                    paths=tuple(options["paths"]),
                    identity=options["age_identity"],
                    confirm=options["confirm"],
                    outward_links=options["outward_links"],
                    live_option_file=options["live_db_option_file"] or "",
                    live_path=options["live_path"] or "",
                ),
                check_mode=module.check_mode,
            )
    except BackupError as exc:
        fail(module, exc)
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(
        changed=True,
        plan=outcome.plan,
        seconds=outcome.seconds,
        report=report_of_file_restore(outcome),
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
short_description: Take an immutable snapshot of what central holds of each branch
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Makes C(snapshots/<branch>/<YYYYmmdd-HHMM>/) of all that is intact in C(branches/<branch>/). A snapshot is a place
    of its own, that can be verified and restored from; its files are root's, 0400, in a directory 0500.
  - It is written under a temporary name. C(SHA256SUMS) and C(snapshot.json), which lists what it holds, come last, then
    its name. What a crash left is removed by the next run.
  - Older snapshots go after O(keep_days), never the newest, and none while something is damaged that may be whole in
    them, or while somebody reads them. A clock that jumps ages nothing.
  - A branch for which it fails does not stop the others; see RV(reports).
attributes:
  check_mode:
    support: full
    description: Checks everything, and tells what a snapshot would hold, which would be removed, and changes nothing.
  diff_mode:
    support: none
    description: The reports name what there is.
  idempotent:
    support: none
    description: Each run takes another snapshot.
extends_documentation_fragment:
  - larapee.backup.branches
  - larapee.backup.estate
  - larapee.backup.run
options:
  method:
    description:
      - How a snapshot gets its bytes. V(reflink) shares blocks, which the filesystem copies when one side changes (XFS,
        Btrfs); V(link) is another name of the adopted file, which only root can write; V(copy) takes the space again.
      - V(auto) takes the first of these, in this order, that works.
    type: str
    choices: [auto, reflink, link, copy]
    default: auto
    version_added: 0.1.0
  immutable:
    description:
      - Set the filesystem's immutable flag (chattr +i) on each snapshot, so that root has to clear it first. Files that
        are shared as links do not get it, their directory does. Needs the capability CAP_LINUX_IMMUTABLE.
    type: bool
    default: false
    version_added: 0.1.0
  keep_days:
    description: Snapshots younger than this stay. A step of more than 48 hours between two does not count.
    type: int
    default: 14
    version_added: 0.1.0
"""

EXAMPLES = r"""
- name: Take tonight's snapshots
  larapee.backup.snapshot:
    branches:
      - branch-001
      - branch-002
    allowed_signers: /etc/larapee-backup/allowed_signers
"""

RETURN = r"""
reports:
  description:
    - By branch, what the recorder notes - C(artifacts) (the snapshot; its SHA-256 is that of C(snapshot.json)),
      C(recovery_point), C(details), and C(error) where a person has to act.
  type: dict
  returned: always
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import create_module, estate_spec, fail, run_spec
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._estate import Report, each_branch
from ansible_collections.larapee.backup.plugins.module_utils._freeze import SnapshotRequest, take_snapshot
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible


def main() -> None:
    module = create_module(
        {
            **estate_spec(),
            **run_spec(),
            "method": {"type": "str", "choices": ["auto", "reflink", "link", "copy"], "default": "auto"},
            "immutable": {"type": "bool", "default": False},
            "keep_days": {"type": "int", "default": 14},
        }
    )
    options = module.params

    def work(branch: str) -> Report:
        request = SnapshotRequest(
            branch=branch,
            central_path=options["central_path"],
            allowed_signers=options["allowed_signers"],
            state_path=options["state_path"],
            run_id=options["run_id"],
            keep_days=options["keep_days"],
            method=options["method"],
            immutable=options["immutable"],
        )
        return take_snapshot(request, check_mode=module.check_mode).report()

    try:
        with interruptible():
            reports = each_branch(work, options["branches"], deadline=options["deadline"])
    except BackupError as exc:
        fail(module, exc)
    made = any(each["artifacts"] or (module.check_mode and "error" not in each) for each in reports.values())
    module.exit_json(changed=made, reports=reports)


if __name__ == "__main__":
    main()

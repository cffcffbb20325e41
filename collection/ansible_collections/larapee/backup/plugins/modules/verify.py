#!/usr/bin/python
# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Verify the artifacts of one place from its catalogue
version_added: 0.1.0
author: LaraPee contributors (@larapee)
description:
  - Checks every artifact that the manifests of a place name - C(intact) (present, SHA-256 and signature right, chain
    unbroken, no number missing; needs no key), C(opened) (decrypted and decompressed to the recorded SHA-256, and an
    increment of the database holds the binary log files that its manifest describes; needs an identity) and C(proven)
    (a restore drill did it; only reported here).
  - Results are V(OK), V(FAILED), V(NOT RUN) (a check in reach that could not run) and V(n/a here). Anything but OK and
    n/a here fails the module; so does a place with nothing to verify.
  - Writes C(<artifact>.verified.json) beside each artifact.
attributes:
  check_mode:
    support: full
    description: Checks everything and writes no results.
  diff_mode:
    support: none
    description: The results are facts, not a state.
  idempotent:
    support: none
    description: Each run writes when it checked.
extends_documentation_fragment:
  - larapee.backup.place
  - larapee.backup.run
  - larapee.backup.reading
"""

EXAMPLES = r"""
- name: Verify what lies on the branch
  larapee.backup.verify:
    branch: branch-001
    local_path: /var/backups/larapee/local
    allowed_signers: /etc/larapee-backup/allowed_signers
"""

RETURN = r"""
checks:
  description: One entry a level and artifact - C(artifact), C(level), C(status), C(reason).
  type: list
  elements: dict
  returned: when the catalogue could be read
unmanaged:
  description: Files with an artifact's name that belong to nobody here, such as dumps of an older cron line.
  type: list
  elements: str
  returned: when the catalogue could be read
report:
  description: What the recorder notes of this run.
  type: dict
  returned: when the catalogue could be read
"""

from ansible_collections.larapee.backup.plugins.module_utils._argspec import (
    create_module,
    fail,
    place_spec,
    reading_spec,
    run_spec,
)
from ansible_collections.larapee.backup.plugins.module_utils._errors import BackupError
from ansible_collections.larapee.backup.plugins.module_utils._owner import interruptible
from ansible_collections.larapee.backup.plugins.module_utils._report import describe_failures, report_of_verification
from ansible_collections.larapee.backup.plugins.module_utils._verify import VerifyRequest, verify_place


def main() -> None:
    module = create_module({**place_spec(), **run_spec(), **reading_spec()})
    options = module.params
    try:
        with interruptible():
            outcome = verify_place(
                VerifyRequest(
                    branch=options["branch"],
                    directory=options["local_path"],
                    allowed_signers=options["allowed_signers"],
                    state_path=options["state_path"],
                    run_id=options["run_id"],
                    identity=options["age_identity"],
                ),
                check_mode=module.check_mode,
            )
    except BackupError as exc:
        fail(module, exc)
    if outcome.unmanaged:
        module.warn(f"Not in the catalogue, not verified: {', '.join(outcome.unmanaged)}.")
    result = {
        "checks": [vars(check) for check in outcome.checks],
        "unmanaged": list(outcome.unmanaged),
        "report": report_of_verification(outcome),
    }
    if outcome.failures:
        module.fail_json(msg=describe_failures(outcome, options["local_path"]), reason="not_verified", **result)
    module.exit_json(changed=not module.check_mode, **result)


if __name__ == "__main__":
    main()

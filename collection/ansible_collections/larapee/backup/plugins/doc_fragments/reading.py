# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that may open artifacts with the restorer's identity."""

    DOCUMENTATION = r"""
options:
  age_identity_file:
    description:
      - The restorer's age identity file B(on the controller). An action plugin reads it and hands its text to the
        target in memory only; it refuses when pipelining is off or remote files are kept, since Ansible would then
        write the text to the target's disk.
    type: path
    version_added: 0.1.0
  age_identity:
    description: The text of the identity, as O(age_identity_file) hands it over. Not meant for playbooks.
    type: str
    version_added: 0.1.0
  allowed_signers:
    description:
      - The C(allowed_signers) file (see ssh-keygen), with the branch's code as principal, on the host where the module
        runs.
    type: path
    required: true
    version_added: 0.1.0
"""

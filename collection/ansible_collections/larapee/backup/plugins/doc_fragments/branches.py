# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that work at central for many branches."""

    DOCUMENTATION = r"""
options:
  branches:
    description: The codes of the branches, such as V(branch-001). Each is worked for by itself, two at once.
    type: list
    elements: str
    required: true
    version_added: 0.1.0
  allowed_signers:
    description: The C(allowed_signers) file (see ssh-keygen) at central, with each branch's code as principal.
    type: path
    required: true
    version_added: 0.1.0
  deadline:
    description:
      - Seconds after which the work for one branch is ended, and its row fails, so that one whose storage does not
        answer holds up no other. It has to be less than what ends the whole run.
    type: int
    default: 14400
    version_added: 0.1.0
"""

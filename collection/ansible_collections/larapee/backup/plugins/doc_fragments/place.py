# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that work on a place, a directory of artifacts of one branch."""

    DOCUMENTATION = r"""
options:
  branch:
    description: The branch's code, such as V(branch-001).
    type: str
    required: true
    version_added: 0.1.0
  local_path:
    description: The directory that holds the artifacts.
    type: path
    default: /var/backups/larapee/local
    version_added: 0.1.0
"""

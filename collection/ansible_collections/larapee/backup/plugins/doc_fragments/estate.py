# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Where central keeps what it holds of branches."""

    DOCUMENTATION = r"""
options:
  central_path:
    description: Central's directory. What it holds of a branch is in C(branches/<branch>) below it.
    type: path
    default: /srv/backups/larapee
    version_added: 0.1.0
"""

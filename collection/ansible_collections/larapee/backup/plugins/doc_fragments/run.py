# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options that tie a module to the run it belongs to."""

    DOCUMENTATION = r"""
options:
  run_id:
    description: The run's UUID, as the recorder knows it. Without it a new one is made.
    type: str
    version_added: 0.1.0
  state_path:
    description: The directory of locks and sequence numbers on this host.
    type: path
    default: /var/lib/larapee-backup
    version_added: 0.1.0
requirements:
  - PyMySQL (python3-pymysql on Debian) for modules that talk to a database
  - age, zstd or gzip, ssh-keygen
"""

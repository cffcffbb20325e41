# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that make artifacts."""

    DOCUMENTATION = r"""
options:
  encryption:
    description: Whether the artifact is encrypted to O(age_recipients).
    type: bool
    default: true
    version_added: 0.1.0
  age_recipients:
    description: Public keys (C(age1...) or SSH public keys). Two at least are advised.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  signing_key:
    description: The branch's SSH private key, without passphrase, mode 0600, that signs the manifest.
    type: path
    required: true
    version_added: 0.1.0
  allowed_signers:
    description:
      - The C(allowed_signers) file of those who verify and restore. Where given, an artifact that it would not accept
        as the branch's at this time (a wrong or outdated key, a wrong clock) fails instead.
    type: path
    version_added: 0.1.0
  reserve_bytes:
    description:
      - Bytes that stay free on the filesystem of O(local_path). Checked with the expected size before, and again while
        bytes are written.
    type: int
    default: 67108864
    version_added: 0.1.0
  quota_bytes:
    description:
      - Bytes that all files of O(local_path) together may take; V(0) is no quota. Checked like O(reserve_bytes). At the
        quota the backup fails, so that the shop's disk never fills.
    type: int
    default: 0
    version_added: 0.1.0
"""

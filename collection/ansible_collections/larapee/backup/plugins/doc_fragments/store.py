# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that work on a place offsite; ``server``: those that do not depend on bucket or identity."""

    SERVER = r"""
options:
  endpoint:
    description: The server of the bucket, such as V(https://s3.example.com); empty for the provider's own.
    type: str
    default: ""
    version_added: 0.1.0
  region:
    description: The bucket's region.
    type: str
    default: us-east-1
    version_added: 0.1.0
  ca_file:
    description: The certificates to trust, where the server's is not signed by one that the system trusts.
    type: path
    version_added: 0.1.0
  allow_plain:
    description: Accept an O(endpoint) without TLS.
    type: bool
    default: false
    version_added: 0.1.0
"""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - An absolute directory, or C(s3://bucket/prefix), which needs C(boto3) for the Python that runs the module.
    type: str
    required: true
    version_added: 0.1.0
  credentials_file:
    description:
      - A 0600 file with a section C([s3]) that has C(access_key) and C(secret_key). Required for a bucket. Nothing is
        taken from the environment.
    type: path
    version_added: 0.1.0
"""

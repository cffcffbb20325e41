# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The place that a URL names, with the options that modules share.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t
import urllib.parse

from .._errors import BackupError
from ._base import Store
from ._directory import DirectoryStore
from ._s3 import open_bucket


def store_spec() -> dict[str, t.Any]:
    """Options of the doc fragment ``store``."""
    return {
        **server_spec(),
        "url": {"type": "str", "required": True},
        "credentials_file": {"type": "path"},
    }


def server_spec() -> dict[str, t.Any]:
    """Those of them that do not depend on bucket or identity."""
    return {
        "endpoint": {"type": "str", "default": ""},
        "region": {"type": "str", "default": "us-east-1"},
        "ca_file": {"type": "path"},
        "allow_plain": {"type": "bool", "default": False},
    }


def open_store(options: t.Mapping[str, t.Any], *, uploads_path: str | None = None) -> Store:
    """The place at ``url``: an absolute directory, or ``s3://bucket/prefix``; raises BackupError.

    What was begun to be uploaded and not ended is kept at *uploads_path*.
    """
    url: str = options["url"]
    if os.path.isabs(url):
        return DirectoryStore(url)
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise BackupError(
            f"Failed to use the offsite place {url!r}: neither an absolute directory nor s3://bucket/prefix. Correct "
            "larapee_backup_offsite_url.",
            reason="bad_store",
        )
    if not options["credentials_file"]:
        raise BackupError(
            f"Failed to use {url}: no credentials file. Set larapee_backup_s3_credentials_file.",
            reason="bad_credentials",
        )
    return open_bucket(
        url,
        endpoint=options["endpoint"],
        credentials_file=options["credentials_file"],
        region=options["region"],
        ca_file=options["ca_file"],
        allow_plain=options["allow_plain"],
        uploads_path=uploads_path,
    )


__all__ = ("open_store", "server_spec", "store_spec")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The level *opened* of one artifact: it decrypts to its plain SHA-256, and so does its companion.

An archive agrees with its index, the manifest of a dump with its fingerprint, that of an increment of the database with
the binary log files that it holds.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import tempfile

from . import _fingerprint_file, _manifest, _open, _unpack
from ._catalog import Entry
from ._log_check import LogCheck


def check_opened(entry: Entry, *, identity: str | None, state_path: str) -> None:
    """Raise BackupError unless *entry* opens; its plain index lies in *state_path* for that time, without a name."""
    if entry.manifest.kind in _manifest.FILES_KINDS:
        scratch = state_path if os.path.isdir(state_path) else tempfile.gettempdir()
        _unpack.examine(entry, identity=identity, scratch=scratch)
    else:
        check = LogCheck(entry.manifest) if entry.manifest.kind == "db_increment" else None
        _open.open_artifact(entry, identity=identity, following=[] if check is None else [check])
        if check is not None:
            check.finish()
        if entry.companion_path is not None:
            _fingerprint_file.read_companion(entry, identity=identity)


__all__ = ("check_opened",)

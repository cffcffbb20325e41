# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The level *opened* of one artifact: it decrypts to its plain SHA-256, and an archive agrees with its index.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import tempfile

from . import _manifest, _open, _unpack
from ._catalog import Entry


def check_opened(entry: Entry, *, identity: str | None, state_path: str) -> None:
    """Raise BackupError unless *entry* opens; its plain index lies in *state_path* for that time, without a name."""
    if entry.manifest.kind in _manifest.FILES_KINDS:
        scratch = state_path if os.path.isdir(state_path) else tempfile.gettempdir()
        _unpack.examine(entry, identity=identity, scratch=scratch)
    else:
        _open.open_artifact(entry, identity=identity)


__all__ = ("check_opened",)

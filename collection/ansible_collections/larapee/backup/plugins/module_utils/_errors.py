# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one family of errors that modules turn into a failed result.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import typing as t


class BackupError(Exception):
    """A failure with a message for a person and a slug for a program.

    The message reads "Failed to <verb> <object>: <cause>. <What to do>."; ``reason`` is stable (``lock_held``,
    ``not_intact``, ``wrong_branch``, ...) and ``facts`` holds what a caller may act on. Neither ever holds a secret.
    """

    def __init__(self, message: str, *, reason: str = "failed", facts: t.Mapping[str, t.Any] | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.facts: dict[str, t.Any] = dict(facts or {})


__all__ = ("BackupError",)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class RecorderError(Exception):
    """The root of what the recorder raises; the message is one line for a person."""


class SettingsError(RecorderError):
    """The recorder's configuration cannot be used."""


class JournalError(RecorderError):
    """The local journal could not be read or written."""


class RunOwnedError(JournalError):
    """Another living process owns the run."""


class StoreError(RecorderError):
    """The runs table could not be reached, read or written."""


__all__ = ("JournalError", "RecorderError", "RunOwnedError", "SettingsError", "StoreError")

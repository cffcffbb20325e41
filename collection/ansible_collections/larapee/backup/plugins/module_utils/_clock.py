# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place where the time is asked for.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt


def now() -> dt.datetime:
    """The time, aware, in UTC."""
    return dt.datetime.now(dt.timezone.utc)


__all__ = ("now",)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a file that an older cron line left was begun: its name tells it in the local time of that host.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo

from . import _names
from ._errors import BackupError


class LocalTime:
    """The local time of *time_zone* (an IANA name), or of this host when it is empty."""

    def __init__(self, time_zone: str) -> None:
        self.name = time_zone or "this host's time zone"
        self._zone: dt.tzinfo | None = None
        if time_zone:
            try:
                self._zone = zoneinfo.ZoneInfo(time_zone)
            except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
                raise BackupError(
                    f"Failed to use the time zone {time_zone!r}: this host does not know it. Give an IANA name such as "
                    "Europe/Berlin, and install the package tzdata.",
                    reason="bad_time_zone",
                ) from exc

    def begun(self, name: str) -> dt.datetime:
        """When the artifact *name* was begun, in UTC.

        Of an hour that the clock shows twice it is the first; a time that it never shows is as long after the change.
        """
        parsed = _names.parse_name(name)
        if parsed is None:
            raise ValueError(f"{name} is not the name of an artifact")
        shown = parsed.time.replace(tzinfo=None, fold=0)
        # Without a zone, timestamp takes a time as this host's local one; so does astimezone, but for such gaps.
        seconds = shown.replace(tzinfo=self._zone).timestamp()
        return dt.datetime.fromtimestamp(seconds, dt.timezone.utc)


__all__ = ("LocalTime",)

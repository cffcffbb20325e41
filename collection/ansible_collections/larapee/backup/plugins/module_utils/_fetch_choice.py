# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of a place's objects a restore may need, judged by the times in their names.

The names are anybody's who can write there, so that this only leaves things out; what of the rest is worth anything is
judged where it is used.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import datetime as dt
import typing as t

from . import _bundle, _clock, _manifest, _names

_SUFFIXES = (_names.SIGNATURE_SUFFIX, _names.MANIFEST_SUFFIX)
# As a place takes nothing that claims to come from later.
_FUTURE = dt.timedelta(minutes=10)
_EVER = dt.datetime.min.replace(tzinfo=dt.timezone.utc)
_FOREVER = dt.datetime.max.replace(tzinfo=dt.timezone.utc)


def choose(names: t.Iterable[str], *, to: str, fulls: int) -> set[str]:
    """Of *names* those that a restore *to* ``latest``, or to a time in UTC, may need; all of them for any other point.

    *fulls*: how many of the newest fulls of the database and of the files, and of the config, are to be at hand, with
    all that follows the oldest of them. Where there is no such full all increments are chosen, and the restore tells
    what it misses.
    """
    every = {name: found for name in names for found in [_what(name)] if found is not None}
    moment = _moment(to)
    if moment is None:
        return set(every)
    since: dict[str, dt.datetime] = {}
    until: dict[str, dt.datetime] = {}
    for kind in ("db_full", "files_full", "config"):
        times = {time for of, time in every.values() if of == kind}
        since[kind] = min(sorted((time for time in times if time <= moment), reverse=True)[:fulls], default=_EVER)
        until[kind] = moment
        # What was committed before the moment may have been sealed long after it, but before the next full.
        increment = kind.replace("_full", "_increment")
        until.setdefault(increment, min((time for time in times if time > moment), default=_FOREVER))
        since.setdefault(increment, since[kind])
    known = (since[of] for of in ("db_increment", "files_increment") if since[of] > _EVER)
    since["bundle"] = min(known, default=_EVER)
    # A bundle has what was sealed before its time.
    last = max(until["db_increment"], until["files_increment"])
    until["bundle"] = min((time for of, time in every.values() if of == "bundle" and time >= last), default=_FOREVER)
    return {name for name, (of, time) in every.items() if since[of] <= time <= until[of]}


def artifact_of(name: str) -> str | None:
    """The artifact that the file *name* is, or belongs to; None when it is no artifact's."""
    for suffix in _SUFFIXES:
        if name.endswith(suffix):
            name = name[: -len(suffix)]
            return name if _names.parse_name(name) is not None else None
    if _names.parse_name(name) is not None:
        return name
    for suffix in (_names.INDEX_SUFFIX, _names.FINGERPRINT_SUFFIX):
        artifact = name.partition(suffix)[0]
        if _names.parse_name(artifact) is not None and _names.companion_name(artifact) == name:
            return artifact
    return None


def _what(name: str) -> tuple[str, dt.datetime] | None:
    if _bundle.NAME.fullmatch(name):
        digits = name[len("increments-") : -len(_bundle.SUFFIX)]
        try:
            return "bundle", dt.datetime.strptime(f"{digits.replace('-', ''):0<14}+0000", "%Y%m%d%H%M%S%z")
        except ValueError:
            return None
    artifact = artifact_of(name)
    found = _names.parse_name(artifact) if artifact is not None else None
    return None if found is None else (found.kind, found.time)


def _moment(to: str) -> dt.datetime | None:
    if to == "latest":
        return _clock.now() + _FUTURE
    try:
        return _manifest.parse_time(to)
    except ValueError:
        return None


__all__ = ("artifact_of", "choose")

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of artifacts (design: times in UTC, nothing is ever overwritten).

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import typing as t

MANIFEST_SUFFIX = ".manifest.json"
SIGNATURE_SUFFIX = ".manifest.json.sig"
VERIFIED_SUFFIX = ".verified.json"
INDEX_SUFFIX = ".index.zst"
FINGERPRINT_SUFFIX = ".fingerprint.zst"

# kind -> (prefix, {compression: ending})
_FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "db_full": ("db", {"gzip": ".sql.gz", "zstd": ".sql.zst"}),
    "db_increment": ("db", {"zstd": ".binlog.zst"}),
    "files_full": ("public-uploads", {"zstd": ".tar.zst"}),
    "files_increment": ("public-uploads", {"zstd": ".incr.tar.zst"}),
    "config": ("config", {"zstd": ".tar.zst"}),
}

_NAME = re.compile(
    r"(?P<prefix>db|public-uploads|config)-(?P<minute>\d{8}-\d{4})(?:-(?P<second>\d{2}))?"
    r"(?P<ending>\.sql\.gz|\.sql\.zst|\.binlog\.zst|\.incr\.tar\.zst|\.tar\.zst)(?P<age>\.age)?",
    re.ASCII,
)


@dataclasses.dataclass(frozen=True)
class ArtifactName:
    """What an artifact's name says: kind, compression (``gzip`` or ``zstd``), encrypted or not, time (UTC)."""

    kind: str
    compression: str
    encrypted: bool
    time: dt.datetime


def candidate_names(kind: str, compression: str, *, encrypted: bool, now: dt.datetime) -> t.Iterator[str]:
    """Yield the names to try in turn: the minute, then minute and seconds, then any other second of that minute."""
    prefix, endings = _FORMS[kind]
    ending = endings[compression] + (".age" if encrypted else "")
    minute = now.astimezone(dt.timezone.utc).strftime("%Y%m%d-%H%M")
    yield f"{prefix}-{minute}{ending}"
    for second in (*range(now.second, 60), *range(now.second)):
        yield f"{prefix}-{minute}-{second:02d}{ending}"


def same_minute_names(name: str) -> list[str]:
    """Every name that an artifact of the same kind and time could bear: any compression, encrypted or not."""
    for prefix, endings in _FORMS.values():
        for ending in endings.values():
            stem = name[: -len(".age")] if name.endswith(".age") else name
            match = _NAME.fullmatch(name)
            if match is not None and match["prefix"] == prefix and match["ending"] == ending:
                stem = stem[: -len(ending)]
                return [stem + each + age for each in endings.values() for age in ("", ".age")]
    return [name]


def parse_name(name: str) -> ArtifactName | None:
    """Return what *name* says, or None when it is not the name of an artifact."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    for kind, (prefix, endings) in _FORMS.items():
        for compression, ending in endings.items():
            if prefix == match["prefix"] and ending == match["ending"]:
                try:
                    time = dt.datetime.strptime(f"{match['minute']}{match['second'] or '00'}+0000", "%Y%m%d-%H%M%S%z")
                except ValueError:
                    return None
                return ArtifactName(kind=kind, compression=compression, encrypted=match["age"] is not None, time=time)
    return None


def companion_name(artifact: str) -> str:
    """The name of an artifact's companion, encrypted exactly when the artifact is.

    Of files it is the index, of the database the fingerprint.
    """
    suffix = FINGERPRINT_SUFFIX if artifact.startswith("db-") else INDEX_SUFFIX
    return artifact + suffix + (".age" if artifact.endswith(".age") else "")


def is_branch_code(text: str) -> bool:
    """A branch's code names directories, locks and signing principals: letters, digits, dot, dash, underscore."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text) is not None


__all__ = (
    "FINGERPRINT_SUFFIX",
    "INDEX_SUFFIX",
    "MANIFEST_SUFFIX",
    "SIGNATURE_SUFFIX",
    "VERIFIED_SUFFIX",
    "ArtifactName",
    "candidate_names",
    "companion_name",
    "is_branch_code",
    "parse_name",
    "same_minute_names",
)

# Copyright (c) 2026, LaraPee contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of what is configured against itself: intervals, ages, codes, recipients, addresses.

Private to larapee.backup: may change without notice.
"""

from __future__ import annotations

import os
import typing as t
import urllib.parse

from . import _encrypt
from ._errors import BackupError
from ._names import is_branch_code
from ._preflight_request import REFUSED, WARNING, Found, PreflightRequest

DAY = 86400
LEAST_LOCK_DAYS, MOST_LOCK_DAYS = 90, 365
_LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")


def branch_codes(request: PreflightRequest) -> Found:
    codes = [str(branch.get("code", "")) for branch in request.branches]
    if request.side == "branch":
        yield from _bad_codes([request.branch])
        if codes and request.branch not in codes:
            yield (
                REFUSED,
                f"Failed to accept branch {request.branch!r}: the estate has no branch of that code. "
                "Correct larapee_backup_branch of this host, or add the host to the group branches.",
            )
    elif not codes:
        yield REFUSED, "Failed to find any branch: the group branches is empty. Add the hosts of the branches to it."
    yield from _bad_codes(codes)
    # Two directories whose names differ in case only are one to a person in a hurry.
    alike: dict[str, list[str]] = {}
    for code in codes:
        alike.setdefault(code.casefold(), []).append(code)
    for group in alike.values():
        if len(group) > 1:
            yield (
                REFUSED,
                f"Failed to tell {len(group)} hosts apart: their branch codes are {', '.join(sorted(group))}. Give "
                "each a code of its own, different in more than case.",
            )


def _bad_codes(codes: t.Iterable[str]) -> Found:
    for code in codes:
        if not is_branch_code(code):
            yield (
                REFUSED,
                f"Failed to accept branch {code!r}: a code names directories, so it has 1 to 64 letters, digits, dots, "
                "dashes and underscores and begins with a letter or digit. Rename it.",
            )


def objectives(request: PreflightRequest) -> Found:
    if request.log_interval is None or request.pull_interval is None:
        return
    if min(request.log_interval, request.pull_interval) <= 0:
        yield REFUSED, "Failed to accept the schedule: an interval is not positive. Correct the intervals."
    total = request.log_interval + request.pull_interval
    if total > request.rpo:
        yield (
            REFUSED,
            f"Failed to meet the recovery point objective of {_span(request.rpo)}: logs are sealed every "
            f"{_span(request.log_interval)} and pulled every {_span(request.pull_interval)}, so central may lack "
            f"{_span(total)}. Shorten one of the intervals.",
        )


def retention(request: PreflightRequest) -> Found:
    if request.retention_days is None:
        return
    kept = request.retention_days * DAY
    for what, interval in (("verification", request.verify_interval), ("drill", request.drill_interval)):
        if kept < interval:
            yield (
                REFUSED,
                f"Failed to accept a retention of {_span(kept)}: the {what} comes every {_span(interval)}, so sets "
                f"would go before it proved them. Keep them longer, or make the {what} more frequent.",
            )


def recipients(request: PreflightRequest) -> Found:
    if not request.encryption:
        yield (
            WARNING,
            "Failed to find encryption: it is switched off by name. Whoever reads an artifact reads all of it; switch "
            "larapee_backup_encryption on.",
        )
        return
    if request.side != "branch" and not request.recipients:
        return
    try:
        _encrypt.check_recipients(request.recipients)
    except BackupError as exc:
        yield REFUSED, str(exc)
        return
    if _encrypt.is_alone(request.recipients):
        yield (
            WARNING,
            "Failed to find two age recipients: with one, a lost identity loses every backup. Add the recipient of a "
            "second identity that is kept elsewhere.",
        )


def s3_tls(request: PreflightRequest) -> Found:
    for endpoint in request.s3_endpoints:
        parts = _split(endpoint)
        if parts is None or parts.scheme != "https":
            yield (
                REFUSED,
                f"Failed to accept the S3 endpoint {_without_user(endpoint)}: it is not https://, so keys and "
                "artifacts would travel in clear. Give an https:// address, or allow s3_tls by name.",
            )


def runs_tls(request: PreflightRequest) -> Found:
    if not request.runs_url or request.runs_url.startswith("sqlite:"):
        return
    parts = _split(request.runs_url)
    if parts is None:
        yield REFUSED, "Failed to read runs_url: it is not a URL. Correct it."
        return
    if parts.password is not None:
        yield (
            REFUSED,
            "Failed to accept runs_url: it holds a password. Put the password into an option file, and name that by "
            "read_default_file.",
        )
    plain = urllib.parse.parse_qs(parts.query).get("allow_plaintext", ["0"])[-1]
    if plain not in ("", "0", "false") and (parts.hostname or "") not in _LOCAL_HOSTS:
        yield (
            REFUSED,
            f"Failed to accept the runs database on {parts.hostname}: allow_plaintext lets it be reached without TLS. "
            "Remove allow_plaintext, or allow runs_tls by name.",
        )


def cold_lock(request: PreflightRequest) -> Found:
    days = request.cold_lock_days
    if days is not None and not LEAST_LOCK_DAYS <= days <= MOST_LOCK_DAYS:
        yield (
            REFUSED,
            f"Failed to accept a lock of {days} days: the cold archive is immutable for {LEAST_LOCK_DAYS} to "
            f"{MOST_LOCK_DAYS} days, and a lock that is set cannot be shortened. Choose a number between them.",
        )


def restore_target(request: PreflightRequest) -> Found:
    if request.live_restore_target and request.restore_confirm != request.branch:
        yield (
            REFUSED,
            f"Failed to accept this host as a restore's target: it is the live branch {request.branch}. Set "
            "larapee_backup_restore_confirm to its code to replace what is there.",
        )


def filesystem(request: PreflightRequest) -> Found:
    path = request.central_path
    if not path or request.reserve_bytes > 0:
        return
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    if os.stat(path).st_dev == os.stat("/").st_dev:
        yield (
            WARNING,
            f"Failed to find a filesystem of its own for {request.central_path}: it shares the one of /, and no "
            "reserve is set, so that branches can fill this host. Mount one there, or keep a reserve.",
        )


def _split(url: str) -> urllib.parse.SplitResult | None:
    try:
        parts = urllib.parse.urlsplit(url)
        return parts if parts.scheme and parts.netloc else None
    except ValueError:
        return None


def _without_user(url: str) -> str:
    scheme, separator, rest = url.rpartition("//")
    return scheme + separator + rest.rpartition("@")[2]


def _span(seconds: int) -> str:
    for size, name in ((DAY, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"


__all__ = (
    "branch_codes",
    "cold_lock",
    "filesystem",
    "objectives",
    "recipients",
    "restore_target",
    "retention",
    "runs_tls",
    "s3_tls",
)
